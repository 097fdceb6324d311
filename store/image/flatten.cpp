// SPDX-License-Identifier: GPL-3.0-or-later
#include "store/image/flatten.hpp"

#include <algorithm>
#include <map>

#include "store/base/error.hpp"

namespace pwstore::image {

namespace {

bool is_generated_layer(const Tree& tree, const TreeEntry& entry) {
    const std::string& label = tree.layers[entry.layer];
    return label == kMountPointLayer || label == kParentLayer || label == kDatabaseLayer;
}

bool is_below(std::string_view path, std::string_view directory) {
    return path.size() > directory.size() && path.starts_with(directory) && path[directory.size()] == '/';
}

/// Who made each path of the deltas of a stack; the topmost one counts.
class Makers {
 public:
    Makers(const ReadTxn& txn, const Generation& generation) {
        for (const GenerationRef& below : generation.upstream) {
            const auto found = txn.generation(ContainerName(below.container), below.generation);
            if (found) add(txn.delta(found->delta));
        }
        add(txn.delta(generation.delta));
    }
    void attribute(DeltaEntry& entry) const {
        const auto maker = makers_.find(entry.entry.path);
        if (maker == makers_.end()) return;
        entry.cause = maker->second.cause;
        entry.agent = maker->second.agent;
    }

 private:
    struct Maker {
        Cause cause = Cause::engine;
        std::string agent;
    };
    void add(const Delta& delta) {
        for (const DeltaEntry& one : delta.entries)
            makers_[one.entry.path] = {one.cause, one.agent};
    }
    std::map<std::string, Maker> makers_;
};

/// Entries of `whole` that `merged` does not have just so, and whiteouts for what it has beyond it.
Delta difference(const ReadTxn& txn, const Tree& merged, const Tree& whole, const Makers& makers) {
    Delta delta;
    const auto add = [&](Entry entry, const TreeEntry* below) {
        DeltaEntry made;
        made.entry = std::move(entry);
        if (below != nullptr) made.below = entry_digest(txn, *below);
        makers.attribute(made);
        delta.entries.push_back(std::move(made));
    };
    for (const TreeEntry& entry : whole.entries) {
        const TreeEntry* below = merged.find(entry.entry.path);
        const bool is_same = below != nullptr && below->entry == entry.entry;
        if (is_same || (is_generated_layer(whole, entry) && below == nullptr)) continue;
        Entry copy = entry.entry;
        copy.backup_md5.clear();  // of packages only
        if (below != nullptr && is_generated_layer(whole, entry)) continue;
        add(std::move(copy), below);
    }
    std::string removed;  // what lies below it is gone with it
    for (const TreeEntry& entry : merged.entries) {
        const std::string& path = entry.entry.path;
        if (whole.find(path) != nullptr || (!removed.empty() && is_below(path, removed))) continue;
        const size_t slash = path.rfind('/');
        const TreeEntry* parent = slash == std::string::npos ? nullptr : whole.find(path.substr(0, slash));
        if (slash != std::string::npos && (parent == nullptr || parent->entry.kind != EntryKind::directory))
            continue;  // its directory is something else now
        Entry whiteout;
        whiteout.path = path;
        whiteout.kind = EntryKind::whiteout;
        removed = path;
        add(std::move(whiteout), &entry);
    }
    std::sort(delta.entries.begin(), delta.entries.end(),
              [](const DeltaEntry& a, const DeltaEntry& b) { return a.entry.path < b.entry.path; });
    return delta;
}

}  // namespace

FlatGeneration flatten(const ReadTxn& txn, const Generation& generation) {
    FlatGeneration flat;
    flat.generation = generation;
    flat.generation.parent = 0;
    flat.generation.transaction = 0;
    flat.generation.delta = 0;
    if (generation.upstream.empty()) {
        flat.delta = txn.delta(generation.delta);
        return flat;
    }
    flat.generation.upstream.clear();
    flat.generation.packages = visible_packages(txn, generation);
    const Tree merged = content_tree(txn, flat.generation);
    const Tree whole = content_tree(txn, generation);
    flat.delta = difference(txn, merged, whole, Makers(txn, generation));
    return flat;
}

}  // namespace pwstore::image
