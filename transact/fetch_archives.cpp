// SPDX-License-Identifier: GPL-3.0-or-later
#include "transact/fetch_archives.hpp"

#include <fcntl.h>
#include <fmt/format.h>

#include <algorithm>

#include "store/base/error.hpp"
#include "store/base/path_at.hpp"
#include "transact/databases.hpp"
#include "transact/view.hpp"

namespace pwstore {

namespace {

/// A repository's package is the one that was read.
bool is_archive_of(const PackageInfo& offered, const Manifest& wanted) {
    if (offered.name != wanted.name || offered.version != wanted.version || offered.arch != wanted.arch)
        return false;
    return offered.sha256.empty() || !wanted.archive_sha256 || offered.sha256 == wanted.archive_sha256->hex();
}

SessionSpec spec_for(const Store& store, const Staging& staging, const PacmanConfig& config) {
    write_view(store.index().read(), store.objects(), staging.fd(), "view", store.layout().path(names::kSync),
               {});
    SessionSpec spec;
    spec.root = store.layout().path(staging.name());
    spec.database = spec.root + "/view";
    spec.cache_dirs = {store.layout().directories().cache + "/pkg"};
    spec.gnupg_dir = store.layout().path(names::kGnupg);
    spec.config = config;
    spec.no_confirm = true;
    return spec;
}

class Fetching {
 public:
    Fetching(const Store& store, const PacmanConfig& config, ProgressSink& sink)
        : store_(store),
          config_(config),
          sink_(sink),
          staging_(Staging::create(store, "fetch archives")),
          session_(spec_for(store, staging_, config), sink, {}) {}

    bool fetch(const Manifest& wanted) {
        const auto offered = find(wanted);
        if (!offered) {
            sink_.message(Severity::warning,
                          fmt::format("no repository has {} {}, which a damaged file is of", wanted.name,
                                      wanted.version));
            return false;
        }
        try {
            fetch_offered(*offered);
            return true;
        } catch (const Error& error) {
            sink_.message(Severity::warning, fmt::format("fetch {}: {}", wanted.name, error.what()));
            return false;
        }
    }

 private:
    std::optional<PackageInfo> find(const Manifest& wanted) {
        for (const Repository& repository : config_.repositories) {
            auto offered = session_.find(fmt::format("{}/{}", repository.name, wanted.name));
            if (offered && is_archive_of(*offered, wanted)) return offered;
        }
        return std::nullopt;
    }

    void fetch_offered(const PackageInfo& offered) {
        const auto repository =
            std::find_if(config_.repositories.begin(), config_.repositories.end(),
                         [&](const Repository& one) { return one.name == offered.repository; });
        if (repository->is_deb()) {
            Plan plan;
            plan.steps.emplace_back();
            plan.steps.back().package = offered;
            fetch_debian_packages(store_.layout(), config_, {&plan}, sink_);
            return;
        }
        ResolveRequest request;
        request.install = {fmt::format("{}/{}", offered.repository, offered.name)};
        request.no_deps = request.no_conflicts = true;
        CarryOut manner;
        manner.download_only = true;
        (void)session_.fetch(request, manner);
    }

    const Store& store_;
    const PacmanConfig& config_;
    ProgressSink& sink_;
    Staging staging_;
    Session session_;
};

}  // namespace

bool fetch_archives(const Store& store, const std::vector<Manifest>& packages, ProgressSink& sink) {
    const Directories& directories = store.layout().directories();
    const std::string path = directories.config + "/repositories.conf";
    if (packages.empty() || !exists_at(AT_FDCWD, path)) return false;
    const PacmanConfig config = parse_pacman_config(path);
    make_directories(AT_FDCWD, directories.cache + "/pkg", 0755);
    Fetching fetching(store, config, sink);
    bool any = false;
    for (const Manifest& package : packages)
        any = fetching.fetch(package) || any;
    return any;
}

}  // namespace pwstore
