// SPDX-License-Identifier: GPL-3.0-or-later
#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/audit.h>
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

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <functional>
#include <initializer_list>
#include <vector>

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
constexpr SeccompPolicy kRoot{.user_namespaces = false, .root_emulation = true};

// --- The program itself, on arguments of our choice: what the kernel would answer by itself does not matter
// -----------------------------------------------------------------------------------------------------

constexpr uint32_t k64Bit = AUDIT_ARCH_X86_64;
constexpr uint32_t k32Bit = AUDIT_ARCH_I386;
constexpr int kAllowed = -1;

/// The errno that the filter answers `call` with, or kAllowed; every 32-bit word of the arguments is theirs.
int answer_of(const SeccompPolicy& policy, uint32_t architecture, long call,
              std::array<uint64_t, 6> arguments = {}) {
    struct seccomp_data data {};
    data.nr = static_cast<int>(call);
    data.arch = architecture;
    std::copy(arguments.begin(), arguments.end(), std::begin(data.args));
    const std::string bytes = compile_seccomp(policy);
    std::vector<struct sock_filter> program(bytes.size() / sizeof(struct sock_filter));
    std::memcpy(program.data(), bytes.data(), bytes.size());
    uint32_t a = 0;
    for (size_t at = 0; at < program.size(); ++at) {
        const struct sock_filter& step = program[at];
        const auto jump = [&](bool taken) { at += taken ? step.jt : step.jf; };
        switch (step.code) {
            case BPF_LD | BPF_W | BPF_ABS:
                std::memcpy(&a, reinterpret_cast<const char*>(&data) + step.k, sizeof a);
                break;
            case BPF_ALU | BPF_AND | BPF_K:
                a &= step.k;
                break;
            case BPF_JMP | BPF_JA:
                at += step.k;
                break;
            case BPF_JMP | BPF_JEQ | BPF_K:
                jump(a == step.k);
                break;
            case BPF_JMP | BPF_JGT | BPF_K:
                jump(a > step.k);
                break;
            case BPF_JMP | BPF_JGE | BPF_K:
                jump(a >= step.k);
                break;
            case BPF_JMP | BPF_JSET | BPF_K:
                jump((a & step.k) != 0);
                break;
            case BPF_RET | BPF_K:
                if (step.k == SECCOMP_RET_ALLOW) return kAllowed;
                EXPECT_EQ(step.k & SECCOMP_RET_ACTION_FULL, SECCOMP_RET_ERRNO);
                return static_cast<int>(step.k & SECCOMP_RET_DATA);
            default:
                ADD_FAILURE() << "unknown instruction " << step.code;
                return -2;
        }
    }
    ADD_FAILURE() << "the program does not end";
    return -2;
}

constexpr SeccompPolicy kOpen{.user_namespaces = true, .root_emulation = false};

/// Calls as numbers of x86_64, then of i386 (-1: there is none).
struct Call {
    long wide;
    long narrow;
};

void expect_all(const SeccompPolicy& policy, std::initializer_list<Call> calls, int answer) {
    for (const Call& call : calls) {
        if (call.wide >= 0) {
            EXPECT_EQ(answer_of(policy, k64Bit, call.wide), answer) << "64-bit call " << call.wide;
        }
        if (call.narrow >= 0) {
            EXPECT_EQ(answer_of(policy, k32Bit, call.narrow), answer) << "32-bit call " << call.narrow;
        }
    }
}

#ifdef __x86_64__
TEST(SeccompProgram, EveryRefusedCall) {
    const std::initializer_list<Call> refused = {
        {SYS_syslog, 103},     {SYS_uselib, 86},         {SYS_acct, 51},           {SYS_quotactl, 131},
        {SYS_add_key, 286},    {SYS_keyctl, 288},        {SYS_request_key, 287},   {SYS_move_pages, 317},
        {SYS_mbind, 274},      {SYS_get_mempolicy, 275}, {SYS_set_mempolicy, 276}, {SYS_migrate_pages, 294},
        {SYS_pidfd_getfd, 438}};
    const std::initializer_list<Call> absent = {
        {SYS_clone3, 435},   {SYS_open_tree, 428},      {SYS_move_mount, 429}, {SYS_fsopen, 430},
        {SYS_fsconfig, 431}, {SYS_fsmount, 432},        {SYS_fspick, 433},     {SYS_mount_setattr, 442},
        {SYS_ptrace, 26},    {SYS_perf_event_open, 336}};
    for (const SeccompPolicy& policy : {kUser, kRoot, kOpen}) {
        expect_all(policy, refused, EPERM);
        expect_all(policy, absent, ENOSYS);
        expect_all(policy, {{SYS_read, 3}, {SYS_openat, 295}, {SYS_execve, 11}, {SYS_personality, 136}},
                   kAllowed);
        for (const uint64_t personality : {1ULL, 0x0040000ULL, 0xFFFFFFFFULL}) {
            EXPECT_EQ(answer_of(policy, k64Bit, SYS_personality, {personality}), EPERM);
            EXPECT_EQ(answer_of(policy, k32Bit, 136, {personality}), EPERM);
        }
    }
}

