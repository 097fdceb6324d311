// SPDX-License-Identifier: GPL-3.0-or-later
#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <functional>

#include "mount/seccomp.hpp"
#include "tests/support/test_dir.hpp"

namespace pwstore {
namespace {

/// The errno that `act` leaves in a process under the filter; 0 when it returned 0.
int under_filter(const SeccompPolicy& policy, const std::function<long()>& act) {
    const std::string program = compile_seccomp(policy);
    const pid_t child = ::fork();
    if (child == 0) {
        std::string copy = program;
        struct sock_fprog filter {};
        filter.len = static_cast<unsigned short>(copy.size() / sizeof(struct sock_filter));
        filter.filter = reinterpret_cast<struct sock_filter*>(copy.data());
        if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ||
            ::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) != 0) {
            ::_exit(250);
        }
        errno = 0;
        const long result = act();
        ::_exit(result == 0 ? 0 : errno);
    }
    int status = 0;
    ::waitpid(child, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
}

constexpr SeccompPolicy kUser{};
constexpr SeccompPolicy kRoot{.user_namespaces = false, .terminal_control = false, .root_emulation = true};

TEST(Seccomp, RefusedCalls) {
    EXPECT_EQ(under_filter(kUser, [] { return ::syscall(SYS_syslog, 10, nullptr, 0); }), EPERM);
    EXPECT_EQ(under_filter(kUser, [] { return ::syscall(SYS_acct, "/nonexistent"); }), EPERM);
    EXPECT_EQ(under_filter(kUser, [] { return ::syscall(SYS_keyctl, 0, 0, 0, 0, 0); }), EPERM);
    EXPECT_EQ(under_filter(kUser, [] { return ::syscall(SYS_add_key, nullptr, nullptr, nullptr, 0, 0); }),
              EPERM);
    EXPECT_EQ(under_filter(kUser, [] { return ::syscall(SYS_mbind, nullptr, 0, 0, nullptr, 0, 0); }), EPERM);
    EXPECT_EQ(under_filter(kUser, [] { return ::syscall(SYS_pidfd_getfd, -1, 0, 0); }), EPERM);
}

TEST(Seccomp, AbsentCalls) {
    EXPECT_EQ(under_filter(kUser, [] { return ::syscall(SYS_clone3, nullptr, 0); }), ENOSYS);
    EXPECT_EQ(under_filter(kUser, [] { return ::syscall(SYS_open_tree, -1, nullptr, 0); }), ENOSYS);
    EXPECT_EQ(under_filter(kUser, [] { return ::syscall(SYS_move_mount, -1, nullptr, -1, nullptr, 0); }),
              ENOSYS);
    EXPECT_EQ(under_filter(kUser, [] { return ::syscall(SYS_fsopen, nullptr, 0); }), ENOSYS);
    EXPECT_EQ(under_filter(kUser, [] { return ::syscall(SYS_mount_setattr, -1, nullptr, 0, nullptr, 0); }),
              ENOSYS);
    EXPECT_EQ(under_filter(kUser, [] { return ::syscall(SYS_ptrace, 0, 0, 0, 0); }), ENOSYS);
    EXPECT_EQ(under_filter(kUser, [] { return ::syscall(SYS_perf_event_open, nullptr, 0, 0, 0, 0); }),
              ENOSYS);
}

TEST(Seccomp, PersonalityIsTheUsualOne) {
    EXPECT_EQ(under_filter(kUser, [] { return ::personality(PER_LINUX) < 0 ? -1L : 0L; }), 0);
    EXPECT_EQ(under_filter(kUser, [] { return static_cast<long>(::personality(ADDR_NO_RANDOMIZE)); }), EPERM);
}

TEST(Seccomp, NamespacesUnlessAllowed) {
    // Descriptor -1 and empty names: the kernel itself answers something else than EPERM.
    const auto setns_call = [] { return ::syscall(SYS_setns, -1, 0); };
    EXPECT_EQ(under_filter(kUser, setns_call), EPERM);
    EXPECT_EQ(under_filter({.user_namespaces = true}, setns_call), EBADF);
    EXPECT_EQ(under_filter(kUser, [] { return ::syscall(SYS_unshare, 0); }), EPERM);
    EXPECT_EQ(under_filter({.user_namespaces = true}, [] { return ::syscall(SYS_unshare, 0); }), 0);
    EXPECT_EQ(under_filter(kUser, [] { return ::syscall(SYS_chroot, "/nonexistent"); }), EPERM);
    EXPECT_EQ(under_filter({.user_namespaces = true}, [] { return ::syscall(SYS_chroot, "/nonexistent"); }),
              ENOENT);
    EXPECT_EQ(under_filter(kUser, [] { return ::syscall(SYS_umount2, "/nonexistent", 0); }), EPERM);
    EXPECT_EQ(under_filter(kUser,
                           [] { return ::syscall(SYS_mount, nullptr, "/nonexistent", nullptr, 0, nullptr); }),
              EPERM);
    EXPECT_EQ(under_filter(
                  kUser,
                  [] { return ::syscall(SYS_clone, CLONE_NEWUSER | SIGCHLD, nullptr, nullptr, nullptr, 0); }),
              EPERM);
    EXPECT_EQ(under_filter(kUser,
                           [] {
                               const pid_t child = ::fork();
                               if (child == 0) ::_exit(0);
                               return child > 0 ? 0L : -1L;
                           }),
              0);
}

// The kernel compares 32 bits of a request, and a mask made of the value itself would refuse its neighbours.
TEST(Seccomp, TerminalControlIsRefusedExactly) {
    const auto request = [](unsigned long number) {
        return [number] { return ::syscall(SYS_ioctl, -1, number, nullptr); };
    };
    EXPECT_EQ(under_filter(kUser, request(TIOCSTI)), EPERM);
    EXPECT_EQ(under_filter(kUser, request(TIOCSTI | 0x100000000UL)), EPERM);
    EXPECT_EQ(under_filter(kUser, request(TIOCSTI | 0xFFFFFFFF00000000UL)), EPERM);
    EXPECT_EQ(under_filter(kUser, request(TIOCLINUX)), EPERM);
    EXPECT_EQ(under_filter(kUser, request(TIOCLINUX | 0x100000000UL)), EPERM);
    for (const int number :
         {TIOCGWINSZ, FIONREAD, TIOCMBIS, TIOCMBIC, FIOASYNC, TIOCCONS, TIOCGSERIAL, TCGETS}) {
        EXPECT_EQ(under_filter(kUser, request(static_cast<unsigned long>(number))), EBADF)
            << std::hex << number;
    }
    EXPECT_EQ(under_filter({.terminal_control = true}, request(TIOCSTI)), EBADF);
    EXPECT_EQ(under_filter({.terminal_control = true}, request(TIOCLINUX)), EBADF);
}

TEST(Seccomp, RootEmulationAnswersSuccess) {
    const test::TestDir dir;
    const std::string file = dir.write("file", "x");
    const char* name = file.c_str();
    EXPECT_EQ(under_filter(kRoot, [&] { return ::chown(name, 4711, 4711); }), 0);
    EXPECT_EQ(under_filter(kRoot, [&] { return ::lchown(name, 4711, 4711); }), 0);
    EXPECT_EQ(under_filter(kRoot, [&] { return ::fchownat(AT_FDCWD, name, 4711, 4711, 0); }), 0);
    EXPECT_EQ(under_filter(kRoot, [&] { return ::fchown(-1, 4711, 4711); }), 0);
    struct stat status {};
    ASSERT_EQ(::stat(name, &status), 0);
    EXPECT_NE(status.st_uid, 4711U);
    EXPECT_EQ(
        under_filter(kRoot, [] { return ::syscall(SYS_setresuid, 33, 33, 33) != 0 || ::getuid() == 33; }), 0);
    EXPECT_EQ(under_filter(kRoot, [] { return ::syscall(SYS_setresgid, 33, 33, 33); }), 0);
    EXPECT_EQ(under_filter(kRoot, [] { return ::syscall(SYS_setgroups, 0, nullptr); }), 0);
    EXPECT_EQ(under_filter(kRoot, [] { return ::syscall(SYS_setuid, 33); }), 0);
    EXPECT_EQ(under_filter(kRoot, [] { return ::syscall(SYS_setfsuid, 33); }), 0);
    EXPECT_EQ(under_filter(kRoot, [] { return ::syscall(SYS_capset, nullptr, nullptr); }), 0);
    // A user's run gets none of this.
    EXPECT_EQ(under_filter(kUser, [] { return ::fchown(-1, 4711, 4711); }), EBADF);
    EXPECT_EQ(under_filter(kUser, [] { return ::syscall(SYS_capset, nullptr, nullptr); }), EFAULT);
}

TEST(Seccomp, OnlyDeviceNodesArePretended) {
    const test::TestDir dir;
    const auto make = [&](const char* below, mode_t mode) {
        const std::string path = dir.path(below);
        const int result = under_filter(kRoot, [&] { return ::mknod(path.c_str(), mode, 0x103); });
        struct stat status {};
        return std::pair(result, ::lstat(path.c_str(), &status) == 0);
    };
    EXPECT_EQ(make("character", S_IFCHR | 0600), std::pair(0, false));
    EXPECT_EQ(make("block", S_IFBLK | 0600), std::pair(0, false));
    EXPECT_EQ(make("fifo", S_IFIFO | 0600), std::pair(0, true));
    EXPECT_EQ(make("socket", S_IFSOCK | 0600), std::pair(0, true));
    EXPECT_EQ(make("regular", S_IFREG | 0600), std::pair(0, true));
    const std::string old = dir.path("old");
    EXPECT_EQ(under_filter(kRoot, [&] { return ::syscall(SYS_mknod, old.c_str(), S_IFBLK | 0600, 0x103); }),
              0);
    EXPECT_NE(::access(old.c_str(), F_OK), 0);
}

#ifdef __x86_64__
/// int 0x80: the 32-bit entry that a 64-bit program can use to walk around a filter that knows one
/// architecture only.
long call_32_bit(long number, long first, long second) {
    long result = 0;
    asm volatile("int $0x80"
                 : "=a"(result)
                 : "a"(number), "b"(first), "c"(second)
                 : "memory", "r8", "r9", "r10", "r11");
    if (result < 0) {
        errno = static_cast<int>(-result);
        return -1;
    }
    return 0;
}

TEST(Seccomp, The32BitCallsAreCovered) {
    constexpr long kIoctl32 = 54, kChroot32 = 61, kGetpid32 = 20;
    EXPECT_EQ(under_filter(kUser, [] { return call_32_bit(kIoctl32, -1, TIOCSTI); }), EPERM);
    EXPECT_EQ(under_filter(kUser, [] { return call_32_bit(kIoctl32, -1, TIOCGWINSZ); }), EBADF);
    EXPECT_EQ(under_filter(kUser, [] { return call_32_bit(kChroot32, 0, 0); }), EPERM);
    EXPECT_EQ(under_filter(kUser, [] { return call_32_bit(kGetpid32, 0, 0); }), 0);
}

TEST(Seccomp, TheX32CallsDoNotExist) {
    constexpr long kX32 = 0x40000000;
    EXPECT_EQ(under_filter(kUser, [] { return ::syscall(kX32 + SYS_getpid); }), ENOSYS);
}
#endif

}  // namespace
}  // namespace pwstore
