// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>

namespace pwstore {

/// Standard descriptors that this process was started without are taken by what cannot be read (0) or written
/// (1, 2), so that no file of ours gets their numbers. To be called first in main().
inline void hold_standard_descriptors() noexcept {
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; ++fd) {
        if (::fcntl(fd, F_GETFD) >= 0 || errno != EBADF) continue;
        if (::open("/dev/null", fd == STDIN_FILENO ? O_WRONLY : O_RDONLY) != fd) ::_exit(125);
    }
}

/// A parent that ignores SIGCHLD (some schedulers and supervisors do) leaves that to its children, whose own
/// children then end without a trace. To be called before the first child.
inline void heed_children() noexcept {
    (void)::signal(SIGCHLD, SIG_DFL);
}

}  // namespace pwstore
