// SPDX-License-Identifier: GPL-3.0-or-later
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <memory>
#include <ostream>
#include <utility>

#include "cli/cmd.hpp"
#include "cli/dialogue.hpp"
#include "mount/launch.hpp"
#include "store/base/error.hpp"

namespace pwstore::cli {

namespace {

[[noreturn]] void reject(const std::string& cause) {
    throw Error("read the command line", "", cause).as(Fault::usage);
}

int run_program(const Context& context, const RunRequest& request) {
    ProgressScreen screen(context);
    const RunOutcome outcome = context.backend.run(request, screen);
    screen.clear();
    if (outcome.error) print_error(context, *outcome.error);
    return outcome.status;
}

int run_as_root(Context& context, const Arguments& arguments, const std::string& name,
                std::vector<std::string> argv) {
    RootShellRequest request{ContainerName(name), std::move(argv), arguments.has("discard")};
    ProgressScreen screen(context);
    const RootShellResult result = context.backend.root_shell(request, screen);
    screen.clear();
    if (context.quiet) return result.status;
    const bool one = result.changes.size() == 1;
    if (request.discard) {
        context.io.err << fmt::format("{} {} thrown away\n", result.changes.size(),
                                      one ? "change was" : "changes were");
        return result.status;
    }
    for (const std::string& change : result.changes)
        context.io.err << printable(change) << '\n';
    if (result.generation == 0) {
        context.io.err << "nothing was changed\n";
    } else {
        context.io.err << fmt::format("{} {}, {}: generation {}; 'pwstore undo' takes {} back\n",
                                      result.changes.size(), one ? "change" : "changes", printable(name),
                                      result.generation, one ? "it" : "them");
        context.backend.log(fmt::format("{}: {} {}, {}@{}", context.command_line, result.changes.size(),
                                        one ? "change" : "changes", name, result.generation));
    }
    return result.status;
}

/// The same path inside where a sandbox has room for it, so that messages of programs fit; else ~/here.
Volume volume_here(const std::string& directory, const std::string& container) {
    for (const char* place : {"/home/", "/tmp/", "/run/"}) {
        if (directory.rfind(place, 0) == 0) return {directory, directory, true};
    }
    return {directory, "/home/" + container + "/here", true};
}

std::string current_directory() {
    const std::unique_ptr<char, decltype(&std::free)> path(::getcwd(nullptr, 0), &std::free);
    if (path && path.get()[0] == '/') return path.get();
    const int cause = path ? ENOENT : errno;
    if (cause != ENOENT) throw Error::from_errno("share", "the current directory", cause);
    throw Error("share the current directory", "", "it is not there any more")
        .as(Fault::usage)
        .with_hint("cd to a directory that is there, and try again");
}

int run_in_container(Context& context, const Arguments& arguments, bool shell) {
    const std::string name = arguments.operands()[0];
    std::vector<std::string> argv = arguments.tail;
    const bool wants_shell = shell || arguments.has("shell");
    if (wants_shell) argv.clear();
    if (arguments.has("root")) {
        if (arguments.has("here"))
            reject("'--here' and '--root' do not go together: a root shell sees nothing of the host");
        return run_as_root(context, arguments, name, std::move(argv));
    }
    if (arguments.has("discard")) reject("'--discard' belongs to '--root'");
    if (argv.empty() && !wants_shell) argv = context.backend.policy(ContainerName(name)).active.command;
    if (argv.empty() && !wants_shell) reject(fmt::format("what is to be run in '{}'?", printable(name)));
    RunRequest request{ContainerName(name), std::move(argv), context.io.err_tty};
    if (arguments.has("here")) request.here = volume_here(current_directory(), name);
    return run_program(context, request);
}

int run_run(Context& context, const Arguments& arguments) {
    return run_in_container(context, arguments, false);
}
int run_shell(Context& context, const Arguments& arguments) {
    return run_in_container(context, arguments, true);
}

std::vector<Option> run_options() {
    return {{"root", 'r', "", "as root of the container; what it changes becomes its next generation"},
            {"here", 0, "",
             "of the host, the current directory and nothing else, writable: at the same path below /home, "
             "/tmp or /run, else as ~/here"},
            {"discard", 0, "", "with --root: throw the changes away"},
            {"verbose", 'v', "", "accepted; 'pwstore explain' shows what is exposed"}};
}

Command run_command() {
    Command it{"run", {"exec"}, "Run", "run a program in a container"};
    it.short_form = "-E";
    it.description = {
        "Everything after NAME belongs to the program, options included. The program sees the container's "
        "files read-only, its own "
        "home read-write, and of the host only what the container's configuration exposes ('pwstore explain "
        "NAME'). It starts where you stand, if it has that directory, else in its home.",
        "Exit code: the program's own, or 128 + the number of the signal that ended it; 125 pwstore failed, "
        "126 the program could not be "
        "executed, 127 there is no such program."};
    it.operands = {{"NAME", Completes::container}};
    it.tail = Tail::after_operand;
    it.options = run_options();
    it.options.push_back({"shell", 's', "", "run a shell instead"});
    it.examples = {{"pwstore run editor nvim notes.txt", "a program with its arguments"},
                   {"pwstore -Es base", "a shell"},
                   {"pwstore -Er base locale-gen", "a program as root of the container"}};
    it.run = run_run;
    it.failure_code = kExitOwnFailure;
    return it;
}

Command shell_command() {
    Command it{"shell", {}, "Run", "run a shell in a container"};
    it.description = {
        "With --root, the list of changed files is shown at the end and the changes become the container's "
        "next generation. What was typed is not kept; network and variables are the configuration's."};
    it.operands = {{"NAME", Completes::container}};
    it.options = run_options();
    it.examples = {{"pwstore shell editor", "read-only root, own home"},
                   {"pwstore shell base --root", "to configure it; the same as pwstore -Esr base"},
                   {"pwstore shell editor --here", "to work on the current directory"}};
    it.run = run_shell;
    it.failure_code = kExitOwnFailure;
    return it;
}

// --- try
// ------------------------------------------------------------------------------------------------------------

std::string base_for_try(Context& context, const Arguments& arguments) {
    if (const auto named = arguments.value("base")) return ContainerName(*named).str();
    std::vector<std::string> bases;
    for (const ContainerState& state : context.backend.containers()) {
        if (state.type == ContainerType::base) bases.push_back(state.name);
    }
    if (bases.size() == 1) return bases[0];
    if (bases.empty()) {
        throw Error("try", "", "there is no base to build on")
            .as(Fault::usage)
            .with_hint("'pwstore create base --base' makes one");
    }
    throw Error("try", "", fmt::format("there are several bases: {}", fmt::join(bases, ", ")))
        .as(Fault::usage)
        .with_hint("say which with --base=NAME");
}

/// Containers of trials whose process was killed. One whose programs have not ended yet is left to the next
/// trial.
void drop_abandoned_trials(Context& context) {
    for (const ContainerName& name : context.backend.abandoned_trials()) {
        SilentSink silent;
        try {
            context.backend.remove_containers({name}, true, true, false, silent);
        } catch (const Error& error) {
            if (error.fault() != Fault::busy) throw;
        }
    }
}

/// Deletes the container when the trial is over, however it ends.
class Trial {
 public:
    Trial(Context& context, std::string name) : context_(&context), name_(std::move(name)) {}
    Trial(const Trial&) = delete;
    Trial& operator=(const Trial&) = delete;
    ~Trial() {
        try {
            drop();
        } catch (const std::exception& problem) {
            context_->io.err << context_->err.yellow("warning:") << " delete '" << name_
                             << "': " << printable(problem.what()) << "\n'pwstore delete " << name_
                             << " --home --config' removes it\n";
        }
    }
    void begin() { begun_ = true; }
    void drop() {
        if (!std::exchange(begun_, false)) return;
        const std::vector<ContainerState> all = context_->backend.containers();
        if (std::none_of(all.begin(), all.end(),
                         [this](const ContainerState& one) { return one.name == name_; }))
            return;
        SilentSink silent;
        context_->backend.remove_containers({ContainerName(name_)}, true, true, true, silent);
    }

