// SPDX-License-Identifier: GPL-3.0-or-later
#include <fcntl.h>
#include <fmt/format.h>

#include <algorithm>
#include <chrono>

#include "store/base/error.hpp"
#include "store/base/failpoint.hpp"
#include "store/base/path_at.hpp"
#include "transact/databases.hpp"
#include "transact/interrupt.hpp"
#include "transact/resolve.hpp"
#include "transact/view.hpp"

namespace pwstore {

namespace {

std::vector<PlannedPackage> own_packages(const Work& work) {
    std::vector<PlannedPackage> packages;
    if (!work.before) return packages;
    for (const InstalledPackage& package : work.before->packages)
        packages.push_back({package, {}});
    return packages;
}

void refresh(TransactionState& state) {
    if (state.request.refresh == 0) return;
    const int data = state.store.layout().data();
    const FileLock lock =
        FileLock::acquire(data, "sync.lock", LockMode::exclusive, std::chrono::minutes(5), "refresh");
    const Work nobody{ContainerName("refresh")};
    write_view(state.store.index().read(), state.store.objects(), state.staging->fd(), view_name(nobody),
               state.store.layout().path(names::kSync), {});
    refresh_databases(state.store.layout(), session_spec(state, nobody), state.request.refresh > 1,
                      state.dialogue);
}

/// A container that only lies above a change must still fit together.
void check_dependent(Session& session, const Work& work) {
    const std::vector<std::string> problems = session.check_installed();
    if (problems.empty()) return;
    std::string list;
    for (const std::string& problem : problems)
        list += (list.empty() ? "" : "\n") + problem;
    throw Error("keep container working", work.name.str(), "what it is built on would no longer fit it")
        .with_hint(list);
}

bool wants_something(const ResolveRequest& request) {
    return !request.install.empty() || !request.archive_files.empty() || !request.remove.empty() ||
           request.upgrade;
}

void plan_container(TransactionState& state, Work& work) {
    work.packages = own_packages(work);
    const bool below_changes = state.upstream_affected(work);
    const bool wants = wants_something(work.request.packages);
    if (!wants && !below_changes && !work.request.create) return;
    if (wants || below_changes) {
        make_view(state, work);
        Session session(container_session_spec(state, work), state.dialogue, work.asker);
        if (wants) {
            work.plan = in_step(fmt::format("resolve for '{}'", work.name.str()),
                                [&] { return session.prepare(work.request.packages); });
        } else {
            check_dependent(session, work);
        }
    }
    work.affected = !work.plan.empty() || below_changes || !work.before;
    if (!work.affected) {  // no plan will be shown that could carry them
        for (const std::string& note : work.plan.notes)
            state.dialogue.message(Severity::warning, fmt::format("{}: {}", work.name.str(), note));
    }
    work.packages = packages_after(std::move(work.packages), work.plan, state.now);
}

}  // namespace

void plan_stage(TransactionState& state) {
    refresh(state);
    failpoint("plan.refreshed");
    for (Work& work : state.works) {
        stop_if_interrupted("plan");
        plan_container(state, work);
        if (state.request.force_rebuild && work.before && !work.affected) work.affected = true;
    }
    failpoint("plan.done");
}

}  // namespace pwstore
