// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <string>
#include <vector>

#include "transact/work.hpp"

namespace pwstore {

/// Files that packages of two containers below `work` both have, with different contents, where neither of
/// the two is built on the other: nobody has compared these before they came together. A line per pair of
/// packages, with both and their containers; what was there before this transaction is left out, and so are
/// packages whose archive is not in the store yet.
[[nodiscard]] std::vector<std::string> overlaps_below(TransactionState& state, const Work& work);

}  // namespace pwstore
