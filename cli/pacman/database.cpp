// SPDX-License-Identifier: GPL-3.0-or-later
// -D: reasons of installed packages, and the health of the databases.
#include <dirent.h>
#include <fcntl.h>
#include <fmt/format.h>

#include <algorithm>
#include <utility>
#include <vector>

#include "cli/pacman/query.hpp"
#include "cli/pacman/transaction.hpp"
#include "store/base/error.hpp"
#include "store/base/path_at.hpp"

namespace pwstore::cli::pacman {

namespace {

/// Returns whether the reason could be set.
bool change_reason(const Query& query, const std::string& target) {
    const auto package = query.catalogue.find_installed(target);
    // Those of a container are set by one transaction, which has succeeded.
    const bool in_place = query.places.container.empty();
    if (!package || (in_place && !query.catalogue.set_reason(*package, query.options.as_explicit))) {
        query.screen.error(
            fmt::format("could not set install reason for package {} ({})", target,
                        package ? "could not update database" : "could not find or read package"));
        return false;
    }
    if (!query.options.quiet) {
        query.screen.print(
            fmt::format("{}: install reason has been set to '{}'\n", query.screen.shown(target),
                        query.options.as_explicit ? "explicitly installed" : "installed as dependency"));
    }
    return true;
}

int change_reasons(const Query& query) {
    const Screen& screen = query.screen;
    if (query.options.targets.empty()) {
        screen.error("no targets specified (use -h for help)");
        return 1;
    }
    std::shared_ptr<void> lock;
    if (query.places.container.empty()) {
        try {
            lock = query.catalogue.lock();
        } catch (const Error& error) {
            print_lock_failure(screen, query.places.database, error);
            return 1;
        }
    } else {
        std::vector<std::string> names;
        for (const std::string& target : query.options.targets) {
            if (query.catalogue.find_installed(target)) names.push_back(target);
        }
        const int code = change_reasons(query.context, screen, query.options, query.places, names);
        if (code != 0) return code;
    }
    int code = 0;
    for (const std::string& target : query.options.targets)
        if (!change_reason(query, target)) code = 1;
    return code;
}

/// Every entry has its two files.
int check_entries(const Query& query) {
    int bad = 0;
    const std::string path = query.places.database + "local";
    for (const DirectoryItem& item : list_directory(open_at(AT_FDCWD, path, O_RDONLY | O_DIRECTORY).get())) {
        if (item.name == "ALPM_DB_VERSION") continue;
        for (const auto& [file, words] :
             {std::pair("desc", "description file is missing"), std::pair("files", "file list is missing")}) {
            if (exists_at(AT_FDCWD, path + "/" + item.name + "/" + file)) continue;
            query.screen.error(fmt::format("'{}': {}", item.name, words));
            ++bad;
        }
    }
    return bad;
}

int check_dependencies(const Query& query, bool of_repositories) {
    const auto missing = query.catalogue.missing_dependencies(of_repositories);
    for (const Catalogue::Missing& one : missing) {
        query.screen.error(fmt::format("missing '{}' dependency for '{}'", one.dependency, one.package));
    }
    return static_cast<int>(missing.size());
}

int check_conflicts(const Query& query) {
    const auto conflicts = query.catalogue.conflicts();
    for (const auto& [first, second] : conflicts)
        query.screen.error(fmt::format("'{}' conflicts with '{}'", first, second));
    return static_cast<int>(conflicts.size());
}

/// Files with two owners are said; pacman does not count them.
void check_owners(const Query& query) {
    std::vector<std::pair<std::string, std::string>> owned;
    for (const PackageRef package : query.catalogue.installed()) {
        const std::string name = query.catalogue.name(package);
        for (std::string& path : query.catalogue.files(package)) {
            if (!path.ends_with('/')) owned.emplace_back(std::move(path), name);
        }
    }
    std::stable_sort(owned.begin(), owned.end(),
                     [](const auto& a, const auto& b) { return a.first < b.first; });
    for (size_t i = 1; i < owned.size(); ++i) {
        if (owned[i].first != owned[i - 1].first) continue;
        query.screen.error(fmt::format("file owned by '{}' and '{}': '{}'", owned[i - 1].second,
                                       owned[i].second, owned[i].first));
    }
}

int check_installed(const Query& query) {
    if (const int bad = check_entries(query); bad != 0) return bad;
    int bad = check_dependencies(query, false);
    bad += check_conflicts(query);
    check_owners(query);
    return bad;
}

}  // namespace

int run_database(const Query& query) {
    const Options& options = query.options;
    if (options.check > 0) {
        const int bad = options.check == 1 ? check_installed(query) : check_dependencies(query, true);
        if (bad == 0 && !options.quiet) query.screen.print("No database errors have been found!\n");
        return std::min(bad, 255);
    }
    if (options.as_deps || options.as_explicit) return change_reasons(query);
    return 0;
}

}  // namespace pwstore::cli::pacman
