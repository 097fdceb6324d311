// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "resolver/package.hpp"
#include "resolver/session.hpp"
#include "store/base/events.hpp"
#include "store/generation.hpp"

namespace pwstore {

/// What one container is asked to become.
struct ContainerRequest {
    std::string name;
    bool create = false;
    ContainerType type = ContainerType::base;  ///< of a created one
    std::vector<std::string> dependencies;     ///< of a created one, in order
    ResolveRequest packages;
    /// -D: packages of its own that become what was asked for, or came as a dependency of something.
    std::vector<std::string> make_explicit = {}, make_dependency = {};
};

/// A root directory that is no container: it is changed in place, as pacman changes one.
struct InPlaceRequest {
    std::string root, database;  ///< absolute, both exist; `database` is pacman's DBPath
    std::string config;          ///< the pacman.conf that repositories and options are read from
    std::string log_file;        ///< empty = none
    std::string gnupg_dir;
    std::vector<std::string> cache_dirs;
    std::vector<std::string> hook_dirs;  ///< after the root's own; a later one overrides
    bool db_only = false;                ///< --dbonly: no file but the database's is touched
    bool no_scriptlet = false;
    bool download_only = false;
    std::vector<std::string> architectures;  ///< empty = the configuration's
    /// What DownloadUser is not kept from.
    bool disable_sandbox_files = false, disable_sandbox_calls = false;
};

/// What `pwstore pacman` may be told of containers beyond a ResolveRequest. Messages, questions and failures
/// are in pacman's words, and every question goes to the dialogue, which knows the standard answers.
struct PacmanManner {
    std::string config;          ///< a pacman.conf in place of repositories.conf; empty: that one
    bool db_only = false;        ///< --dbonly: packages are recorded, their files stay as they are
    bool no_scriptlet = false;   ///< of the packages' .INSTALL; hooks run
    bool download_only = false;  ///< stop when the archives are in the cache
    std::vector<std::string> architectures;  ///< empty = the configuration's
};

/// One command of the user: everything in it becomes true together, or nothing does.
struct TransactionRequest {
    std::string command;  ///< as typed, for the history
    std::vector<ContainerRequest> containers;
    unsigned refresh = 0;      ///< number of -y
    bool upgrade_all = false;  ///< -u without --target-only: every container
    ResolveRequest everyone =
        {};  ///< with upgrade_all: how those are upgraded that `containers` does not name
    bool target_only = false;
    bool no_confirm = false;
    bool preview = false;        ///< plan, show, stop
    bool force_rebuild = false;  ///< -f: build the roots of the named containers (or all) anew
    int lock_patience_seconds = 10;
    std::optional<PacmanManner> as_pacman = {};
    /// Not a container but this root: then `containers` has one nameless entry that says what is wanted.
    std::optional<InPlaceRequest> in_place = {};
};

/// The plan of one container, for people.
struct ContainerPlan {
    std::string container;
    ContainerType type = ContainerType::base;
    bool created = false;
    Plan plan;
    bool rebuilt_on_top = false;  ///< no packages of its own change, but what it is built on does
};

struct TransactionReport {
    bool changed = false;
    bool declined = false;   ///< the user said no
    bool refreshed = false;  ///< a package list is another one by now
    size_t unchanged = 0;    ///< containers in which there was nothing to do, when that is all of them
    uint64_t transaction = 0;
    struct Changed {
        std::string container;
        uint64_t generation = 0;
        size_t installed = 0, upgraded = 0, removed = 0;
    };
    std::vector<Changed> containers;
    uint64_t file_bytes = 0;             ///< of the packages that were installed
    uint64_t new_disk_bytes = 0;         ///< of them, new in the store
    std::vector<TransactionNote> notes;  ///< failed scriptlets and hooks
};

/// The other side of a transaction: shows and answers. One thread calls it.
class Dialogue : public ProgressSink {
 public:
    virtual bool confirm(const std::vector<ContainerPlan>& plans) = 0;
    virtual int ask(const Question& question) = 0;
    /// A line that a scriptlet or hook printed.
    virtual void script_output(const std::string& agent, const std::string& line) = 0;
};

}  // namespace pwstore
