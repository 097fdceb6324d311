// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "store/index/index.hpp"

namespace pwstore {

/// What the current generation of one container takes. Sizes are those of contents, in bytes.
struct ContainerUsage {
    std::string container;
    uint64_t files = 0;      ///< of its packages and deltas, those of its dependencies included
    uint64_t apparent = 0;   ///< their sizes added up, as if each were stored for itself
    uint64_t shared = 0;     ///< objects that another container's current generation uses too
    uint64_t exclusive = 0;  ///< objects that only this one uses: what its removal would free at most
};

struct StoreUsage {
    std::vector<ContainerUsage> containers;  ///< sorted by name
    uint64_t objects = 0;
    uint64_t stored = 0;      ///< all objects, each copy counted
    uint64_t referenced = 0;  ///< objects that some current generation uses, once each
    uint64_t apparent = 0;    ///< sum over the containers
    uint64_t distinct = 0;    ///< the same with each content once
};

/// Computed from the index alone, within `txn`: a bitset over object ids per container. A generation that
/// refers to a record that is missing is an Error (corrupt).
[[nodiscard]] StoreUsage usage_of(const ReadTxn& txn);

/// What goes if some containers go, with all their generations.
struct MarginalUsage {
    struct Share {
        std::string container;
        uint64_t exclusive = 0;    ///< objects that nobody else uses
        uint64_t among_them = 0;   ///< that others of the named ones use, and nobody beside these
        uint64_t with_others = 0;  ///< that something stays for
    };
    std::vector<Share> containers;  ///< as they were named
    uint64_t freed = 0;             ///< if all of them go: objects that only they use
    uint64_t freed_objects = 0;
};

/// Sizes of contents, each object (and copy) once; what lies below the containers counts as theirs.
/// @throws Error (usage) for one that does not exist
[[nodiscard]] MarginalUsage marginal_usage(const ReadTxn& txn, const std::vector<ContainerName>& names);

/// The store in numbers. Looks at every object's file and every root on disk.
struct StoreStatistics {
    uint64_t containers = 0, generations = 0, packages = 0;  ///< packages: manifests
    uint64_t objects = 0, copies = 0;                        ///< copies: further inodes of objects
    uint64_t links = 0;                                      ///< of objects, their own names apart
    uint64_t stored = 0;                                     ///< bytes of contents, each copy once
    uint64_t on_disk = 0;                                    ///< their blocks
    uint64_t apparent = 0;                ///< what the current generations would take if nothing were shared
    uint64_t dead = 0, dead_objects = 0;  ///< of objects that nothing refers to, in bytes
    uint64_t unused = 0, unused_objects = 0;  ///< that only packages without a generation refer to
    uint64_t held_outside = 0;                ///< objects with links that are in no root of ours
    uint64_t held_outside_bytes = 0;
    uint64_t distinct = 0;  ///< bytes of what `apparent` counts, each content once
    /// Of containers that are gone, by name, with their bytes.
    std::vector<std::pair<std::string, uint64_t>> left_homes;
};

}  // namespace pwstore
