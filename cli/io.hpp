// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <functional>
#include <iosfwd>
#include <optional>
#include <string>

namespace pwstore::cli {

/// All that the command line has of the outside: streams, terminal, environment. Tests give it their own.
struct Io {
    std::ostream& out;  ///< results
    std::ostream& err;  ///< errors, questions, progress
    /// The next line of the user without its newline; nullopt at the end of input or when a signal came.
    std::function<std::optional<std::string>()> read_line;
    std::function<std::optional<std::string>(const std::string& name)> environment;
    std::function<unsigned()> width;  ///< columns of the terminal, asked anew each time
    bool in_tty = false;
    bool out_tty = false;
    bool err_tty = false;
};

/// The process's own streams, terminal and environment.
[[nodiscard]] Io process_io();

}  // namespace pwstore::cli
