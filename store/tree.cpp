// SPDX-License-Identifier: GPL-3.0-or-later
#include "store/tree.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <deque>
#include <map>
#include <optional>
#include <set>
#include <tuple>
#include <unordered_map>
#include <utility>

#include "store/base/bytes.hpp"
#include "store/base/error.hpp"
#include "store/base/names.hpp"
#include "store/base/parallel.hpp"
#include "store/base/path_at.hpp"
#include "store/debian/dpkg_record.hpp"
#include "store/keyed_file.hpp"
#include "store/local_database.hpp"

namespace pwstore {

namespace {

constexpr unsigned kMostSymlinks = 40;  // as the kernel's limit of one path walk
constexpr std::string_view kDeltaLabel = "delta of ";

bool is_below(std::string_view path, std::string_view directory) {
    return path.size() > directory.size() && path.starts_with(directory) && path[directory.size()] == '/';
}

Entry directory_entry(std::string path, uint32_t mode, int64_t mtime) {
    Entry entry;
    entry.path = std::move(path);
    entry.kind = EntryKind::directory;
    entry.mode = mode;
    entry.mtime = mtime;
    return entry;
}

/// The directory that `path` names, its symlinks followed inside the tree, as a path; nullopt when there is
/// none.
std::optional<std::string> followed(const Tree& tree, std::string from, std::string_view path,
                                    unsigned& budget) {
    if (path.starts_with('/')) from.clear();
    while (!path.empty()) {
        const size_t slash = path.find('/');
        const std::string_view component = path.substr(0, slash);
        path.remove_prefix(slash == std::string_view::npos ? path.size() : slash + 1);
        if (component.empty() || component == ".") continue;
        if (component == "..") {
            const size_t last = from.rfind('/');
            from.resize(last == std::string::npos ? 0 : last);
            continue;
        }
        const std::string next = (from.empty() ? from : from + "/").append(component);
        const TreeEntry* there = tree.find(next);
        if (there == nullptr) return std::nullopt;
        if (there->entry.kind == EntryKind::symlink) {
            if (budget-- == 0) return std::nullopt;
            std::optional<std::string> target = followed(tree, from, there->entry.target, budget);
            if (!target) return std::nullopt;
            from = std::move(*target);
            continue;
        }
        if (there->entry.kind != EntryKind::directory) return std::nullopt;
        from = next;
    }
    return from;
}

}  // namespace

// --- Tree ---

const TreeEntry* Tree::find(std::string_view path) const {
    const auto at = std::lower_bound(
        entries.begin(), entries.end(), path,
        [](const TreeEntry& entry, std::string_view wanted) { return entry.entry.path < wanted; });
    return at != entries.end() && at->entry.path == path ? &*at : nullptr;
}

const TreeEntry* Tree::resolve(std::string_view path) const {
    if (const TreeEntry* direct = find(path)) return direct;
    const size_t slash = path.rfind('/');
    if (slash == std::string_view::npos) return nullptr;
    unsigned budget = kMostSymlinks;
    std::optional<std::string> parent = followed(*this, {}, path.substr(0, slash), budget);
    if (!parent) return nullptr;
    if (!parent->empty()) *parent += '/';
    return find(parent->append(path.substr(slash + 1)));
}

bool is_generated(const Tree& tree, std::string_view path) {
    const TreeEntry* there = tree.find(path);
    return there != nullptr && tree.layers[there->layer] == kDatabaseLayer;
}

std::vector<Entry> mount_point_entries(std::string_view container) {
    std::vector<Entry> entries;
    for (const char* name : {"dev", "etc"})
        entries.push_back(directory_entry(name, 0755, kObjectTime));
    for (const char* name : names::kMountPointFiles) {
        Entry& entry = entries.emplace_back();
        entry.path = name;
        entry.mode = 0644;
        entry.mtime = kObjectTime;
    }
    entries.push_back(directory_entry("home", 0755, kObjectTime));
    entries.push_back(directory_entry("home/" + std::string(container), 0755, kObjectTime));
    for (const char* name : {"mnt", "proc"})
        entries.push_back(directory_entry(name, 0755, kObjectTime));
    entries.push_back(directory_entry("root", 0700, kObjectTime));
    for (const char* name : {"run", "sys"})
        entries.push_back(directory_entry(name, 0755, kObjectTime));
    entries.push_back(directory_entry("tmp", 01777, kObjectTime));
    for (const char* name : {"var", "var/lib", "var/lib/pacman"}) {
        entries.push_back(directory_entry(name, 0755, kObjectTime));
    }
    return entries;
}

// --- The tree of a generation ---

namespace {

/// Layers and what they point to.
class LayerStack {
 public:
    explicit LayerStack(const ReadTxn& txn) : txn_(txn) {}

