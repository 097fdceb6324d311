// SPDX-License-Identifier: GPL-3.0-or-later
#include "transact/moved_files.hpp"

#include <algorithm>

#include "store/debian/dpkg_record.hpp"

namespace pwstore {

std::string listed_path(const Entry& entry) {
    return entry.kind == EntryKind::directory ? entry.path + "/" : entry.path;
}

std::string without_slash(const std::string& listed) {
    return listed.ends_with('/') ? listed.substr(0, listed.size() - 1) : listed;
}

PackageFileList file_list(const Manifest& package) {
    PackageFileList list;
    list.name = package.name;
    list.version = package.version;
    for (const Entry& entry : package.entries)
        list.paths.push_back(listed_path(entry));
    std::sort(list.paths.begin(), list.paths.end());
    return list;
}

void LeftFiles::add(const Manifest& old, const Manifest* after) {
    const auto record = dpkg_record(old);
    if (!record) return;
    for (const Entry& entry : old.entries) {
        if (entry.kind == EntryKind::directory || (after != nullptr && after->find(entry.path) != nullptr))
            continue;
        stems.emplace(entry.path, record->stem);
        if (!entry.backup_md5.empty()) conffiles.emplace(entry.path, entry.backup_md5);
    }
}

std::set<std::string> moved_files(
    const std::function<std::optional<struct stat>(const std::string& path)>& look,
    const std::vector<FileListChange>& changes) {
    std::set<std::string> moved;
    const auto has = [](const PackageFileList* list, const std::string& path) {
        return list != nullptr && list->has(path);
    };
    for (const FileListChange& comes : changes) {
        if (comes.after == nullptr) continue;
        for (const std::string& listed : comes.after->paths) {
            if (has(comes.old, listed)) continue;
            const std::string path = without_slash(listed);
            const bool is_directory = listed.ends_with('/');
            const auto there = look(path);
            if (!there || (is_directory && (S_ISDIR(there->st_mode) || has(comes.old, path)))) continue;
            bool leaves = false, goes = false;
            for (const FileListChange& other : changes) {
                if (&other == &comes || !has(other.old, path)) continue;
                (other.after == nullptr ? goes : leaves) = true;
            }
            if (leaves && !goes) moved.insert(path);
        }
    }
    return moved;
}

}  // namespace pwstore
