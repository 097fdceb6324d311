// SPDX-License-Identifier: GPL-3.0-or-later
#include "store/provenance.hpp"

#include <algorithm>
#include <functional>
#include <map>
#include <set>

#include "store/base/error.hpp"
#include "store/base/path_at.hpp"

namespace pwstore {

namespace {

/// Layers of one generation with something at one of `paths`, lowest first.
void add_claims(const ReadTxn& txn, const Generation& generation, const std::set<std::string>& paths,
                std::vector<LayerClaim>& claims) {
    for (const InstalledPackage& package : generation.packages) {
        const Manifest manifest = txn.manifest(package.manifest);
        for (const std::string& path : paths) {
            const Entry* entry = manifest.find(path);
            if (entry == nullptr) continue;
            claims.push_back(
                {generation.container, generation.number, package.name, package.version, {}, *entry});
        }
    }
    if (generation.delta == 0) return;
    const Delta delta = txn.delta(generation.delta);
    for (const std::string& path : paths) {
        const DeltaEntry* change = delta.find(path);
        if (change == nullptr) continue;
        claims.push_back({generation.container, generation.number, "", "", *change, change->entry});
    }
}

std::vector<LayerClaim> claims_of(const ReadTxn& txn, const Generation& generation,
                                  const std::set<std::string>& paths) {
    std::vector<LayerClaim> claims;
    for (const GenerationRef& below : generation.upstream) {
        const auto found = txn.generation(ContainerName(below.container), below.generation);
        if (found) add_claims(txn, *found, paths, claims);
    }
    add_claims(txn, generation, paths, claims);
    std::reverse(claims.begin(), claims.end());
    return claims;
}

bool is_generated_label(const std::string& label) {
    return label == kDatabaseLayer || label == kMountPointLayer || label == kParentLayer;
}

/// The same thing but for times.
bool is_alike(const Entry& a, const Entry& b) {
    return a.kind == b.kind && a.object == b.object && a.target == b.target && a.mode == b.mode &&
           a.uid == b.uid && a.gid == b.gid && a.xattrs == b.xattrs;
}

void find_beginning(const ReadTxn& txn, const Generation& generation, PathStory& story) {
    Generation first = generation;
    while (first.parent != 0) {
        const auto before = txn.generation(ContainerName(first.container), first.parent);
        story.is_older = !before;
        if (!before) break;
        const Tree tree = content_tree(txn, *before);
        const TreeEntry* there = tree.find(story.path);
        if (there == nullptr || !is_alike(there->entry, story.entry)) break;
        first = *before;
    }
    story.since_generation = first.number;
    story.since_transaction = first.transaction;
    story.since = first.time;
    story.cause = first.cause;
}

}  // namespace

std::optional<PathStory> story_of(const ReadTxn& txn, const Generation& generation, std::string_view path) {
    const Tree tree = content_tree(txn, generation);
    const TreeEntry* found = tree.resolve(path);
    if (found == nullptr) return std::nullopt;
    PathStory story;
    story.path = found->entry.path;
    story.entry = found->entry;
    story.is_generated = is_generated_label(tree.layers[found->layer]);
    if (found->entry.object != 0) {
        const auto [key, row] = txn.object(found->entry.object);
        story.sha256 = row.sha256;
        story.object = key.path(0);
    }
    // A package may write the path as it was asked for, before symlinks were followed.
    story.claims = claims_of(txn, generation, {story.path, std::string(path)});
    find_beginning(txn, generation, story);
    return story;
}

std::optional<LayerClaim> removal_of(const ReadTxn& txn, const Generation& generation,
                                     std::string_view path) {
    for (; !path.empty(); path = split_path(path).first) {
        const std::vector<LayerClaim> claims = claims_of(txn, generation, {std::string(path)});
        if (!claims.empty() && claims.front().entry.kind == EntryKind::whiteout) return claims.front();
    }
    return std::nullopt;
}

std::vector<ContentPlace> places_of(const ReadTxn& txn,
                                    const std::function<bool(const ObjectKey&, const ObjectRow&)>& matches) {
    std::set<ObjectId> wanted;
    txn.for_each_object([&](const ObjectKey& key, const ObjectRow& row) {
        if (matches(key, row)) wanted.insert(row.id);
    });
    std::vector<ContentPlace> places;
    if (wanted.empty()) return places;
    std::map<ManifestId, std::vector<std::string>> of_manifests;
    const auto paths_in = [&](ManifestId id) -> const std::vector<std::string>& {
        const auto [at, added] = of_manifests.try_emplace(id);
        if (!added) return at->second;
        const Manifest manifest = txn.manifest(id);
        for (const Entry& entry : manifest.entries) {
            if (wanted.contains(entry.object)) at->second.push_back(entry.path);
        }
        return at->second;
    };
    for (const ContainerName& name : txn.containers()) {
        const uint64_t current = txn.container(name)->current;
        for (const uint64_t number : txn.generation_numbers(name)) {
            const Generation generation = *txn.generation(name, number);
            for (const InstalledPackage& package : generation.packages) {
                for (const std::string& path : paths_in(package.manifest)) {
                    places.push_back(
                        {name.str(), number, number == current, package.name, package.version, path});
                }
            }
            if (generation.delta == 0) continue;
            for (const DeltaEntry& one : txn.delta(generation.delta).entries) {
                if (wanted.contains(one.entry.object))
                    places.push_back({name.str(), number, number == current, "", "", one.entry.path});
            }
        }
    }
    return places;
}

std::vector<PathOwner> owners_of(const ReadTxn& txn, std::string_view path) {
    std::vector<PathOwner> owners;
    for (const ContainerName& name : txn.containers()) {
        const auto row = txn.container(name);
        if (!row || row->current == 0) continue;
        const auto generation = txn.generation(name, row->current);
        if (!generation) continue;
        // As packages write it, and where symlinks of this container lead.
        std::set<std::string> paths{std::string(path)};
        const Tree tree = content_tree(txn, *generation);
        if (const TreeEntry* found = tree.resolve(path)) paths.insert(found->entry.path);
        for (const InstalledPackage& package : generation->packages) {
            const Manifest manifest = txn.manifest(package.manifest);
            const bool has = std::any_of(paths.begin(), paths.end(), [&](const std::string& one) {
                return manifest.find(one) != nullptr;
            });
            if (has) owners.push_back({name.str(), package.name, package.version});
        }
    }
    return owners;
}

}  // namespace pwstore
