// SPDX-License-Identifier: GPL-3.0-or-later
#include "transact/file_claims.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "store/base/error.hpp"
#include "store/base/path_at.hpp"
#include "store/debian/dpkg_record.hpp"
#include "store/debian/universe.hpp"
#include "store/debian/version.hpp"
#include "store/tree.hpp"
#include "transact/hook.hpp"

namespace pwstore {

bool has_debian_packages(const Plan& plan) {
    return std::any_of(plan.steps.begin(), plan.steps.end(), [](const PlanStep& step) {
        return step.kind != StepKind::remove && is_deb_version(step.package.version);
    });
}

bool has_debian_packages(const std::vector<InstalledPackage>& packages) {
    return std::any_of(packages.begin(), packages.end(),
                       [](const InstalledPackage& package) { return is_deb_version(package.version); });
}

SharedBefore::SharedBefore(const Store& store, const std::optional<Generation>& before) : store_(store) {
    if (!before) return;
    for (const InstalledPackage& package : visible_packages(store.index().read(), *before))
        packages_.emplace(package.name, package.manifest);
}

bool SharedBefore::allows(const std::string& path, const std::string& package,
                          const std::string& other) const {
    return had(package, path) && had(other, path);
}

bool SharedBefore::had(const std::string& package, const std::string& path) const {
    const auto found = packages_.find(package);
    if (found == packages_.end()) return false;
    const Manifest manifest = store_.index().read().manifest(found->second);
    const auto entry = std::lower_bound(manifest.entries.begin(), manifest.entries.end(), path,
                                        [](const Entry& a, const std::string& b) { return a.path < b; });
    return entry != manifest.entries.end() && entry->path == path && entry->kind != EntryKind::directory;
}

FileClaims::FileClaims(const Store& store, const std::vector<InstalledPackage>& packages, SharedBefore before,
                       const std::vector<std::string>& overwrite)
    : store_(store), before_(std::move(before)), overwrite_(overwrite) {
    const ReadTxn txn = store.index().read();
    manifests_.reserve(packages.size());
    for (const InstalledPackage& package : packages)
        manifests_.push_back(txn.manifest(package.manifest));
    for (size_t at = 0; at < manifests_.size(); ++at) {
        for (const Entry& entry : manifests_[at].entries) {
            if (entry.kind != EntryKind::directory) owners_[entry.path].push_back(at);
        }
    }
}

bool FileClaims::replaces(const Manifest& package, const Manifest& other) const {
    const auto record = dpkg_record(package);
    if (!record) return false;
    const Entry* control = record->find(kDpkgControlExtension);
    const ObjectKey key = store_.index().read().object(control->object).first;
    const std::string text = store_.objects().content(key);
    const std::vector<DebRelation> all = parse_deb_control(text, control->path).replaces;
    return std::any_of(all.begin(), all.end(), [&](const DebRelation& relation) {
        return relation.name == other.name && satisfies(deb_version(other.version), relation);
    });
}

FileClaims::Shared FileClaims::check(const Manifest& package, const Diversions& diversions) const {
    Shared shared;
    enum class Rule { conflict, take, leave };
    std::unordered_map<size_t, Rule> rules;
    for (const Entry& entry : package.entries) {
        const auto found = owners_.find(entry.path);
        if (entry.kind == EntryKind::directory || found == owners_.end()) continue;
        for (const size_t at : found->second) {
            const Manifest& other = manifests_[at];
            if (other.name == package.name) continue;
            if (diversions.place_of(entry.path, package.name) != diversions.place_of(entry.path, other.name))
                continue;
            const auto [rule, is_new] = rules.try_emplace(at, Rule::conflict);
            if (is_new) {
                if (replaces(package, other)) rule->second = Rule::take;
                if (rule->second == Rule::conflict && replaces(other, package)) rule->second = Rule::leave;
            }
            if (rule->second == Rule::conflict && match_patterns(overwrite_, entry.path) != 1 &&
                !before_.allows(entry.path, package.name, other.name)) {
                throw Error("lay down", "/" + printable(entry.path),
                            fmt::format("it is in '{}' and in '{}'", package.name, other.name))
                    .as(Fault::refused)
                    .with_hint("one of the two packages has to go");
            }
            (rule->second == Rule::leave ? shared.left : shared.taken).insert(entry.path);
        }
    }
    return shared;
}

}  // namespace pwstore
