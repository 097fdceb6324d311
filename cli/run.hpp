// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <string>
#include <vector>

#include "cli/backend.hpp"
#include "cli/io.hpp"

namespace pwstore::cli {

/// The command line: do what `words` (without the program's name) say, print to `io`, return the exit code.
/// Never throws.
int run(const std::vector<std::string>& words, Io& io, Backend& backend);

}  // namespace pwstore::cli
