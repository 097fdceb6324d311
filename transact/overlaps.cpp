// SPDX-License-Identifier: GPL-3.0-or-later
#include "transact/overlaps.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <map>
#include <set>
#include <tuple>
#include <unordered_map>

#include "store/base/error.hpp"

namespace pwstore {

namespace {

struct Owner {
    std::string container, package;
    auto operator<=>(const Owner&) const = default;
};
struct Overlap {
    std::string path;  ///< the first
    size_t files = 0;
};
using Overlaps = std::map<std::pair<Owner, Owner>, Overlap>;  ///< the second's files are used

using PackagesOf = std::function<std::vector<InstalledPackage>(const std::string& container)>;

/// For each container below `work` what itself is built on.
std::map<std::string, std::set<std::string>> grounds(TransactionState& state, const ReadTxn& txn,
                                                     const Work& work) {
    std::map<std::string, std::set<std::string>> result;
    for (const std::string& name : work.upstream) {  // lowest first
        const Work* below = state.find(name);
        const auto row =
            below != nullptr ? below->row : txn.container(ContainerName(name)).value_or(ContainerRow{});
        std::set<std::string>& ground = result[name];
        for (const std::string& next : row.dependencies) {
            ground.insert(next);
            ground.insert(result[next].begin(), result[next].end());
        }
    }
    return result;
}

bool has_strangers(const std::map<std::string, std::set<std::string>>& grounds) {
    for (auto a = grounds.begin(); a != grounds.end(); ++a) {
        for (auto b = std::next(a); b != grounds.end(); ++b) {
            if (!a->second.contains(b->first) && !b->second.contains(a->first)) return true;
        }
    }
    return false;
}

bool is_same(const ReadTxn& txn, const Entry& a, const Entry& b) {
    if (a.kind != b.kind || a.target != b.target) return false;
    return a.object == b.object || txn.object(a.object).second.sha256 == txn.object(b.object).second.sha256;
}

Overlaps find_overlaps(const ReadTxn& txn, const Work& work,
                       const std::map<std::string, std::set<std::string>>& grounds,
                       const PackagesOf& packages_of) {
    struct Place {
        Owner owner;
        Entry entry;
    };
    std::unordered_map<std::string, Place> last;
    Overlaps overlaps;
    for (const std::string& name : work.upstream) {
        for (const InstalledPackage& package : packages_of(name)) {
            if (package.manifest == 0) continue;
            const Owner owner{name, package.name};
            for (Entry& entry : txn.manifest(package.manifest).entries) {
                if (entry.kind == EntryKind::directory) continue;
                const auto [other, is_first] = last.try_emplace(entry.path, Place{owner, entry});
                if (is_first) continue;
                const Owner before = other->second.owner;
                if (before.container != name && !grounds.at(name).contains(before.container) &&
                    !is_same(txn, other->second.entry, entry)) {
                    Overlap& overlap = overlaps[{before, owner}];
                    if (overlap.files++ == 0) overlap.path = entry.path;
                }
                other->second = {owner, std::move(entry)};
            }
        }
    }
    return overlaps;
}

}  // namespace

std::vector<std::string> overlaps_below(TransactionState& state, const Work& work) {
    const ReadTxn txn = state.store.index().read();
    const auto ground = grounds(state, txn, work);
    if (!has_strangers(ground)) return {};
    const PackagesOf before = [&](const std::string& name) {
        const auto row = txn.container(ContainerName(name));
        const auto generation = row ? txn.generation(ContainerName(name), row->current) : std::nullopt;
        return generation ? generation->packages : std::vector<InstalledPackage>();
    };
    const PackagesOf after = [&](const std::string& name) {
        const Work* below = state.find(name);
        if (below == nullptr) return before(name);
        std::vector<InstalledPackage> packages;
        for (const PlannedPackage& package : below->packages)
            packages.push_back(package.installed);
        return packages;
    };
    Overlaps overlaps = find_overlaps(txn, work, ground, after);
    if (work.before) {
        for (const auto& [owners, overlap] : find_overlaps(txn, work, ground, before))
            overlaps.erase(owners);
    }
    std::vector<std::string> lines;
    for (const auto& [owners, overlap] : overlaps) {
        const auto& [under, over] = owners;
        const std::string more =
            overlap.files > 1 ? fmt::format(" and {} more files are", overlap.files - 1) : " is";
        lines.push_back(
            fmt::format("/{}{} in {} of '{}' and, with other content, in {} of '{}', whose {} used",
                        printable(overlap.path), more, under.package, under.container, over.package,
                        over.container, overlap.files > 1 ? "are" : "is"));
    }
    return lines;
}

}  // namespace pwstore
