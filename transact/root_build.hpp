// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <memory>
#include <optional>
#include <set>
#include <string>
#include <unordered_map>
#include <unordered_set>

#include "mount/assembler.hpp"
#include "mount/twin.hpp"
#include "transact/file_claims.hpp"
#include "transact/hook.hpp"
#include "transact/layering.hpp"
#include "transact/maintainer_scripts.hpp"
#include "transact/moved_files.hpp"
#include "transact/package_files.hpp"
#include "transact/script_runner.hpp"
#include "transact/work.hpp"

namespace pwstore {

/// Builds the next root of one container in the staging folder: start(), then what changes it, then finish().
class RootBuild {
 public:
    RootBuild(TransactionState& state, Work& work, ScriptMode mode);
    ~RootBuild();
    RootBuild(const RootBuild&) = delete;
    RootBuild& operator=(const RootBuild&) = delete;

    /// Draft the generation and assemble what the container is before its own packages change, on top of what
    /// is below it now.
    void start();
    /// Hooks, scriptlets and files of the plan, in pacman's order.
    void run_plan();
    /// Where it is built, absolute.
    [[nodiscard]] std::string root_path() const;
    /// A person's command on the root, with the caller's terminal; returns its exit code. What it changed is
    /// logged.
    int run_shell(const ScriptCommand& command);
    /// A file of the user's, in place of what is there; its mode stays.
    void put_file(const std::string& path, const std::string& content);
    /// Derive the delta, ingest it (recording commit), make the root exactly what a rebuild gives, compute
    /// the digests.
    void finish();

    /// The tree that start() assembled, and the one that finish() made of it.
    [[nodiscard]] const Tree& initial_tree() const noexcept { return initial_; }
    [[nodiscard]] const Tree& final_tree() const noexcept { return final_; }

 private:
    void draft_generation();
    Tree start_tree();
    void add_work_of_hooks(const std::string& container, std::set<std::string>& paths);
    [[nodiscard]] ChangesBelow changes_below();
    void put_carried();
    void put(const std::string& path, const std::string& content, mode_t mode);
    HookEvents events() const;
    void add_step_events(const Plan& plan, const Work& owner, HookEvents& events) const;
    using Steps = std::vector<const PlanStep*>;
    void apply_steps();
    Steps::const_iterator apply_fresh(const Steps& steps, Steps::const_iterator at);
    void apply_step(const PlanStep& step);
    [[nodiscard]] Steps steps_in_order() const;
    void apply_removal(const PlanStep& step);
    [[nodiscard]] ManifestId lies_below(const std::string& package) const;
    void apply_addition(const PlanStep& step);
    void record_step(const PlanStep& step);
    void place_changed_reasons();
    [[nodiscard]] std::optional<HookEvents> run_hooks_before();
    void run_hooks_after(const HookEvents& what);
    void run_scriptlet(const std::string& package, const std::string& script, ScriptletKind kind,
                       const std::vector<std::string>& versions);
    void follow_packages_below();
    void find_moving_files();
    void find_present_packages();
    void take_directories(const PackageFiles& files);
    void keep_directory_modes();
    [[nodiscard]] std::set<std::string> activated_below() const;
    [[nodiscard]] FileRules file_rules();
    [[nodiscard]] Manifest manifest_before(const Work& work, const std::string& package) const;
    [[nodiscard]] std::string install_script(const Manifest& manifest) const;
    /// Among `own` and the packages below.
    [[nodiscard]] bool is_installed(const std::string& dependency,
                                    const std::vector<InstalledPackage>& own) const;
    void report_missing_libraries() const;
    void record_delta();
    void lay(const Tree& tree);
    void settle();
    void seal();
    void digest();

    TransactionState& state_;
    Work& work_;
    ScriptMode mode_;
    PacmanManner manner_;    ///< all its switches off unless the request has one
    std::string directory_;  ///< below the staging folder
    Fd root_;
    LaidRoot laid_;
    Tree layers_;  ///< of the draft, without its delta
    Delta delta_before_;
    LayeredDelta carried_;  ///< what start() has put into the root of it
    Tree initial_;
    Tree final_;
    std::unique_ptr<RootWriter> writer_;
    std::unique_ptr<ScriptRunner> scripts_;
    std::unique_ptr<MaintainerScripts> maintainer_scripts_;
    std::unique_ptr<FileClaims> claims_;  ///< when there are Debian packages
    std::set<std::string> moving_;        ///< see FileRules
    LeftFiles left_;                      ///< when there are Debian packages
    std::set<std::string> coming_;        ///< see FileRules
    std::set<std::string> came_;          ///< see FileRules
    PresentPackages present_;
    std::unordered_set<std::string> directories_;
    std::unordered_map<std::string, uint32_t> made_directories_;
};

}  // namespace pwstore
