// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <dirent.h>
#include <fcntl.h>
#include <sys/types.h>
#include <unistd.h>

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

}  // namespace pwstore::child
