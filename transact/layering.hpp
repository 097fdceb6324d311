// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <string>
#include <vector>

#include "store/tree.hpp"

namespace pwstore {

/// A container's delta, after what lies below it has changed.
struct LayeredDelta {
    Delta delta;
    std::vector<std::string> messages;  ///< for the user: what was kept although its ground moved
};

/// Carry `delta` over to new `layers`. An entry whose ground is the same stays. Otherwise: of a hook or
/// ldconfig: dropped, it runs again; a whiteout over nothing: dropped; below etc/: the packaged file comes as
/// .pacnew unless it equals the entry; anything else stays, with a message.
[[nodiscard]] LayeredDelta carry_over(const ReadTxn& txn, const Delta& delta, const Tree& layers);

}  // namespace pwstore
