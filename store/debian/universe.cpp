// SPDX-License-Identifier: GPL-3.0-or-later
#include "store/debian/universe.hpp"

#include <algorithm>

#include "store/debian/version.hpp"

namespace pwstore {

bool satisfies(std::string_view version, const DebRelation& relation) {
    if (relation.relation.empty()) return true;
    if (version.empty()) return false;
    const int order = compare_deb_versions(version, relation.version);
    if (relation.relation == "<<") return order < 0;
    if (relation.relation == "<=") return order <= 0;
    if (relation.relation == "=") return order == 0;
    if (relation.relation == ">=") return order >= 0;
    return order > 0;
}

void DebUniverse::add(const DebControl& control, bool fixed) {
    packages_[control.name].fixed = fixed;
    by_name_[control.name].push_back({control.name, control.version, true});
    for (const DebRelation& provided : control.provides)
        by_name_[provided.name].push_back({control.name, provided.version, false});
}

std::vector<std::string> DebUniverse::satisfying(const DebRelation& relation) const {
    std::vector<std::string> result;
    const auto found = by_name_.find(relation.name);
    if (found == by_name_.end()) return result;
    for (const bool itself : {true, false}) {
        for (const Candidate& candidate : found->second) {
            if (candidate.is_itself == itself && satisfies(candidate.version, relation) &&
                std::find(result.begin(), result.end(), candidate.package) == result.end())
                result.push_back(candidate.package);
        }
    }
    return result;
}

std::string DebUniverse::depend(const DebControl& control, const DebAlternatives& group,
                                std::vector<std::string>& unsatisfied) {
    DebAlternatives possible;
    std::vector<std::string> packages;
    for (const DebRelation& one : group) {
        const std::vector<std::string> found = satisfying(one);
        if (!found.empty()) possible.push_back(one);
        packages.insert(packages.end(), found.begin(), found.end());
    }
    if (std::find(packages.begin(), packages.end(), control.name) != packages.end()) return {};
    if (packages.empty()) unsatisfied.push_back(control.name + ": " + group.front().name);
    const bool all_can_be_named = std::none_of(
        packages.begin(), packages.end(), [this](const std::string& name) { return packages_[name].fixed; });
    const bool one_package = std::all_of(packages.begin(), packages.end(),
                                         [&](const std::string& name) { return name == packages.front(); });
    if (possible.size() < 2 || one_package || !all_can_be_named)
        return alpm_relation(possible.empty() ? group.front() : possible.front());
    std::string name = alternatives_name(possible);
    for (const std::string& package : packages)
        packages_[package].names_of_alternatives.insert(name);
    return name;
}

std::vector<std::string> DebUniverse::depends(const DebControl& control,
                                              std::vector<std::string>& unsatisfied) {
    std::vector<std::string> result;
    for (const DebAlternatives& group : control.depends) {
        std::string name = depend(control, group, unsatisfied);
        if (!name.empty() && std::find(result.begin(), result.end(), name) == result.end())
            result.push_back(std::move(name));
    }
    return result;
}

std::vector<std::string> DebUniverse::provides(const DebControl& control) const {
    std::vector<std::string> result;
    for (const DebRelation& provided : control.provides)
        result.push_back(alpm_relation(provided));
    if (const auto found = packages_.find(control.name); found != packages_.end()) {
        const auto& names = found->second.names_of_alternatives;
        result.insert(result.end(), names.begin(), names.end());
    }
    return result;
}

std::vector<std::string> DebUniverse::conflicts(const DebControl& control) const {
    std::vector<std::string> result;
    for (const DebRelation& other : control.conflicts) {
        if (other.name == control.name) continue;
        std::string text = alpm_relation(other);
        if (std::find(result.begin(), result.end(), text) == result.end()) result.push_back(std::move(text));
    }
    return result;
}

}  // namespace pwstore
