// SPDX-License-Identifier: GPL-3.0-or-later
//
//     pwstore-start lead|join COMMAND [ARGUMENT…]
//
// The first program of a sandbox that shares the caller's terminal. The sandbox program is started with every
// signal blocked: it is in the process group that ^C and ^Z reach, and would die or stop of them, and the
// sandbox with it. This unblocks them for the command and becomes it. "lead": in a process group of its own,
// the terminal's foreground one. It is passed as a descriptor and runs in roots that have no loader or
// another C library: it must be linked statically, and uses the C library only.
#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstring>

#include "mount/child.hpp"

int main(int argc, char** argv) {
    if (argc < 3) return 125;
    pwstore::child::mark_all_close_on_exec();
    if (std::strcmp(argv[1], "lead") == 0) {
        const int terminal = ::open("/dev/tty", O_RDWR | O_CLOEXEC);
        if (terminal >= 0 && ::setpgid(0, 0) == 0) (void)::tcsetpgrp(terminal, ::getpid());
    }
    sigset_t none;
    (void)sigemptyset(&none);
    (void)sigprocmask(SIG_SETMASK, &none, nullptr);
    (void)::execvp(argv[2], argv + 2);
    const int error = errno;
    (void)std::fprintf(stderr, "pwstore: '%s' cannot be executed: %s\n", argv[2], std::strerror(error));
    return error == ENOENT ? 127 : 126;
}
