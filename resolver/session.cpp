// SPDX-License-Identifier: GPL-3.0-or-later
#include "resolver/session.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "resolver/handle_internal.hpp"
#include "resolver/plan_internal.hpp"
#include "resolver/problems_internal.hpp"
#include "resolver/process_state.hpp"
#include "resolver/resolve_internal.hpp"
#include "store/base/lock.hpp"

namespace pwstore {

namespace {

bool adds(const Plan& plan) {
    return std::any_of(plan.steps.begin(), plan.steps.end(),
                       [](const PlanStep& step) { return step.kind != StepKind::remove; });
}

}  // namespace

struct Session::State {
    State(const SessionSpec& spec, ProgressSink& sink, Asker asker)
        : conversation(spec, sink, std::move(asker)), handle(spec, conversation) {}

    /// Run `act` on a prepared transaction; what there was to say is not lost when there is no plan to carry
    /// it.
    template <typename Act>
    Plan resolved(const ResolveRequest& request, Locking locking, const CarryOut& what, Act&& act) {
        conversation.begin(Conversation::Warnings::to_notes);
        try {
            Resolution resolution(handle, conversation, request, locking, what);
            Plan plan = resolution.plan();
            act(resolution, plan);
            return plan;
        } catch (...) {
            conversation.notes_as_warnings();
            throw;
        }
    }

    Conversation conversation;  // the handle calls it until it is released
    Handle handle;
};

Session::Session(const SessionSpec& spec, ProgressSink& sink, Asker asker) {
    const ProcessState bracket;
    state_ = std::make_unique<State>(spec, sink, std::move(asker));
}

Session::~Session() {
    const ProcessState bracket;
    state_.reset();
}

bool Session::refresh(bool force) {
    const ProcessState bracket;
    state_->conversation.begin(Conversation::Warnings::to_sink);
    state_->conversation.forget_missing_databases();
    state_->handle.log_action("synchronizing package lists");
    return state_->handle.update_databases(force);
}

Plan Session::prepare(const ResolveRequest& request, const CarryOut& what) {
    const ProcessState bracket;
    state_->conversation.forget_answers();
    return state_->resolved(request, Locking::no, what, [](Resolution&, Plan&) {});
}

Plan Session::fetch(const ResolveRequest& request, const CarryOut& what) {
    const ProcessState bracket;
    return state_->resolved(request, Locking::yes, what, [&](Resolution& resolution, Plan& plan) {
        if (!adds(plan)) return;
        Handle& handle = state_->handle;
        handle.use_keyring();
        const std::optional<FileLock> lock = handle.lock_cache();
        resolution.commit_dry();
        if (!what.download_only) add_archives(handle, plan);
    });
}

bool Session::carry_out(const ResolveRequest& request, const CarryOut& what) {
    const ProcessState bracket;
    Conversation& conversation = state_->conversation;
    conversation.forget_answers();
    conversation.begin(Conversation::Warnings::to_sink);
    std::optional<Resolution> resolution;
    Plan plan;
    try {
        resolution.emplace(state_->handle, conversation, request, Locking::yes, what);
        plan = resolution->plan();
    } catch (...) {
        conversation.notes_as_warnings();
        throw;
    }
    if (!what.agree(plan) || plan.empty()) return false;
    if (adds(plan)) {
        state_->handle.use_keyring();
        resolution->commit_dry();
        if (!what.download_only) add_archives(state_->handle, plan);
    }
    if (!what.download_only) what.act(plan);
    return true;
}

std::vector<PackageFileList> Session::file_lists() {
    const ProcessState bracket;
    std::vector<PackageFileList> lists;
    for (alpm_pkg_t* package : alpm::each<alpm_pkg_t>(state_->handle.installed()))
        lists.push_back(package_file_list(package));
    return lists;
}

std::vector<PackageInfo> Session::installed() {
    const ProcessState bracket;
    std::vector<PackageInfo> packages;
    for (alpm_pkg_t* package : alpm::each<alpm_pkg_t>(state_->handle.installed()))
        packages.push_back(package_info(package));
    return packages;
}

void Session::log(const std::string& caller, const std::string& text) {
    const ProcessState bracket;
    state_->handle.log_action(text.c_str(), caller.c_str());
}

std::vector<SetProblem> Session::check_installed() {
    const ProcessState bracket;
    State& state = *state_;
    state.conversation.begin(Conversation::Warnings::to_sink);
    state.handle.check_installed_set();
    auto problems = set_problems(state.handle, state.conversation.upstream(), state.handle.installed());
    state.conversation.rethrow();
    return problems;
}

std::vector<PackageInfo> Session::search(const std::vector<std::string>& expressions) {
    const ProcessState bracket;
    Handle& handle = state_->handle;
    state_->conversation.begin(Conversation::Warnings::to_sink);
    handle.check_databases();
    std::vector<PackageInfo> found;
    const alpm::StringsView needles(expressions);
    for (alpm_db_t* database : alpm::each<alpm_db_t>(handle.sync_databases())) {
        int usage = 0;
        alpm_db_get_usage(database, &usage);
        if ((usage & ALPM_DB_USAGE_SEARCH) == 0) continue;
        if (expressions.empty()) {
            for (alpm_pkg_t* package : alpm::each<alpm_pkg_t>(alpm_db_get_pkgcache(database)))
                found.push_back(package_info(package));
            continue;
        }
        alpm::Packages matches;
        if (alpm_db_search(database, needles.get(), matches.out()) != 0) {
            throw handle.error("search packages").as(Fault::usage);
        }
        for (alpm_pkg_t* package : matches)
            found.push_back(package_info(package));
    }
    return found;
}

std::optional<PackageInfo> Session::find(const std::string& name) {
    const ProcessState bracket;
    Handle& handle = state_->handle;
    state_->conversation.begin(Conversation::Warnings::to_sink);
    const InstallTarget target = parse_install_target(name);
    handle.check_databases();
    for (alpm_db_t* database : alpm::each<alpm_db_t>(handle.sync_databases())) {
        if (!target.repository.empty() && target.repository != alpm_db_get_name(database)) continue;
        int usage = 0;
        alpm_db_get_usage(database, &usage);
        if (target.repository.empty() && (usage & (ALPM_DB_USAGE_INSTALL | ALPM_DB_USAGE_UPGRADE)) == 0)
            continue;
        if (alpm_pkg_t* package = alpm_db_get_pkg(database, target.name.c_str()); package != nullptr) {
            return package_info(package);
        }
    }
    return std::nullopt;
}

int Session::compare_versions(const std::string& a, const std::string& b) {
    return alpm_pkg_vercmp(a.c_str(), b.c_str());
}

}  // namespace pwstore
