// SPDX-License-Identifier: GPL-3.0-or-later
#include "store/image/layers.hpp"

#include <algorithm>
#include <map>
#include <set>
#include <tuple>
#include <unordered_map>

#include "store/digest.hpp"

namespace pwstore::image {

namespace {

constexpr size_t kMostSingle =
    118;  ///< with the last layer, and room for a few more, below what overlayfs takes
constexpr size_t kLargest = 54;
constexpr unsigned kBucketShift = 2;  ///< top 6 of 8 bits
constexpr unsigned kMostSymlinks = 40;
constexpr std::string_view kWhiteout = ".wh.";

uint64_t size_of(const Manifest& manifest) {
    uint64_t size = 0;
    for (const Entry& entry : manifest.entries)
        size += entry.size;
    return size;
}

std::string_view parent_of(std::string_view path) {
    const size_t slash = path.rfind('/');
    return slash == std::string_view::npos ? std::string_view() : path.substr(0, slash);
}

std::string_view name_of(std::string_view path) {
    const size_t slash = path.rfind('/');
    return slash == std::string_view::npos ? path : path.substr(slash + 1);
}

/// Where paths of packages lie in the tree: parents that are symlinks there are followed.
class Resolver {
 public:
    explicit Resolver(const Tree& tree) : tree_(tree) {}

    /// Of a directory. What is not in the tree stays as it is.
    const std::string& directory(const std::string& path) {
        const auto known = known_.find(path);
        if (known != known_.end()) return known->second;
        return known_[path] = resolve(path, kMostSymlinks);
    }
    std::string path(const std::string& path) {
        const std::string_view parent = parent_of(path);
        if (parent.empty()) return path;
        const std::string& where = directory(std::string(parent));
        return where.empty() ? std::string(name_of(path)) : where + "/" + std::string(name_of(path));
    }

 private:
    std::string resolve(const std::string& path, unsigned left) {
        if (path.empty() || left == 0) return path;
        const std::string_view parent = parent_of(path);
        const std::string base = parent.empty() ? std::string() : resolve(std::string(parent), left - 1);
        const std::string here =
            base.empty() ? std::string(name_of(path)) : base + "/" + std::string(name_of(path));
        const TreeEntry* found = tree_.find(here);
        if (found == nullptr || found->entry.kind != EntryKind::symlink) return here;
        return resolve(joined(base, found->entry.target), left - 1);
    }
    /// `target` as seen from directory `base`, without "." and "..".
    static std::string joined(const std::string& base, const std::string& target) {
        std::vector<std::string_view> parts;
        const auto add = [&](std::string_view text) {
            while (!text.empty()) {
                const std::string_view part = text.substr(0, text.find('/'));
                text.remove_prefix(std::min(part.size() + 1, text.size()));
                if (part.empty() || part == ".") continue;
                if (part != "..") {
                    parts.push_back(part);
                } else if (!parts.empty()) {
                    parts.pop_back();
                }
            }
        };
        if (!target.starts_with('/')) add(base);
        add(target);
        std::string path;
        for (const std::string_view part : parts)
            path.append(path.empty() ? "" : "/").append(part);
        return path;
    }

    const Tree& tree_;
    std::unordered_map<std::string, std::string> known_;
};

/// Hard links of each other: whose, and the number there.
using Group = std::tuple<uint32_t, uint32_t>;

/// Collects the members of one layer; directories on the way have the tree's metadata.
class LayerBuilder {
 public:
    explicit LayerBuilder(const Tree& tree) : tree_(tree) {}

