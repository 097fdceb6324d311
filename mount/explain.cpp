// SPDX-License-Identifier: GPL-3.0-or-later
#include <fmt/format.h>

#include "mount/composer.hpp"
#include "store/base/error.hpp"

namespace pwstore {

namespace {

std::string mount_text(const MountOp& mount) {
    const std::string source = printable(mount.source);
    const std::string place = printable(mount.destination);
    switch (mount.kind) {
        case MountOp::Kind::bind_ro:
            return fmt::format("{}: {} (read-only)", place, source);
        case MountOp::Kind::bind_rw:
            return fmt::format("{}: {} (writable)", place, source);
        case MountOp::Kind::bind_dev:
            return fmt::format("{}: {} (device)", place, source);
        case MountOp::Kind::tmpfs:
            return fmt::format("{}: an empty directory in memory", place);
        case MountOp::Kind::proc:
            return fmt::format("{}: its own processes", place);
        case MountOp::Kind::dev:
            return fmt::format("{}: null, zero, full, random, urandom, tty and pseudo terminals", place);
        case MountOp::Kind::directory:
            return fmt::format("{}: a directory", place);
        case MountOp::Kind::symlink:
            return fmt::format("{}: a link to {}", place, source);
        case MountOp::Kind::data_ro:
            return fmt::format("{}: a generated file of {} bytes", place, mount.source.size());
        case MountOp::Kind::remount_ro:
            return fmt::format("{}: made read-only", place);
    }
    throw Error("explain mount", mount.destination, "unknown kind").as(Fault::corrupt);
}

std::string root_text(const RootMount& root) {
    switch (root.kind) {
        case RootMount::Kind::read_only:
            return fmt::format("/: {} (read-only)", printable(root.path));
        case RootMount::Kind::overlay:
            return fmt::format("/: {} with changes going to {}", printable(root.path), printable(root.upper));
        case RootMount::Kind::private_copy:
            return fmt::format("/: {} (a writable copy that shares no file with the store)",
                               printable(root.path));
    }
    throw Error("explain root", root.path, "unknown kind").as(Fault::corrupt);
}

std::string user_namespace_text(UserNamespace kind) {
    switch (kind) {
        case UserNamespace::none:
            return "none";
        case UserNamespace::sealed:
            return "its own, further ones cannot be made";
        case UserNamespace::open:
            return "its own, programs may make more";
    }
    throw Error("explain user namespace", "", "unknown kind").as(Fault::corrupt);
}

}  // namespace

std::vector<std::string> explain(const SandboxSpec& spec) {
    std::vector<std::string> lines;
    lines.push_back(fmt::format("container {} generation {}", spec.container, spec.generation));
    lines.push_back(
        fmt::format("user {}, group {}{}", spec.uid, spec.gid,
                    spec.root_powers ? ", with power over files of the root" : ", without any capability"));
    lines.push_back("user namespace: " + user_namespace_text(spec.user_namespace));
    lines.emplace_back("own process, ipc, host name, cgroup and mount namespaces");
    lines.emplace_back(spec.network == NetworkMode::host ? "network: this machine's (permission net)"
                                                         : "network: none");
    lines.emplace_back(spec.seccomp.empty() ? "system call filter: none" : "system call filter: on");
    lines.emplace_back(spec.new_session ? "terminal: a session of its own"
                                        : "terminal: the caller's session, in which nothing can be typed");
    if (!spec.die_with_parent) lines.emplace_back("processes may outlive the command (allow_forking)");
    lines.push_back(root_text(spec.root));
    for (const MountOp& mount : spec.mounts)
        lines.push_back(fmt::format("{} [{}]", mount_text(mount), mount.rule));
    for (const EnvironmentVariable& variable : spec.environment) {
        lines.push_back(fmt::format("{}={}", printable(variable.name), printable(variable.value)));
    }
    return lines;
}

}  // namespace pwstore
