// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <string_view>

#include "store/base/error.hpp"
#include "store/index/index.hpp"

namespace pwstore {

/// The Error (usage) for a name that no container has, with what was probably meant.
[[nodiscard]] Error no_such_container(const ReadTxn& txn, std::string_view step, std::string_view name);

}  // namespace pwstore
