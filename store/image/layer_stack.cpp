// SPDX-License-Identifier: GPL-3.0-or-later
#include "store/image/layer_stack.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "store/base/error.hpp"

namespace pwstore::image {

namespace {

constexpr unsigned kMostLinks = 255;        ///< followed for one path
constexpr size_t kLongestPath = 4095;       ///< with its links followed
constexpr uint64_t kMostNodes = 8'000'000;  ///< names and parents of all layers
constexpr std::string_view kOfAnotherDriver = ".wh..wh.";

std::pair<std::string_view, std::string_view> split(std::string_view path) {
    const size_t slash = path.rfind('/');
    if (slash == std::string_view::npos) return {{}, path};
    return {path.substr(0, slash), path.substr(slash + 1)};
}

}  // namespace

/// What one or more names stand for.
struct LayerStack::Inode {
    Entry entry;
    bool is_device = false;

    [[nodiscard]] bool is(EntryKind kind) const { return !is_device && entry.kind == kind; }
};

struct LayerStack::Node {
    Node* parent = nullptr;
    uint32_t layer = 0;            ///< that brought it, or named it last
    size_t length = 0;             ///< of its path
    std::shared_ptr<Inode> inode;  ///< none: a directory that is only implied
    std::map<std::string, std::unique_ptr<Node>, std::less<>> children;

    [[nodiscard]] bool is_directory() const { return !inode || inode->is(EntryKind::directory); }
    [[nodiscard]] Node* find(std::string_view name) const {
        const auto found = children.find(name);
        return found == children.end() ? nullptr : found->second.get();
    }
};

/// How far a path led: `at` is the last directory that is there, `missing` what would lie below it.
struct LayerStack::Walk {
    Node* at;
    std::vector<std::string> missing;
    bool ends = true;  ///< false: links that lead in a circle

