// SPDX-License-Identifier: GPL-3.0-or-later
#include <algorithm>
#include <bit>
#include <cstring>
#include <optional>
#include <unordered_set>
#include <utility>

#include "store/base/error.hpp"
#include "store/tree.hpp"

namespace pwstore {

namespace {

using NodeId = uint32_t;
constexpr NodeId kTop = 0;
constexpr NodeId kNone = UINT32_MAX;
constexpr unsigned kMostSymlinks = 40;  // as the kernel's limit of one path walk

/// One path of the tree that is being built. A node that was removed stays in the table as `absent`.
struct Node {
    enum class State : uint8_t { absent, directory, other };

    NodeId parent = kNone;
    NodeId first_child = kNone;
    NodeId next_sibling = kNone;
    uint32_t layer = 0;
    State state = State::absent;
    std::string_view name;         // lives in the layers
    const Entry* entry = nullptr;  // null: a directory that is only implied by what is below it
    const std::string* inlined = nullptr;
    int64_t implied_mtime = 0;
};

/// Nodes by (parent, name): open addressing, never shrinks.
class NodeTable {
 public:
    explicit NodeTable(size_t expected) {
        nodes_.reserve(expected + 1);
        nodes_.push_back({});
        nodes_[kTop].state = Node::State::directory;
        slots_.assign(std::bit_ceil(expected * 2 + 16), kNone);
    }

    [[nodiscard]] Node& operator[](NodeId id) { return nodes_[id]; }
    [[nodiscard]] const Node& operator[](NodeId id) const { return nodes_[id]; }

    /// kNone when it was never there or was removed.
    [[nodiscard]] NodeId find(NodeId parent, std::string_view name) const {
        const NodeId id = slots_[slot_of(parent, name)];
        return id != kNone && nodes_[id].state != Node::State::absent ? id : kNone;
    }

    /// The node, made as absent when it was never there.
    NodeId get(NodeId parent, std::string_view name) {
        size_t slot = slot_of(parent, name);
        if (slots_[slot] != kNone) return slots_[slot];
        if (nodes_.size() * 2 >= slots_.size()) {
            grow();
            slot = slot_of(parent, name);
        }
        const auto id = static_cast<NodeId>(nodes_.size());
        Node& node = nodes_.emplace_back();
        node.parent = parent;
        node.name = name;
        node.next_sibling = std::exchange(nodes_[parent].first_child, id);
        slots_[slot] = id;
        return id;
    }

 private:
    [[nodiscard]] size_t slot_of(NodeId parent, std::string_view name) const {
        const size_t mask = slots_.size() - 1;
        size_t slot = (std::hash<std::string_view>{}(name) ^ (parent * size_t{0x9E3779B97F4A7C15})) & mask;
        while (slots_[slot] != kNone) {
            const Node& node = nodes_[slots_[slot]];
            if (node.parent == parent && node.name == name) break;
            slot = (slot + 1) & mask;
        }
        return slot;
    }

    void grow() {
        slots_.assign(slots_.size() * 2, kNone);
        for (NodeId id = 1; id < nodes_.size(); ++id)
            slots_[slot_of(nodes_[id].parent, nodes_[id].name)] = id;
    }

    std::vector<Node> nodes_;
    std::vector<NodeId> slots_;
};

/// The first component of `rest`, which loses it and the slash.
std::string_view take_component(std::string_view& rest) {
    const size_t slash = rest.find('/');
    const std::string_view component = rest.substr(0, slash);
    rest.remove_prefix(slash == std::string_view::npos ? rest.size() : slash + 1);
    return component;
}

class Merger {
 public:
    explicit Merger(const std::vector<TreeLayer>& layers) : layers_(layers), nodes_(entry_count(layers)) {}

    void apply(uint32_t layer);
    [[nodiscard]] Tree finish() const;

 private:
    static size_t entry_count(const std::vector<TreeLayer>& layers) {
        size_t count = 16;
        for (const TreeLayer& layer : layers)
            count += layer.entries->size() + 4;
        return count;
    }

    // --- Where a path is ---
    [[nodiscard]] NodeId find_directory(NodeId from, std::string_view path, unsigned& budget) const;
    [[nodiscard]] NodeId target_of(NodeId symlink, unsigned& budget) const;
    [[nodiscard]] NodeId target_of(NodeId symlink) const {
        unsigned budget = kMostSymlinks;
        return target_of(symlink, budget);
    }
    [[nodiscard]] bool is_symlink(NodeId id) const {
        return nodes_[id].state == Node::State::other && nodes_[id].entry->kind == EntryKind::symlink;
    }
    NodeId parent_for(std::string_view directory, int64_t mtime);
    NodeId make_behind(NodeId symlink, int64_t mtime, unsigned& budget);
    NodeId make_directory(NodeId id, int64_t mtime);

