// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "store/tree.hpp"

namespace pwstore {

/// SHA-256 over what a generation is made from: type, what lies below (by its recipe), packages with archive
/// digest and reason, policy. Equal on any host for the same packages in the same order.
[[nodiscard]] Sha256 recipe_digest(const ReadTxn& txn, ContainerType type, const Generation& generation,
                                   const GenerationSource& pending);
/// Recipe, tree and the parent's digest.
[[nodiscard]] Sha256 generation_digest(const Generation& generation, const Sha256& parent);

/// A dependency in alpm's form ("foo", "foo>=1.2") is met by one of `provided` (name, version; an empty
/// version meets only the bare name).
[[nodiscard]] bool is_satisfied(const std::string& dependency,
                                const std::vector<std::pair<std::string, std::string>>& provided);

}  // namespace pwstore
