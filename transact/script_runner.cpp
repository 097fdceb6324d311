// SPDX-License-Identifier: GPL-3.0-or-later
#include "transact/script_runner.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <unistd.h>

#include <algorithm>
#include <deque>
#include <optional>

#include "store/base/error.hpp"
#include "store/base/failpoint.hpp"
#include "store/base/path_at.hpp"
#include "transact/harvest.hpp"

namespace pwstore {

namespace {

/// How much of a failed script's output its error repeats.
constexpr size_t kQuotedLines = 8;
/// What pacman says of any program that fails.
constexpr const char* kFailed = "command failed to execute correctly";

std::string shell_of(int root) {
    return try_open_in_root(root, "usr/bin/bash", O_PATH) ? "/usr/bin/bash" : "/bin/sh";
}

/// A sandbox that did not come up ends the transaction; a program that failed in it does not.
const ScriptResult& checked(const std::string& agent, const ScriptCommand& command,
                            const ScriptResult& result) {
    if (!result.started && result.status == 125) {
        throw Error("start the sandbox for", agent,
                    fmt::format("'{}' could not be started: {}", command.argv.front(), result.reason))
            .with_hint("'pwstore doctor' says what this machine lacks");
    }
    return result;
}

std::string joined_lines(const std::vector<std::string>& lines) {
    std::string text;
    for (const std::string& line : lines)
        text += line + "\n";
    return text;
}

}  // namespace

ScriptRunner::ScriptRunner(ScriptMode mode, std::string root_path, int root, std::string scratch, ActLog* log,
                           Dialogue& dialogue)
    : mode_(mode),
      root_path_(std::move(root_path)),
      root_(root),
      scratch_(std::move(scratch)),
      log_(log),
      dialogue_(dialogue) {}

ScriptRunner::~ScriptRunner() = default;

ScriptSandbox& ScriptRunner::sandbox() {
    if (!sandbox_) sandbox_ = std::make_unique<ScriptSandbox>(mode_, root_path_, scratch_);
    return *sandbox_;
}

void ScriptRunner::in_area(const Touch& who, const std::function<void()>& commands) {
    if (log_ == nullptr) {
        in_plain_root(commands);
        return;
    }
    std::optional<RootScan> before;
    if (mode_ == ScriptMode::private_copy) before.emplace(root_);
    sandbox().begin();
    commands();
    sandbox().end();
    failpoint("script.ended");
    if (before) {
        before->log_changes(RootScan(root_), who, *log_);
    } else {
        apply_upper(sandbox().upper(), root_, who, *log_);
        sandbox().discard();
    }
    failpoint("script.harvested");
}

/// Nobody asks what the commands change; but the places that the sandbox mounts on go again where there were
/// none.
void ScriptRunner::in_plain_root(const std::function<void()>& commands) {
    std::vector<std::string> made;
    for (const char* name : {"dev", "proc", "run", "tmp"}) {
        if (!exists_at(root_, name)) made.emplace_back(name);
    }
    const auto clear = [&] {
        for (const std::string& name : made)
            (void)::unlinkat(root_, name.c_str(), AT_REMOVEDIR);  // what a script put there stays
    };
    try {
        sandbox().begin();
        commands();
        sandbox().end();
    } catch (...) {
        clear();
        throw;
    }
    clear();
}

ScriptResult ScriptRunner::run(const std::string& agent, const ScriptCommand& command) {
    const ScriptResult result = sandbox().run(
        command, [&](std::string_view line) { dialogue_.script_output(agent, std::string(line)); });
    if (!result.started && result.status == 125) {
        throw Error("start the sandbox for", agent,
                    fmt::format("'{}' could not be started", command.argv.front()))
            .with_hint("'pwstore doctor' says what this machine lacks");
    }
    return result;
}

void ScriptRunner::note(const std::string& subject, const std::string& text,
                        const std::string& in_pacmans_words) {
    notes_.push_back({subject, text});
    dialogue_.message(Severity::error, as_pacman_ ? in_pacmans_words : fmt::format("{}: {}", subject, text));
}

void ScriptRunner::run_scriptlet(const std::string& package, std::string_view install_script,
                                 ScriptletKind kind, const std::vector<std::string>& versions) {
    if (!has_scriptlet(install_script, kind)) return;
    const std::string agent = fmt::format("{} {}", package, scriptlet_function(kind));
    dialogue_.progress("scriptlet", agent, 0, 0);
    const ScriptCommand command = scriptlet_command(install_script, kind, versions, shell_of(root_));
    in_area({Cause::scriptlet, package, {}}, [&] {
        const ScriptResult result = run(agent, command);
        if (!result.succeeded())
            note(agent, fmt::format("the scriptlet failed with status {}", result.status), kFailed);
    });
}

void ScriptRunner::run_required(const Touch& who, const std::string& agent, const ScriptCommand& command,
                                const std::optional<ScriptCommand>& otherwise) {
    dialogue_.progress("scriptlet", agent, 0, 0);
    std::deque<std::string> last_lines;
    const auto attempt = [&](const ScriptCommand& what) {
        return sandbox().run(what, [&](std::string_view line) {
            dialogue_.script_output(agent, std::string(line));
            last_lines.emplace_back(line);
            if (last_lines.size() > kQuotedLines) last_lines.pop_front();
        });
    };
    in_area(who, [&] {
        const ScriptResult result = attempt(command);
        if (result.succeeded()) return;
        (void)checked(agent, command, result);
        const std::string cause =
            result.started ? fmt::format("it failed with status {}", result.status) : result.reason;
        if (otherwise) {
            dialogue_.message(Severity::warning,
                              fmt::format("{}: {}; the other version's script goes on", agent, cause));
            if (attempt(*otherwise).succeeded()) return;
        }
        throw Error("run script", agent, cause)
            .with_hint(joined_lines({last_lines.begin(), last_lines.end()}));
    });
}

int ScriptRunner::run_interactive(const std::string& agent, const ScriptCommand& command) {
    ScriptCommand program = command;
    if (program.argv.empty()) {
        program.argv = {shell_of(root_)};
        program.environment.push_back({"SHELL", program.argv.front()});
    }
    ScriptResult result;
    in_area({Cause::user, agent, {}},
            [&] { result = checked(agent, program, sandbox().run_interactive(program)); });
    if (!result.started) dialogue_.message(Severity::error, fmt::format("{}: {}", agent, result.reason));
    return result.status;
}

bool ScriptRunner::has_ldconfig() const {
    return try_open_in_root(root_, "etc/ld.so.conf", O_PATH) &&
           try_open_in_root(root_, "sbin/ldconfig", O_PATH);
}

void ScriptRunner::run_hook(const Hook& hook, const HookMatch& match, const std::string& title,
                            const std::function<bool(const std::string&)>& is_installed) {
    const auto missing =
        std::find_if(hook.depends.begin(), hook.depends.end(),
                     [&](const std::string& dependency) { return !is_installed(dependency); });
    const auto fail = [&](const std::string& text, const std::string& in_pacmans_words) {
        note(fmt::format("hook {}", hook.name), text, in_pacmans_words);
        if (hook.abort_on_fail) {
            throw Error("run hook", hook.name, text)
                .as(Fault::refused)
                .with_hint("the hook forbids the transaction; nothing was changed");
        }
    };
    if (missing != hook.depends.end()) {
        fail(fmt::format("it needs '{}', which is not installed", *missing),
             fmt::format("unable to run hook {}.hook: could not satisfy dependencies", hook.name));
        return;
    }
    ScriptCommand command;
    command.argv = hook.exec;
    if (hook.needs_targets) command.input = joined_lines(match.targets);
    const ScriptResult result = run(title, command);
    if (!result.succeeded())
        fail(fmt::format("'{}' failed with status {}", fmt::join(hook.exec, " "), result.status), kFailed);
}

void ScriptRunner::run_hooks(Hook::When when, const std::vector<Hook>& hooks, const HookEvents& events,
                             bool ldconfig_first,
                             const std::function<bool(const std::string&)>& is_installed) {
    if (ldconfig_first && has_ldconfig()) {
        in_area({Cause::ldconfig, "ldconfig", {}}, [&] {
            ScriptCommand command;
            command.argv = {"/sbin/ldconfig"};
            const ScriptResult result = run("ldconfig", command);
            if (!result.succeeded())
                note("ldconfig", fmt::format("failed with status {}", result.status), kFailed);
        });
    }
    std::vector<std::pair<const Hook*, HookMatch>> due;
    for (const Hook& hook : hooks) {
        if (hook.when != when) continue;
        HookMatch match = match_hook(hook, events);
        if (match.triggered) due.emplace_back(&hook, std::move(match));
    }
    if (due.empty()) return;
    dialogue_.progress("hooks", when == Hook::When::pre_transaction ? "pre-transaction" : "post-transaction",
                       0, due.size());
    std::string names;
    for (const auto& [hook, match] : due)
        names += (names.empty() ? "" : ",") + hook->name;
    in_area({Cause::hook, due.size() == 1 ? due.front().first->name : names, {}}, [&] {
        size_t position = 0;
        for (const auto& [hook, match] : due) {
            const std::string title = !hook->description.empty() ? hook->description
                                      : as_pacman_               ? hook->name + ".hook"
                                                                 : hook->name;
            dialogue_.progress("hook", title, position++, due.size());
            run_hook(*hook, match, title, is_installed);
        }
    });
}

}  // namespace pwstore