    void add(LayerMember member) {
        add_parents(member.entry.path);
        group_of_.erase(member.entry.path);
        members_.insert_or_assign(member.entry.path, std::move(member));
    }
    /// A hard link of an earlier one of the same group becomes one here.
    void add_grouped(LayerMember member, const Group& group) {
        const std::string path = member.entry.path;
        add(std::move(member));
        group_of_[path] = group;
    }
    Layer finish() {
        std::map<Group, std::string> first;
        for (const auto& [path, group] : group_of_) {
            const auto [at, is_first] = first.try_emplace(group, path);
            if (!is_first) members_.at(path).hard_link = at->second;
        }
        Layer layer;
        layer.reserve(members_.size());
        for (auto& [path, member] : members_)
            layer.push_back(std::move(member));
        return layer;
    }

 private:
    void add_parents(std::string_view path) {
        for (std::string_view parent = parent_of(path); !parent.empty(); parent = parent_of(parent)) {
            if (members_.contains(std::string(parent))) return;
            LayerMember directory;
            const TreeEntry* found = tree_.find(parent);
            if (found != nullptr && found->entry.kind == EntryKind::directory) {
                directory.entry = found->entry;
            } else {
                directory.entry.kind = EntryKind::directory;
                directory.entry.mode = 0755;
                directory.entry.path = parent;
            }
            members_.emplace(std::string(parent), std::move(directory));
        }
    }

