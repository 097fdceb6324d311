// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

namespace pwstore::cli::pacman {

enum class Operation { none, database, files, query, remove, sync, deptest, upgrade };

/// The command line of pacman(8), read. What may be given several times is a number.
struct Options {
    Operation operation = Operation::none;
    bool help = false, version = false;
    std::vector<std::string> targets;

    // --- Where
    std::optional<std::string> root, sysroot, database, config, log_file, gnupg_dir;
    std::vector<std::string> cache_dirs, hook_dirs, architectures;
    bool in_place = false;
    std::optional<std::string> container;

    // --- How
    bool no_confirm = false, no_progress_bar = false, disable_download_timeout = false, quiet = false;
    bool disable_sandbox = false, disable_sandbox_files = false, disable_sandbox_calls = false;
    bool debug = false;
    unsigned verbose = 0;
    std::optional<std::string> color;
    std::optional<unsigned> ask;  ///< bits of libalpm's questions whose standard answer is inverted

    // --- Of -S, -U and -R
    unsigned no_deps = 0, recursive = 0;
    bool db_only = false, no_scriptlet = false, print = false, cascade = false, no_save = false;
    bool unneeded = false, as_deps = false, as_explicit = false, needed = false, download_only = false;
    std::optional<std::string> print_format;
    std::vector<std::string> assume_installed, overwrite, ignore, ignore_groups;
    unsigned clean = 0, refresh = 0, upgrade = 0;

    // --- Of the queries
    unsigned groups = 0, info = 0, check = 0, unrequired = 0;
    bool changelog = false, deps = false, explicitly = false, list = false, foreign = false, native = false;
    bool owns = false, file = false, search = false, upgrades = false;
    bool regex = false, machine_readable = false;
};

/// A mistake in the command line, in pacman's words.
class Usage : public std::runtime_error {
 public:
    explicit Usage(const std::string& text, int exit_code = 1)
        : std::runtime_error(text), exit_code_(exit_code) {}
    [[nodiscard]] int exit_code() const noexcept { return exit_code_; }

 private:
    int exit_code_;
};

/// Options and operands may stand in any order, letters may be bundled, long names be shortened as long as
/// they are clear; after "--" there are only operands.
/// @throws Usage with one or more lines, "error: " in front of what pacman says that way
[[nodiscard]] Options read_options(const std::vector<std::string>& words);

/// What `-h` prints: of the operation, or the overview.
[[nodiscard]] std::string usage_text(Operation operation, const std::string& program);

}  // namespace pwstore::cli::pacman
