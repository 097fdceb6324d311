// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "store/base/events.hpp"
#include "store/store.hpp"
#include "store/usage.hpp"

namespace pwstore {

/// Reads only; what changes meanwhile may be counted as it was or as it is.
[[nodiscard]] StoreStatistics statistics_of(const Store& store, ProgressSink& sink);

}  // namespace pwstore
