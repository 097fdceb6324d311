// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <map>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "store/base/events.hpp"

namespace pwstore {

/// alpm-hooks(5).
struct HookTrigger {
    enum class Type { path, package };
    bool install = false, upgrade = false, remove = false;
    Type type = Type::path;
    std::vector<std::string>
        targets;  ///< fnmatch(3) patterns; '!' in front inverts; the last one that matches decides
};

struct Hook {
    enum class When { pre_transaction, post_transaction };
    std::string name;  ///< file name without ".hook"
    std::vector<HookTrigger> triggers;
    std::string description;
    When when = When::post_transaction;
    std::vector<std::string> exec;     ///< split into words
    std::vector<std::string> depends;  ///< packages, with version constraints, that must be installed
    bool abort_on_fail = false;
    bool needs_targets = false;
};

/// What a transaction does, as triggers see it.
struct HookEvents {
    std::set<std::string> installed_packages, upgraded_packages, removed_packages;
    std::set<std::string> added_paths;    ///< files of all new packages (directories with a slash)
    std::set<std::string> removed_paths;  ///< files of all old packages
    [[nodiscard]] bool empty() const;
};

/// @param warnings is added to, where it is given: what is said twice, of which the later counts
/// @throws Error (failure) naming file, line and rule
[[nodiscard]] Hook parse_hook(std::string_view text, const std::string& file_name,
                              std::vector<std::string>* warnings = nullptr);

/// Where hooks lie: a path inside a root, whose symlinks are resolved in that root.
struct HookDirectory {
    int root;
    std::string path;
};
/// What was read of them.
struct HookFiles {
    std::vector<Hook> hooks;  ///< in running order
    std::vector<std::string> warnings;
    std::vector<std::string> errors;  ///< of files that are no hooks
};
/// A file of a later directory replaces one of the same name, a link to /dev/null masks it.
[[nodiscard]] HookFiles read_hooks(const std::vector<HookDirectory>& directories);

/// Hooks of a root: usr/share/libalpm/hooks and etc/pacman.d/hooks.
[[nodiscard]] std::vector<HookDirectory> hook_directories(int root);

/// Those of `files` that run, warnings and errors having been said to `sink`. Before a transaction an error
/// forbids it. @throws Error (refused) "failed to run transaction hooks"
[[nodiscard]] std::vector<Hook> usable_hooks(HookFiles files, Hook::When when, ProgressSink& sink);

/// The targets for which `hook` runs, sorted, unique; with `triggered` false it does not run at all.
struct HookMatch {
    bool triggered = false;
    std::vector<std::string> targets;
};
[[nodiscard]] HookMatch match_hook(const Hook& hook, const HookEvents& events);

/// Last pattern that matches decides: 1 = matched, 0 = matched by an inverted one, -1 = none matched.
[[nodiscard]] int match_patterns(const std::vector<std::string>& patterns, const std::string& text);

}  // namespace pwstore
