// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "resolver/keyring.hpp"
#include "resolver/package.hpp"
#include "resolver/repositories.hpp"
#include "store/base/events.hpp"
#include "store/base/fetcher.hpp"

namespace pwstore {

/// In a shared package cache: who downloads into it holds this lock.
inline constexpr const char* kDownloadLock = ".pwstore-download.lock";

/// A question of libalpm. With no one to ask, the answer is pacman's for --noconfirm: the default. What
/// concerns upstream packages is never asked: they stay.
struct Question {
    enum class Kind : uint8_t {
        install_ignored = 1,  ///< default yes
        replace_package,      ///< default yes
        conflict,             ///< remove the installed one? default no
        corrupted,            ///< delete the file? default yes
        remove_packages,      ///< skip unresolvable targets? default no
        select_provider,      ///< default the first; asked where providers_to_choose_from() leaves several
        import_key,           ///< default yes, as pacman; never asked without a keyring
        hold_package,         ///< remove a held package? default no
    };
    Kind kind = Kind::conflict;
    std::string text = {};                  ///< the question in words
    std::vector<std::string> choices = {};  ///< of select_provider: "repository/name version", at most nine
    int default_answer = 0;                 ///< 0 no, 1 yes; of select_provider the index
};
/// An answer out of range counts as the default. What it throws ends the work and leaves prepare() or
/// fetch().
using Asker = std::function<int(const Question&)>;

/// `asker`, asked each question once: sessions that plan and fetch the same thing then decide the same.
/// Questions about damaged files and unknown keys are asked each time.
[[nodiscard]] Asker remembering(Asker asker);

/// Where one libalpm handle works.
struct SessionSpec {
    std::string root;      ///< absolute, exists; file conflicts are looked up here
    std::string database;  ///< dbpath, exists: holds local/ and sync/ (or a symlink to a shared one)
    std::vector<std::string> cache_dirs;  ///< downloads go to the first that is writable
    std::string gnupg_dir;                ///< made (0700) when signatures are checked
    /// Imported into gnupg_dir (ensure_keyring) before the first use of a repository that has to be signed.
    std::vector<std::string> keyrings = host_keyrings();
    std::string log_file;  ///< empty = none
    /// Downloads where libalpm cannot (15 for everybody but root). Null: whatever libalpm says then.
    Fetcher fetcher = {};
    PacmanConfig config;
    std::vector<std::string>
        foreign;  ///< names of upstream packages: never upgraded, replaced or removed here
    /// The container that an upstream package comes from, for messages. May lack names.
    std::map<std::string, std::string> upstream_of = {};
    /// A version that a user gave for a package, as the one that has version `there` would write it. Null:
    /// the same.
    std::function<std::string(const std::string& given, const std::string& there)> version_like = {};
    /// A version that only a Debian package has, whatever repository it is in. Null: none is known by that.
    std::function<bool(const std::string& version)> is_deb_version = {};
    /// Of a name that stands for alternatives the dependencies of which any one will do; else nothing.
    std::function<std::vector<std::string>(const std::string& name)> alternatives = {};
    bool no_confirm = false;
    bool debug = false;  ///< libalpm's debug messages go to the sink
    /// Messages, questions and problems are in pacman's words (pacman_words_internal.hpp).
    bool speaks_as_pacman = false;
    /// The root, its caches and its keyring are pacman's own: its free space is checked, nothing but what
    /// pacman leaves there is left there.
    bool is_pacmans = false;
};

/// What is wanted of one container.
struct ResolveRequest {
    std::vector<std::string> install =
        {};  ///< targets of -S: name, repo/name, group, provision, with version constraint
    std::vector<std::string> archive_files = {};  ///< targets of -U: paths and URLs
    std::vector<std::string> remove = {};         ///< targets of -R: names and groups
    bool upgrade = false;                         ///< -u
    bool downgrade = false;                       ///< -uu
    bool needed = false, as_deps = false, as_explicit = false;
    bool no_save = false;  ///< -n of -R; the resolver does nothing with it
    /// -s -ss -c -u of -R. Beside installs they are applied to the installed set before anything is added.
    bool recursive = false, recursive_all = false, cascade = false, unneeded = false;
    bool no_dep_version = false, no_deps = false;  ///< -d, -dd
    bool no_conflicts = false;                     ///< of -p and -w: packages in conflict are no problem
    std::vector<std::string> overwrite = {}, ignore = {}, ignore_groups = {}, assume_installed = {};
};

/// What is done of a transaction that carry_out() holds.
struct CarryOut {
    bool database_only = false;    ///< files of packages are neither looked at nor touched
    bool download_only = false;    ///< nothing is done with what was fetched
    bool looks_at_result = false;  ///< Plan::problems is filled
    /// Is given the plan, be it empty, before anything is fetched; false ends it.
    std::function<bool(Plan& plan)> agree;
    /// Acts while libalpm's lock is held, with the archives on disk.
    std::function<void(const Plan& plan)> act;
};

/// One libalpm handle. Several may exist; calls are one at a time in the process (ProcessState sees to it),
/// and the keyring of the first that checked a signature is that of all. Problems are Errors whose hint() has
/// one per line; libalpm's other words go to the sink or to Plan::notes.
class Session {
 public:
    /// @throws Error (usage for a bad configuration)
    Session(const SessionSpec& spec, ProgressSink& sink, Asker asker);
    ~Session();
    Session(const Session&) = delete;
    Session& operator=(const Session&) = delete;

