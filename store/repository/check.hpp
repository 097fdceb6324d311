// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "store/base/events.hpp"
#include "store/package/archive.hpp"
#include "store/repository/database.hpp"

namespace pwstore {

/// What is wrong with a repository.
struct RepositoryFinding {
    enum class Kind {
        missing_archive,
        damaged_archive,  ///< not the size or SHA-256 that the database says, or it cannot be read
        unsatisfied,      ///< a dependency that no package of the repository is or provides
        missing_library,  ///< a program's library that no package of the repository has
    };
    Kind kind;
    std::string package;  ///< name
    std::string text;     ///< "bash: usr/bin/bash needs libtinfo.so.6"
};

/// <0, 0, >0 of two versions, as alpm orders them: libalpm is not known here.
using VersionOrder = std::function<int(const std::string&, const std::string&)>;

/// Read every archive of the repository `name` in `directory` whole, and look for what its packages need of
/// each other: dependencies, and the libraries of ELF files, by name in directories of libraries (below
/// usr/lib and the like, ld.so.conf.d's, a file's own run path). In parallel; sorted by package. Lock: none.
/// @throws Error when there is no such repository, or its database cannot be read
[[nodiscard]] std::vector<RepositoryFinding> check_repository(const std::string& directory,
                                                              const std::string& name,
                                                              const VersionOrder& order, ProgressSink& sink,
                                                              const IngestLimits& limits = {});

}  // namespace pwstore
