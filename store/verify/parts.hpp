// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <sys/types.h>

#include <array>
#include <cstdint>
#include <functional>
#include <optional>
#include <set>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "store/tree.hpp"
#include "store/verify/verify.hpp"

/// The steps of verify(), each in a file of its own.
namespace pwstore::verifying {

// --- Records (verify_records.cpp) ----------------------------------------------------------------

/// The rows of all objects as one read transaction saw them.
struct Catalog {
    std::vector<std::pair<ObjectKey, ObjectRow>> objects;
    std::vector<uint32_t> place_of_id;  ///< id → index into objects + 1, 0 = no such object
    bool complete = true;               ///< false when a row could not be read: then no file is a stray

    static constexpr uint32_t kNowhere = UINT32_MAX;
    /// Index into objects, or kNowhere.
    [[nodiscard]] uint32_t place(ObjectId id) const {
        return id < place_of_id.size() && place_of_id[id] != 0 ? place_of_id[id] - 1 : kNowhere;
    }
    [[nodiscard]] const std::pair<ObjectKey, ObjectRow>* find(ObjectId id) const {
        const uint32_t at = place(id);
        return at != kNowhere ? &objects[at] : nullptr;
    }
};

/// Read all rows of objects; those that cannot be read become findings.
[[nodiscard]] Catalog read_catalog(const ReadTxn& txn, std::vector<Finding>& findings);

/// Names of objects, manifests, deltas, generations and containers: whether each can be read and refers to
/// what exists.
void check_records(const ReadTxn& txn, const Catalog& catalog, std::vector<Finding>& findings);

/// Who uses an object, in words: "'usr/bin/x' of package x 1-1 in base, editor".
class Users {
 public:
    /// Looks through all manifests and deltas for `objects`.
    Users(const ReadTxn& txn, const std::unordered_set<ObjectId>& objects);
    [[nodiscard]] std::string of(ObjectId id) const;
    /// Packages that hold the object: where good bytes may be read from.
    struct Place {
        ManifestId manifest = 0;
        std::string path;  ///< in the archive: ".MTREE" and the like for side objects
    };
    [[nodiscard]] const std::vector<Place>& places(ObjectId id) const;

 private:
    void add_manifest(const ReadTxn& txn, ManifestId id, const std::unordered_set<ObjectId>& objects);
    void add_generation(const ReadTxn& txn, const Generation& generation,
                        const std::unordered_set<ObjectId>& objects);

    std::unordered_map<ObjectId, std::vector<Place>> places_;
    std::unordered_map<ObjectId, std::string> deltas_;  ///< "'etc/x' of the delta of base@3"
    std::unordered_map<ManifestId, std::string> names_;
    std::unordered_map<ManifestId, std::set<std::string>> containers_;
};

// --- Objects (verify_objects.cpp) ----------------------------------------------------------------

/// What is wrong with one file below store/objects.
enum class ObjectFault : uint8_t {
    none,
    missing,
    content,   ///< bytes, size or kept attributes: a good copy is needed
    metadata,  ///< mode, time or attributes that may not be there: can be put right in place
};

struct ObjectState {
    ObjectFault fault = ObjectFault::none;
    bool set_id = false;
    ino_t inode = 0;
    dev_t device = 0;
    std::string what;  ///< the fault in words
};

/// Look at one copy of an object; with `contents` read and hash it.
[[nodiscard]] ObjectState look_at_object(const Store& store, const ObjectKey& key, uint16_t copy,
                                         bool contents);
/// Digest of what `fd` (at its start) holds; nullopt when that is not `size` bytes or cannot be read.
[[nodiscard]] std::optional<Digest> digest_of_file(int fd, uint64_t size, const DigestFunction& function);

struct ObjectScan {
    struct Damage {
        uint32_t place = 0;  ///< index into Catalog::objects
        uint16_t copy = 0;
        ObjectState state;
        std::string source = {};  ///< where healing had good bytes from; empty when none were needed or found
    };
    std::vector<Damage> damages;
    std::vector<Finding> findings;    ///< about names in the index
    std::vector<std::string> strays;  ///< paths below store/objects
    std::unordered_set<std::string> stray_set_ids;
    uint64_t bytes = 0;
    dev_t device = 0;
    std::vector<ino_t> inodes;                                     ///< of copy 0, by place; 0 = missing
    std::unordered_map<uint32_t, std::vector<ino_t>> more_inodes;  ///< of further copies, by place

