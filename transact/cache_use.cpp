// SPDX-License-Identifier: GPL-3.0-or-later
#include "transact/cache_use.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>

#include "store/base/error.hpp"
#include "store/base/path_at.hpp"
#include "store/base/staged_file.hpp"
#include "store/digest.hpp"
#include "store/store.hpp"

namespace pwstore {

namespace {

/// Beside the archives: a file per store, which holds the path of its data directory.
constexpr const char* kStores = "stores";

std::string real_path(const std::string& path) {
    std::error_code failure;
    const auto real = std::filesystem::canonical(path, failure);
    return failure ? path : real.string();
}

void make_known(const Directories& directories) {
    const std::string folder = fmt::format("{}/{}", directories.cache, kStores);
    const std::string data = real_path(directories.data);
    const std::string name = fmt::format("{:016x}", checksum64(data));
    if (exists_at(AT_FDCWD, folder + "/" + name)) return;
    make_directories(AT_FDCWD, folder, 0755);
    write_file_atomically(open_dir(AT_FDCWD, folder).get(), name, data);
}

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
    make_known(directories);
    return FileLock::acquire(AT_FDCWD, cache + "/" + kCacheUseLock, LockMode::shared,
                             std::chrono::seconds(request.lock_patience_seconds), request.command);
}

ArchiveNames archives_of(const ReadTxn& txn, const std::set<ManifestId>& without) {
    ArchiveNames names;
    for (const ManifestId id : txn.manifest_ids()) {
        if (without.contains(id)) continue;
        const Manifest head = Manifest::decode_head(txn.manifest_bytes(id));
        names.insert(fmt::format("{}-{}-{}", head.name, head.version, head.arch));
    }
    return names;
}

std::optional<ArchiveNames> archives_of_other_stores(const Directories& directories) {
    ArchiveNames all;
    const std::string own = real_path(directories.data);
    const auto stores = try_open_at(AT_FDCWD, fmt::format("{}/{}", directories.cache, kStores),
                                    O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
    if (!stores) return all;
    for (const DirectoryItem& item : list_directory(stores->get())) {
        const auto data = try_read_file(stores->get(), item.name);
        if (!data || real_path(*data) == own) continue;
        try {
            const auto store = Store::open_read_only({*data, directories.config, directories.cache});
            if (store) all.merge(archives_of(store->index().read()));
        } catch (const Error&) {
            return std::nullopt;
        }
    }
    return all;
}

}  // namespace pwstore
