// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "resolver/package.hpp"
#include "resolver/repositories.hpp"
#include "store/base/events.hpp"

namespace pwstore {

/// A question of libalpm. With no one to ask, the answer is pacman's for --noconfirm.
struct Question {
    enum class Kind : uint8_t {
        install_ignored = 1,  ///< default yes
        replace_package,      ///< default yes
        conflict,             ///< default no
        corrupted,            ///< delete the file? default yes
        remove_packages,      ///< skip unresolvable targets? default no
        select_provider,      ///< default the first
        import_key,           ///< default yes, as pacman; never asked without a keyring
        hold_package,         ///< remove a held package? default no
    };
    Kind kind = Kind::conflict;
    std::string text;                  ///< the question in words
    std::vector<std::string> choices;  ///< of select_provider
    int default_answer = 0;            ///< 0 no, 1 yes; of select_provider the index
};
using Asker = std::function<int(const Question&)>;

/// Where one libalpm handle works.
struct SessionSpec {
    std::string root;      ///< absolute; file conflicts are looked up here
    std::string database;  ///< dbpath: holds local/ and sync/
    std::vector<std::string> cache_dirs;
    std::string gnupg_dir;
    std::string log_file;  ///< empty = none
    PacmanConfig config;
    std::vector<std::string>
        foreign;  ///< names of upstream packages: never upgraded, replaced or removed here
    bool no_confirm = false;
};

/// What is wanted of one container.
struct ResolveRequest {
    std::vector<std::string>
        install;  ///< targets of -S: name, repo/name, group, provision, with version constraint
    std::vector<std::string> archive_files;  ///< targets of -U
    std::vector<std::string> remove;         ///< targets of -R
    bool upgrade = false;                    ///< -u
    bool downgrade = false;                  ///< -uu
    bool needed = false, as_deps = false, as_explicit = false;
    bool no_save = false;                                                              ///< -n of -R
    bool recursive = false, recursive_all = false, cascade = false, unneeded = false;  ///< -s -ss -c -u of -R
    bool no_dep_version = false, no_deps = false;                                      ///< -d, -dd
    std::vector<std::string> overwrite, ignore, ignore_groups, assume_installed;
};

/// One libalpm handle. Not thread-safe, and not across handles either: one process uses one at a time.
class Session {
 public:
    /// @throws Error (usage for a bad configuration)
    Session(const SessionSpec& spec, ProgressSink& sink, Asker asker);
    ~Session();
    Session(const Session&) = delete;
    Session& operator=(const Session&) = delete;

    /// -y: bring the sync databases up to date; `force` = -yy. Returns whether anything changed.
    bool refresh(bool force);
    /// Resolve without changing anything. @throws Error (usage, failure) listing every problem, one per line
    /// in hint().
    [[nodiscard]] Plan prepare(const ResolveRequest& request);
    /// prepare(), then download, check signatures, checksums, and file conflicts; every step's archive is on
    /// disk after it. Nothing else is touched. @throws Error listing each conflict with its owner
    [[nodiscard]] Plan fetch(const ResolveRequest& request);
    /// Problems of the installed set as it is: "foo: requires bar>=2", and conflicts. Empty = sound.
    [[nodiscard]] std::vector<std::string> check_installed();
    /// Packages of the sync databases whose name, description, provision or group matches every regular
    /// expression.
    [[nodiscard]] std::vector<PackageInfo> search(const std::vector<std::string>& expressions);
    [[nodiscard]] std::optional<PackageInfo> find(const std::string& name);
    [[nodiscard]] static int compare_versions(const std::string& a, const std::string& b);

 private:
    struct State;
    std::unique_ptr<State> state_;
};

}  // namespace pwstore
