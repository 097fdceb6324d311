// SPDX-License-Identifier: GPL-3.0-or-later
#include "transact/essential.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "store/debian/generated.hpp"
#include "store/debian/version.hpp"
#include "transact/file_claims.hpp"

namespace pwstore {

namespace {

/// What the `base` of each repository of Debian packages depends on and Debian calls essential.
std::set<std::string> essentials_of(Session& session, const PacmanConfig& config) {
    std::set<std::string> names;
    for (const Repository& repository : config.repositories) {
        const auto base = session.find(fmt::format("{}/{}", repository.name, kBasePackage));
        if (!base || base->packager != kGeneratedPackager) continue;
        for (const std::string& name : essential_among(base->depends))
            names.insert(name);
    }
    return names;
}

bool has_base(const Plan& plan) {
    return std::any_of(plan.steps.begin(), plan.steps.end(), [](const PlanStep& step) {
        return step.package.name == kBasePackage && step.package.packager == kGeneratedPackager;
    });
}

bool has_debian_packages(const std::vector<PlannedPackage>& packages) {
    return std::any_of(packages.begin(), packages.end(), [](const PlannedPackage& package) {
        return is_deb_version(package.installed.version);
    });
}

}  // namespace

bool imply_essential_packages(TransactionState& state, Work& work, Session& session, const Plan& plan) {
    if (!has_debian_packages(plan) || has_base(plan)) return false;
    const ReadTxn txn = state.store.index().read();
    if (has_debian_packages(work.packages) || has_debian_packages(state.upstream_packages(txn, work)))
        return false;
    std::set<std::string> names = essentials_of(session, state.config);
    for (const PlanStep& step : plan.steps) {
        if (step.explicitly) names.erase(step.package.name);
    }
    std::vector<std::string>& install = work.request.packages.install;
    install.insert(install.end(), names.begin(), names.end());
    return !names.empty();
}

}  // namespace pwstore
