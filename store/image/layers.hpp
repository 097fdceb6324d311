// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "store/image/portable.hpp"
#include "store/tree.hpp"

namespace pwstore::image {

/// Which packages share a layer, by place in Portable::manifests. A layer is a function of its packages
/// alone, so that containers share digests, and another package changes at most two layers: up to 118
/// packages have one each; beyond, the 54 largest (size of their files, then name) do, and the rest lie in 64
/// by the top 6 bits of SHA-256(name). Packages without entries have none. In the order of the image,
/// packages by name.
[[nodiscard]] std::vector<std::vector<size_t>> partition(const std::vector<Manifest>& manifests);

/// One member of a layer: metadata as the manifest has them, the path as the whole tree resolves it.
struct LayerMember {
    Entry entry;            ///< object: place in Portable::contents from 1, or 0 with `inlined`
    std::string hard_link;  ///< non-empty: a link to this earlier member of the same layer
    std::string inlined;    ///< content of a file without object
    bool operator==(const LayerMember&) const = default;
};
using Layer = std::vector<LayerMember>;  ///< parents before children, sorted by path

/// What a portable container consists of, as layers of an OCI image: one per group of partition(), then one
/// that makes the tree of them: what the packages do not have just so (delta, local database, files that two
/// packages have), whiteouts, and the records.
/// @param tree of `portable`: contents by place, the local database inlined, without mount points
[[nodiscard]] std::vector<Layer> layers_of(const Portable& portable, const Tree& tree);

/// Only the records, for a receiver that gets the contents otherwise.
[[nodiscard]] Layer records_layer(const Portable& portable, const Tree& tree);

}  // namespace pwstore::image
