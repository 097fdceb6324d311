// SPDX-License-Identifier: GPL-3.0-or-later
#include "transact/bootstrap.hpp"

#include <unordered_map>

#include "store/base/path_at.hpp"
#include "store/debian/control.hpp"
#include "store/debian/dpkg_record.hpp"
#include "store/local_database.hpp"

namespace pwstore {

namespace {

std::string name_of(const std::string& relation) {
    return relation.substr(0, relation.find_first_of("<>="));
}

/// What one package says of itself.
struct Candidate {
    std::vector<std::string> depends;
    std::vector<std::string> provides;
    bool is_wanted = false;
};

Candidate candidate(const Store& store, const ReadTxn& txn, const InstalledPackage& package) {
    const auto text = [&](ObjectId id) { return store.objects().content(txn.object(id).first); };
    const Manifest manifest = txn.manifest(package.manifest);
    const PackageDescription description = parse_pkginfo(text(manifest.pkginfo));
    Candidate result{description.depends, description.provides, false};
    result.provides.push_back(package.name);
    if (const auto record = dpkg_record(manifest)) {
        const Entry* control = record->find(kDpkgControlExtension);
        const DebControl about = parse_deb_control(text(control->object), control->path);
        result.is_wanted = about.essential || about.priority == "required" || about.name == "dpkg";
    }
    return result;
}

}  // namespace

std::set<std::string> bootstrap_set(const Store& store, const std::vector<InstalledPackage>& packages) {
    std::unordered_map<std::string, Candidate> candidates;
    std::unordered_map<std::string, std::vector<std::string>> providers;
    std::set<std::string> result;
    std::vector<std::string> open;
    const ReadTxn txn = store.index().read();
    for (const InstalledPackage& package : packages) {
        const Candidate& made =
            candidates.emplace(package.name, candidate(store, txn, package)).first->second;
        for (const std::string& provision : made.provides)
            providers[name_of(provision)].push_back(package.name);
        if (made.is_wanted) open.push_back(package.name);
    }
    if (candidates.count("dpkg") == 0) {
        for (const InstalledPackage& package : packages)
            result.insert(package.name);
        return result;
    }
    while (!open.empty()) {
        const std::string name = std::move(open.back());
        open.pop_back();
        if (!result.insert(name).second) continue;
        for (const std::string& dependency : candidates.at(name).depends) {
            const auto found = providers.find(name_of(dependency));
            if (found != providers.end()) open.insert(open.end(), found->second.begin(), found->second.end());
        }
    }
    return result;
}

}  // namespace pwstore
