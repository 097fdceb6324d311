// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "mount/script_sandbox.hpp"
#include "store/generation.hpp"
#include "transact/act_log.hpp"
#include "transact/hook.hpp"
#include "transact/request.hpp"
#include "transact/scriptlet.hpp"

namespace pwstore {

/// Runs the scriptlets, hooks and ldconfig of one root under construction and takes over what they changed.
/// Between two calls the root may be changed by the engine; during one by nobody else.
class ScriptRunner {
 public:
    /// @param root_path absolute path of the root; @param scratch an empty directory of ours beside it
    /// @param log null: the root is no container's and is changed in place (ScriptMode::private_copy)
    ScriptRunner(ScriptMode mode, std::string root_path, int root, std::string scratch, ActLog* log,
                 Dialogue& dialogue);
    ~ScriptRunner();
    ScriptRunner(const ScriptRunner&) = delete;
    ScriptRunner& operator=(const ScriptRunner&) = delete;

    /// Of what fails, messages say no more than pacman does; notes() has the rest.
    void speak_as_pacman() noexcept { as_pacman_ = true; }

    /// Run one function of a package's .INSTALL, if it has it. A failing one is a note, as in pacman; one
    /// that could not be started at all is an Error.
    void run_scriptlet(const std::string& package, std::string_view install_script, ScriptletKind kind,
                       const std::vector<std::string>& versions);

    /// Run a program that must succeed, in an area of its own. @throws Error with the end of its output when
    /// it does not
    /// @param otherwise is run in the same area when it fails, and must succeed then
    void run_required(const Touch& who, const std::string& agent, const ScriptCommand& command,
                      const std::optional<ScriptCommand>& otherwise = std::nullopt);

    /// Run the hooks of one phase that match, in order, in one sandbox; with `ldconfig_first` also ldconfig
    /// before them.
    /// @param is_installed answers a hook's Depends
    /// @throws Error (refused) when a hook with AbortOnFail fails before the transaction
    void run_hooks(Hook::When when, const std::vector<Hook>& hooks, const HookEvents& events,
                   bool ldconfig_first,
                   const std::function<bool(const std::string& dependency)>& is_installed);

    /// A person's program with the caller's terminal; returns its exit code. Its changes count as the user's.
    int run_interactive(const std::string& agent, const ScriptCommand& command);

    /// Everything that failed so far.
    [[nodiscard]] const std::vector<TransactionNote>& notes() const noexcept { return notes_; }
    /// The root has the files without which libalpm does not run ldconfig.
    [[nodiscard]] bool has_ldconfig() const;

 private:
    ScriptSandbox& sandbox();
    void in_plain_root(const std::function<void()>& commands);
    /// Run `commands` in one sandbox area and take over its changes in the name of `who`.
    void in_area(const Touch& who, const std::function<void()>& commands);
    ScriptResult run(const std::string& agent, const ScriptCommand& command);
    void note(const std::string& subject, const std::string& text, const std::string& in_pacmans_words);
    void run_hook(const Hook& hook, const HookMatch& match, const std::string& title,
                  const std::function<bool(const std::string&)>& is_installed);

    ScriptMode mode_;
    std::string root_path_;
    int root_;
    std::string scratch_;
    ActLog* log_;
    Dialogue& dialogue_;
    bool as_pacman_ = false;
    std::unique_ptr<ScriptSandbox> sandbox_;
    std::vector<TransactionNote> notes_;
};

}  // namespace pwstore
