// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <vector>

#include "cli/pacman/options.hpp"
#include "cli/pacman/screen.hpp"
#include "resolver/package.hpp"

namespace pwstore::cli::pacman {

/// What -p prints: one line per target, in --print-format.
void print_targets(const Screen& screen, const Options& options, const std::vector<PlanStep>& steps);
/// "Packages (2) …" and the sizes, before the question. `verbose`: the table of VerbosePkgLists.
void show_plan(const Screen& screen, const Options& options, std::vector<PlanStep> steps, bool verbose);

}  // namespace pwstore::cli::pacman
