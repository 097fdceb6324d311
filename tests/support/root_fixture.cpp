// SPDX-License-Identifier: GPL-3.0-or-later
#include "tests/support/root_fixture.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <sys/xattr.h>

#include <algorithm>
#include <set>

#include "store/base/error.hpp"
#include "store/base/path_at.hpp"

namespace pwstore::test {

namespace {

TreeEntry entry_of(const std::string& path, EntryKind kind, uint32_t mode) {
    TreeEntry entry;
    entry.entry.path = path;
    entry.entry.kind = kind;
    entry.entry.mode = mode;
    entry.entry.mtime = 1'000'000 + static_cast<int64_t>(path.size());
    entry.entry.mtime_ns = 123;
    return entry;
}

void list_into(int dir, const std::string& path, std::map<uint64_t, std::string>& inodes,
               std::vector<std::string>& lines) {
    const Fd self = open_dir(dir, ".");
    for (const DirectoryItem& item : list_directory(self.get())) {
        const std::string below = path.empty() ? item.name : path + "/" + item.name;
        const struct stat info = stat_at(self.get(), item.name);
        const std::string time = fmt::format("{}.{}", info.st_mtim.tv_sec, info.st_mtim.tv_nsec);
        std::string what;
        if (S_ISDIR(info.st_mode)) {
            lines.push_back(fmt::format("{} dir {:o} {}", below, info.st_mode & 07777U, time));
            list_into(open_dir(self.get(), item.name).get(), below, inodes, lines);
            continue;
        }
        if (S_ISLNK(info.st_mode)) {
            what = fmt::format("symlink {} {}", time, read_link_at(self.get(), item.name));
        } else if (S_ISREG(info.st_mode)) {
            const auto [first, added] = inodes.emplace(info.st_ino, below);
            what = fmt::format("file {:o} {} {} first {}", info.st_mode & 07777U, time,
                               read_file(self.get(), item.name), first->second);
        } else {
            what = fmt::format("other {:o} {}", info.st_mode, time);
        }
        lines.push_back(below + " " + what);
    }
}

}  // namespace

RootFixture::RootFixture(const StoreOptions& options) : store(Store::open(dir.directories(), options)) {}

ObjectId RootFixture::object(const std::string& content, uint32_t mode,
                             const std::map<std::string, std::string>& xattrs) {
    ObjectKey key;
    key.digest = store.digest()(content);
    key.size = content.size();
    key.mode = inode_mode(mode);
    key.xattrs = xattrs.empty() ? 0 : 1;
    if (const auto known = store.index().read().find_object(key)) return known->id;
    store.objects().create(key, 0, content);
    const std::string path = dir.path("data/store/objects/") + key.path(0);
    if (!xattrs.empty()) (void)::chmod(path.c_str(), 0600);
    for (const auto& [name, value] : xattrs) {
        if (::setxattr(path.c_str(), name.c_str(), value.data(), value.size(), 0) != 0) {
            throw Error::from_errno("set xattr", path);
        }
    }
    if (!xattrs.empty()) (void)::chmod(path.c_str(), key.mode);
    WriteTxn txn = store.index().write();
    ObjectRow row;
    row.id = txn.next_object_id();
    row.sha256 = sha256_of(content);
    txn.put_object(key, row);
    txn.commit();
    return row.id;
}

std::string RootFixture::object_path(ObjectId id, uint16_t copy) const {
    return dir.path("data/store/objects/") + key(id).path(copy);
}

TreeEntry RootFixture::file(const std::string& path, const std::string& content, uint32_t mode) {
    TreeEntry entry = entry_of(path, EntryKind::file, mode);
    entry.entry.object = object(content, mode);
    entry.entry.size = content.size();
    return entry;
}

TreeEntry RootFixture::generated(const std::string& path, const std::string& content) {
    TreeEntry entry = entry_of(path, EntryKind::file, 0644);
    entry.entry.size = content.size();
    entry.inlined = content;
    return entry;
}

TreeEntry RootFixture::directory(const std::string& path, uint32_t mode, int64_t mtime) {
    TreeEntry entry = entry_of(path, EntryKind::directory, mode);
    entry.entry.mtime = mtime;
    return entry;
}

TreeEntry RootFixture::symlink(const std::string& path, const std::string& target) {
    TreeEntry entry = entry_of(path, EntryKind::symlink, 0777);
    entry.entry.target = target;
    return entry;
}

TreeEntry RootFixture::fifo(const std::string& path, uint32_t mode) {
    return entry_of(path, EntryKind::fifo, mode);
}

Tree RootFixture::tree(std::vector<TreeEntry> entries) {
    std::set<std::string> known;
    for (const TreeEntry& entry : entries)
        known.insert(entry.entry.path);
    for (size_t i = 0; i < entries.size(); ++i) {
        const std::string parent(split_path(entries[i].entry.path).first);
        if (!parent.empty() && known.insert(parent).second) entries.push_back(directory(parent, 0755, 400));
    }
    std::sort(entries.begin(), entries.end(),
              [](const TreeEntry& a, const TreeEntry& b) { return a.entry.path < b.entry.path; });
    Tree tree;
    tree.entries = std::move(entries);
    tree.layers = {"package test 1-1"};
    return tree;
}

Fd RootFixture::make_root(const std::string& name) const {
    make_directory(AT_FDCWD, dir.path(name), 0755);
    return open_dir(AT_FDCWD, dir.path(name));
}

std::vector<std::string> listing(const std::string& path) {
    const Fd root = open_dir(AT_FDCWD, path);
    const struct stat info = stat_fd(root.get(), path);
    std::vector<std::string> lines{fmt::format(". {:o} {}", info.st_mode & 07777U, info.st_mtim.tv_sec)};
    std::map<uint64_t, std::string> inodes;
    list_into(root.get(), "", inodes, lines);
    return lines;
}

uint64_t inode_of(const std::string& path) {
    return stat_at(AT_FDCWD, path).st_ino;
}

uint64_t links_of(const std::string& path) {
    return stat_at(AT_FDCWD, path).st_nlink;
}

std::string content_of(const std::string& path) {
    return read_file(AT_FDCWD, path);
}

}  // namespace pwstore::test
