// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <optional>

#include "store/base/lock.hpp"
#include "store/layout.hpp"
#include "transact/request.hpp"

namespace pwstore {

/// In the shared package cache: who needs archives to stay there holds this lock shared, who removes some,
/// exclusive.
inline constexpr const char* kCacheUseLock = ".pwstore-use.lock";

/// Keeps archives in the shared package cache from being removed (-Sc) between their download and the moment
/// at which the store has read them: kCacheUseLock, shared. nullopt where nothing is fetched, and where the
/// cache cannot be written, so that nothing can be removed from it either.
/// @throws Error (busy) while somebody cleans the cache
[[nodiscard]] std::optional<FileLock> use_cache(const Directories& directories,
                                                const TransactionRequest& request);

}  // namespace pwstore
