// SPDX-License-Identifier: GPL-3.0-or-later
#include <fmt/format.h>

#include <algorithm>

#include "store/base/error.hpp"
#include "store/base/failpoint.hpp"
#include "store/base/path_at.hpp"
#include "transact/databases.hpp"
#include "transact/file_claims.hpp"
#include "transact/interrupt.hpp"
#include "transact/known_packages.hpp"
#include "transact/resolve.hpp"
#include "transact/view.hpp"

namespace pwstore {

namespace {

bool brings_archives(const Plan& plan) {
    return std::any_of(plan.steps.begin(), plan.steps.end(),
                       [](const PlanStep& s) { return s.kind != StepKind::remove; });
}

bool same_decision(const Plan& a, const Plan& b) {
    return std::equal(a.steps.begin(), a.steps.end(), b.steps.begin(), b.steps.end(),
                      [](const PlanStep& x, const PlanStep& y) {
                          return x.kind == y.kind && x.package.name == y.package.name &&
                                 x.package.version == y.package.version;
                      });
}

/// Put what fetching found out about each package into the list of packages.
void take_validation(Work& work) {
    for (const PlanStep& step : work.plan.steps) {
        for (PlannedPackage& package : work.packages) {
            if (package.installed.name == step.package.name) package.installed.validation = step.validation;
        }
    }
}

/// libalpm drops a damaged file of the cache, and gives up. Such a file may be what a power cut left of a
/// download: it is fetched once more.
Plan fetch_past_damage(Session& session, const ResolveRequest& request, Dialogue& dialogue) {
    try {
        return session.fetch(request);
    } catch (const Error& error) {
        if (error.fault() != Fault::corrupt) throw;
        std::string which = error.hint();
        for (size_t at = which.find('\n'); at != std::string::npos; at = which.find('\n', at))
            which.replace(at, 1, ", ");
        dialogue.message(Severity::warning, fmt::format("{}{}; fetched again", error.what(),
                                                        which.empty() ? "" : " (" + which + ")"));
    }
    return session.fetch(request);
}

void fetch_container(TransactionState& state, Work& work) {
    if (!brings_archives(work.plan)) return;
    // In pacman's words every step of libalpm's is told.
    if (!state.request.as_pacman && take_known_packages(state, work)) {
        take_validation(work);
        return;
    }
    // The view was written for the packages before this plan.
    Session session(container_session_spec(state, work), state.dialogue, work.asker);
    ResolveRequest request = work.request.packages;
    // dpkg's rules about files are not libalpm's: FileClaims takes over.
    if (has_debian_packages(work.plan)) request.overwrite.emplace_back("*");
    Plan fetched = in_step(fmt::format("fetch for '{}'", work.name.str()), [&] {
        if (!state.request.as_pacman) return fetch_past_damage(session, request, state.dialogue);
        return session.fetch(request, carried_out(state.request));
    });
    if (!same_decision(fetched, work.plan)) {
        throw Error("fetch packages", work.name.str(), "the databases changed since the plan was made")
            .as(Fault::busy)
            .with_hint("run the command again");
    }
    fetched.notes = std::move(work.plan.notes);  // as they were shown
    work.plan = std::move(fetched);
    take_validation(work);
}

}  // namespace

void fetch_stage(TransactionState& state) {
    make_directories(AT_FDCWD, state.store.layout().directories().cache + "/pkg", 0755);
    std::vector<const Plan*> plans;
    for (const Work& work : state.works)
        plans.push_back(&work.plan);
    fetch_debian_packages(state.store.layout(), state.config, plans, state.dialogue);
    for (Work& work : state.works) {
        stop_if_interrupted("fetch packages");
        for_container(state, work, [&] { fetch_container(state, work); });
    }
    failpoint("fetch.done");
}

}  // namespace pwstore