 private:
    Context* context_;
    std::string name_;
    bool begun_ = false;
};

int run_try(Context& context, const Arguments& arguments) {
    const std::string base = base_for_try(context, arguments);
    const std::string name = new_trial_name();
    TransactionRequest request;
    ContainerRequest& target = request.containers.emplace_back();
    target = {name, true, ContainerType::aggregate, {base}, {}};
    for (const std::string& word : arguments.operands())
        target.packages.install.push_back(word);
    request.command = context.command_line;
    request.target_only = true;
    request.no_confirm = true;
    request.refresh = arguments.has("refresh") || !context.backend.has_sync_databases() ? 1 : 0;

    Context quiet = context;  // nobody is asked, and the plan of a throw-away container is no news
    quiet.no_confirm = true;
    quiet.quiet = !context.debug;
    drop_abandoned_trials(context);
    const std::shared_ptr<void> hold = context.backend.hold_trial(ContainerName(name));
    Trial trial(context, name);
    {
        TerminalDialogue dialogue(quiet, false);
        trial.begin();
        const TransactionReport report = context.backend.transact(request, dialogue);
        dialogue.clear();
        if (!context.quiet) {
            const std::string files = report.file_bytes == 0 ? ""
                                                             : fmt::format("{} of files, {} new on disk; ",
                                                                           human_size(report.file_bytes),
                                                                           human_size(report.new_disk_bytes));
            context.io.err << fmt::format("{}'{}' goes when the program ends\n", files, name);
        }
    }
    const int status = run_program(context, {ContainerName(name), arguments.tail, context.io.err_tty});
    trial.drop();
    return status;
}

Command try_command() {
    Command it{"try", {}, "Run", "try packages in a container that is thrown away afterwards"};
    it.description = {
        "Makes an aggregate on a base, installs PKG, runs CMD (or a shell), and deletes the aggregate with "
        "its home."};
    it.operands = {{"PKG", Completes::package, false, true}};
    it.tail = Tail::after_dashes;
    it.options = {{"base", 'b', "NAME", "what to build on, if there are several bases", Completes::container},
                  {"refresh", 'y', "", "bring the package lists up to date first"},
                  noconfirm_option()};
    it.examples = {{"pwstore try ripgrep -- rg --version", "run once"},
                   {"pwstore try python", "look around in a shell"}};
    it.run = run_try;
    it.failure_code = kExitOwnFailure;
    return it;
}

}  // namespace

std::vector<Command> run_commands() {
    return {run_command(), shell_command(), try_command()};
}

}  // namespace pwstore::cli
