// SPDX-License-Identifier: GPL-3.0-or-later
#include "transact/resolve.hpp"

#include <algorithm>

#include "mount/root.hpp"
#include "store/base/path_at.hpp"
#include "store/debian/control.hpp"
#include "store/debian/version.hpp"
#include "transact/databases.hpp"
#include "transact/view.hpp"

namespace pwstore {

std::string view_name(const Work& work) {
    return "view-" + work.name.str();
}

namespace {

/// `directory`, in the staging folder: `own` over what is `below`.
void write_merged_view(TransactionState& state, const ReadTxn& txn, const std::string& directory,
                       const std::vector<PlannedPackage>& own, std::vector<PlannedPackage> below) {
    // Nearest wins: libalpm refuses two entries of one name.
    std::erase_if(below, [&](const PlannedPackage& package) {
        return std::any_of(own.begin(), own.end(), [&](const PlannedPackage& mine) {
            return mine.installed.name == package.installed.name;
        });
    });
    below.insert(below.end(), own.begin(), own.end());
    remove_tree(state.staging->fd(), directory);
    write_view(txn, state.store.objects(), state.staging->fd(), directory,
               state.store.layout().path(names::kSync), below);
}

}  // namespace

void make_view(TransactionState& state, const Work& work) {
    const ReadTxn txn = state.store.index().read();
    write_merged_view(state, txn, view_name(work), work.packages, state.upstream_packages(txn, work));
}

std::vector<SetProblem> problems_before(TransactionState& state, const Work& work) {
    if (!work.before) return {};
    const std::string directory = view_name(work) + ".before";
    std::vector<PlannedPackage> own;
    for (const InstalledPackage& package : work.before->packages)
        own.push_back({package, {}});
    {
        const ReadTxn txn = state.store.index().read();
        write_merged_view(state, txn, directory, own, state.upstream_packages_before(txn, work));
    }
    SessionSpec spec = session_spec(state, work);
    spec.database = state.store.layout().path(state.staging->name()) + "/" + directory;
    return Session(spec, state.dialogue, {}).check_installed();
}

SessionSpec session_spec(const TransactionState& state, const Work& work) {
    const Layout& layout = state.store.layout();
    const std::string staging = layout.path(state.staging->name());
    SessionSpec spec;
    spec.root = staging + "/empty";
    make_directory(state.staging->fd(), "empty");
    spec.database = staging + "/" + view_name(work);
    spec.cache_dirs = {layout.directories().cache + "/pkg"};
    spec.gnupg_dir = layout.path(names::kGnupg);
    spec.config = state.config;
    spec.fetcher = fetcher_for(state.config);
    spec.version_like = [](const std::string& given, const std::string& there) {
        return is_deb_version(there) && !is_deb_version(given) ? alpm_version(given) : given;
    };
    spec.is_deb_version = [](const std::string& version) { return is_deb_version(version); };
    spec.alternatives = [](const std::string& name) {
        std::vector<std::string> all;
        for (const DebRelation& one : alternatives_of_name(name))
            all.push_back(alpm_relation(one));
        return all;
    };
    spec.speaks_as_pacman = state.request.as_pacman.has_value();
    spec.no_confirm = state.request.no_confirm && !spec.speaks_as_pacman;
    return spec;
}

CarryOut carried_out(const TransactionRequest& request) {
    CarryOut what;
    if (!request.as_pacman) return what;
    what.database_only = request.as_pacman->db_only;
    what.download_only = request.as_pacman->download_only;
    return what;
}

bool shows_its_root(TransactionState& state, const Work& work) {
    return work.before && !state.upstream_affected(work);
}

SessionSpec container_session_spec(TransactionState& state, const Work& work) {
    SessionSpec spec = session_spec(state, work);
    if (shows_its_root(state, work))
        spec.root = state.store.layout().path(Layout::root_name(work.name, work.before->number));
    const ReadTxn txn = state.store.index().read();
    for (const PlannedPackage& package : state.upstream_packages(txn, work)) {
        // A copy of its own is its own, whatever came to lie below it since.
        if (work.before && work.before->find_package(package.installed.name) != nullptr) continue;
        spec.foreign.push_back(package.installed.name);
        spec.upstream_of.emplace(package.installed.name, package.container);
    }
    return spec;
}

}  // namespace pwstore
