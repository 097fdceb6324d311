// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "store/index/index.hpp"
#include "store/tree.hpp"

namespace pwstore {

/// From a path to its story and from a content to all its places. All of it reads the index alone.

/// One layer of a container's stack that has something at a path.
struct LayerClaim {
    std::string container;  ///< whose layer
    uint64_t generation = 0;
    std::string package, version;  ///< empty: the delta
    std::optional<DeltaEntry> change;
    Entry entry;  ///< with the path as the layer has it
};

struct PathStory {
    std::string path;                ///< with symlinks on the way followed
    Entry entry;                     ///< as the whole tree has it
    std::optional<Sha256> sha256;    ///< of a file
    std::string object;              ///< path below store/objects, empty = generated or no file
    bool is_generated = false;       ///< the package database, a mount point
    std::vector<LayerClaim> claims;  ///< the one that counts first, then what it hides
    /// The oldest generation in a row up to this one that has just this there.
    uint64_t since_generation = 0, since_transaction = 0;
    int64_t since = 0;
    std::string cause;
    bool is_older = false;  ///< it was there before that as well, perhaps: what was is no longer kept
};

/// nullopt when there is nothing at `path` (relative to the root) in that generation.
[[nodiscard]] std::optional<PathStory> story_of(const ReadTxn& txn, const Generation& generation,
                                                std::string_view path);

/// What took `path` away, or something above it, that a layer below or a package had; nullopt where nothing
/// did.
[[nodiscard]] std::optional<LayerClaim> removal_of(const ReadTxn& txn, const Generation& generation,
                                                   std::string_view path);

/// A place where a content is used.
struct ContentPlace {
    std::string container;
    uint64_t generation = 0;
    bool is_current = false;
    std::string package, version;  ///< empty: the delta
    std::string path;
};

/// Every generation's own use of the objects that `matches` says yes to, in the order of the containers.
[[nodiscard]] std::vector<ContentPlace> places_of(
    const ReadTxn& txn, const std::function<bool(const ObjectKey&, const ObjectRow&)>& matches);

/// Whose package has `path` (relative, as packages write it) in a current generation.
struct PathOwner {
    std::string container;
    std::string package, version;
};
[[nodiscard]] std::vector<PathOwner> owners_of(const ReadTxn& txn, std::string_view path);

}  // namespace pwstore
