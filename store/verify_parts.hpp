// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "store/tree.hpp"
#include "store/verify.hpp"

/// The steps of verify(), each in a file of its own.
namespace pwstore::verifying {

// --- Records (verify_records.cpp) ----------------------------------------------------------------

/// The rows of all objects as one read transaction saw them.
struct Catalog {
    std::vector<std::pair<ObjectKey, ObjectRow>> objects;
    std::vector<uint32_t> place_of_id;  ///< id → index into objects + 1, 0 = no such object
    bool complete = true;               ///< false when a row could not be read: then no file is a stray

    [[nodiscard]] const std::pair<ObjectKey, ObjectRow>* find(ObjectId id) const {
        const uint32_t place = id < place_of_id.size() ? place_of_id[id] : 0;
        return place != 0 ? &objects[place - 1] : nullptr;
    }
};

/// Read all rows of objects; those that cannot be read become findings.
[[nodiscard]] Catalog read_catalog(const ReadTxn& txn, std::vector<Finding>& findings);

/// Manifests, deltas, generations and containers: whether each can be read and refers to what exists.
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
    std::unordered_map<ObjectId, std::vector<Place>> places_;
    std::unordered_map<ObjectId, std::string> deltas_;  ///< "'etc/x' of the delta of base@3"
    std::unordered_map<ManifestId, std::string> names_;
    std::unordered_map<ManifestId, std::string> containers_;
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
[[nodiscard]] ObjectState look_at_object(const Store& store, const ObjectKey& key, uint16_t copy, bool contents);

struct ObjectScan {
    struct Damage {
        uint32_t place = 0;  ///< index into Catalog::objects
        uint16_t copy = 0;
        ObjectState state;
    };
    std::vector<Damage> damages;
    std::vector<std::string> strays;  ///< paths below store/objects
    std::vector<std::string> stray_set_ids;
    uint64_t bytes = 0;
    dev_t device = 0;
    std::vector<ino_t> inodes;                                     ///< of copy 0, by place; 0 = missing
    std::unordered_map<uint32_t, std::vector<ino_t>> more_inodes;  ///< of further copies, by place

    [[nodiscard]] bool is_inode_of(uint32_t place, ino_t inode) const;
    [[nodiscard]] bool lacks_inode(uint32_t place) const { return inodes[place] == 0; }
};

[[nodiscard]] ObjectScan scan_objects(const Store& store, const Catalog& catalog, const VerifyOptions& options,
                                      ProgressSink& sink);

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

/// Put `paths` (and what is below those that are missing) of the directory `root` right: remove what `tree` does not
/// have, make the rest anew from the objects, and give their directories mode and time back. `staging` is a directory of
/// the same file system. What cannot be put right is left.
void mend_root(const RootCheck& check, const Tree& tree, int root, int staging,
               const std::unordered_set<std::string>& paths);

// --- Healing (verify_heal.cpp) -------------------------------------------------------------------

/// Finds good bytes for damaged objects and puts them in place. The caller holds the ingest lock.
class Healer {
   public:
    /// Open roots with their trees: sources of bytes.
    struct Root {
        const Tree* tree = nullptr;
        int fd = -1;
    };
    Healer(const Store& store, const Users& users, const VerifyOptions& options, ProgressSink& sink)
        : store_(store), users_(users), options_(options), sink_(sink) {}

    /// Put the damaged copies right, those that it can. Returns the ids of objects of which an inode was replaced.
    std::unordered_set<ObjectId> heal(const Catalog& catalog, const std::vector<ObjectScan::Damage>& damages,
                                      const std::vector<Root>& roots);

   private:
    using Object = std::pair<ObjectKey, ObjectRow>;
    bool mend_metadata(const Object& object, uint16_t copy) const;
    bool from_other_copy(const Object& object, uint16_t copy) const;
    bool from_roots(const Object& object, uint16_t copy, const std::vector<Root>& roots) const;
    void from_archives(std::vector<const Object*> wanted);
    bool adopt(const Object& object, uint16_t copy, int fd, const std::string& name) const;

    const Store& store_;
    const Users& users_;
    const VerifyOptions& options_;
    ProgressSink& sink_;
};

}  // namespace pwstore::verifying
