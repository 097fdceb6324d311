// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>

/// Children of a process, from /proc. Used by the library and by the static helper program; no exceptions.
namespace pwstore::child {

/// Read up to `size` - 1 bytes of a small file; the length, 0 when it cannot be read.
inline size_t read_small(const char* path, char* buffer, size_t size) noexcept {
    const int fd = ::open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return 0;
    const ssize_t got = ::read(fd, buffer, size - 1);
    ::close(fd);
    buffer[got > 0 ? got : 0] = '\0';
    return got > 0 ? static_cast<size_t>(got) : 0;
}

/// Parent of `pid`, 0 when it is gone.
inline pid_t parent_of(pid_t pid) noexcept {
    char path[64];
    char text[512];
    (void)std::snprintf(path, sizeof path, "/proc/%d/stat", pid);
    if (read_small(path, text, sizeof text) == 0) return 0;
    // The name in parentheses may hold anything, so start behind the last one: " S PPID".
    const char* end = std::strrchr(text, ')');
    return end == nullptr || std::strlen(end) < 4 ? 0 : std::atoi(end + 4);
}

/// The first child of `pid` in the order of their birth; 0 when it has none.
inline pid_t first_child_of(pid_t pid) noexcept {
    char path[64];
    char text[64];
    (void)std::snprintf(path, sizeof path, "/proc/%d/task/%d/children", pid, pid);
    if (::access(path, R_OK) == 0) return read_small(path, text, sizeof text) == 0 ? 0 : std::atoi(text);
    // A kernel without that file: look at everyone, the lowest number is the best guess.
    DIR* all = ::opendir("/proc");
    pid_t found = 0;
    while (all != nullptr) {
        const struct dirent* item = ::readdir(all);
        if (item == nullptr) break;
        const pid_t candidate = std::atoi(item->d_name);
        if (candidate > 0 && (found == 0 || candidate < found) && parent_of(candidate) == pid)
            found = candidate;
    }
    if (all != nullptr) ::closedir(all);
    return found;
}

/// Wait for the sandbox program, then for all that it left: a subreaper inherits the sandbox's first process,
/// and when that is gone, its process namespace is empty. The wait status of the sandbox program.
inline int wait_for_sandbox(pid_t sandbox) noexcept {
    int result = 0;
    for (bool ended = false;;) {
        int status = 0;
        const pid_t pid = ::waitpid(-1, &status, __WALL);
        if (pid < 0 && errno == EINTR) continue;
        if (pid < 0) return result;
        if (pid == sandbox) {
            result = status;
            ended = true;
        }
        // It dies with the sandbox program by itself, unless it was not yet told to or a program inside has
        // talked it out of that.
        const pid_t left = ended ? first_child_of(::getpid()) : 0;
        if (left > 0) (void)::kill(left, SIGKILL);
    }
}

/// The same for a guard: when `line`, of which the other end is open in the one process that wants the
/// sandbox, hangs up, the sandbox is ended.
///
/// The sandbox program cannot be left to die with that process by itself: its first child is told to die with
/// it only after a moment, and would outlive it for ever when that moment is missed.
inline int guard_sandbox(pid_t sandbox, int line) noexcept {
    const int process = static_cast<int>(::syscall(SYS_pidfd_open, sandbox, 0U));
    struct pollfd items[2] = {{line, 0, 0}, {process, POLLIN, 0}};
    while (process >= 0 && ::poll(items, 2, -1) < 0 && errno == EINTR) {
    }
    if (items[0].revents != 0) (void)::kill(sandbox, SIGKILL);
    if (process >= 0) (void)::close(process);
    return wait_for_sandbox(sandbox);
}

}  // namespace pwstore::child
