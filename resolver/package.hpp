// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <algorithm>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace pwstore {

/// What a sync database or an archive says of a package (libalpm's words). Lists keep their order.
struct PackageInfo {
    std::string name, version, base, description, url, arch, packager;
    std::string repository;  ///< empty for an archive given as a file
    std::string filename;    ///< of the archive
    std::string sha256;      ///< of the archive as the database says, may be empty
    int64_t build_date = 0;
    uint64_t download_size = 0;
    uint64_t installed_size = 0;
    std::vector<std::string> licenses, groups, depends, optdepends, conflicts, provides, replaces;
};

enum class StepKind : uint8_t { install = 1, upgrade, downgrade, reinstall, remove };

/// One package that a transaction installs, changes or removes.
struct PlanStep {
    StepKind kind = StepKind::install;
    PackageInfo package;      ///< the new one; of a removal the old one
    std::string old_version;  ///< the installed one; empty for an install
    uint64_t old_installed_size = 0;
    bool explicitly = true;  ///< the reason the package will have; of a removal, had
    /// Installed packages that this one takes the place of; each has its own step of kind remove as well.
    std::vector<std::string> replaces;
    uint64_t to_download = 0;  ///< bytes that are not in a cache directory yet
    /// Where the archive is: "file://" of a cache directory, the URL that it would come from, or the path
    /// that was given. Empty for a removal.
    std::string location = {};
    /// In pacman's words: its optional dependencies; of an upgrade those that the old version had not.
    std::vector<std::string> optional = {};
    // Known after fetching:
    std::string archive;      ///< absolute path
    uint32_t validation = 0;  ///< bits as alpm_pkgvalidation_t: 1 none, 2 MD5, 4 SHA-256, 8 signature
};

/// The files of one package as databases list them.
struct PackageFileList {
    std::string name, version;
    std::vector<std::string> paths;             ///< sorted by bytes; directories end with a slash
    std::map<std::string, std::string> backup;  ///< recorded MD5 by path
    [[nodiscard]] bool has(const std::string& path) const {
        return std::binary_search(paths.begin(), paths.end(), path);
    }
};

/// What is wrong with a set of packages.
struct SetProblem {
    std::string package;
    std::string other;         ///< the package that it is in conflict with, or what it requires
    bool is_conflict = false;  ///< and not a dependency that is missing
    std::string text;          ///< in words
    [[nodiscard]] bool is_same(const SetProblem& problem) const {
        return package == problem.package && other == problem.other && is_conflict == problem.is_conflict;
    }
};

/// The decision, in the order in which libalpm would act: removals first, then additions.
struct Plan {
    std::vector<PlanStep> steps;
    /// What there is to say about it, each once: "foo-1.0 is up to date -- skipping", what a removed package
    /// was an optional dependency of, … They are not given to the ProgressSink as well.
    std::vector<std::string> notes;
    /// With CarryOut::looks_at_result: of all packages as they are after it. libalpm looks only at those that
    /// it changes.
    std::vector<SetProblem> problems = {};
    [[nodiscard]] bool empty() const noexcept { return steps.empty(); }
};

}  // namespace pwstore
