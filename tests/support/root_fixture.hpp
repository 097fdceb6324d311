// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "store/store.hpp"
#include "store/tree.hpp"
#include "tests/support/test_dir.hpp"

namespace pwstore::test {

/// A fresh store and the means to write down trees for it.
class RootFixture {
 public:
    explicit RootFixture(const StoreOptions& options = {});

    /// The object with this content, made when the store has none.
    ObjectId object(const std::string& content, uint32_t mode = 0644,
                    const std::map<std::string, std::string>& xattrs = {});
    [[nodiscard]] ObjectKey key(ObjectId id) const { return store.index().read().object(id).first; }
    [[nodiscard]] uint16_t copies(ObjectId id) const { return store.index().read().object(id).second.copies; }
    /// Absolute path of an object's inode.
    [[nodiscard]] std::string object_path(ObjectId id, uint16_t copy = 0) const;

    [[nodiscard]] TreeEntry file(const std::string& path, const std::string& content, uint32_t mode = 0644);
    [[nodiscard]] static TreeEntry generated(const std::string& path, const std::string& content);
    [[nodiscard]] static TreeEntry directory(const std::string& path, uint32_t mode = 0755,
                                             int64_t mtime = 500);
    [[nodiscard]] static TreeEntry symlink(const std::string& path, const std::string& target);
    [[nodiscard]] static TreeEntry fifo(const std::string& path, uint32_t mode = 0644);
    /// Sorted, with missing parents (0755, mtime 400).
    [[nodiscard]] static Tree tree(std::vector<TreeEntry> entries);

    /// A new empty directory below the test directory, open.
    [[nodiscard]] Fd make_root(const std::string& name) const;

    TestDir dir;
    Store store;
};

/// Everything about a tree that has to be equal between two builds of it, a line for each path: kind, mode,
/// time (of directories, symlinks and files that are no links), content or target; hard links by the first
/// path of the inode.
[[nodiscard]] std::vector<std::string> listing(const std::string& path);

/// Inode number of a path, not following it.
[[nodiscard]] uint64_t inode_of(const std::string& path);
/// Number of links of a path's inode.
[[nodiscard]] uint64_t links_of(const std::string& path);
[[nodiscard]] std::string content_of(const std::string& path);

}  // namespace pwstore::test
