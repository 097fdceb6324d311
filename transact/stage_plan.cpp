// SPDX-License-Identifier: GPL-3.0-or-later
#include <fcntl.h>
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <utility>

#include "store/base/error.hpp"
#include "store/base/failpoint.hpp"
#include "store/base/path_at.hpp"
#include "transact/databases.hpp"
#include "transact/file_claims.hpp"
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

/// -D: what its own packages are there for. Returns whether that changes.
bool change_reasons(TransactionState& state, Work& work) {
    const auto change = [&](const std::string& name, InstallReason reason) {
        for (PlannedPackage& package : work.packages) {
            if (package.installed.name != name) continue;
            return std::exchange(package.installed.reason, reason) != reason;
        }
        const ReadTxn txn = state.store.index().read();
        for (const PlannedPackage& below : state.upstream_packages(txn, work)) {
            if (below.installed.name != name) continue;
            throw Error("set install reason", name,
                        fmt::format("it is from the container '{}'", below.container))
                .as(Fault::refused);
        }
        throw Error("set install reason", name, "it is not installed").as(Fault::usage);
    };
    bool changed = false;
    for (const std::string& name : work.request.make_explicit)
        changed = change(name, InstallReason::explicitly) || changed;
    for (const std::string& name : work.request.make_dependency)
        changed = change(name, InstallReason::dependency) || changed;
    return changed;
}

bool wants_something(const ResolveRequest& request) {
    return !request.install.empty() || !request.archive_files.empty() || !request.remove.empty() ||
           request.upgrade;
}

/// Debian's maintainer scripts are part of what installing one of its packages is.
void check_manner(const TransactionState& state, const Work& work) {
    const bool without_scripts = state.request.as_pacman &&
                                 (state.request.as_pacman->no_scriptlet || state.request.as_pacman->db_only);
    if (!without_scripts || !has_debian_packages(work.plan)) return;
    throw Error("resolve packages", "",
                "--noscriptlet and --dbonly are not possible with packages from Debian: "
                "their maintainer scripts are part of their installation")
        .as(Fault::refused);
}

void plan_container(TransactionState& state, Work& work) {
    work.packages = own_packages(work);
    const bool below_changes = state.upstream_affected(work);
    const bool wants = wants_something(work.request.packages);
    const bool reasons_change = change_reasons(state, work);
    if (!wants && !below_changes && !reasons_change && !work.request.create) return;
    if (wants || below_changes) {
        make_view(state, work);
        Session session(container_session_spec(state, work), state.dialogue, work.asker);
        if (wants) {
            work.plan = in_step(fmt::format("resolve for '{}'", work.name.str()), [&] {
                return session.prepare(work.request.packages, carried_out(state.request));
            });
        } else {
            check_dependent(session, work);
        }
    }
    work.affected = !work.plan.empty() || below_changes || reasons_change || !work.before;
    if (!work.affected) {  // no plan will be shown that could carry them
        const std::string front = state.request.as_pacman ? "" : work.name.str() + ": ";
        for (const std::string& note : work.plan.notes)
            state.dialogue.message(Severity::warning, front + note);
    }
    check_manner(state, work);
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
