// SPDX-License-Identifier: GPL-3.0-or-later
#include "transact/transaction.hpp"

#include <fcntl.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>

#include "resolver/repositories.hpp"
#include "store/base/error.hpp"
#include "store/base/path_at.hpp"
#include "transact/cache_use.hpp"
#include "transact/work.hpp"

namespace pwstore {

namespace {

bool needs_repositories(const TransactionRequest& request) {
    return request.refresh > 0 || request.upgrade_all ||
           std::any_of(request.containers.begin(), request.containers.end(),
                       [](const ContainerRequest& wanted) {
                           return wanted.packages.upgrade || !wanted.packages.install.empty();
                       });
}

PacmanConfig read_configuration(const Directories& directories, const TransactionRequest& request,
                                Dialogue& dialogue) {
    if (request.as_pacman && !request.as_pacman->config.empty())
        return parse_pacman_config(request.as_pacman->config);
    const std::string path = directories.config + "/repositories.conf";
    if (!needs_repositories(request) && !exists_at(AT_FDCWD, path)) return {};
    const RepositoriesFile file = ensure_repositories(directories.config, directories.data + "/repo");
    if (!file.origin.empty()) {
        dialogue.message(Severity::info,
                         "repositories.conf was written from " + file.origin + ": " + file.path);
    }
    PacmanConfig config = parse_pacman_config(file.path);
    for (const std::string& warning : config.warnings)
        dialogue.message(Severity::warning, warning);
    return config;
}

std::vector<ContainerPlan> plans_of(const TransactionState& state) {
    std::vector<ContainerPlan> plans;
    for (const Work& work : state.works) {
        if (!work.affected) continue;
        plans.push_back(
            {work.name.str(), work.row.type, !work.before, work.plan, work.before && work.plan.empty()});
    }
    return plans;
}

}  // namespace

int64_t transaction_time() {
    if (const char* epoch = std::getenv("SOURCE_DATE_EPOCH"); epoch != nullptr)
        return std::strtoll(epoch, nullptr, 10);
    return std::chrono::duration_cast<std::chrono::seconds>(
               std::chrono::system_clock::now().time_since_epoch())
        .count();
}

TransactionReport run_transaction(const Directories& directories, const TransactionRequest& request,
                                  Dialogue& dialogue) {
    const Store store = Store::open(directories);
    TransactionState state(store, request, dialogue, transaction_time());
    state.config = read_configuration(directories, request, dialogue);
    if (request.as_pacman && !request.as_pacman->architectures.empty())
        state.config.architectures = request.as_pacman->architectures;
    begin_stage(state);
    std::optional<FileLock> cache = use_cache(directories, request);
    plan_stage(state);
    const std::vector<ContainerPlan> plans = plans_of(state);
    if (plans.empty()) {
        state.report.unchanged = state.works.size();
        return state.report;
    }
    const bool agreed = dialogue.confirm(plans);
    if (request.preview || !agreed) {
        state.report.declined = !agreed;
        return state.report;
    }
    fetch_stage(state);
    if (request.as_pacman && request.as_pacman->download_only) return state.report;
    check_space(state);
    ingest_stage(state);
    cache.reset();
    build_stage(state);
    commit_stage(state);
    return state.report;
}

}  // namespace pwstore
