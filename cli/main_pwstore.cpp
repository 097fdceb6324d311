// SPDX-License-Identifier: GPL-3.0-or-later
// pwstore: starts a container's program from its precompiled launch record, and hands everything else over to
// pwstore-cli. What is linked here is paid for at every launch: no option parser, no YAML, no libalpm, no
// libarchive.
#define FMT_HEADER_ONLY 1  // what the libraries below use of it is compiled in here
#include <fmt/format.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "cli/program.hpp"
#include "mount/launch.hpp"
#include "mount/process.hpp"
#include "store/base/error.hpp"
#include "store/index/index.hpp"
#include "store/layout.hpp"

namespace {

using pwstore::ContainerName;
using pwstore::Error;

[[gnu::used]] std::string (*const kFormat)(fmt::string_view, fmt::format_args) = &fmt::vformat;

/// A command line that needs nobody to interpret it.
struct PlainRun {
    std::string_view container;
    std::vector<std::string> command;  ///< empty = a shell
};

/// `run|exec|-E NAME [--] COMMAND…`, `shell|-Es NAME`; nullopt for everything else.
std::optional<PlainRun> plain_run(int argc, char** argv) {
    if (argc < 3 || argv[2][0] == '-' || argv[2][0] == '\0') return std::nullopt;
    const std::string_view verb = argv[1];
    if ((verb == "shell" || verb == "-Es") && argc == 3) return PlainRun{argv[2], {}};
    if (verb != "run" && verb != "exec" && verb != "-E") return std::nullopt;
    const int first = argc > 3 && std::string_view(argv[3]) == "--" ? 4 : 3;
    if (first >= argc) return std::nullopt;
    return PlainRun{argv[2], {argv + first, argv + argc}};
}

/// nullopt also when something is wrong: pwstore-cli meets it again and knows how to say it.
std::optional<pwstore::PreparedRun> prepare(const PlainRun& run) {
    // Without it the passwd entry is asked, which a statically linked program had better not do.
    if (const char* home = std::getenv("HOME"); home == nullptr || *home != '/') return std::nullopt;
    try {
        const auto directories = pwstore::Directories::from_environment();
        const auto layout = pwstore::Layout::open(directories);
        const auto index = pwstore::Index::open(layout.data(), pwstore::Index::Mode::read_only);
        return pwstore::prepare_run(directories, index, layout.data(), ContainerName(run.container),
                                    pwstore::HostContext::current());
    } catch (const std::exception&) {
        return std::nullopt;
    }
}

std::string shell_of(const pwstore::SandboxSpec& spec) {
    for (const pwstore::EnvironmentVariable& variable : spec.environment) {
        if (variable.name == "SHELL") return variable.value;
    }
    return "sh";
}

int start(pwstore::PreparedRun prepared, std::vector<std::string> command) {
    for (const std::string& warning : prepared.warnings) {
        (void)std::fprintf(stderr, "warning: %s\n", pwstore::printable(warning).c_str());
    }
    if (command.empty()) command.push_back(shell_of(prepared.spec));
    try {
        // For a person who looks on; nothing else makes a launch talk.
        const pwstore::Say say = [](const std::string& text) {
            (void)std::fprintf(stderr, "pwstore: %s\n", text.c_str());
        };
        return pwstore::launch(prepared.program, std::move(prepared.spec), command, std::move(prepared.lease),
                               ::isatty(STDERR_FILENO) != 0 ? say : pwstore::Say());
    } catch (const Error& error) {
        (void)pwstore::cli::tell_failure(error, "");
        return pwstore::launch_exit_code(error);
    }
}

int hand_over(char** argv) {
    std::string program;
    try {
        program = pwstore::find_own_program("pwstore-cli");
        (void)::execv(program.c_str(), argv);
        throw Error::from_errno("start", program);
    } catch (const Error& error) {
        (void)pwstore::cli::tell_failure(error, "");
        return pwstore::kExitOwnFailure;
    }
}

}  // namespace

int main(int argc, char** argv) {
    pwstore::cli::begin_program();
    try {
        auto run = plain_run(argc, argv);
        auto prepared = run ? prepare(*run) : std::nullopt;
        if (!prepared) return hand_over(argv);
        return start(std::move(*prepared), std::move(run->command));
    } catch (const std::exception& problem) {
        (void)pwstore::cli::tell_failure(problem, "starting a program in a container");
        return pwstore::kExitOwnFailure;
    }
}
