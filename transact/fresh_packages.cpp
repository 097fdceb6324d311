// SPDX-License-Identifier: GPL-3.0-or-later
#include "transact/fresh_packages.hpp"

#include <sys/stat.h>

#include <algorithm>

#include "store/base/failpoint.hpp"
#include "store/base/path_at.hpp"
#include "transact/moved_files.hpp"
#include "transact/package_files.hpp"

namespace pwstore {

FreshPackages::FreshPackages(int root, const Tree& layers, const Delta& delta, const FilePatterns& patterns,
                             const ActLog& log)
    : root_(root), layers_(layers), delta_(delta), patterns_(patterns), log_(log) {}

bool FreshPackages::add(const Manifest& package) {
    failpoint("package.install");
    Draft draft;
    for (const Entry& entry : package.entries) {
        if (!is_plain(entry) || !draft_entry(draft, {entry, packages_, {}})) return false;
    }
    if (!draft_database(draft, package)) return false;
    ++packages_;
    for (TreeEntry& entry : draft.entries) {
        if (entry.entry.kind == EntryKind::directory)
            made_.insert_or_assign(entry.entry.path, entry.entry.mode);
        entries_.push_back(std::move(entry));
    }
    places_.merge(draft.places);
    directories_.insert(draft.directories.begin(), draft.directories.end());
    return true;
}

Tree FreshPackages::tree() const {
    Tree tree;
    tree.entries = entries_;
    std::sort(tree.entries.begin(), tree.entries.end(),
              [](const TreeEntry& a, const TreeEntry& b) { return a.entry.path < b.entry.path; });
    return tree;
}

/// Laid down as it is, it is what the layers say, and nothing else was known of its path.
bool FreshPackages::is_plain(const Entry& entry) const {
    if (is_in_database(entry.path)) return false;
    if (arrival(patterns_, listed_path(entry), Occupant::nothing, false) != Arrival::laid_down) return false;
    const TreeEntry* layer = layers_.find(entry.path);
    if (layer == nullptr) return false;
    if (entry.kind == EntryKind::directory) return true;
    return is_same_content(layer->entry, entry) && !log_.paths().contains(entry.path) &&
           delta_.find(entry.path) == nullptr;
}

bool FreshPackages::draft_entry(Draft& draft, const TreeEntry& entry) {
    const std::string& path = entry.entry.path;
    const bool is_directory = entry.entry.kind == EntryKind::directory;
    const Place there = place(draft, path);
    if (there == Place::other || (there == Place::directory && !is_directory)) return false;
    if (is_directory) draft.directories.push_back(path);
    if (const std::string_view parent = split_path(path).first; !parent.empty())
        draft.directories.emplace_back(parent);
    if (there == Place::directory) return true;
    draft.places.emplace(path, is_directory);
    draft.entries.push_back(entry);
    return true;
}

bool FreshPackages::draft_database(Draft& draft, const Manifest& package) {
    const std::vector<const TreeEntry*> entries = database_entries(layers_, package);
    return std::all_of(entries.begin(), entries.end(), [&](const TreeEntry* entry) {
        TreeEntry mine = *entry;
        mine.layer = packages_;
        return draft_entry(draft, mine);
    });
}

/// Of a path whose parent is a directory of the root or of what was collected; anything else counts as
/// `other`.
FreshPackages::Place FreshPackages::place(const Draft& draft, const std::string& path) {
    const auto known = [&](const std::string& of) -> const bool* {
        if (const auto found = places_.find(of); found != places_.end()) return &found->second;
        if (const auto found = draft.places.find(of); found != draft.places.end()) return &found->second;
        return nullptr;
    };
    if (const bool* is_directory = known(path)) return *is_directory ? Place::directory : Place::other;
    const std::string parent(split_path(path).first);
    if (const bool* is_directory = known(parent)) return *is_directory ? Place::free : Place::other;
    if (!is_old_directory(parent)) return Place::other;
    struct stat info {};
    if (::fstatat(root_, path.c_str(), &info, AT_SYMLINK_NOFOLLOW) == 0)
        return is_old_directory(path) ? Place::directory : Place::other;
    return errno == ENOENT ? Place::free : Place::other;
}

/// `path` is a directory of the root, and so is each of its parents.
bool FreshPackages::is_old_directory(const std::string& path) {
    if (path.empty()) return true;
    const auto known = old_directories_.find(path);
    if (known != old_directories_.end()) return known->second;
    struct stat info {};
    const bool is_directory = is_old_directory(std::string(split_path(path).first)) &&
                              ::fstatat(root_, path.c_str(), &info, AT_SYMLINK_NOFOLLOW) == 0 &&
                              S_ISDIR(info.st_mode);
    return old_directories_.emplace(path, is_directory).first->second;
}

}  // namespace pwstore
