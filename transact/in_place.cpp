// SPDX-License-Identifier: GPL-3.0-or-later
#include "transact/in_place.hpp"

#include "resolver/repositories.hpp"
#include "resolver/session.hpp"
#include "store/base/error.hpp"

namespace pwstore {

namespace {

SessionSpec session_spec(const TransactionRequest& request) {
    const InPlaceRequest& place = *request.in_place;
    SessionSpec spec;
    spec.root = place.root;
    spec.database = place.database;
    spec.cache_dirs = place.cache_dirs;
    spec.gnupg_dir = place.gnupg_dir;
    spec.log_file = place.log_file;
    spec.config = parse_pacman_config(place.config, "/etc/apt", ConfigUser::pacman);
    if (!place.architectures.empty()) spec.config.architectures = place.architectures;
    spec.is_pacmans = true;
    spec.no_confirm = false;  // every question goes to the dialogue, which knows its standard answers
    return spec;
}

}  // namespace

TransactionReport run_in_place(const TransactionRequest& request, Dialogue& dialogue) {
    if (request.containers.size() != 1)
        throw Error("change a root in place", request.in_place->root, "one request is needed")
            .as(Fault::usage);
    TransactionReport report;
    const ResolveRequest& wanted = request.containers.front().packages;
    Session session(session_spec(request), dialogue,
                    [&](const Question& question) { return dialogue.ask(question); });
    if (request.refresh > 0) session.refresh(request.refresh > 1);
    ContainerPlan plan;
    plan.plan = session.prepare(wanted);
    if (plan.plan.empty()) return report;
    report.declined = !dialogue.confirm({plan});
    if (request.preview || report.declined) return report;
    throw Error("change a root in place", request.in_place->root, "this is not built yet")
        .as(Fault::unsupported);
}

}  // namespace pwstore
