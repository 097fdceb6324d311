// SPDX-License-Identifier: GPL-3.0-or-later
// `pwstore pacman`: the command line of pacman(8) on a directory or a container.
#include <fmt/format.h>

#include <algorithm>
#include <ostream>

#include "cli/build_config.hpp"
#include "cli/cmd.hpp"
#include "cli/pacman/options.hpp"
#include "cli/pacman/places.hpp"
#include "cli/pacman/query.hpp"
#include "cli/pacman/screen.hpp"
#include "cli/pacman/transaction.hpp"
#include "store/base/error.hpp"

namespace pwstore::cli {

namespace {

constexpr const char* kNoTargets = "no targets specified (use -h for help)";

void print_usage(const Context& context, const pacman::Usage& problem) {
    context.io.out << std::flush;
    context.io.err << problem.what() << '\n' << std::flush;
}

/// "-" among the targets stands for the lines of standard input.
void read_targets(const Context& context, pacman::Options& options) {
    auto& targets = options.targets;
    const auto dash = std::find(targets.begin(), targets.end(), "-");
    if (dash == targets.end()) return;
    if (context.io.in_tty) throw pacman::Usage("error: argument '-' specified without input on stdin");
    targets.erase(dash);
    bool found = false;
    while (const auto line = context.io.read_line()) {
        if (line->empty()) continue;
        targets.push_back(*line);
        found = true;
    }
    if (!found) throw pacman::Usage("error: argument '-' specified with empty stdin");
}

bool wants_color(const Context& context, const pacman::Options& options, const PacmanConfig& config) {
    if (options.color) return *options.color == "always" || (*options.color == "auto" && context.io.out_tty);
    return config.places.color && context.io.out_tty;
}

bool only_looks(const pacman::Options& options) {
    switch (options.operation) {
        case pacman::Operation::query:
        case pacman::Operation::deptest:
        case pacman::Operation::database:
            return true;
        case pacman::Operation::sync:
            return options.clean > 0 || options.search || options.groups > 0 || options.info > 0 ||
                   options.list;
        case pacman::Operation::none:
        case pacman::Operation::files:
        case pacman::Operation::remove:
        case pacman::Operation::upgrade:
            return false;
    }
    return false;
}

int run_look(Context& context, const pacman::Screen& screen, const pacman::Options& options,
             const pacman::Places& places) {
    if (options.operation == pacman::Operation::sync && options.refresh > 0) {
        pacman::Options refresh = options;
        refresh.targets.clear();
        const int code = pacman::run_transaction(context, screen, refresh, places);
        if (code != kDone) return code;
    }
    pacman::PacmanDialogue sink(screen, options, false);
    const auto catalogue = pacman::open_catalogue(options, places, sink);
    const pacman::Query query{context, screen, options, places, *catalogue};
    switch (options.operation) {
        case pacman::Operation::query:
            return pacman::run_query(query);
        case pacman::Operation::deptest:
            return pacman::run_deptest(query);
        case pacman::Operation::database:
            return pacman::run_database(query);
        case pacman::Operation::sync:
        case pacman::Operation::none:
        case pacman::Operation::files:
        case pacman::Operation::remove:
        case pacman::Operation::upgrade:
            break;
    }
    return options.clean > 0 ? pacman::run_clean(query) : pacman::run_sync_query(query);
}

pacman::Places places_of(Context& context, const pacman::Options& options) {
    if (!options.container) return pacman::find_places(options);
    return pacman::container_places(options, context.backend.pacman_view(ContainerName(*options.container)));
}

/// What -v says before anything else.
void print_places(const pacman::Screen& screen, const pacman::Options& options,
                  const pacman::Places& places) {
    const auto line = [&](const char* title, const std::string& value) {
        screen.print(fmt::format("{:<10}: {}\n", title, screen.shown(value)));
    };
    const auto directories = [&](const char* title, const std::vector<std::string>& values) {
        std::string all;
        for (const std::string& value : values)
            all += value + "  ";
        line(title, all);
    };
    line("Root", places.root);
    line("Conf File", places.config);
    line("DB Path", places.database);
    directories("Cache Dirs", places.cache_dirs);
    std::vector<std::string> hooks = places.hook_dirs;
    hooks.insert(hooks.begin(), places.root + "usr/share/libalpm/hooks/");
    directories("Hook Dirs", hooks);
    line("Lock File", places.database + "db.lck");
    line("Log File", places.log_file);
    line("GPG Dir", places.gnupg_dir);
    screen.print(screen.listed("Targets   :", options.targets));
}

int run_operation(Context& context, const pacman::Screen& screen, const pacman::Options& options,
                  const pacman::Places& places) {
    if (options.operation == pacman::Operation::files) {
        screen.error("file databases (-F) are not there in pwstore");
        return kFailed;
    }
    if (only_looks(options)) return run_look(context, screen, options, places);
    const bool needs_targets =
        options.operation == pacman::Operation::remove || options.operation == pacman::Operation::upgrade ||
        (options.operation == pacman::Operation::sync && options.upgrade == 0 && options.refresh == 0);
    if (needs_targets && options.targets.empty()) {
        screen.error(kNoTargets);
        return kFailed;
    }
    return pacman::run_transaction(context, screen, options, places);
}

int run_pacman(Context& context, const Arguments& arguments) {
    try {
        pacman::Options options = pacman::read_options(arguments.tail);
        if (options.help) {
            context.io.out << pacman::usage_text(options.operation, "pwstore pacman");
            return kDone;
        }
        if (options.version) {
            context.io.out << fmt::format("pwstore {} as pacman 6.0\n", kVersion);
            return kDone;
        }
        read_targets(context, options);
        const pacman::Places places = places_of(context, options);
        pacman::Screen screen(context, options.no_confirm);
        screen.use_color(wants_color(context, options, places.settings));
        if (options.verbose > 0) print_places(screen, options, places);
        if (options.operation == pacman::Operation::none)
            throw pacman::Usage("error: no operation specified (use -h for help)");
        return run_operation(context, screen, options, places);
    } catch (const pacman::Usage& problem) {
        print_usage(context, problem);
        return problem.exit_code();
    } catch (const Error& error) {
        pacman::print_failure(pacman::Screen(context, true), error);
        return error.fault() == Fault::interrupted ? kInterrupted : kFailed;
    }
}

Command pacman_command() {
    Command it{"pacman", {}, "Packages", "pacman's command line on a directory or a container"};
    it.description = {
        "Takes pacman's operations (-S, -U, -R, -Q, -D, -T) and options, and answers as pacman 6.0 does; "
        "'pwstore pacman -S -h' lists the options of -S. --root DIR is a system in a directory, which is "
        "changed in place; --container NAME is a container, of which a new generation is made.",
        "Nothing of this machine is used that was not named: without --root, --sysroot or --container "
        "nothing is done, and cache, keyring, hooks and log are inside the root unless an option or the "
        "configuration says otherwise. Places of a container are pwstore's own: options that name others "
        "are refused."};
    it.tail = Tail::everything;
    it.operands = {{"ARGUMENT", Completes::nothing, true, true}};
    it.options = {
        {"container", 0, "NAME", "a container", Completes::container},
        {"root", 'r', "DIR", "the system in DIR", Completes::directory},
        {"sysroot", 0, "DIR", "the same; other paths are inside of it as well", Completes::directory},
        {"dbpath", 'b', "DIR", "its database", Completes::directory},
        {"config", 0, "FILE", "its pacman.conf; of a container, in place of repositories.conf",
         Completes::file},
        {"in-place", 0, "", "change the directory itself; the default of --root"},
        {"noconfirm", 0, "", "take the standard answer to every question"}};
    it.examples = {
        {"pwstore pacman --sysroot ~/root -Syu", "upgrade the system in a directory"},
        {"pwstore pacman --root ~/root -Qo ~/root/usr/bin/vim", "whose file is this?"},
        {"pwstore pacman --container editor -S neovim", "'pwstore undo' takes it back"},
        {"pwstore pacman --container editor -Qi neovim", "what a container knows of a package"},
        {"pwstore pacman --container editor -Sc", "packages that no container has leave the cache"}};
    it.run = run_pacman;
    return it;
}

}  // namespace

std::vector<Command> pacman_commands() {
    return {pacman_command()};
}

}  // namespace pwstore::cli
