// SPDX-License-Identifier: GPL-3.0-or-later
#include "transact/cache_use.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>

#include "store/base/path_at.hpp"

namespace pwstore {

namespace {

bool may_fetch(const TransactionRequest& request) {
    return request.upgrade_all || std::any_of(request.containers.begin(), request.containers.end(),
                                              [](const ContainerRequest& wanted) {
                                                  return wanted.packages.upgrade ||
                                                         !wanted.packages.install.empty() ||
                                                         !wanted.packages.archive_files.empty();
                                              });
}

}  // namespace

std::optional<FileLock> use_cache(const Directories& directories, const TransactionRequest& request) {
    const std::string cache = directories.cache + "/pkg";
    if (!may_fetch(request)) return std::nullopt;
    make_directories(AT_FDCWD, cache, 0755);
    if (::access(cache.c_str(), W_OK | X_OK) != 0) return std::nullopt;
    return FileLock::acquire(AT_FDCWD, cache + "/" + kCacheUseLock, LockMode::shared,
                             std::chrono::seconds(request.lock_patience_seconds), request.command);
}

}  // namespace pwstore