    // --- Change ---
    void place(const Entry& entry, const std::string* inlined);
    void whiteout(const Entry& entry);
    void set(NodeId id, const Entry& entry, const std::string* inlined);
    void remove_below(NodeId id);
    void move_content(NodeId from, NodeId to);
    void move_directories_behind_symlinks();
    [[nodiscard]] bool holds_something(NodeId id) const;
    [[noreturn]] void refuse(NodeId directory, const std::string& label) const;

    // --- Result ---
    [[nodiscard]] std::string path_of(NodeId id) const;
    void emit_below(NodeId directory, std::string& path, std::vector<TreeEntry>& entries) const;
    void emit(NodeId id, const std::string& path, std::vector<TreeEntry>& entries) const;

    const std::vector<TreeLayer>& layers_;
    NodeTable nodes_;
    uint32_t layer_ = 0;
    LayerKind kind_ = LayerKind::package;
    // The directory of the entry before: entries of one directory are mostly neighbours.
    std::string_view last_directory_;
    NodeId last_parent_ = kNone;
    // Directories over which the current package lays a symlink, decided when all of the package is there.
    std::vector<std::pair<NodeId, const Entry*>> symlinks_over_directories_;
};

void Merger::apply(uint32_t layer) {
    layer_ = layer;
    kind_ = layers_[layer].kind;
    last_parent_ = kNone;
    const std::vector<Entry>& entries = *layers_[layer].entries;
    if (kind_ == LayerKind::delta) {
        // First all that was removed, looked up in the tree as it was before the delta.
        for (const Entry& entry : entries) {
            if (entry.kind == EntryKind::whiteout) whiteout(entry);
        }
    }
    const std::vector<std::string>* inlined = layers_[layer].inlined;
    for (size_t at = 0; at < entries.size(); ++at) {
        if (entries[at].kind == EntryKind::whiteout) continue;
        place(entries[at], inlined != nullptr && !(*inlined)[at].empty() ? &(*inlined)[at] : nullptr);
    }
    move_directories_behind_symlinks();
}

/// The directory that `path` names, seen from `from` with symlinks followed; kNone when there is none.
NodeId Merger::find_directory(NodeId from, std::string_view path, unsigned& budget) const {
    NodeId at = from;
    if (path.starts_with('/')) at = kTop;
    while (!path.empty()) {
        const std::string_view component = take_component(path);
        if (component.empty() || component == ".") continue;
        if (component == "..") {
            if (at != kTop) at = nodes_[at].parent;
            continue;
        }
        NodeId next = nodes_.find(at, component);
        if (next != kNone && is_symlink(next)) next = target_of(next, budget);
        if (next == kNone || nodes_[next].state != Node::State::directory) return kNone;
        at = next;
    }
    return at;
}

NodeId Merger::target_of(NodeId symlink, unsigned& budget) const {
    if (budget == 0) return kNone;
    --budget;
    return find_directory(nodes_[symlink].parent, nodes_[symlink].entry->target, budget);
}

/// The directory that a symlink would lead to, made with its parents where it is absent; kNone when links
/// lead in a circle or something else is in the way.
NodeId Merger::make_behind(NodeId symlink, int64_t mtime, unsigned& budget) {
    if (budget == 0) return kNone;
    --budget;
    std::string_view path = nodes_[symlink].entry->target;
    NodeId at = path.starts_with('/') ? kTop : nodes_[symlink].parent;
    while (!path.empty()) {
        const std::string_view component = take_component(path);
        if (component.empty() || component == ".") continue;
        if (component == "..") {
            if (at != kTop) at = nodes_[at].parent;
            continue;
        }
        const NodeId next = nodes_.get(at, component);
        if (nodes_[next].state == Node::State::other) {
            at = is_symlink(next) ? make_behind(next, mtime, budget) : kNone;
            if (at == kNone) return kNone;
        } else {
            at = make_directory(next, mtime);
        }
    }
    return at;
}

/// `id`, which becomes a directory unless it is one.
NodeId Merger::make_directory(NodeId id, int64_t mtime) {
    Node& node = nodes_[id];
    if (node.state == Node::State::directory) return id;
    node.state = Node::State::directory;
    node.layer = layer_;
    node.entry = nullptr;
    node.inlined = nullptr;
    node.implied_mtime = mtime;
    return id;
}

/// The node of the directory at `path`, made with its parents where it is absent, behind symlinks as well.
/// What is there and can lead to no directory gives way, but not to a generated layer: kNone.
NodeId Merger::parent_for(std::string_view path, int64_t mtime) {
    if (last_parent_ != kNone && path == last_directory_) return last_parent_;
    last_directory_ = path;
    NodeId at = kTop;
    while (!path.empty()) {
        const NodeId next = nodes_.get(at, take_component(path));
        if (nodes_[next].state == Node::State::other) {
            unsigned budget = kMostSymlinks;
            NodeId target = is_symlink(next) ? target_of(next) : kNone;
            if (target == kNone && is_symlink(next)) target = make_behind(next, mtime, budget);
            if (target != kNone) {
                at = target;
                continue;
            }
            if (kind_ == LayerKind::generated) {
                last_parent_ = kNone;
                return kNone;
            }
        }
        at = make_directory(next, mtime);
    }
    return last_parent_ = at;
}

void Merger::place(const Entry& entry, const std::string* inlined) {
    const size_t slash = entry.path.rfind('/');
    const std::string_view path = entry.path;
    const bool at_top = slash == std::string::npos;
    const NodeId parent = parent_for(at_top ? std::string_view() : path.substr(0, slash), entry.mtime);
    if (parent == kNone) return;
    const NodeId id = nodes_.get(parent, at_top ? path : path.substr(slash + 1));
    const Node& node = nodes_[id];
    const bool fills = kind_ == LayerKind::generated && node.state != Node::State::absent;

    if (entry.kind == EntryKind::directory) {
        if (node.state == Node::State::directory) {
            const bool unnamed = node.entry == nullptr || layers_[node.layer].kind == LayerKind::generated;
            if (unnamed || kind_ == LayerKind::delta) set(id, entry, nullptr);
        } else if (!fills && (kind_ == LayerKind::delta || node.state == Node::State::absent ||
                              !is_symlink(id) || target_of(id) == kNone)) {
            set(id, entry, nullptr);
        } else if (fills && is_symlink(id) && target_of(id) == kNone) {
            unsigned budget = kMostSymlinks;
            const NodeId made = make_behind(id, entry.mtime, budget);
            if (made != kNone && nodes_[made].entry == nullptr) set(made, entry, nullptr);
        }
        return;
    }
    if (fills) return;
    if (node.state == Node::State::directory) {
        if (kind_ == LayerKind::delta) {
            remove_below(id);
        } else if (entry.kind == EntryKind::symlink) {
            symlinks_over_directories_.emplace_back(id, &entry);
            return;
        } else if (holds_something(id)) {
            refuse(id, layers_[layer_].label);
        }
    }
    set(id, entry, inlined);
}

void Merger::whiteout(const Entry& entry) {
    const size_t slash = entry.path.rfind('/');
    const std::string_view path = entry.path;
    unsigned budget = kMostSymlinks;
    const NodeId parent =
        slash == std::string::npos ? kTop : find_directory(kTop, path.substr(0, slash), budget);
    if (parent == kNone) return;
    const NodeId id = nodes_.find(parent, slash == std::string::npos ? path : path.substr(slash + 1));
    if (id == kNone) return;
    remove_below(id);
    nodes_[id].state = Node::State::absent;
}

void Merger::set(NodeId id, const Entry& entry, const std::string* inlined) {
    Node& node = nodes_[id];
    const auto state = entry.kind == EntryKind::directory ? Node::State::directory : Node::State::other;
    if (node.state == Node::State::directory && state == Node::State::other) remove_below(id);
    node.state = state;
    node.layer = layer_;
    node.entry = &entry;
    node.inlined = inlined;
}

/// Everything below `id` becomes absent.
void Merger::remove_below(NodeId id) {
    last_parent_ = kNone;
    std::vector<NodeId> open{id};
    while (!open.empty()) {
        const NodeId directory = open.back();
        open.pop_back();
        for (NodeId child = nodes_[directory].first_child; child != kNone;
             child = nodes_[child].next_sibling) {
            if (nodes_[child].state == Node::State::directory) open.push_back(child);
            nodes_[child].state = Node::State::absent;
        }
    }
}

bool Merger::holds_something(NodeId id) const {
    for (NodeId child = nodes_[id].first_child; child != kNone; child = nodes_[child].next_sibling) {
        if (nodes_[child].state == Node::State::other) return true;
        if (nodes_[child].state == Node::State::directory && holds_something(child)) return true;
    }
    return false;
}

/// `from` becomes a symlink to `to`: what it holds goes there. Of two files at one path the one of the later
/// layer stays.
void Merger::move_content(NodeId from, NodeId to) {
    for (NodeId child = nodes_[from].first_child; child != kNone; child = nodes_[child].next_sibling) {
        if (nodes_[child].state == Node::State::absent) continue;
        const NodeId place = nodes_.get(to, nodes_[child].name);
        const Node moved = nodes_[child];
        Node& there = nodes_[place];
        if (moved.state == Node::State::directory) {
            const NodeId linked =
                there.state == Node::State::other && is_symlink(place) ? target_of(place) : kNone;
            if (there.state == Node::State::other && linked == kNone)
                refuse(child, layers_[there.layer].label);
            if (there.state == Node::State::absent ||
                (there.state == Node::State::directory && there.entry == nullptr)) {
                there.state = moved.state;
                there.entry = moved.entry;
                there.layer = moved.layer;
                there.implied_mtime = moved.implied_mtime;
            }
            move_content(child, linked != kNone ? linked : place);
        } else if (there.state == Node::State::directory) {
            refuse(place, layers_[moved.layer].label);
        } else if (there.state == Node::State::absent || there.layer <= moved.layer) {
            there.state = moved.state;
            there.entry = moved.entry;
            there.inlined = moved.inlined;
            there.layer = moved.layer;
        }
    }
}

void Merger::move_directories_behind_symlinks() {
    for (const auto& [id, entry] : symlinks_over_directories_) {
        if (holds_something(id)) {
            unsigned budget = kMostSymlinks;
            const NodeId target = find_directory(nodes_[id].parent, entry->target, budget);
            bool inside = target == kNone;
            for (NodeId up = target; !inside && up != kNone; up = nodes_[up].parent)
                inside = up == id;
            if (inside) refuse(id, layers_[layer_].label);
            move_content(id, target);
        }
        set(id, *entry, nullptr);
    }
    symlinks_over_directories_.clear();
}

void Merger::refuse(NodeId directory, const std::string& label) const {
    const Node& node = nodes_[directory];
    throw Error("merge", path_of(directory),
                label + " has something else where there is a directory of " + layers_[node.layer].label)
        .as(Fault::refused);
}

std::string Merger::path_of(NodeId id) const {
    std::string path(nodes_[id].name);
    for (NodeId up = nodes_[id].parent; up != kTop && up != kNone; up = nodes_[up].parent) {
        path.insert(0, 1, '/').insert(0, nodes_[up].name);
    }
    return path;
}

/// What is to be written at one place of a directory: a child itself, or what lies below it. The second sorts
/// as the child's name with a slash, so that whole paths come out sorted by bytes ("lib", "lib-x", "lib/a").
struct Emission {
    std::string_view name;
    NodeId id;
    bool below;

