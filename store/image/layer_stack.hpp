// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "store/manifest.hpp"

namespace pwstore::image {

/// The tree that layers laid over each other give (image-spec, "Image Layer Filesystem Changeset").
///
/// Paths are followed as they lead at that moment: a parent that is a symlink of the tree leads to where it
/// points, made where nothing is there yet, never out of the root. The last component is never followed: a
/// member replaces what has its name, and only a directory is left in place by a directory. Marks take away
/// what lower layers have, wherever they stand in their layer.
/// Not thread-safe. @throws Error (refused) naming the path for what no tree can be: loops of links, links to
/// nothing, paths without an end
class LayerStack {
 public:
    LayerStack();
    LayerStack(const LayerStack&) = delete;
    LayerStack& operator=(const LayerStack&) = delete;
    ~LayerStack();

    /// What follows belongs to the layer above.
    void begin_layer();
    /// `entry.path` is one of the layer's; any kind but a whiteout.
    void put(Entry entry);
    /// Its place is taken; it is not in the result.
    void put_device(const std::string& path);
    /// A further name of what lies at `target`: of anything but a directory.
    void link(const std::string& path, const std::string& target);
    /// What lower layers have at `path` and below it goes.
    void hide(std::string_view path);
    /// What lower layers have below `directory` goes.
    void hide_below(std::string_view directory);

    struct Result {
        std::vector<Entry> entries;  ///< sorted by path; directories that are only implied are not there
        uint64_t devices = 0;        ///< left out
    };
    /// The stack is empty afterwards.
    [[nodiscard]] Result finish();

 private:
    struct Inode;
    struct Node;
    struct Walk;

    [[noreturn]] void refuse(std::string_view path, std::string_view rule) const;
    [[nodiscard]] Walk walk(std::string_view path) const;
    [[nodiscard]] Node* find(std::string_view path) const;
    Node& make_parent(std::string_view path);
    Node& place(std::string_view path);
    Node& child(Node& parent, std::string_view name);
    void put(std::string_view path, std::shared_ptr<Inode> inode);
    bool prune(Node& node) const;
    void emit(Node& node, std::string& path, Result& result, std::map<const Inode*, uint32_t>& groups) const;

    std::unique_ptr<Node> top_;
    uint32_t layer_ = 0;
    uint64_t made_ = 0;  ///< nodes, ever
};

}  // namespace pwstore::image
