// SPDX-License-Identifier: GPL-3.0-or-later
#include "transact/in_place.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <thread>

#include "resolver/repositories.hpp"
#include "resolver/session.hpp"
#include "store/base/error.hpp"
#include "store/base/path_at.hpp"
#include "transact/databases.hpp"
#include "transact/in_place_root.hpp"
#include "transact/interrupt.hpp"

namespace pwstore {

namespace {

constexpr auto kLockPause = std::chrono::milliseconds(200);

SessionSpec session_spec(const InPlaceRequest& place) {
    SessionSpec spec;
    spec.root = place.root;
    spec.database = place.database;
    spec.cache_dirs = place.cache_dirs;
    spec.gnupg_dir = place.gnupg_dir;
    spec.keyrings = {};
    spec.log_file = place.log_file;
    spec.config = parse_pacman_config(place.config, "/etc/apt", ConfigUser::pacman);
    if (!place.architectures.empty()) spec.config.architectures = place.architectures;
    spec.config.places.disable_sandbox_files |= place.disable_sandbox_files;
    spec.config.places.disable_sandbox_calls |= place.disable_sandbox_calls;
    spec.fetcher = fetcher_for(spec.config);
    spec.is_pacmans = spec.speaks_as_pacman = true;
    return spec;
}

bool wants_something(const ResolveRequest& request) {
    return !request.install.empty() || !request.archive_files.empty() || !request.remove.empty() ||
           request.upgrade;
}

/// Run `attempt` again for as long as somebody else holds libalpm's lock and there is patience left.
template <typename Attempt>
void with_patience(int seconds, const bool& has_begun, const Attempt& attempt) {
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(seconds);
    for (;;) {
        try {
            attempt();
            return;
        } catch (const Error& error) {
            if (error.fault() != Fault::busy || has_begun || std::chrono::steady_clock::now() >= deadline)
                throw;
        }
        stop_if_interrupted("wait for the package database");
        std::this_thread::sleep_for(kLockPause);
    }
}

}  // namespace

TransactionReport run_in_place(const TransactionRequest& request, Dialogue& dialogue) {
    const InPlaceRequest& place = request.in_place.value();
    if (request.containers.size() != 1)
        throw Error("change root", place.root, "exactly one thing has to be wanted of it").as(Fault::usage);
    const ResolveRequest& wanted = request.containers.front().packages;
    TransactionReport report;
    // Every question goes to the dialogue, which knows its standard answers.
    const SessionSpec spec = session_spec(place);
    Session session(spec, dialogue, [&](const Question& question) { return dialogue.ask(question); });
    if (request.refresh > 0) report.changed = session.refresh(request.refresh > 1);
    if (!wants_something(wanted)) return report;
    bool has_begun = false;
    CarryOut what;
    what.database_only = place.db_only;
    what.download_only = place.download_only;
    what.agree = [&](Plan& plan) {
        has_begun = true;
        for (const std::string& note : std::exchange(plan.notes, {}))
            dialogue.message(Severity::warning, note);
        if (plan.empty()) return false;
        ContainerPlan shown;
        shown.plan = plan;
        report.declined = !dialogue.confirm({shown});
        return !request.preview && !report.declined;
    };
    what.act = [&](const Plan& plan) {
        InPlaceRoot root(place, spec.config, wanted, session, dialogue);
        root.apply(plan, report);
        report.changed = true;
    };
    if (request.preview) {
        Plan plan = session.prepare(wanted);
        (void)what.agree(plan);
        return report;
    }
    with_patience(request.lock_patience_seconds, has_begun, [&] { session.carry_out(wanted, what); });
    return report;
}

}  // namespace pwstore
