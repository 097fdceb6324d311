// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace pwstore {

/// One file system operation inside the sandbox, applied in order.
struct MountOp {
    enum class Kind : uint8_t {
        bind_ro = 1,
        bind_rw,
        bind_dev,  ///< read-write with devices
        tmpfs,
        proc,
        dev,  ///< a minimal /dev
        directory,
        symlink,  ///< `source` is the target
        data_ro,  ///< a read-only file with the content `source`
        remount_ro,
    };
    Kind kind = Kind::bind_ro;
    std::string source;       ///< absolute host path, link target or content
    std::string destination;  ///< absolute path inside
    uint32_t mode = 0755;     ///< of tmpfs, directory, data_ro
    bool optional = false;    ///< a missing source is skipped
    std::string rule;         ///< who asked for it: "filesystem home", "permission net", "store guard"
    bool operator==(const MountOp&) const = default;
};

/// What `/` of the sandbox is.
struct RootMount {
    enum class Kind : uint8_t {
        read_only = 1,  ///< the farm itself, bound read-only; the sandbox has no capability over its mounts
        overlay = 2,    ///< the farm is the lower layer; changes go to `upper`
        private_copy = 3,  ///< a tree that shares no inode with the store, bound read-write
    };
    Kind kind = Kind::read_only;
    std::string path;   ///< the farm or the copy, absolute
    std::string upper;  ///< overlay: absolute, on a file system with user xattrs
    std::string work;   ///< overlay
    bool operator==(const RootMount&) const = default;
};

enum class NetworkMode : uint8_t { none = 1, host = 2 };

/// What the sandbox's own user namespace lets programs do. It always lies inside the namespace that owns the
/// mounts, so that no program of the sandbox has a capability over them.
enum class UserNamespace : uint8_t {
    none = 0,    ///< no inner namespace: the programs would own their mounts; never accepted
    sealed = 1,  ///< programs cannot make further user namespaces
    open = 2,    ///< programs may make user namespaces (`enable_userns`); said aloud
};

struct EnvironmentVariable {
    std::string name;
    std::string value;
    bool operator==(const EnvironmentVariable&) const = default;
};

/// Everything about one sandbox, as a value: printable, comparable, encodable. Nothing is exposed that is not
/// in it. Always: own user, pid, ipc, uts, cgroup and mount namespace, no further user namespaces unless
/// allowed, cleared environment, no_new_privs, no descriptor above 2.
struct SandboxSpec {
    std::string container;
    uint64_t generation = 0;
    RootMount root;
    std::vector<MountOp> mounts;
    std::vector<EnvironmentVariable> environment;
    std::string hostname;
    std::string working_directory;  ///< inside
    /// Start where the caller stands, if the sandbox has that place; else in working_directory.
    bool follows_caller = false;
    uint32_t uid = 0;  ///< inside
    uint32_t gid = 0;
    NetworkMode network = NetworkMode::none;
    bool root_powers = false;  ///< CAP_DAC_OVERRIDE, CAP_FOWNER, CAP_FSETID and root emulation
    UserNamespace user_namespace = UserNamespace::sealed;
    /// A terminal session of its own. False: the caller's, if it has a terminal; then the filter keeps
    /// programs from typing into it.
    bool new_session = true;
    bool die_with_parent = true;
    /// What the store guard keeps out of the sandbox: the data directory (first), the configuration, the
    /// cache. Absolute.
    std::vector<std::string> protected_directories;
    std::string seccomp;  ///< compiled BPF program, empty = no filter (said aloud)

    /// `argv` is nothing but the shell that its environment names.
    [[nodiscard]] bool is_shell(const std::vector<std::string>& argv) const;

    [[nodiscard]] std::string encode() const;
    /// @throws Error (corrupt)
    static SandboxSpec decode(std::string_view bytes);
    bool operator==(const SandboxSpec&) const = default;
};

/// Add /proc. For a host user who is root it is read-only: the kernel lets the real uid 0 write to settings
/// of the whole machine (/proc/sys/kernel/core_pattern) without any capability.
void add_proc(std::vector<MountOp>& mounts, uint32_t host_uid, std::string_view rule);

/// Whether the kernel will keep this sandbox away from store inodes: every combination that was not thought
/// through is refused. Called wherever a spec is made and wherever one is about to be run.
/// @throws Error (refused) naming the rule that is broken
void check_isolation(const SandboxSpec& spec);

}  // namespace pwstore