    bool operator<(const Emission& other) const {
        const size_t common = std::min(name.size(), other.name.size());
        if (const int order = std::memcmp(name.data(), other.name.data(), common); order != 0)
            return order < 0;
        return next(common) < other.next(common);
    }
    [[nodiscard]] int next(size_t at) const {
        if (at < name.size()) return static_cast<unsigned char>(name[at]);
        return below ? '/' : -1;
    }
};

void Merger::emit_below(NodeId directory, std::string& path, std::vector<TreeEntry>& entries) const {
    std::vector<Emission> order;
    for (NodeId child = nodes_[directory].first_child; child != kNone; child = nodes_[child].next_sibling) {
        const Node& node = nodes_[child];
        if (node.state == Node::State::absent) continue;
        order.push_back({node.name, child, false});
        if (node.state == Node::State::directory) order.push_back({node.name, child, true});
    }
    std::sort(order.begin(), order.end());
    const size_t length = path.size();
    for (const Emission& emission : order) {
        path += emission.name;
        if (emission.below) {
            path += '/';
            emit_below(emission.id, path, entries);
        } else {
            emit(emission.id, path, entries);
        }
        path.resize(length);
    }
}

void Merger::emit(NodeId id, const std::string& path, std::vector<TreeEntry>& entries) const {
    const Node& node = nodes_[id];
    TreeEntry& made = entries.emplace_back();
    made.layer = node.layer;
    if (node.entry != nullptr) {
        made.entry = *node.entry;
        if (made.entry.path != path) made.entry.path = path;
        if (node.inlined != nullptr) made.inlined = *node.inlined;
        return;
    }
    made.layer = static_cast<uint32_t>(layers_.size());
    made.entry.path = path;
    made.entry.kind = EntryKind::directory;
    made.entry.mode = 0755;
    made.entry.mtime = node.implied_mtime;
}

Tree Merger::finish() const {
    Tree tree;
    for (const TreeLayer& layer : layers_)
        tree.layers.push_back(layer.label);
    tree.layers.emplace_back(kParentLayer);
    tree.entries.reserve(entry_count(layers_));
    std::string path;
    emit_below(kTop, path, tree.entries);
    return tree;
}

}  // namespace

Tree merge_layers(const std::vector<TreeLayer>& layers) {
    Merger merger(layers);
    for (uint32_t layer = 0; layer < layers.size(); ++layer)
        merger.apply(layer);
    return merger.finish();
}

}  // namespace pwstore
