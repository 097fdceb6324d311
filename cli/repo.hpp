// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "cli/apt_closure.hpp"
#include "cli/command.hpp"
#include "cli/context.hpp"
#include "store/debian/package.hpp"
#include "store/repository/database.hpp"

namespace pwstore::cli {

// What the verbs of `repo` share.

/// The repository that a command line is about.
struct RepositoryPlace {
    std::string directory;  ///< absolute
    std::string name;
};

/// --into, else the operand `directory`, else repo/ in the data directory.
[[nodiscard]] std::string repository_directory(const Arguments& arguments, const std::string& directory = {});
/// --name, else the one that is there, else "local". @throws Error (usage) when there are several
[[nodiscard]] RepositoryPlace repository_place(const Arguments& arguments, const std::string& directory = {});

using PackageVersions = std::map<std::string, std::string>;
/// Version by name; nothing when there is no such repository.
[[nodiscard]] PackageVersions versions_in(const RepositoryPlace& place);

struct RepositoryChange {
    std::string name;
    std::string old_version, new_version;  ///< empty: not there before, afterwards
};

/// What a verb did to a repository, or would do.
struct RepositoryChanges {
    RepositoryPlace place;
    std::vector<RepositoryChange> changes;
    DebImportReport import;
    bool preview = false;
};
[[nodiscard]] std::vector<RepositoryChange> changes_between(const PackageVersions& before,
                                                            const PackageVersions& after);
/// Print it as JSON (--json), or a line for each package, and `summary`.
void print_changes(const Context& context, const Arguments& arguments, const RepositoryChanges& changes,
                   const std::string& summary);

// --- By name, asked of apt (repo_import.cpp)

/// `repo import-deb`: names and files.
int import_debs_verb(const Context& context, const Arguments& arguments,
                     const std::vector<std::string>& operands);
/// `repo update`: what import-deb was given by name, in newer versions.
int update_verb(const Context& context, const Arguments& arguments, const std::string& directory);

/// What import-deb was given by name, kept in DIRECTORY/NAME.targets for `repo update`.
struct DebTargets {
    std::string suite;               ///< empty = apt's own choice
    std::vector<DebTarget> targets;  ///< by name
    /// What came along, with the targets: Debian's version by name. What the targets need no more goes.
    PackageVersions brought = {};
    /// @throws Error (corrupt) naming the line
    [[nodiscard]] static DebTargets read(const RepositoryPlace& place);
    void write(const RepositoryPlace& place) const;
    /// Add, in place of one of the same name.
    void put(DebTarget target);
};

}  // namespace pwstore::cli
