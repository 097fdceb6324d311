// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <cstdint>
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
    std::string old_version;  ///< empty for an install
    uint64_t old_installed_size = 0;
    bool explicitly = true;             ///< the reason the package will have
    std::vector<std::string> replaces;  ///< installed packages that this one takes the place of
    // Known after fetching:
    std::string archive;      ///< absolute path
    uint32_t validation = 0;  ///< bits as alpm_pkgvalidation_t
};

/// The decision, in the order in which libalpm would act: removals first, then additions.
struct Plan {
    std::vector<PlanStep> steps;
    std::vector<std::string> notes;  ///< "foo-1.0 is up to date -- skipping", optional dependencies …
    [[nodiscard]] bool empty() const noexcept { return steps.empty(); }
};

}  // namespace pwstore
