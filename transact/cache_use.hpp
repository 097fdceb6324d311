// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <optional>
#include <set>
#include <string>

#include "store/base/lock.hpp"
#include "store/index/index.hpp"
#include "store/layout.hpp"
#include "transact/request.hpp"

namespace pwstore {

/// In the shared package cache: who needs archives to stay there holds this lock shared, who removes some,
/// exclusive.
inline constexpr const char* kCacheUseLock = ".pwstore-use.lock";

/// Keeps archives in the shared package cache from being removed (-Sc) between their download and the moment
/// at which the store has read them: kCacheUseLock, shared. nullopt where nothing is fetched, and where the
/// cache cannot be written, so that nothing can be removed from it either. From then on the cache knows the
/// store.
/// @throws Error (busy) while somebody cleans the cache
[[nodiscard]] std::optional<FileLock> use_cache(const Directories& directories,
                                                const TransactionRequest& request);

/// Archives of a package cache that several stores may have in common, by "NAME-VERSION-ARCH".
using ArchiveNames = std::set<std::string, std::less<>>;

/// The archives of every package that the index knows, except of those in `without`.
[[nodiscard]] ArchiveNames archives_of(const ReadTxn& txn, const std::set<ManifestId>& without = {});

/// What the other stores need that have ever used this one's package cache; a data directory that is gone
/// needs nothing. nullopt when one of them cannot be read now: then all archives may be its.
[[nodiscard]] std::optional<ArchiveNames> archives_of_other_stores(const Directories& directories);

}  // namespace pwstore