    /// -y: bring the sync databases up to date; `force` = -yy. Returns whether anything changed. A database
    /// that cannot be read is fetched anew once. Lock: dbpath/db.lck (libalpm's) only; of a shared sync
    /// directory the caller holds the lock. A crash leaves each database old or new, and at most a ".part"
    /// file.
    /// @throws Error (busy when db.lck is there, corrupt for a bad signature or an unreadable database)
    bool refresh(bool force);
    /// Resolve without changing anything, without a lock. Nothing to do is an empty plan. Archives that are
    /// given by URL are downloaded into the cache directory here: nobody can plan without knowing them.
    /// @param what of it `agree` and `act` do not count
    /// @throws Error (usage for a malformed target, refused for upstream and held packages, failure for the
    /// rest)
    [[nodiscard]] Plan prepare(const ResolveRequest& request, const CarryOut& what = {});
    /// prepare(), then download, check signatures, checksums, and file conflicts; every added step's archive
    /// is on disk after it. Questions that prepare() asked are not asked again. Nothing but the cache
    /// directory is touched. Lock: dbpath/db.lck, and a file in the cache directory, so that no two download
    /// the same file.
    /// @param what of it only database_only and download_only count
    /// @throws Error as prepare(), naming each conflicting file and its owner; corrupt for bad archives
    [[nodiscard]] Plan fetch(const ResolveRequest& request, const CarryOut& what = {});
    /// Plan, ask, fetch and act in one transaction of libalpm, whose lock (dbpath/db.lck) is held from before
    /// the plan is made until `act` is done. Returns whether there was something to do, and an agreement.
    /// @throws Error as fetch(), and what `agree` and `act` throw
    bool carry_out(const ResolveRequest& request, const CarryOut& what);
    /// What the local database lists of installed packages, as it was when the session began.
    [[nodiscard]] std::vector<PackageFileList> file_lists();
    /// Installed packages, as they were when the session began.
    [[nodiscard]] std::vector<PackageInfo> installed();
    /// A line for SessionSpec::log_file; nothing without one.
    void log(const std::string& caller, const std::string& text);
    /// Problems of the installed set as it is. Empty = sound.
    [[nodiscard]] std::vector<SetProblem> check_installed();
    /// Packages of the sync databases whose name, description, provision or group matches every regular
    /// expression; all without one. @throws Error (usage) for a bad expression
    [[nodiscard]] std::vector<PackageInfo> search(const std::vector<std::string>& expressions);
    /// The package of that name (or repo/name) that an install would take.
    [[nodiscard]] std::optional<PackageInfo> find(const std::string& name);
    /// <0, 0, >0 as vercmp(8).
    [[nodiscard]] static int compare_versions(const std::string& a, const std::string& b);

 private:
    struct State;
    std::unique_ptr<State> state_;
};

}  // namespace pwstore