TEST(SeccompProgram, EveryCallThatChangesNamespaces) {
    const std::initializer_list<Call> calls = {{SYS_unshare, 310}, {SYS_setns, 346},  {SYS_mount, 21},
                                               {-1, 22},           {SYS_umount2, 52}, {SYS_pivot_root, 217},
                                               {SYS_chroot, 61}};
    expect_all(kUser, calls, EPERM);
    expect_all(kRoot, calls, EPERM);
    expect_all(kOpen, calls, kAllowed);
    for (const auto& [architecture, clone] : {std::pair(k64Bit, long{SYS_clone}), std::pair(k32Bit, 120L)}) {
        for (const uint64_t flags : {uint64_t{CLONE_NEWUSER}, uint64_t{CLONE_NEWUSER | CLONE_NEWNS | SIGCHLD},
                                     uint64_t{CLONE_NEWUSER | 1ULL << 40U}}) {
            EXPECT_EQ(answer_of(kUser, architecture, clone, {flags}), EPERM) << std::hex << flags;
            EXPECT_EQ(answer_of(kRoot, architecture, clone, {flags}), EPERM) << std::hex << flags;
            EXPECT_EQ(answer_of(kOpen, architecture, clone, {flags}), kAllowed) << std::hex << flags;
        }
        EXPECT_EQ(answer_of(kUser, architecture, clone, {SIGCHLD | CLONE_VM}), kAllowed);
    }
}

TEST(SeccompProgram, TerminalControlInBothArchitectures) {
    for (const auto& [architecture, ioctl] : {std::pair(k64Bit, long{SYS_ioctl}), std::pair(k32Bit, 54L)}) {
        for (const uint64_t request : {uint64_t{TIOCSTI}, uint64_t{TIOCLINUX}}) {
            EXPECT_EQ(answer_of(kUser, architecture, ioctl, {0, request}), EPERM);
            EXPECT_EQ(answer_of(kUser, architecture, ioctl, {0, request | 0x5500000000ULL}), EPERM);
            EXPECT_EQ(answer_of(kRoot, architecture, ioctl, {0, request}), EPERM);
            EXPECT_EQ(answer_of(kOpen, architecture, ioctl, {0, request}), EPERM);
        }
        EXPECT_EQ(answer_of(kUser, architecture, ioctl, {0, TIOCGWINSZ}), kAllowed);
    }
}

TEST(SeccompProgram, EveryEmulatedCall) {
    const std::initializer_list<Call> calls = {{SYS_chown, 182}, {SYS_fchown, 95},
                                               {SYS_lchown, 16}, {SYS_fchownat, 298},
                                               {-1, 212},        {-1, 207},
                                               {-1, 198},        {SYS_setgroups, 81},
                                               {-1, 206},        {SYS_setuid, 23},
                                               {-1, 213},        {SYS_setgid, 46},
                                               {-1, 214},        {SYS_setreuid, 70},
                                               {-1, 203},        {SYS_setregid, 71},
                                               {-1, 204},        {SYS_setresuid, 164},
                                               {-1, 208},        {SYS_setresgid, 170},
                                               {-1, 210},        {SYS_setfsuid, 138},
                                               {-1, 215},        {SYS_setfsgid, 139},
                                               {-1, 216},        {SYS_capset, 185}};
    expect_all(kRoot, calls, 0);
    expect_all(kUser, calls, kAllowed);
    expect_all(kOpen, calls, kAllowed);
    struct Nodes {
        uint32_t architecture;
        long mknod, mknodat;
    };
    for (const Nodes& nodes : {Nodes{k64Bit, SYS_mknod, SYS_mknodat}, Nodes{k32Bit, 14, 297}}) {
        for (const auto& [type, answer] :
             {std::pair(S_IFCHR, 0), std::pair(S_IFBLK, 0), std::pair(S_IFIFO, kAllowed),
              std::pair(S_IFREG, kAllowed), std::pair(S_IFSOCK, kAllowed)}) {
            const uint64_t mode = uint64_t{static_cast<unsigned>(type)} | 0644U;
            EXPECT_EQ(answer_of(kRoot, nodes.architecture, nodes.mknod, {0, mode}), answer) << type;
            EXPECT_EQ(answer_of(kRoot, nodes.architecture, nodes.mknodat, {0, 0, mode}), answer) << type;
            EXPECT_EQ(answer_of(kUser, nodes.architecture, nodes.mknod, {0, mode}), kAllowed) << type;
        }
    }
}

TEST(SeccompProgram, OtherArchitecturesDoNotExist) {
    EXPECT_EQ(answer_of(kUser, AUDIT_ARCH_AARCH64, SYS_read), ENOSYS);
    EXPECT_EQ(answer_of(kUser, k64Bit, 0x40000000L + SYS_read), ENOSYS);
}
#endif

// --- The program in the kernel
// ------------------------------------------------------------------------------

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
    EXPECT_EQ(under_filter({.user_namespaces = true}, request(TIOCSTI)), EPERM);
    EXPECT_EQ(under_filter({.root_emulation = true}, request(TIOCLINUX)), EPERM);
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
