// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <fcntl.h>
#include <linux/close_range.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <climits>
#include <csignal>
#include <cstddef>

/// What a child does between its birth and exec. Only system calls: nothing here allocates, locks or throws,
/// so that it may run in a child that shares its parent's memory, and in the static helper program, which
/// uses nothing else of ours.
namespace pwstore::child {

/// The first number that passed descriptors get; 0 to 2 are the standard streams.
inline constexpr int kFirstDescriptor = 10;
inline constexpr size_t kMaxDescriptors = 240;

/// Mark every descriptor from 3 on as closed by exec: also those that we inherited from a careless parent.
inline void mark_all_close_on_exec() noexcept {
    if (::syscall(SYS_close_range, 3U, UINT_MAX, unsigned{CLOSE_RANGE_CLOEXEC}) == 0) return;
    struct rlimit limit {};
    const rlim_t end =
        ::getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < 1048576 ? limit.rlim_cur : 1048576;
    for (int fd = 3; static_cast<rlim_t>(fd) < end; ++fd)
        (void)::fcntl(fd, F_SETFD, FD_CLOEXEC);
}

/// Give `count` descriptors the numbers `first`, `first` + 1, …, and the three `streams` (-1 = as inherited)
/// 0 to 2; all others are closed by exec. False with errno when it could not be done.
inline bool place_descriptors(const int* streams, const int* descriptors, size_t count, int first) noexcept {
    if (count > kMaxDescriptors) {
        errno = EMFILE;
        return false;
    }
    mark_all_close_on_exec();
    // Out of the way first: a source may sit on another one's target.
    int moved[kMaxDescriptors + 3];
    const int free_from = first + static_cast<int>(count);
    for (size_t i = 0; i < count + 3; ++i) {
        const int source = i < 3 ? streams[i] : descriptors[i - 3];
        moved[i] = source < 0 ? -1 : ::fcntl(source, F_DUPFD_CLOEXEC, free_from);
        if (source >= 0 && moved[i] < 0) return false;
    }
    for (size_t i = 0; i < count + 3; ++i) {
        const int target = i < 3 ? static_cast<int>(i) : first + static_cast<int>(i - 3);
        if (moved[i] >= 0 && ::dup2(moved[i], target) < 0) return false;
    }
    return true;
}

/// Die when the thread that made us dies. False when it is dead already.
inline bool die_with(pid_t parent) noexcept {
    return ::prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) == 0 && ::getppid() == parent;
}

/// Default action for every signal: an ignored one would stay ignored in the program. All are blocked, or
/// none.
inline void reset_signals(bool block) noexcept {
    struct sigaction action {};
    action.sa_handler = SIG_DFL;
    for (int number = 1; number < NSIG; ++number)
        (void)::sigaction(number, &action, nullptr);
    sigset_t set;
    (void)(block ? ::sigfillset(&set) : ::sigemptyset(&set));
    (void)::sigprocmask(SIG_SETMASK, &set, nullptr);
}

}  // namespace pwstore::child
