// SPDX-License-Identifier: GPL-3.0-or-later
// -Ss -Si -Sl -Sg: what the repositories have.
#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "cli/pacman/package.hpp"
#include "cli/pacman/query.hpp"
#include "store/base/error.hpp"

namespace pwstore::cli::pacman {

namespace {

int search(const Query& query) {
    bool found = false;
    for (const std::string& repository : query.catalogue.repositories()) {
        try {
            const auto matches = query.catalogue.search(repository, query.options.targets);
            print_matches(query.screen, query.catalogue, matches, repository, true, query.options.quiet);
            found = found || !matches.empty();
        } catch (const Error& error) {
            query.screen.error(fmt::format("search failed: {}", std::string(error.what()).substr(8)));
            return 1;
        }
    }
    return found ? 0 : 1;
}

int print_named_groups(const Query& query) {
    bool all_found = true;
    for (const std::string& target : query.options.targets) {
        bool found = false;
        for (const std::string& repository : query.catalogue.repositories()) {
            const auto members = query.catalogue.group(repository, target);
            if (!members) continue;
            found = true;
            for (const PackageRef package : *members) {
                const std::string name = query.screen.shown(query.catalogue.name(package));
                query.screen.print(query.options.quiet ? name + "\n"
                                                       : query.screen.shown(target) + " " + name + "\n");
            }
        }
        all_found = all_found && found;
    }
    return all_found ? 0 : 1;
}

int print_all_groups(const Query& query) {
    bool any = false;
    std::set<std::string> said;
    for (const std::string& repository : query.catalogue.repositories()) {
        for (const auto& [group, members] : query.catalogue.groups(repository)) {
            any = true;
            const std::string shown = query.screen.shown(group);
            if (query.options.groups == 1) {
                if (said.insert(group).second) query.screen.print(shown + "\n");
                continue;
            }
            for (const PackageRef package : members)
                query.screen.print(shown + " " + query.screen.shown(query.catalogue.name(package)) + "\n");
        }
    }
    return any ? 0 : 1;
}

/// Returns how much was not found.
int print_information(const Query& query, const std::string& target) {
    const size_t slash = target.find('/');
    const std::string repository = slash == std::string::npos ? "" : target.substr(0, slash);
    const std::string name = slash == std::string::npos ? target : target.substr(slash + 1);
    bool repository_found = false, found = false;
    for (const std::string& one : query.catalogue.repositories()) {
        if (slash != std::string::npos && one != repository) continue;
        repository_found = true;
        if (const auto package = query.catalogue.find_in(one, name)) {
            print_details(query.screen, query.catalogue, *package, query.options.info > 1, query.places.root);
            found = true;
        }
    }
    if (!repository_found) query.screen.error(fmt::format("repository '{}' does not exist", repository));
    if (!found) query.screen.error(fmt::format("package '{}' was not found", target));
    return (repository_found ? 0 : 1) + (found ? 0 : 1);
}

int print_informations(const Query& query) {
    int failures = 0;
    for (const std::string& target : query.options.targets)
        failures += print_information(query, target);
    if (!query.options.targets.empty()) return failures;
    for (const std::string& repository : query.catalogue.repositories()) {
        for (const PackageRef package : query.catalogue.packages_of(repository))
            print_details(query.screen, query.catalogue, package, query.options.info > 1, query.places.root);
    }
    return 0;
}

int list_packages(const Query& query) {
    const std::vector<std::string> known = query.catalogue.repositories();
    const Palette& palette = query.screen.palette();
    int code = 0;
    for (const std::string& repository : query.options.targets.empty() ? known : query.options.targets) {
        if (std::find(known.begin(), known.end(), repository) == known.end()) {
            query.screen.error(fmt::format("repository \"{}\" was not found.", repository));
            code = 1;
            continue;
        }
        for (const PackageRef package : query.catalogue.packages_of(repository)) {
            const std::string name = query.screen.shown(query.catalogue.name(package));
            query.screen.print(
                query.options.quiet
                    ? name + "\n"
                    : fmt::format("{}{} {}{} {}{}{}{}\n", palette.repo, query.screen.shown(repository),
                                  palette.title, name, palette.version,
                                  query.screen.shown(query.catalogue.version(package)), palette.reset,
                                  installed_mark(query.screen, query.catalogue, package)));
        }
    }
    return code;
}

}  // namespace

int run_sync_query(const Query& query) {
    if (!check_repositories(query, true)) return 1;
    if (query.options.search) return search(query);
    if (query.options.groups > 0)
        return query.options.targets.empty() ? print_all_groups(query) : print_named_groups(query);
    if (query.options.info > 0) return print_informations(query);
    return list_packages(query);
}

}  // namespace pwstore::cli::pacman
