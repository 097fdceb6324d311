// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <cstdint>
#include <set>
#include <unordered_set>
#include <vector>

#include "store/index/index.hpp"

/// What the parts of the garbage collection share.
namespace pwstore::collecting {

/// The records that a generation or a lease refers to, and objects that only a lease names.
struct InUse {
    std::unordered_set<ManifestId> manifests;
    std::unordered_set<uint32_t> deltas;
    std::vector<ObjectId> objects;
};

/// What leases refer to.
[[nodiscard]] InUse leased(const ReadTxn& txn);
/// As if `dropped` were gone.
[[nodiscard]] InUse in_use(const ReadTxn& txn, const std::set<GenerationRef>& dropped);

}  // namespace pwstore::collecting