    [[nodiscard]] bool is_inode_of(uint32_t place, dev_t on_device, ino_t inode) const;
    /// A copy of it is missing: then it is not known what a link of it would be.
    [[nodiscard]] bool lacks_inode(uint32_t place) const;
    void note(uint32_t place, uint16_t copy, const ObjectState& state);
};

/// How many files there are in each folder of objects, by the first byte of their digests.
using FolderCounts = std::array<size_t, 256>;
[[nodiscard]] FolderCounts count_object_files(const Store& store);

/// Look at all objects of the catalog, and for files that it does not have: names are compared only where
/// there were more or fewer files than objects.
[[nodiscard]] ObjectScan scan_objects(const Store& store, const Catalog& catalog, const FolderCounts& counts,
                                      const VerifyOptions& options, ProgressSink& sink);

// --- Roots (verify_root.cpp) ---------------------------------------------------------------------

struct RootProblem {
    std::string path;  ///< in the root, "" = the root itself
    std::string what;
    bool set_id = false;
    bool unlinked = false;  ///< as it should be but for being a file of its own where a link is meant
};

struct RootScan {
    std::vector<RootProblem> problems;
    uint64_t linked = 0;  ///< entries that are links of their objects
};

struct RootCheck {
    const Store& store;
    const Catalog& catalog;
    const ObjectScan& objects;
    bool contents = true;
    unsigned threads = 0;
};

/// Compare the directory `root` with `tree`: nothing more, nothing less, nothing different.
[[nodiscard]] RootScan check_root(const RootCheck& check, const Tree& tree, int root);

/// What mend_root() is to do.
struct RootRepair {
    std::unordered_set<std::string> paths;     ///< what is below a missing directory is meant as well
    std::unordered_set<ObjectId> bad_objects;  ///< nothing is made of these
};

/// Put a root right: remove what `tree` does not have, make the rest anew from the objects, and give the
/// directories mode and time back. Each file is made in `staging`, a directory of the same file system, and
/// renamed in. What cannot be put right is left as it is.
void mend_root(const RootCheck& check, const Tree& tree, int root, int staging, const RootRepair& repair);

// --- Everything else below the data directory (verify_set_id.cpp) ---------------------------------

enum class SetIds { report, clear };
/// Set-user-id and set-group-id files outside of objects and roots: homes, writable layers, staging. What
/// cannot be looked into is passed over. Nothing is followed.
void find_set_ids(const Store& store, SetIds action, std::vector<Finding>& findings);

// --- Healing (verify_heal.cpp) -------------------------------------------------------------------

/// A root with its tree: a source of bytes.
struct OpenRoot {
    const Tree* tree = nullptr;
    int fd = -1;
    std::string title = {};  ///< NAME@N
};

/// Put the damaged copies right, those for which good bytes are found: what has only a wrong mode or time in
/// place, else from another copy, a file of a root, a package archive. The caller holds the ingest lock.
/// Fills in the source of each damage. Returns the objects of which an inode was replaced: links of the old
/// one have to be made anew.
[[nodiscard]] std::unordered_set<ObjectId> heal_objects(const Store& store, const Catalog& catalog,
                                                        const Users& users,
                                                        std::vector<ObjectScan::Damage>& damages,
                                                        const std::vector<OpenRoot>& roots,
                                                        const VerifyOptions& options, ProgressSink& sink);

}  // namespace pwstore::verifying
