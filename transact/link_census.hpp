// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <sys/stat.h>

#include <cstdint>
#include <string>
#include <unordered_map>

#include "store/generation.hpp"

namespace pwstore {

/// Files that are about to be unlinked, each with the number of its links that go: what that frees. An inode
/// is freed when all its links are among them.
class LinkCensus {
 public:
    /// One link of a file, by its name below `dir`; a missing one counts nothing.
    void add_file(int dir, const std::string& path);
    /// Everything below and including the directory `path`.
    void add_tree(int dir, const std::string& path);
    /// What goes with the root of a generation: the tree, its seal and its lease file.
    void add_root(int data_dir, const GenerationRef& which);

    struct Sum {
        uint64_t inodes = 0, bytes = 0;            ///< freed
        uint64_t held_inodes = 0, held_bytes = 0;  ///< kept by links elsewhere, of files added by add_file()
    };
    [[nodiscard]] Sum sum() const;

 private:
    struct Links {
        uint64_t going = 0, all = 0, bytes = 0;
        bool is_ours = false;  ///< added by add_file()
    };
    void add(const struct stat& info, bool is_ours);
    std::unordered_map<uint64_t, Links> inodes_;  ///< of one file system
};

}  // namespace pwstore
