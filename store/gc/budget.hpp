// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <cstdint>
#include <vector>

#include "store/index/index.hpp"

namespace pwstore {

/// What has to go so that the objects of the store fit into a number of bytes.
struct BudgetChoice {
    struct Drop {
        GenerationRef generation;
        uint64_t bytes = 0;  ///< that only it still used when it was chosen
    };
    std::vector<Drop> drops;   ///< in the order in which they were chosen; none when it cannot be met
    uint64_t stored = 0;       ///< bytes of the objects that are left
    bool is_reachable = true;  ///< false: all candidates together would not be enough
};

/// Choose among `candidates`, most bytes first (of equals the oldest), until what all other generations and
/// the leases use takes at most `budget` bytes on disk (each object in blocks of 4 KiB). A candidate below
/// one that stays is chosen together with all that are built on it, or not at all. What is not needed to meet
/// the budget stays, so nothing goes that frees nothing. Computed from the index alone.
[[nodiscard]] BudgetChoice fit_budget(const ReadTxn& txn, const std::vector<GenerationRef>& candidates,
                                      uint64_t budget);

/// What each of `generations` frees when they go in this order, by the same measure.
[[nodiscard]] std::vector<BudgetChoice::Drop> freed_by(const ReadTxn& txn,
                                                       const std::vector<GenerationRef>& generations);

}  // namespace pwstore