    const Tree& tree_;
    std::map<std::string, LayerMember> members_;
    std::map<std::string, Group> group_of_;
};

Layer package_layer(const Portable& portable, const std::vector<size_t>& group, const Tree& tree,
                    Resolver& resolver) {
    LayerBuilder builder(tree);
    for (const size_t place : group) {
        for (const Entry& entry : portable.manifests[place].entries) {
            LayerMember member;
            member.entry = entry;
            member.entry.path = resolver.path(entry.path);
            member.entry.backup_md5.clear();
            const TreeEntry* there = tree.find(member.entry.path);
            if (entry.kind == EntryKind::directory && there != nullptr) {
                if (there->entry.kind == EntryKind::symlink)
                    continue;  // another package's; leads to a directory
                if (there->entry.kind == EntryKind::directory) member.entry = there->entry;
            }
            if (entry.kind == EntryKind::file && entry.link_group != 0) {
                builder.add_grouped(std::move(member), {static_cast<uint32_t>(place), entry.link_group});
            } else {
                builder.add(std::move(member));
            }
        }
    }
    return builder.finish();
}

/// Whether unpacking `member` gives what `entry` of the tree is.
bool is_same(const LayerMember& member, const TreeEntry& entry) {
    Entry a = member.entry;
    Entry b = entry.entry;
    a.backup_md5.clear();
    b.backup_md5.clear();
    a.link_group = b.link_group = 0;
    if (a.kind == EntryKind::directory && b.kind == EntryKind::directory) {
        a.mtime = b.mtime = 0;
        a.mtime_ns = b.mtime_ns = 0;
        a.size = b.size = 0;
    }
    return a == b && member.inlined == entry.inlined;
}

using Stacked = std::map<std::string, const LayerMember*>;

void add_records(LayerBuilder& builder, const Portable& portable) {
    for (const auto& [name, bytes] : portable.encode()) {
        LayerMember member;
        member.entry.path = std::string(kRecordsDirectory) + "/" + name;
        member.entry.mode = 0644;
        member.entry.size = bytes.size();
        member.inlined = bytes;
        builder.add(std::move(member));
    }
}

/// What the packages' layers do not have: their .PKGINFO, .INSTALL and so on.
void add_sides(LayerBuilder& builder, const Portable& portable) {
    std::set<ObjectId> sides;
    for (const Manifest& manifest : portable.manifests) {
        for (const ObjectId side : {manifest.pkginfo, manifest.install, manifest.mtree, manifest.changelog}) {
            if (side != 0) sides.insert(side);
        }
    }
    for (const ObjectId side : sides) {
        LayerMember member;
        const Content& content = portable.contents[side - 1];
        member.entry.path = std::string(kRecordsDirectory) + "/side/" + content.sha256.hex();
        member.entry.mode = 0644;
        member.entry.size = content.size;
        member.entry.object = side;
        builder.add(std::move(member));
    }
}

void add_whiteouts(LayerBuilder& builder, const Tree& tree, const Stacked& stacked) {
    for (const auto& [path, member] : stacked) {
        if (tree.find(path) != nullptr) continue;
        const std::string parent(parent_of(path));
        // Below something that is gone or is no directory any more, it goes with that.
        const TreeEntry* above = parent.empty() ? nullptr : tree.find(parent);
        if (!parent.empty() && (above == nullptr || above->entry.kind != EntryKind::directory)) continue;
        LayerMember whiteout;
        whiteout.entry.path =
            (parent.empty() ? "" : parent + "/") + std::string(kWhiteout) + std::string(name_of(path));
        whiteout.entry.mode = 0644;
        builder.add(std::move(whiteout));
    }
}

Layer last_layer(const Portable& portable, const Tree& tree, const std::vector<Layer>& below) {
    Stacked stacked;
    for (const Layer& layer : below) {
        for (const LayerMember& member : layer)
            stacked[member.entry.path] = &member;
    }
    LayerBuilder builder(tree);
    for (const TreeEntry& entry : tree.entries) {
        const auto there = stacked.find(entry.entry.path);
        if (there != stacked.end() && is_same(*there->second, entry)) continue;
        LayerMember member;
        member.entry = entry.entry;
        member.entry.backup_md5.clear();
        member.inlined = entry.inlined;
        if (entry.entry.kind == EntryKind::file && entry.entry.link_group != 0) {
            builder.add_grouped(std::move(member), {entry.layer, entry.entry.link_group});
        } else {
            builder.add(std::move(member));
        }
    }
    add_whiteouts(builder, tree, stacked);
    add_records(builder, portable);
    add_sides(builder, portable);
    return builder.finish();
}

}  // namespace

std::vector<std::vector<size_t>> partition(const std::vector<Manifest>& manifests) {
    std::vector<size_t> order;
    for (size_t place = 0; place < manifests.size(); ++place) {
        if (!manifests[place].entries.empty()) order.push_back(place);
    }
    const auto by_name = [&](size_t a, size_t b) { return manifests[a].name < manifests[b].name; };
    std::vector<std::vector<size_t>> layers;
    if (order.size() <= kMostSingle) {
        std::sort(order.begin(), order.end(), by_name);
        for (const size_t place : order)
            layers.push_back({place});
        return layers;
    }
    std::vector<uint64_t> sizes;
    for (const Manifest& manifest : manifests)
        sizes.push_back(size_of(manifest));
    std::sort(order.begin(), order.end(),
              [&](size_t a, size_t b) { return sizes[a] != sizes[b] ? sizes[a] > sizes[b] : by_name(a, b); });
    std::vector<size_t> largest(order.begin(), order.begin() + kLargest);
    std::sort(largest.begin(), largest.end(), by_name);
    for (const size_t place : largest)
        layers.push_back({place});
    std::map<unsigned, std::vector<size_t>> buckets;
    for (auto place = order.begin() + kLargest; place != order.end(); ++place)
        buckets[sha256_of(manifests[*place].name).bytes[0] >> kBucketShift].push_back(*place);
    for (auto& [bucket, places] : buckets) {
        std::sort(places.begin(), places.end(), by_name);
        layers.push_back(std::move(places));
    }
    return layers;
}

std::vector<Layer> layers_of(const Portable& portable, const Tree& tree) {
    Resolver resolver(tree);
    std::vector<Layer> layers;
    for (const std::vector<size_t>& group : partition(portable.manifests))
        layers.push_back(package_layer(portable, group, tree, resolver));
    layers.push_back(last_layer(portable, tree, layers));
    return layers;
}

Layer records_layer(const Portable& portable, const Tree& tree) {
    LayerBuilder builder(tree);
    add_records(builder, portable);
    return builder.finish();
}

}  // namespace pwstore::image