    [[nodiscard]] bool is_there() const { return ends && missing.empty(); }
};

LayerStack::LayerStack() : top_(std::make_unique<Node>()) {}
LayerStack::~LayerStack() = default;

void LayerStack::begin_layer() {
    ++layer_;
}

void LayerStack::refuse(std::string_view path, std::string_view rule) const {
    throw Error("read image", printable(path), fmt::format("{} (layer {})", rule, layer_)).as(Fault::refused);
}

/// Follow `path` as a directory's.
LayerStack::Walk LayerStack::walk(std::string_view path) const {
    Walk walk{top_.get(), {}, true};
    std::vector<std::string> rest;  // the next component last
    const auto go_on_with = [&rest](std::string_view more) {
        while (!more.empty()) {
            const auto [before, last] = split(more);
            if (!last.empty() && last != ".") rest.emplace_back(last);
            more = before;
        }
    };
    go_on_with(path);
    unsigned links = 0;
    while (!rest.empty()) {
        const std::string component = std::move(rest.back());
        rest.pop_back();
        if (component == "..") {
            if (!walk.missing.empty()) {
                walk.missing.pop_back();
            } else if (walk.at->parent != nullptr) {
                walk.at = walk.at->parent;
            }
            continue;
        }
        Node* next = walk.missing.empty() ? walk.at->find(component) : nullptr;
        if (next != nullptr && next->is_directory()) {
            walk.at = next;
        } else if (next != nullptr && next->inode->is(EntryKind::symlink)) {
            if (++links > kMostLinks) {
                walk.ends = false;
                break;
            }
            const std::string& target = next->inode->entry.target;
            if (target.starts_with('/')) walk.at = top_.get();
            go_on_with(target);
        } else {
            walk.missing.push_back(component);
        }
    }
    return walk;
}

/// Null when there is nothing at `path`.
LayerStack::Node* LayerStack::find(std::string_view path) const {
    const auto [directory, name] = split(path);
    const Walk parent = walk(directory);
    return parent.is_there() ? parent.at->find(name) : nullptr;
}

LayerStack::Node& LayerStack::child(Node& parent, std::string_view name) {
    if (Node* there = parent.find(name)) return *there;
    const size_t length = parent.length + (parent.length == 0 ? 0 : 1) + name.size();
    if (length > kLongestPath) refuse(name, "its path is longer than 4095 bytes when links are followed");
    if (++made_ > kMostNodes) refuse(name, "the image has too many files");
    auto node = std::make_unique<Node>();
    node->parent = &parent;
    node->length = length;
    node->layer = layer_;
    return *parent.children.emplace(name, std::move(node)).first->second;
}

/// The directory that `path` lies in. What is no directory gives way to one.
LayerStack::Node& LayerStack::make_parent(std::string_view path) {
    const Walk parent = walk(split(path).first);
    if (!parent.ends) refuse(path, "the symbolic links on the way to it lead in a circle");
    Node* at = parent.at;
    for (const std::string& name : parent.missing) {
        at = &child(*at, name);
        at->inode.reset();
        at->layer = layer_;
    }
    return *at;
}

void LayerStack::put(std::string_view path, std::shared_ptr<Inode> inode) {
    Node& node = child(make_parent(path), split(path).second);
    if (!inode->is(EntryKind::directory)) node.children.clear();
    node.inode = std::move(inode);
    node.layer = layer_;
}

void LayerStack::put(Entry entry) {
    auto inode = std::make_shared<Inode>();
    const std::string path = std::exchange(entry.path, {});
    inode->entry = std::move(entry);
    put(path, std::move(inode));
}

void LayerStack::put_device(const std::string& path) {
    auto inode = std::make_shared<Inode>();
    inode->is_device = true;
    put(path, std::move(inode));
}

void LayerStack::link(const std::string& path, const std::string& target) {
    const Node* there = find(target);
    if (there == nullptr)
        refuse(path, "it is a hard link to '" + printable(target) + "', which is not there");
    if (there->is_directory())
        refuse(path, "it is a hard link to '" + printable(target) + "', which is a directory");
    put(path, there->inode);
}

/// What lower layers have at and below `node` goes. False when something of this layer is there.
bool LayerStack::prune(Node& node) const {
    std::erase_if(node.children, [this](const auto& one) { return prune(*one.second); });
    if (node.layer == layer_) return false;
    if (node.children.empty()) return true;
    node.inode.reset();
    node.layer = layer_;
    return false;
}

void LayerStack::hide(std::string_view path) {
    Node* node = find(path);
    if (node == nullptr || !prune(*node)) return;
    node->parent->children.erase(node->parent->children.find(split(path).second));
}

void LayerStack::hide_below(std::string_view directory) {
    const Walk there = walk(directory);
    if (!there.is_there()) return;
    std::erase_if(there.at->children, [this](const auto& one) { return prune(*one.second); });
}

void LayerStack::emit(Node& node, std::string& path, Result& result,
                      std::map<const Inode*, uint32_t>& groups) const {
    const size_t length = path.size();
    for (auto& [name, child] : node.children) {
        path += (length == 0 ? "" : "/") + name;
        const Inode* inode = child->inode.get();
        if (inode != nullptr && inode->is_device) {
            ++result.devices;
        } else if (inode != nullptr || child->children.empty()) {
            Entry& entry = result.entries.emplace_back();
            entry.kind = EntryKind::directory;
            entry.mode = 0755;
            if (inode != nullptr) entry = inode->entry;
            entry.path = path;
            if (entry.kind == EntryKind::file && child->inode.use_count() > 1)
                entry.link_group =
                    groups.try_emplace(inode, static_cast<uint32_t>(groups.size() + 1)).first->second;
        }
        emit(*child, path, result, groups);
        path.resize(length);
    }
}

LayerStack::Result LayerStack::finish() {
    std::erase_if(top_->children, [](const auto& one) { return one.first.starts_with(kOfAnotherDriver); });
    Result result;
    std::string path;
    std::map<const Inode*, uint32_t> groups;
    emit(*top_, path, result, groups);
    top_ = std::make_unique<Node>();
    std::sort(result.entries.begin(), result.entries.end(),
              [](const Entry& a, const Entry& b) { return a.path < b.path; });
    return result;
}

}  // namespace pwstore::image
