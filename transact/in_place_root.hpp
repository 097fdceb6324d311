// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "resolver/repositories.hpp"
#include "resolver/session.hpp"
#include "transact/hook.hpp"
#include "transact/in_place_files.hpp"
#include "transact/request.hpp"
#include "transact/script_runner.hpp"

namespace pwstore {

/// Passes everything on, and writes into pacman's log what pacman would.
class LoggedDialogue final : public Dialogue {
 public:
    LoggedDialogue(Dialogue& dialogue, Session& session) : dialogue_(dialogue), session_(session) {}
    void progress(const std::string& step, const std::string& label, uint64_t done, uint64_t total) override;
    void message(Severity severity, const std::string& text) override;
    bool confirm(const std::vector<ContainerPlan>& plans) override { return dialogue_.confirm(plans); }
    int ask(const Question& question) override { return dialogue_.ask(question); }
    void script_output(const std::string& agent, const std::string& line) override;

 private:
    Dialogue& dialogue_;
    Session& session_;
};

/// Carries out a plan on a plain root, in libalpm's order: hooks, removals, additions one by one with their
/// scriptlets, files and database entries, ldconfig, hooks.
class InPlaceRoot {
 public:
    /// @param session holds the transaction that the plan is of
    InPlaceRoot(const InPlaceRequest& place, const PacmanConfig& config, const ResolveRequest& wanted,
                Session& session, Dialogue& dialogue);
    ~InPlaceRoot();
    InPlaceRoot(const InPlaceRoot&) = delete;
    InPlaceRoot& operator=(const InPlaceRoot&) = delete;

    /// What was done and which scripts failed is added to `report`.
    /// @throws Error "failed to run transaction hooks" (nothing was changed), "transaction aborted" (part of
    /// it was)
    void apply(const Plan& plan, TransactionReport& report);

 private:
    void read_archives(const Plan& plan);
    void find_moved_files(const Plan& plan);
    [[nodiscard]] HookEvents events(const Plan& plan) const;
    void run_hooks(Hook::When when, const HookEvents& events);
    [[nodiscard]] bool is_installed(const std::string& dependency);
    void remove(const PlanStep& step);
    void add(const PlanStep& step);
    void run_scriptlet(const std::string& package, const std::string& script, ScriptletKind kind,
                       const std::vector<std::string>& versions);
    [[nodiscard]] std::string installed_script(const PackageFileList& package) const;
    void write_entry(const PlanStep& step, const PackageArchive& package);
    void remove_entry(const PackageFileList& package);
    [[nodiscard]] const PackageFileList* installed(const std::string& name) const;
    void log(const std::string& text);

    const InPlaceRequest& place_;
    const ResolveRequest& wanted_;
    Session& session_;
    LoggedDialogue dialogue_;
    std::string shown_root_;  ///< with a slash at its end
    Fd root_fd_;
    Fd local_;  ///< of the database
    PlainRoot root_;
    FilePatterns patterns_;
    std::map<std::string, PackageFileList> installed_;  ///< as it is now
    std::map<std::string, PackageInfo> infos_;          ///< of what was added
    DirectoryOwners owners_;
    std::map<std::string, PackageArchive> archives_;
    std::optional<InPlaceFiles> files_;
    std::string scratch_;
    std::optional<ScriptRunner> scripts_;
    unsigned errors_ = 0;
};

}  // namespace pwstore
