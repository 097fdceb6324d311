// SPDX-License-Identifier: GPL-3.0-or-later
#include "store/lost_index.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <fmt/format.h>

#include <algorithm>

#include "store/base/path_at.hpp"

namespace pwstore {

namespace {

std::vector<DirectoryItem> items_of(int dir, const std::string& name) {
    const auto found = try_open_at(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
    return found ? list_directory(found->get()) : std::vector<DirectoryItem>{};
}

bool has_objects(int data) {
    const std::vector<DirectoryItem> shards = items_of(data, names::kObjects);
    return std::any_of(shards.begin(), shards.end(), [&](const DirectoryItem& shard) {
        return !items_of(data, fmt::format("{}/{}", names::kObjects, shard.name)).empty();
    });
}

bool has_roots(int data) {
    const std::vector<DirectoryItem> items = items_of(data, names::kRoots);
    return std::any_of(items.begin(), items.end(),
                       [](const DirectoryItem& item) { return item.type == DT_DIR || item.type == DT_LNK; });
}

Error not_trusted(const Directories& directories, const std::string& cause, const std::string& hint) {
    return Error("open store", directories.data, cause).as(Fault::corrupt).with_hint(hint);
}

}  // namespace

std::optional<Error> lost_index(const Directories& directories) {
    const auto data = try_open_at(AT_FDCWD, directories.data, O_RDONLY | O_DIRECTORY);
    if (!data) return std::nullopt;
    const bool objects = has_objects(data->get());
    const bool roots = has_roots(data->get());
    if (!objects && !roots) return std::nullopt;
    return not_trusted(
        directories,
        fmt::format("its index is lost: '{}' is missing or empty, but there are files in '{}'; nothing was "
                    "changed",
                    names::kIndex, objects ? names::kObjects : names::kRoots),
        fmt::format("put {0}/{1} back from a backup; without one, 'mv {0} {0}.old' starts anew, and what is "
                    "in {0}.old/{2} can be copied out",
                    directories.data, names::kIndex, names::kRoots));
}

Error older_index(const Directories& directories, const std::string& what) {
    return not_trusted(
        directories, fmt::format("its index is older than the containers: {}; nothing was changed", what),
        fmt::format(
            "put the newer {0}/{1} back; to go on with the older one, 'mv {0}/{2} {0}/{2}.newer' keeps "
            "the files of the newer generations aside",
            directories.data, names::kIndex, names::kRoots));
}

}  // namespace pwstore
