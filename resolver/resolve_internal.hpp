// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <map>
#include <optional>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "resolver/conversation_internal.hpp"
#include "resolver/handle_internal.hpp"
#include "resolver/making_way_internal.hpp"
#include "resolver/package.hpp"
#include "resolver/problems_internal.hpp"
#include "resolver/session.hpp"

namespace pwstore {

/// A target that an install names, checked: libalpm is never given an empty name, a path or control
/// characters.
struct InstallTarget {
    std::string repository;                 ///< empty = any
    std::string dependency;                 ///< "name", "name>=1"
    std::string name;                       ///< without the constraint
    size_t version_at = std::string::npos;  ///< where the version begins in `dependency`; npos = none
};

/// @throws Error (usage) naming the rule that `text` breaks
[[nodiscard]] InstallTarget parse_install_target(const std::string& text);
[[nodiscard]] std::string parse_remove_target(const std::string& text);

/// Whether the transaction takes libalpm's lock: only then it can be committed.
enum class Locking { no, yes };

/// One libalpm transaction: begun, filled from a request, prepared; released at its end.
class Resolution {
 public:
    Resolution(Handle& handle, Conversation& conversation, const ResolveRequest& request, Locking locking,
               const CarryOut& what = {});
    Resolution(const Resolution&) = delete;
    Resolution& operator=(const Resolution&) = delete;
    ~Resolution();

    /// The prepared plan. @throws Error when a held package would go and nobody agrees, or an upstream one
    [[nodiscard]] Plan plan();
    /// Download, verify, load and look for file conflicts; stops where libalpm would begin to act.
    void commit_dry();

 private:
    void apply_options();
    /// The transaction filled and prepared; false: there has to be another attempt.
    [[nodiscard]] bool attempt(int flags, const std::vector<std::string>& removals,
                               const std::vector<std::string>& fetched);
    void assume_installed();
    void begin(int flags);
    void release();
    void remove_targets(const std::vector<std::string>& names);
    void add_targets(const std::vector<std::string>& fetched);
    [[nodiscard]] std::vector<std::string> removal_closure(const std::vector<std::string>& names);
    void check_entries() const;
    void check_converted() const;
    [[nodiscard]] bool prepare();
    void check_held(const Plan& plan);
    [[nodiscard]] std::vector<SetProblem> problems_after() const;
    [[nodiscard]] int flags() const;

    Handle& handle_;
    Conversation& conversation_;
    const ResolveRequest& request_;
    bool database_only_, download_only_, looks_at_result_;
    MakingWay making_way_;
    std::map<std::string, bool> replacement_reasons_;
    bool open_ = false;
};

/// -u: puts every installed package that a repository has a newer version or a replacement of into libalpm's
/// open transaction. It decides what alpm_sync_sysupgrade decides, but passes over upstream packages and
/// finds replacements by an index: libalpm compares every installed package with every package of the
/// repositories.
class Upgrade {
 public:
    Upgrade(Handle& handle, Conversation& conversation, bool downgrade);
    void add_all();
    /// Replacements that were added for an installed package's sake: name → whether they are explicitly
    /// installed.
    [[nodiscard]] const std::map<std::string, bool>& reasons() const noexcept { return reasons_; }

 private:
    using Replacements = std::unordered_map<std::string, std::vector<alpm_pkg_t*>>;
    void add_for(alpm_pkg_t* installed);
    [[nodiscard]] bool replace(alpm_pkg_t* installed, alpm_db_t* database, const Replacements& replacements);
    void upgrade(alpm_pkg_t* installed, alpm_pkg_t* available, alpm_db_t* database);
    [[nodiscard]] bool ignored(alpm_pkg_t* installed, alpm_pkg_t* available) const;
    void add(alpm_pkg_t* package);

    Handle& handle_;
    Conversation& conversation_;
    bool downgrade_;
    std::vector<std::pair<alpm_db_t*, Replacements>> databases_;
    std::map<std::string, bool> reasons_;
};

/// Puts the targets of a request into libalpm's open transaction, collecting what is wrong with them.
class Targets {
 public:
    Targets(Handle& handle, Conversation& conversation, Problems& problems)
        : handle_(handle), conversation_(conversation), problems_(problems) {}
    /// A target of -S.
    void install(const std::string& text);
    /// A target of -U that is a file on disk.
    void install_archive(const std::string& path, int signature_level);
    /// A package of -R that is installed and not upstream.
    void remove(const std::string& name);
    /// The installed packages that the targets of -R name, groups resolved. Needs no transaction.
    [[nodiscard]] std::vector<std::string> installed_names(const std::vector<std::string>& texts);

 private:
    [[nodiscard]] bool stays_upstream(const InstallTarget& target, alpm_list_t* databases);
    void spell_version(InstallTarget& target, const alpm_list_t* databases) const;
    void install_from(const InstallTarget& target, alpm_list_t* databases, const std::string& text);
    void install_group(const InstallTarget& target, alpm_list_t* databases, const std::string& text);
    void add(alpm_pkg_t* package, const std::string& text);
    void note_kept(const std::string& name);
    void not_found(const std::string& text, const std::string& name, const alpm_list_t* databases);
    void not_installed(const std::string& text, const std::string& name);
    [[nodiscard]] bool refuse_upstream(const std::string& name, std::string_view verb);

    Handle& handle_;
    Conversation& conversation_;
    Problems& problems_;
};

}  // namespace pwstore
