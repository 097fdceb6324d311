// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "store/base/events.hpp"
#include "store/store.hpp"

namespace pwstore {

enum class FindingKind {
    damaged_object,  ///< bytes, size or mode differ from the name
    missing_object,
    stray_file,    ///< below store/objects without a record (garbage of a dead process)
    bad_record,    ///< an index record that is wrong or refers to nothing
    damaged_root,  ///< a root differs from its generation
    missing_root,  ///< a current generation without its root (rebuilt on next use)
    set_id_file,   ///< a set-id file anywhere below the data directory
};

/// One thing that verify found. `text` is one sentence naming package, path and containers where known.
struct Finding {
    FindingKind kind;
    std::string path;  ///< relative to the data directory
    std::string text;
    bool healed = false;
    std::string source = {};  ///< of an object: where its good bytes came from, if any were needed
};

struct VerifyOptions {
    bool roots = true;     ///< also compare roots with their generations
    bool contents = true;  ///< re-hash objects; false = sizes and modes only (--quick)
    double sample = 1.0;   ///< share of the objects to re-hash
    unsigned threads = 0;
    /// Bring back good bytes of an object: given the package, version and archive SHA-256 that hold it, the
    /// path of a package archive to read it from; nullopt when there is none. Set = heal.
    std::function<std::optional<std::string>(const Manifest&)> heal_from;
    /// Another source, asked last: gives those of the wanted contents that it has, each as a file open at its
    /// start.
    using Give = std::function<void(const Sha256& content, int fd)>;
    std::function<void(const std::set<Sha256>& wanted, const Give& give)> contents_from;
};

struct VerifyReport {
    std::vector<Finding> findings;
    uint64_t objects = 0;
    uint64_t bytes = 0;
    uint64_t roots = 0;
    std::string hint = {};  ///< what can be done where healing cannot help
    /// No finding is left unhealed (strays and missing roots are not damage).
    [[nodiscard]] bool clean() const;
};

/// Check objects ↔ index ↔ roots. Reading only, unless healing: then damaged objects are replaced under the
/// ingest lock and every root that linked the old inode is relinked.
[[nodiscard]] VerifyReport verify(const Store& store, const VerifyOptions& options, ProgressSink& sink);

/// A stored file that LinkOutcome::not_as_named was said of: where its bytes are right, mode and time are put
/// right in place. Lock: ingest, for a moment.
/// @throws Error (corrupt) saying what is wrong, with the hint that brings it back
void make_sound(const Store& store, const ObjectKey& key, uint16_t copy);

/// Of a data directory that Store::open_read_only() finds no store in, existing or not: a finding when files
/// are stored there all the same, for their index is lost.
[[nodiscard]] VerifyReport verify_without_index(const std::string& data_directory);

/// What an outside checker (pacman -Qkk) must report about the root of `generation` because roots carry the
/// reduced metadata of object.hpp: one line per entry and property, in its words.
[[nodiscard]] std::vector<std::string> fidelity_lines(const ReadTxn& txn, const Generation& generation);

}  // namespace pwstore
