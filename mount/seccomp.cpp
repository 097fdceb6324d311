// SPDX-License-Identifier: GPL-3.0-or-later
#include "mount/seccomp.hpp"

#include <fcntl.h>
#include <sched.h>
#include <seccomp.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <memory>
#include <span>

#include "store/base/error.hpp"
#include "store/base/fd.hpp"
#include "store/base/path_at.hpp"

namespace pwstore {

namespace {

/// The kernel looks at the low half of an ioctl request only; a rule that compared all 64 bits could be
/// walked around.
constexpr scmp_datum_t kLowHalf = 0xFFFFFFFFU;

// Calls that programs of a container have no business with: refused.
constexpr int kRefused[] = {SCMP_SYS(syslog),        SCMP_SYS(uselib),        SCMP_SYS(acct),
                            SCMP_SYS(quotactl),      SCMP_SYS(add_key),       SCMP_SYS(keyctl),
                            SCMP_SYS(request_key),   SCMP_SYS(move_pages),    SCMP_SYS(mbind),
                            SCMP_SYS(get_mempolicy), SCMP_SYS(set_mempolicy), SCMP_SYS(migrate_pages),
                            SCMP_SYS(pidfd_getfd)};

// Calls whose arguments a filter cannot see, or that programs do without when told that the kernel lacks
// them.
constexpr int kAbsent[] = {SCMP_SYS(clone3), SCMP_SYS(open_tree),     SCMP_SYS(move_mount),
                           SCMP_SYS(fsopen), SCMP_SYS(fsconfig),      SCMP_SYS(fsmount),
                           SCMP_SYS(fspick), SCMP_SYS(mount_setattr), SCMP_SYS(perf_event_open),
                           SCMP_SYS(ptrace)};

constexpr int kNamespaces[] = {SCMP_SYS(unshare), SCMP_SYS(setns),      SCMP_SYS(mount), SCMP_SYS(umount),
                               SCMP_SYS(umount2), SCMP_SYS(pivot_root), SCMP_SYS(chroot)};

constexpr int kEmulated[] = {
    SCMP_SYS(chown),       SCMP_SYS(fchown),    SCMP_SYS(lchown),      SCMP_SYS(fchownat),
    SCMP_SYS(chown32),     SCMP_SYS(fchown32),  SCMP_SYS(lchown32),    SCMP_SYS(setgroups),
    SCMP_SYS(setgroups32), SCMP_SYS(setuid),    SCMP_SYS(setuid32),    SCMP_SYS(setgid),
    SCMP_SYS(setgid32),    SCMP_SYS(setreuid),  SCMP_SYS(setreuid32),  SCMP_SYS(setregid),
    SCMP_SYS(setregid32),  SCMP_SYS(setresuid), SCMP_SYS(setresuid32), SCMP_SYS(setresgid),
    SCMP_SYS(setresgid32), SCMP_SYS(setfsuid),  SCMP_SYS(setfsuid32),  SCMP_SYS(setfsgid),
    SCMP_SYS(setfsgid32),  SCMP_SYS(capset)};

class Filter {
 public:
    Filter() : context_(seccomp_init(SCMP_ACT_ALLOW), seccomp_release) {
        if (!context_) throw Error("make system call filter", "", "out of memory");
        // Calls of an architecture that the filter does not know (x32) do not exist in the sandbox.
        must(seccomp_attr_set(context_.get(), SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_ERRNO(ENOSYS)),
             "set the default of");
        if (seccomp_arch_native() == SCMP_ARCH_X86_64) {
            must(seccomp_arch_add(context_.get(), SCMP_ARCH_X86), "add the 32-bit calls to");
        }
    }

    void add(int call, uint32_t action, std::span<const scmp_arg_cmp> conditions = {}) {
        const int result = seccomp_rule_add_array(
            context_.get(), action, call, static_cast<unsigned>(conditions.size()), conditions.data());
        // A call that no architecture of the filter has needs no rule.
        if (result != 0 && result != -EINVAL && result != -EDOM) must(result, "add a rule to");
    }
    void add(int call, uint32_t action, scmp_arg_cmp condition) {
        add(call, action, std::span(&condition, 1));
    }
    void add_all(std::span<const int> calls, uint32_t action) {
        for (const int call : calls)
            add(call, action);
    }

    [[nodiscard]] std::string program() const {
        const Fd file(::memfd_create("filter", MFD_CLOEXEC));
        if (!file) throw Error::from_errno("make file in memory", "filter");
        must(seccomp_export_bpf(context_.get(), file.get()), "export");
        if (::lseek(file.get(), 0, SEEK_SET) != 0) throw Error::from_errno("rewind", "filter");
        return read_all(file.get(), "filter");
    }

 private:
    static void must(int result, std::string_view act) {
        if (result < 0)
            throw Error::from_errno(std::string(act) + " the system call filter", "", -result)
                .as(Fault::unsupported);
    }
    std::unique_ptr<void, decltype(&seccomp_release)> context_;
};

constexpr scmp_arg_cmp masked_equal(unsigned argument, scmp_datum_t mask, scmp_datum_t value) {
    return {argument, SCMP_CMP_MASKED_EQ, mask, value};
}

void add_standard(Filter& filter) {
    filter.add_all(kRefused, SCMP_ACT_ERRNO(EPERM));
    filter.add_all(kAbsent, SCMP_ACT_ERRNO(ENOSYS));
    filter.add(SCMP_SYS(personality), SCMP_ACT_ERRNO(EPERM), {0, SCMP_CMP_NE, 0, 0});
}

void add_namespaces(Filter& filter) {
    filter.add_all(kNamespaces, SCMP_ACT_ERRNO(EPERM));
    // On s390 the flags are the second argument.
    const unsigned flags =
        seccomp_arch_native() == SCMP_ARCH_S390X || seccomp_arch_native() == SCMP_ARCH_S390 ? 1 : 0;
    filter.add(SCMP_SYS(clone), SCMP_ACT_ERRNO(EPERM), masked_equal(flags, CLONE_NEWUSER, CLONE_NEWUSER));
}

/// Sandboxes may share the caller's terminal: these would put words into its input.
void refuse_typing(Filter& filter) {
    for (const scmp_datum_t request : {scmp_datum_t{TIOCSTI}, scmp_datum_t{TIOCLINUX}}) {
        filter.add(SCMP_SYS(ioctl), SCMP_ACT_ERRNO(EPERM), masked_equal(1, kLowHalf, request));
    }
}

void add_root_emulation(Filter& filter) {
    filter.add_all(kEmulated, SCMP_ACT_ERRNO(0));
    for (const scmp_datum_t device : {scmp_datum_t{S_IFCHR}, scmp_datum_t{S_IFBLK}}) {
        filter.add(SCMP_SYS(mknod), SCMP_ACT_ERRNO(0), masked_equal(1, S_IFMT, device));
        filter.add(SCMP_SYS(mknodat), SCMP_ACT_ERRNO(0), masked_equal(2, S_IFMT, device));
    }
}

}  // namespace

std::string compile_seccomp(const SeccompPolicy& policy) {
    Filter filter;
    add_standard(filter);
    if (!policy.user_namespaces) add_namespaces(filter);
    refuse_typing(filter);
    if (policy.root_emulation) add_root_emulation(filter);
    return filter.program();
}

}  // namespace pwstore
