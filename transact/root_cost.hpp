// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <cstdint>
#include <string>
#include <unordered_set>
#include <vector>

#include "mount/script_sandbox.hpp"
#include "store/generation.hpp"
#include "store/manifest.hpp"

namespace pwstore {

/// An upper estimate of the disk space and inodes that a new root takes beside the objects that it links to:
/// its directories, the files that it has copies of (is_copied()), its package database.
class RootCost {
 public:
    /// @param mode with private copies, every file is copied while scripts run
    explicit RootCost(ScriptMode mode) : mode_(mode) {}

    /// The files of a package, and its entry in the database. @param side_bytes of .MTREE, .INSTALL,
    /// .CHANGELOG
    void add_package(const std::vector<Entry>& entries, uint64_t side_bytes);
    /// What scripts and the user made of the root below. @param is_own of this container: scripts may make it
    /// again, and it is recorded then
    void add_delta(const Delta& delta, bool is_own);
    [[nodiscard]] uint64_t bytes() const;
    /// Directories, symlinks and files of its own: each takes one inode.
    [[nodiscard]] uint64_t inodes() const;

 private:
    void add(const Entry& entry);

    ScriptMode mode_;
    std::unordered_set<std::string> directories_;
    uint64_t names_ = 0;  ///< bytes that names take in directories
    uint64_t copies_ = 0;
    uint64_t own_inodes_ = 0;  ///< beside directories
};

}  // namespace pwstore
