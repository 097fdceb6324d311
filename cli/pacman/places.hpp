// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "cli/backend.hpp"
#include "cli/pacman/options.hpp"
#include "resolver/repositories.hpp"

namespace pwstore::cli::pacman {

/// Where one command of `pwstore pacman` works: the command line before the configuration before what is
/// usual. Directories are absolute and end with a slash, as pacman prints them.
struct Places {
    std::string container;  ///< empty: `root` is a directory that is changed in place
    std::string root, database, config, log_file, gnupg_dir;
    std::vector<std::string> cache_dirs, hook_dirs;
    PacmanConfig settings;
    /// Of containers: (name, version) of what any of them has installed. They share one package cache.
    std::set<std::pair<std::string, std::string>> installed_anywhere = {};
    std::shared_ptr<void> hold = {};  ///< keeps what belongs to a container there while it is looked at
};

/// Of a directory. The defaults are pacman's for --root, but cache, hooks and keyring are inside the root as
/// well: nothing of this machine is used or changed that was not named. With --sysroot every path is inside.
/// @throws Usage in pacman's words: no root is named, the configuration cannot be read, a directory is
/// missing
[[nodiscard]] Places find_places(const Options& options);
/// Of a container; the configuration is that of `view` unless the options name one.
/// @throws Usage in pacman's words
[[nodiscard]] Places container_places(const Options& options, PacmanView view);

}  // namespace pwstore::cli::pacman
