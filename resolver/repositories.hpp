// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "resolver/apt_sources.hpp"
#include "store/base/deb_source.hpp"

namespace pwstore {

/// One [section] of repositories.conf.
struct Repository {
    std::string name;
    std::vector<std::string> servers = {};        ///< $repo and $arch replaced
    std::vector<std::string> cache_servers = {};  ///< used by libalpm 14 and newer
    std::vector<std::string> sig_level =
        {};                               ///< tokens as in pacman.conf(5), applied over those of [options]
    std::vector<std::string> usage = {};  ///< Sync, Search, Install, Upgrade; empty = all
    /// "Type = deb": suites of Debian archives. libalpm reads the database that is made of them and downloads
    /// nothing; `servers` are then only for its messages. Empty for all others.
    std::vector<DebSource> deb_sources = {};
    [[nodiscard]] bool is_deb() const noexcept { return !deb_sources.empty(); }
};

/// What a pacman.conf says about places, looks and the cache. Containers have their own places and use none
/// of this; `pwstore pacman` does. Empty = not said.
struct PacmanPlaces {
    std::string root, database, log_file, gnupg_dir;
    std::vector<std::string> cache_dirs, hook_dirs;
    std::vector<std::string> clean_methods;  ///< KeepInstalled, KeepCurrent
    std::string xfer_command;   ///< the program that downloads, with %u and %o; read for pacman only
    std::string download_user;  ///< whom root has download, empty = itself; read for pacman only
    bool disable_sandbox_files = false, disable_sandbox_calls = false;  ///< of that user
    bool color = false, no_progress_bar = false, verbose_package_lists = false;
};

/// repositories.conf: the syntax of pacman.conf(5), Include and globbing included.
struct PacmanConfig {
    std::vector<std::string> architectures;         ///< "auto" replaced; empty = packages of any architecture
    std::vector<std::string> sig_level = {};        ///< applied over "Required DatabaseOptional"
    std::vector<std::string> local_file_sig_level;  ///< applied over sig_level; empty = Optional
    std::vector<std::string> remote_file_sig_level;  ///< applied over sig_level
    std::vector<std::string> ignore_packages, ignore_groups, hold_packages, no_upgrade, no_extract;
    bool check_space = true;
    unsigned parallel_downloads = 5;
    bool disable_download_timeout = false;
    std::vector<Repository> repositories;
    PacmanPlaces places = {};
    std::vector<std::string> warnings;  ///< "FILE:LINE: …", what was not understood
};

/// Whom a configuration is read for: only `pwstore pacman` downloads with XferCommand; for containers there
/// is a warning.
enum class ConfigUser { containers, pacman };

/// Read `path` and all that it includes. Relative includes are relative to the including file.
/// @param apt_directory what "Source = host" of a Debian repository reads (apt_sources.hpp)
/// @throws Error (usage) naming file and line
[[nodiscard]] PacmanConfig parse_pacman_config(const std::string& path,
                                               const std::string& apt_directory = "/etc/apt",
                                               ConfigUser user = ConfigUser::containers);

/// Where the default came from, for one line on screen.
struct RepositoriesFile {
    std::string path;
    std::string origin;  ///< "/etc/pacman.conf", …; empty when the file was there already
};

/// Where the host keeps what the default is made from. Tests put other paths here.
struct HostFiles {
    std::string pacman_conf = "/etc/pacman.conf";
    std::string mirrorlist = "/etc/pacman.d/mirrorlist";
    std::vector<std::string> arch_keyrings = {"/usr/share/pacman/keyrings/archlinux.gpg",
                                              "/usr/share/keyrings/archlinux.gpg"};
    std::string apt_directory = "/etc/apt";
    std::vector<std::string> os_release = {"/etc/os-release", "/usr/lib/os-release"};  ///< the first counts
    std::vector<std::string> deb_keyrings = distribution_keyrings();
    std::string machine = {};  ///< as uname -m says; empty = ask uname
};

/// $config/repositories.conf; when it is missing it is written once from the first that applies: (1) the
/// host's pacman.conf or mirrorlist, (2) a local repository (NAME.db) in `local_repository_dir`, (3) x86_64
/// with the Arch keyring present: Arch's geo mirror, SigLevel Required, (4) sources of apt that are signed by
/// a keyring which is there: "Type = deb", "Source = host". On a Debian (ID, ID_LIKE) (4) comes before (3).
/// With (1), (3) and (4), local repositories are added below. Remote repositories are never written without
/// "SigLevel = Required"; "Optional TrustAll" is written for file:// only. Lock: none, the file appears
/// whole; two writers write the same.
/// @throws Error with the ways out as hint when none applies
[[nodiscard]] RepositoriesFile ensure_repositories(const std::string& config_dir,
                                                   const std::string& local_repository_dir,
                                                   const HostFiles& host = {});

}  // namespace pwstore
