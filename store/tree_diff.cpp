// SPDX-License-Identifier: GPL-3.0-or-later
#include "store/tree_diff.hpp"

#include <map>

namespace pwstore {

namespace {

std::vector<std::string> differences(const TreeEntry& before, const TreeEntry& after) {
    const Entry& old = before.entry;
    const Entry& now = after.entry;
    if (old.kind != now.kind) return {"type"};
    std::vector<std::string> what;
    // An object is content and mode together; equal contents in two modes have equal sizes and other ids.
    const bool content = old.size != now.size || before.inlined != after.inlined ||
                         (old.object != now.object && old.mode == now.mode);
    if (old.kind == EntryKind::file && content) what.emplace_back("content");
    if (old.target != now.target) what.emplace_back("target");
    if (old.mode != now.mode) what.emplace_back("mode");
    if (old.uid != now.uid || old.gid != now.gid) what.emplace_back("owner");
    if (old.xattrs != now.xattrs) what.emplace_back("attributes");
    return what;
}

}  // namespace

namespace {

/// Made for whoever runs there (home/NAME is another one for each container), not content.
bool is_mount_point(const Tree& tree, const TreeEntry& entry) {
    return entry.layer < tree.layers.size() && tree.layers[entry.layer] == kMountPointLayer;
}

}  // namespace

std::vector<TreeChange> compare_trees(const Tree& before, const Tree& after) {
    std::vector<TreeChange> changes;
    auto old = before.entries.begin();
    auto now = after.entries.begin();
    while (old != before.entries.end() || now != after.entries.end()) {
        const int order = old == before.entries.end()  ? 1
                          : now == after.entries.end() ? -1
                                                       : old->entry.path.compare(now->entry.path);
        if (order < 0) {
            if (!is_mount_point(before, *old))
                changes.push_back({old->entry.path, TreeChange::Kind::removed, {}});
        } else if (order > 0) {
            if (!is_mount_point(after, *now))
                changes.push_back({now->entry.path, TreeChange::Kind::added, {}});
        } else if (auto what = differences(*old, *now); !what.empty()) {
            changes.push_back({now->entry.path, TreeChange::Kind::changed, std::move(what)});
        }
        if (order <= 0) ++old;
        if (order >= 0) ++now;
    }
    return changes;
}

std::vector<PackageChange> compare_packages(const std::vector<InstalledPackage>& before,
                                            const std::vector<InstalledPackage>& after) {
    std::map<std::string, std::pair<const InstalledPackage*, const InstalledPackage*>> by_name;
    for (const InstalledPackage& package : before)
        by_name[package.name].first = &package;
    for (const InstalledPackage& package : after)
        by_name[package.name].second = &package;
    std::vector<PackageChange> changes;
    for (const auto& [name, both] : by_name) {
        const auto [old, now] = both;
        PackageChange change;
        change.name = name;
        if (old != nullptr) change.before = old->version;
        if (now != nullptr) change.after = now->version;
        if (now != nullptr) change.reason = now->reason;
        if (old != nullptr && now != nullptr) {
            change.reason_changed = old->reason != now->reason;
            change.rebuilt = old->version == now->version && old->manifest != now->manifest;
        }
        if (change.before != change.after || change.reason_changed || change.rebuilt)
            changes.push_back(std::move(change));
    }
    return changes;
}

}  // namespace pwstore
