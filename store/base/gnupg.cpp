// SPDX-License-Identifier: GPL-3.0-or-later
#include "store/base/gnupg.hpp"

#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <string_view>
#include <utility>

#include "store/base/error.hpp"
#include "store/base/fd.hpp"
#include "store/base/path_at.hpp"

namespace pwstore {

namespace {

/// The environment of gpg: nothing of the user's GnuPG, and texts that do not depend on the locale.
std::vector<char*> gnupg_environment() {
    std::vector<char*> kept;
    for (char** entry = environ; *entry != nullptr; ++entry) {
        const std::string_view text = *entry;
        if (!text.starts_with("GNUPGHOME=") && !text.starts_with("LC_ALL=")) kept.push_back(*entry);
    }
    static std::string locale = "LC_ALL=C.UTF-8";
    kept.push_back(locale.data());
    kept.push_back(nullptr);
    return kept;
}

}  // namespace

ProgramResult run_gnupg(const std::string& program, std::vector<std::string> arguments,
                        const std::string& input) {
    std::array<int, 2> in{};
    std::array<int, 2> out{};
    if (::pipe2(in.data(), O_CLOEXEC) != 0) throw Error::from_errno("start program", program);
    Fd in_read(in[0]);
    Fd in_write(in[1]);
    if (::pipe2(out.data(), O_CLOEXEC) != 0) throw Error::from_errno("start program", program);
    Fd out_read(out[0]);
    Fd out_write(out[1]);

    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, in_read.get(), STDIN_FILENO);
    posix_spawn_file_actions_adddup2(&actions, out_write.get(), STDOUT_FILENO);
    posix_spawn_file_actions_adddup2(&actions, out_write.get(), STDERR_FILENO);
    std::string name = program;
    std::vector<char*> argv = {name.data()};
    for (std::string& argument : arguments)
        argv.push_back(argument.data());
    argv.push_back(nullptr);
    const std::vector<char*> environment = gnupg_environment();
    pid_t pid = 0;
    const int failed =
        ::posix_spawnp(&pid, program.c_str(), &actions, nullptr, argv.data(), environment.data());
    posix_spawn_file_actions_destroy(&actions);
    if (failed != 0) return {};
    in_read.reset();
    out_write.reset();
    // What is given is a few words, far less than a pipe holds; a child that does not read them is no failure
    // here.
    if (!input.empty() && ::write(in_write.get(), input.data(), input.size()) < 0) in_write.reset();
    in_write.reset();
    std::string output = read_all(out_read.get(), program);
    int status = 0;
    while (::waitpid(pid, &status, 0) < 0 && errno == EINTR) {
    }
    return {WIFEXITED(status) ? WEXITSTATUS(status) : 128, std::move(output)};
}

}  // namespace pwstore
