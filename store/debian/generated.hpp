// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "store/debian/control.hpp"
#include "store/local_database.hpp"
#include "store/repository/database.hpp"

namespace pwstore {

// Two packages of a repository of Debian packages are made here, the same bytes everywhere.

/// The package that every converted one depends on: directories, and the links of a merged /usr.
inline constexpr const char* kLayoutPackage = "filesystem";
/// The package that depends on all that Debian calls essential: a usable shell.
inline constexpr const char* kBasePackage = "base";

[[nodiscard]] PackageDescription layout_description();
/// @param depends names, in any order
/// @param version has to grow whenever `depends` change, so that an upgrade takes the newer set
[[nodiscard]] PackageDescription base_description(std::vector<std::string> depends, std::string version);
/// Whether base depends on the package, if the repository has it.
[[nodiscard]] bool belongs_to_base(const DebControl& control);

/// Who made the packages that are made here, as they say.
inline constexpr const char* kGeneratedPackager = "pwstore";
/// Of what base depends on, that which Debian calls essential.
[[nodiscard]] std::vector<std::string> essential_among(const std::vector<std::string>& depends);
/// What every release of Debian calls essential, for words about what is missing.
[[nodiscard]] const std::vector<std::string>& always_essential();

/// Write the package into the directory `into`, durably and atomically.
/// @param installed_size as an entry of a database has it; nullopt = that of the files
RepositoryPackage write_layout_package(int into, std::optional<uint64_t> installed_size = std::nullopt);
RepositoryPackage write_base_package(int into, PackageDescription description);

}  // namespace pwstore
