// SPDX-License-Identifier: GPL-3.0-or-later
#include <fcntl.h>
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <utility>

#include "store/base/error.hpp"
#include "store/base/failpoint.hpp"
#include "store/base/path_at.hpp"
#include "store/package/archive_listing.hpp"
#include "transact/databases.hpp"
#include "transact/essential.hpp"
#include "transact/file_claims.hpp"
#include "transact/interrupt.hpp"
#include "transact/overlaps.hpp"
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
    state.report.refreshed = refresh_databases(state.store.layout(), session_spec(state, nobody),
                                               state.request.refresh > 1, state.dialogue);
}

std::string lines_of(const std::vector<SetProblem>& problems) {
    std::string lines;
    for (const SetProblem& problem : problems)
        lines += (lines.empty() ? "" : "\n") + problem.text;
    return lines;
}

/// What is to lie below a new container has to go together; nothing that is installed in it could mend that.
void check_ground(const Work& work, const SessionSpec& spec, Session& session) {
    const auto owner = [&](const std::string& package) {
        const auto found = spec.upstream_of.find(package);
        return found == spec.upstream_of.end() ? std::string() : found->second;
    };
    std::vector<SetProblem> problems = session.check_installed();
    std::erase_if(problems, [&](const SetProblem& problem) {
        return !problem.is_conflict || owner(problem.package) == owner(problem.other);
    });
    if (problems.empty()) return;
    throw Error("create container", work.name.str(), "packages of what it is to be built on are in conflict")
        .as(Fault::refused)
        .with_hint(lines_of(problems));
}

/// A container above a change must fit together as well as it did before.
/// @param problems of its packages, and those below, as they will be
void check_fit(TransactionState& state, const Work& work, std::vector<SetProblem> problems) {
    const ResolveRequest& request = work.request.packages;
    if (problems.empty() || request.no_deps || request.no_conflicts) return;
    const std::vector<SetProblem> standing = problems_before(state, work);
    std::erase_if(problems, [&](const SetProblem& problem) {
        return std::any_of(standing.begin(), standing.end(),
                           [&](const SetProblem& other) { return other.is_same(problem); });
    });
    if (problems.empty()) return;
    throw Error("keep container working", work.name.str(), "what it is built on would no longer fit it")
        .with_hint(lines_of(problems));
}

/// What is removed here may be there still, from below.
void assume_what_stays_below(TransactionState& state, Work& work) {
    ResolveRequest& request = work.request.packages;
    if (request.remove.empty() || !work.before) return;
    const ReadTxn txn = state.store.index().read();
    for (const PlannedPackage& below : state.upstream_packages(txn, work)) {
        if (work.before->find_package(below.installed.name) == nullptr) continue;
        request.assume_installed.push_back(below.installed.name + "=" + below.installed.version);
        const std::vector<std::string> provided = provisions(state.store, txn, below);
        request.assume_installed.insert(request.assume_installed.end(), provided.begin(), provided.end());
    }
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

/// libalpm calls damaged what it cannot unpack.
void check_forms(const TransactionState& state, const std::vector<std::string>& archives) {
    if (state.request.as_pacman) return;
    for (const std::string& archive : archives)
        check_beginning(archive);
}

Plan resolved(TransactionState& state, Work& work, Session& session, const CarryOut& what) {
    return in_step(fmt::format("resolve for '{}'", work.name.str()), [&] {
        check_forms(state, work.request.packages.archive_files);
        Plan plan = session.prepare(work.request.packages, what);
        if (imply_essential_packages(state, work, session, plan))
            plan = session.prepare(work.request.packages, what);
        return plan;
    });
}

void plan_container(TransactionState& state, Work& work) {
    work.packages = own_packages(work);
    const bool below_changes = state.upstream_affected(work);
    const bool wants = wants_something(work.request.packages);
    const bool reasons_change = change_reasons(state, work);
    if (!wants && !below_changes && !reasons_change && !work.request.create) return;
    const bool is_new_on_several = !work.before && work.upstream.size() > 1;
    if (wants || below_changes || is_new_on_several) {
        make_view(state, work);
        assume_what_stays_below(state, work);
        const SessionSpec spec = container_session_spec(state, work);
        Session session(spec, state.dialogue, work.asker);
        if (is_new_on_several) check_ground(work, spec, session);
        if (wants) {
            CarryOut what = carried_out(state.request);
            what.looks_at_result = below_changes && work.before;
            work.plan = resolved(state, work, session, what);
            check_fit(state, work, work.plan.problems);
        } else if (work.before) {
            check_fit(state, work, session.check_installed());
        }
    }
    work.affected = !work.plan.empty() || below_changes || reasons_change || !work.before;
    if (work.affected && (below_changes || !work.before)) {
        for (std::string& overlap : overlaps_below(state, work))
            work.plan.notes.push_back(std::move(overlap));
    }
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
        for_container(state, work, [&] { plan_container(state, work); });
        if (state.request.force_rebuild && work.before && !work.affected) work.affected = true;
    }
    failpoint("plan.done");
}

}  // namespace pwstore
