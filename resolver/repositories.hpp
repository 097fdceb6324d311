// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace pwstore {

/// One [section] of repositories.conf.
struct Repository {
    std::string name;
    std::vector<std::string> servers;    ///< $repo and $arch replaced
    std::vector<std::string> sig_level;  ///< tokens as in pacman.conf(5), empty = the file's default
    std::vector<std::string> usage;
};

/// repositories.conf: the syntax of pacman.conf(5), Include and globbing included.
struct PacmanConfig {
    std::vector<std::string> architectures;
    std::vector<std::string> sig_level, local_file_sig_level;
    std::vector<std::string> ignore_packages, ignore_groups, hold_packages, no_upgrade, no_extract;
    bool check_space = true;
    unsigned parallel_downloads = 5;
    bool disable_download_timeout = false;
    std::vector<Repository> repositories;
};

/// @throws Error (usage) naming file and line
[[nodiscard]] PacmanConfig parse_pacman_config(const std::string& path);

/// Where the default came from, for one line on screen.
struct RepositoriesFile {
    std::string path;
    std::string origin;    ///< empty when the file was there already
};

/// $config/repositories.conf; when it is missing it is written once from the first that applies: (1) the host's pacman.conf or
/// mirrorlist, (2) a local repository in `local_repository_dir`, (3) x86_64 with the Arch keyring present: Arch's geo mirror, SigLevel Required.
/// @throws Error with both ways out as hint when none applies. Never an unsigned remote by default.
[[nodiscard]] RepositoriesFile ensure_repositories(const std::string& config_dir, const std::string& local_repository_dir);

}  // namespace pwstore
