// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "store/generation.hpp"
#include "store/tree.hpp"

namespace pwstore::image {

/// A generation as if it were that of a base: all packages that lie in it, and one delta. Its tree is the
/// same.
struct FlatGeneration {
    Generation generation;  ///< number, time, cause and notes of the original; no upstream, no parent
    Delta delta;
};

/// For a generation without upstream: itself. Otherwise packages are those of the whole stack, as
/// visible_packages() orders them, and the delta is what its tree has beyond their merge; each entry keeps
/// the cause of the delta that made it. Digests of recipe and tree are left as they are.
[[nodiscard]] FlatGeneration flatten(const ReadTxn& txn, const Generation& generation);

}  // namespace pwstore::image
