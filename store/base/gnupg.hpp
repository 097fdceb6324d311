// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <string>
#include <vector>

namespace pwstore {

/// What a program said on both streams, and how it ended.
struct ProgramResult {
    int status = 127;  ///< exit code; 127 = it could not be started, 128 = a signal ended it
    std::string output;
};

/// Run a program of GnuPG, found in PATH, to its end: nothing of the user's GnuPG in the environment, and
/// texts that do not depend on the locale. Lock: none.
/// @param input a few words at most, less than a pipe holds
[[nodiscard]] ProgramResult run_gnupg(const std::string& program, std::vector<std::string> arguments,
                                      const std::string& input = "");

}  // namespace pwstore
