// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <string>
#include <vector>

#include "cli/pacman/screen.hpp"
#include "resolver/catalogue.hpp"

namespace pwstore::cli::pacman {

/// "NAME            : vim …": all of -Qi and -Si. `extra`: what a second i adds.
void print_details(const Screen& screen, const Catalogue& catalogue, PackageRef package, bool extra,
                   const std::string& root);
/// The files of -Ql, with the name of the package in front unless `quiet`.
void print_files(const Screen& screen, const Catalogue& catalogue, PackageRef package,
                 const std::string& root, bool quiet);
void print_changelog(const Screen& screen, const Catalogue& catalogue, PackageRef package);
/// What -Qs and -Ss say of each match; `repository` stands in front of the name. `with_status`: whether it is
/// installed.
void print_matches(const Screen& screen, Catalogue& catalogue, const std::vector<PackageRef>& matches,
                   const std::string& repository, bool with_status, bool quiet);
/// " [installed]", " [installed: 1.0]", or nothing.
[[nodiscard]] std::string installed_mark(const Screen& screen, Catalogue& catalogue, PackageRef package);

}  // namespace pwstore::cli::pacman
