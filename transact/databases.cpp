// SPDX-License-Identifier: GPL-3.0-or-later
#include "transact/databases.hpp"

#include <algorithm>
#include <chrono>
#include <set>

#include "store/debian/repository.hpp"
#include "store/file_fetch.hpp"
#include "transact/interrupt.hpp"

namespace pwstore {

namespace {

DownloadOptions download_options(const PacmanConfig& config) {
    return {.has_timeouts = !config.disable_download_timeout, .stopped = interrupt_requested};
}

DebPlaces deb_places(const Layout& layout, const PacmanConfig& config) {
    const std::string& cache = layout.directories().cache;
    return {.sync = layout.path(names::kSync),
            .cache = cache + "/deb",
            .packages = cache + "/pkg",
            .parallel_downloads = config.parallel_downloads,
            .download = download_options(config)};
}

/// What expires does so by the clock, not by SOURCE_DATE_EPOCH.
int64_t seconds_now() {
    return std::chrono::duration_cast<std::chrono::seconds>(
               std::chrono::system_clock::now().time_since_epoch())
        .count();
}

}  // namespace

Fetcher fetcher_for(const PacmanConfig& config) {
    return make_fetcher(download_options(config));
}

bool refresh_databases(const Layout& layout, const SessionSpec& spec, bool force, ProgressSink& sink) {
    const std::vector<Repository>& repositories = spec.config.repositories;
    const DebPlaces places = deb_places(layout, spec.config);
    bool changed = false;
    for (const Repository& repository : repositories) {
        if (!repository.is_deb()) continue;
        changed |= refresh_deb_repository(places, repository.name, repository.deb_sources, force,
                                          seconds_now(), sink);
    }
    const bool only_deb = !repositories.empty() &&
                          std::all_of(repositories.begin(), repositories.end(),
                                      [](const Repository& repository) { return repository.is_deb(); });
    // A session opens what is there: the databases that were just made.
    if (only_deb) return changed;
    SessionSpec refreshing = spec;
    refreshing.fetcher = fetcher_for(spec.config);
    return Session(refreshing, sink, {}).refresh(force) || changed;
}

void fetch_debian_packages(const Layout& layout, const PacmanConfig& config,
                           const std::vector<const Plan*>& plans, ProgressSink& sink) {
    std::set<std::string> repositories;
    for (const Repository& repository : config.repositories) {
        if (repository.is_deb()) repositories.insert(repository.name);
    }
    std::vector<DebWanted> wanted;
    std::set<std::string> known;
    for (const Plan* plan : plans) {
        for (const PlanStep& step : plan->steps) {
            const PackageInfo& package = step.package;
            if (step.kind == StepKind::remove || !repositories.contains(package.repository) ||
                !known.insert(package.filename).second)
                continue;
            wanted.push_back({package.repository,
                              package.filename,
                              {.depends = package.depends,
                               .provides = package.provides,
                               .conflicts = package.conflicts,
                               .groups = package.groups,
                               .installed_size = package.installed_size}});
        }
    }
    fetch_deb_packages(deb_places(layout, config), wanted, sink);
}

}  // namespace pwstore
