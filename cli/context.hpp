// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <string>

#include "cli/backend.hpp"
#include "cli/io.hpp"
#include "cli/render.hpp"

namespace pwstore::cli {

/// Exit codes. `run`, `shell` and `try` answer with the program's own code, or one of mount/launch.hpp.
enum ExitCode : int {
    kDone = 0,
    kFailed = 1,
    kUsage = 2,
    kBusy = 3,
    kCorrupt = 4,
    kDefect = 70,
    kInterrupted = 130,
};

/// What every command works with.
struct Context {
    Io& io;
    Backend& backend;
    std::string command_line;  ///< as typed, for history and log
    bool quiet = false;        ///< errors and what was asked for only
    bool debug = false;
    bool no_confirm = false;
    Painter out{false};
    Painter err{false};

    /// Someone can be asked.
    [[nodiscard]] bool interactive() const { return io.in_tty && io.err_tty && !no_confirm; }
    /// Of a table on standard output: nullopt when it does not go to a terminal.
    [[nodiscard]] std::optional<size_t> out_width() const {
        return io.out_tty ? std::optional<size_t>(io.width()) : std::nullopt;
    }
};

/// "pwstore: error: …", the hint, and for a mistake in the command line where to find help.
void print_error(const Context& context, const Error& error);
/// Before anything is changed that would be asked about. @throws Error (usage) when nobody can answer and
/// `--noconfirm` was not given
void need_answers(const Context& context);
/// Yes or no, on the terminal; the default for an empty line, yes with --noconfirm. @throws Error
/// (interrupted) at the end of input
[[nodiscard]] bool ask_yes_no(const Context& context, const std::string& question, bool default_answer);

}  // namespace pwstore::cli