    void add(std::string label, std::vector<Entry> entries, LayerKind kind) {
        kept_.push_back(std::move(entries));
        layers_.push_back({std::move(label), &kept_.back(), kind, nullptr});
    }
    void add_packages(const Generation& generation) {
        read_manifests(generation);
        for (const InstalledPackage& package : generation.packages) {
            layers_.push_back({"package " + package.name + " " + package.version,
                               &manifests_.at(package.manifest).entries, LayerKind::package, nullptr});
        }
    }
    void add_delta(const ObjectStore* objects, const Generation& generation);
    /// The local database, and dpkg's status file where packages come from Debian.
    void add_databases(const ObjectStore& objects, const Generation& generation,
                       const GenerationSource& pending);

    [[nodiscard]] const std::vector<TreeLayer>& layers() const noexcept { return layers_; }

 private:
    /// What one container's delta made of a keyed file, and which containers it stood on.
    struct Contribution {
        std::string container;
        std::set<std::string> known;
        std::string text;
    };
    void read_manifests(const Generation& generation);
    [[nodiscard]] std::string dpkg_status(const ObjectStore& objects) const;
    [[nodiscard]] std::string text_of(const ObjectStore& objects, ObjectId id) const;
    [[nodiscard]] std::string packaged_text(const ObjectStore& objects, const std::string& path) const;
    [[nodiscard]] static std::string fold(const std::string& path, const std::string& packaged,
                                          const std::vector<Contribution>& contributions);

