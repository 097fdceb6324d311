// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "store/index.hpp"

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
};

/// Computed from the index alone, within `txn`: a bitset over object ids per container. A generation that
/// refers to a record that is missing is an Error (corrupt).
[[nodiscard]] StoreUsage usage_of(const ReadTxn& txn);

}  // namespace pwstore
