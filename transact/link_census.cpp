// SPDX-License-Identifier: GPL-3.0-or-later
#include "transact/link_census.hpp"

#include <dirent.h>
#include <fcntl.h>

#include "mount/twin.hpp"
#include "store/base/path_at.hpp"
#include "store/layout.hpp"

namespace pwstore {

namespace {

constexpr uint64_t kBlock = 512;  // unit of st_blocks

}  // namespace

void LinkCensus::add(const struct stat& info, bool is_ours) {
    Links& links = inodes_[info.st_ino];
    // The link count of a directory counts its subdirectories: it goes with its one name.
    links.all = S_ISDIR(info.st_mode) ? 1 : info.st_nlink;
    links.bytes = static_cast<uint64_t>(info.st_blocks) * kBlock;
    links.is_ours = links.is_ours || is_ours;
    ++links.going;
}

void LinkCensus::add_file(int dir, const std::string& path) {
    if (const auto info = try_stat_at(dir, path)) add(*info, true);
}

void LinkCensus::add_tree(int dir, const std::string& path) {
    const auto info = try_stat_at(dir, path);
    if (!info) return;
    add(*info, false);
    if (!S_ISDIR(info->st_mode)) return;
    const auto tree = try_open_at(dir, path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
    if (!tree) return;
    for (const DirectoryItem& item : list_directory(tree->get()))
        add_tree(tree->get(), item.name);
}

void LinkCensus::add_root(int data_dir, const GenerationRef& which) {
    const ContainerName name(which.container);
    add_tree(data_dir, Layout::root_name(name, which.generation));
    add_tree(data_dir, Layout::run_lease_name(name, which.generation));
    add_tree(data_dir, seal_name(name, which.generation));
}

LinkCensus::Sum LinkCensus::sum() const {
    Sum sum;
    for (const auto& [inode, links] : inodes_) {
        if (links.going >= links.all) {
            ++sum.inodes;
            sum.bytes += links.bytes;
        } else if (links.is_ours) {
            ++sum.held_inodes;
            sum.held_bytes += links.bytes;
        }
    }
    return sum;
}

}  // namespace pwstore