    const ReadTxn& txn_;
    std::map<std::string, std::vector<Contribution>> keyed_;  ///< by path, in the order of the layers
    KnownManifests manifests_;                                // a node each: layers point into it
    std::deque<std::vector<Entry>> kept_;                     // a deque: layers point into it
    std::vector<std::string> inlined_;
    std::deque<std::vector<std::string>> inlined_by_layer_;
    std::vector<TreeLayer> layers_;
};

/// Several at once. A transaction is for one thread at a time; what it gives may be looked at by all.
void LayerStack::read_manifests(const Generation& generation) {
    struct Found {
        ManifestId id;
        std::string_view bytes;
        Manifest* manifest;
    };
    std::vector<Found> found;
    for (const InstalledPackage& package : generation.packages) {
        const ManifestId id = package.manifest;
        const auto [at, is_new] = manifests_.try_emplace(id);
        if (is_new) found.push_back({id, txn_.manifest_bytes(id), &at->second});
    }
    parallel_for(found.size(), default_threads(), [&](size_t at) {
        const Found& one = found[at];
        in_step(fmt::format("read manifest {}", one.id),
                [&] { *one.manifest = Manifest::decode(one.bytes); });
    });
}

std::string LayerStack::text_of(const ObjectStore& objects, ObjectId id) const {
    const ObjectKey key = txn_.object(id).first;
    return objects.content(key);
}

/// What the last package that has it brings.
std::string LayerStack::packaged_text(const ObjectStore& objects, const std::string& path) const {
    std::string text;
    for (const TreeLayer& layer : layers_) {
        if (layer.kind != LayerKind::package) continue;
        const auto entry = std::lower_bound(layer.entries->begin(), layer.entries->end(), path,
                                            [](const Entry& a, const std::string& b) { return a.path < b; });
        if (entry != layer.entries->end() && entry->path == path && entry->object != 0)
            text = text_of(objects, entry->object);
    }
    return text;
}

/// All contributions one after the other. Each was made from what those that it knew had made.
std::string LayerStack::fold(const std::string& path, const std::string& packaged,
                             const std::vector<Contribution>& contributions) {
    std::string text = packaged;
    for (size_t at = 0; at < contributions.size(); ++at) {
        const Contribution& next = contributions[at];
        std::vector<Contribution> known;
        std::string others;
        for (size_t earlier = 0; earlier < at; ++earlier) {
            const Contribution& there = contributions[earlier];
            if (next.known.contains(there.container)) {
                known.push_back(there);
            } else {
                others += (others.empty() ? "" : ", ") + there.container;
            }
        }
        if (known.size() == at) {
            text = next.text;
            continue;
        }
        text = merge_keyed_file(path, {fold(path, packaged, known), text, next.text, others, next.container});
    }
    return text;
}

/// Two containers that have each added to one file without knowing of each other: what both added is there.
void LayerStack::add_delta(const ObjectStore* objects, const Generation& generation) {
    if (generation.delta == 0) return;
    std::set<std::string> known;
    for (const GenerationRef& ref : generation.upstream)
        known.insert(ref.container);
    std::map<std::string, std::pair<Entry, std::string>> made;
    for (DeltaEntry& item : txn_.delta(generation.delta).entries) {
        Entry& entry = item.entry;
        const std::string path = entry.path;
        std::string text;
        if (objects != nullptr && entry.kind == EntryKind::file && is_keyed_file(path)) {
            std::vector<Contribution>& all = keyed_[path];
            all.push_back({generation.container, known, text_of(*objects, entry.object)});
            const bool is_merged = std::any_of(all.begin(), all.end() - 1, [&](const Contribution& there) {
                return !known.contains(there.container);
            });
            if (is_merged) {
                text = fold(path, packaged_text(*objects, path), all);
                entry.object = 0;
                entry.size = text.size();
                for (const auto& [link, target] : alternative_links(path, text)) {
                    Entry symlink;
                    symlink.path = link;
                    symlink.kind = EntryKind::symlink;
                    symlink.mode = 0777;
                    symlink.mtime = kObjectTime;
                    symlink.target = target;
                    made.insert_or_assign(link, std::pair(std::move(symlink), std::string()));
                }
            }
        }
        made.emplace(path, std::pair(std::move(entry), std::move(text)));
    }
    std::vector<Entry> entries;
    std::vector<std::string> contents;
    for (auto& [path, what] : made) {
        entries.push_back(std::move(what.first));
        contents.push_back(std::move(what.second));
    }
    add(std::string(kDeltaLabel) + generation.container + "@" + std::to_string(generation.number),
        std::move(entries), LayerKind::delta);
    inlined_by_layer_.push_back(std::move(contents));
    layers_.back().inlined = &inlined_by_layer_.back();
}

/// Of the control files that packages bring, those that are there when all are laid down.
std::string LayerStack::dpkg_status(const ObjectStore& objects) const {
    const std::string prefix = std::string(kDpkgInfo) + "/";
    const std::string suffix = std::string(".") + kDpkgControlExtension;
    std::map<std::string_view, std::pair<const TreeLayer*, ObjectId>> found;
    for (const TreeLayer& layer : layers_) {
        if (layer.kind != LayerKind::package) continue;
        auto entry = std::lower_bound(layer.entries->begin(), layer.entries->end(), prefix,
                                      [](const Entry& a, const std::string& b) { return a.path < b; });
        for (; entry != layer.entries->end() && entry->path.starts_with(prefix); ++entry) {
            if (entry->path.ends_with(suffix)) found[entry->path] = {&layer, entry->object};
        }
    }
    std::vector<DpkgStatusEntry> packages;
    for (const auto& [path, where] : found) {
        DpkgStatusEntry& package = packages.emplace_back();
        package.control = text_of(objects, where.second);
        for (const Entry& entry : *where.first->entries) {
            if (!entry.backup_md5.empty()) package.conffiles.emplace_back("/" + entry.path, entry.backup_md5);
        }
    }
    return format_dpkg_status(packages);
}

/// Every file's directory is made once, with its package's date.
void LayerStack::add_databases(const ObjectStore& objects, const Generation& generation,
                               const GenerationSource& pending) {
    const std::string top = kLocalDatabase;
    const std::string below = top + "/";
    Entry nothing_else = directory_entry(top, 0, 0);
    nothing_else.kind = EntryKind::whiteout;
    add(kDatabaseLayer, {std::move(nothing_else)}, LayerKind::delta);

    std::vector<std::pair<Entry, std::string>> made;
    made.emplace_back(directory_entry(top, 0755, kObjectTime), "");
    std::string last;
    for (DatabaseFile& file :
         local_database(txn_, objects, visible_packages(txn_, generation, pending), manifests_)) {
        const size_t slash = file.path.find('/');
        if (slash != std::string::npos && file.path.substr(0, slash) != last) {
            last = file.path.substr(0, slash);
            made.emplace_back(directory_entry(std::string(below).append(last), 0755, file.mtime), "");
        }
        Entry entry;
        entry.path = std::string(below).append(file.path);
        entry.mode = 0644;
        entry.mtime = file.mtime;
        entry.object = file.object;
        entry.size = file.object != 0 ? txn_.object(file.object).first.size : file.content.size();
        made.emplace_back(std::move(entry), std::move(file.content));
    }
    if (std::string status = dpkg_status(objects); !status.empty()) {
        Entry entry;
        entry.path = kDpkgStatus;
        entry.mode = 0644;
        entry.mtime = kObjectTime;
        entry.size = status.size();
        made.emplace_back(std::move(entry), std::move(status));
    }
    std::sort(made.begin(), made.end(),
              [](const auto& a, const auto& b) { return a.first.path < b.first.path; });
    std::vector<Entry> entries;
    for (auto& [entry, content] : made) {
        entries.push_back(std::move(entry));
        inlined_.push_back(std::move(content));
    }
    add(kDatabaseLayer, std::move(entries), LayerKind::package);
    layers_.back().inlined = &inlined_;
}

Generation upstream_generation(const ReadTxn& txn, const Generation& generation, const GenerationRef& ref,
                               const GenerationSource& pending) {
    std::optional<Generation> found = pending ? pending(ref) : std::nullopt;
    if (!found) found = txn.generation(ContainerName(ref.container), ref.generation);
    if (!found) {
        const std::string name = generation.container + "@" + std::to_string(generation.number);
        throw Error("read generation", name,
                    "its upstream " + ref.container + "@" + std::to_string(ref.generation) + " is missing")
            .as(Fault::corrupt);
    }
    return std::move(*found);
}

enum class OwnDelta { with, without };

void add_content(LayerStack& stack, const ReadTxn& txn, const ObjectStore* objects,
                 const Generation& generation, OwnDelta own_delta, const GenerationSource& pending) {
    for (const GenerationRef& ref : generation.upstream) {
        const Generation below = upstream_generation(txn, generation, ref, pending);
        stack.add_packages(below);
        stack.add_delta(objects, below);
    }
    stack.add_packages(generation);
    if (own_delta == OwnDelta::with) stack.add_delta(objects, generation);
}

Tree whole_tree(const ReadTxn& txn, const ObjectStore& objects, const Generation& generation,
                OwnDelta own_delta, const GenerationSource& pending) {
    LayerStack stack(txn);
    // Below everything, so that symlinks like var/run → ../run lead somewhere; and again above, against
    // whiteouts.
    stack.add(kMountPointLayer, mount_point_entries(generation.container), LayerKind::generated);
    add_content(stack, txn, &objects, generation, own_delta, pending);
    stack.add_databases(objects, generation, pending);
    stack.add(kMountPointLayer, mount_point_entries(generation.container), LayerKind::generated);
    return merge_layers(stack.layers());
}

}  // namespace

std::vector<InstalledPackage> visible_packages(const ReadTxn& txn, const Generation& generation,
                                               const GenerationSource& pending) {
    std::vector<InstalledPackage> all;
    for (const GenerationRef& ref : generation.upstream) {
        for (InstalledPackage& package : upstream_generation(txn, generation, ref, pending).packages)
            all.push_back(std::move(package));
    }
    all.insert(all.end(), generation.packages.begin(), generation.packages.end());
    std::unordered_map<std::string_view, size_t> last;
    for (size_t at = 0; at < all.size(); ++at)
        last[all[at].name] = at;
    std::vector<InstalledPackage> visible;
    for (size_t at = 0; at < all.size(); ++at) {
        if (last[all[at].name] == at) visible.push_back(all[at]);
    }
    return visible;
}

Tree tree_of(const ReadTxn& txn, const ObjectStore& objects, const Generation& generation,
             const GenerationSource& pending) {
    return whole_tree(txn, objects, generation, OwnDelta::with, pending);
}

Tree tree_without_own_delta(const ReadTxn& txn, const ObjectStore& objects, const Generation& generation,
                            const GenerationSource& pending) {
    return whole_tree(txn, objects, generation, OwnDelta::without, pending);
}

Tree content_tree(const ReadTxn& txn, const Generation& generation, const GenerationSource& pending) {
    LayerStack stack(txn);
    stack.add(kMountPointLayer, mount_point_entries(generation.container), LayerKind::generated);
    add_content(stack, txn, nullptr, generation, OwnDelta::with, pending);
    return merge_layers(stack.layers());
}

// --- Digests ---

namespace {

void put_canonical(ByteWriter& out, const ReadTxn& txn, const TreeEntry& entry, bool with_time) {
    const Entry& what = entry.entry;
    out.put_string(what.path);
    out.put(what.kind);
    if (what.kind != EntryKind::symlink) out.put(what.mode);
    out.put(what.uid);
    out.put(what.gid);
    if (with_time) {
        out.put(what.mtime);
        out.put(what.mtime_ns);
    }
    if (what.kind == EntryKind::symlink) out.put_string(what.target);
    if (what.kind == EntryKind::file) {
        const Sha256 content =
            what.object != 0 ? txn.object(what.object).second.sha256 : sha256_of(entry.inlined);
        out.put_bytes({reinterpret_cast<const char*>(content.bytes.data()), content.bytes.size()});
    }
    out.put(static_cast<uint32_t>(what.xattrs.size()));
    for (const auto& [name, value] : what.xattrs) {
        out.put_string(name);
        out.put_string(value);
    }
}

}  // namespace

Sha256 tree_digest(const ReadTxn& txn, const Tree& tree) {
    std::vector<bool> skipped;
    std::vector<bool> timed;
    for (const std::string& label : tree.layers) {
        skipped.push_back(label == kDatabaseLayer || label == kMountPointLayer || label == kParentLayer);
        timed.push_back(!label.starts_with(kDeltaLabel));
    }
    Sha256Stream digest;
    digest.update("pwstore tree 1\n");
    for (const TreeEntry& entry : tree.entries) {
        if (skipped[entry.layer]) continue;
        ByteWriter canonical;
        put_canonical(canonical, txn, entry, timed[entry.layer]);
        digest.update(canonical.bytes());
    }
    return digest.finish();
}

Sha256 entry_digest(const ReadTxn& txn, const TreeEntry& entry) {
    ByteWriter canonical;
    put_canonical(canonical, txn, entry, false);
    return sha256_of(canonical.bytes());
}

// --- Copies ---

bool is_copied(const TreeEntry& entry) {
    const Entry& file = entry.entry;
    if (file.kind != EntryKind::file) return false;
    return file.size == 0 || file.object == 0 || !file.backup_md5.empty() || is_below(file.path, "etc") ||
           is_below(file.path, "var/lib/pacman") || file.path == "var/lib/dbus/machine-id";
}

std::vector<bool> copied_entries(const Tree& tree) {
    std::vector<bool> copied(tree.entries.size());
    const auto group_of = [](const TreeEntry& entry) {
        return std::tuple(entry.layer, entry.entry.link_group, entry.entry.object);
    };
    std::set<std::tuple<uint32_t, uint32_t, ObjectId>> copied_groups;
    for (size_t at = 0; at < tree.entries.size(); ++at) {
        const TreeEntry& entry = tree.entries[at];
        copied[at] = is_copied(entry);
        if (copied[at] && entry.entry.link_group != 0) copied_groups.insert(group_of(entry));
    }
    if (copied_groups.empty()) return copied;
    for (size_t at = 0; at < tree.entries.size(); ++at) {
        const TreeEntry& entry = tree.entries[at];
        if (entry.entry.link_group != 0 && copied_groups.contains(group_of(entry))) copied[at] = true;
    }
    return copied;
}

}  // namespace pwstore
