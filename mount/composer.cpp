// SPDX-License-Identifier: GPL-3.0-or-later
#include "mount/composer.hpp"

#include <dirent.h>
#include <fcntl.h>

#include <algorithm>
#include <array>

#include "mount/guard.hpp"
#include "mount/identity.hpp"
#include "mount/mount_points.hpp"
#include "mount/permission/module.hpp"
#include "mount/root_paths.hpp"
#include "mount/seccomp.hpp"
#include "store/base/error.hpp"
#include "store/base/names.hpp"
#include "store/base/path_at.hpp"

namespace pwstore {

namespace {

constexpr const char* kUserPath = "/usr/local/bin:/usr/bin:/bin:/usr/local/sbin:/usr/sbin:/sbin";
constexpr const char* kRootPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

constexpr std::array kFilesystems{&permission::kRoot,   &permission::kHome,  &permission::kToHome,
                                  &permission::kToRoot, &permission::kSysfs, &permission::kDir};
constexpr std::array kPermissions{&permission::kNone,     &permission::kNet,       &permission::kEnv,
                                  &permission::kDev,      &permission::kDisplay,   &permission::kGpu,
                                  &permission::kPipewire, &permission::kPulseaudio};

template <typename Table>
auto find_module(const Table& table, const std::string& kind, const std::string& name) {
    const auto entry = std::find_if(table.begin(), table.end(),
                                    [&](const auto* candidate) { return candidate->name == name; });
    if (entry == table.end())
        throw Error("compose sandbox", kind + " " + name, "there is no such module").as(Fault::usage);
    return *entry;
}

/// Check, then add: nothing of a module that was refused reaches the spec.
template <typename Entry, typename Module>
void register_module(const Entry& entry, const Module& module, const std::string& rule,
                     permission::Sink& sink) {
    sink.set_rule(rule);
    const permission::Check check = entry.check(sink, module);
    switch (check.verdict) {
        case permission::Check::Verdict::pass:
            entry.add(sink, module);
            return;
        case permission::Check::Verdict::skip:
            sink.warn("left out: " + check.reason);
            sink.depend_on_host();  // it may be there the next time
            return;
        case permission::Check::Verdict::abort:
            throw Error("compose sandbox of " + sink.request.container.str(), rule, check.reason)
                .as(Fault::usage);
    }
}

bool is_volume_module(const std::string& name) {
    return name == "to_home" || name == "to_root";
}

/// What the root has in its own /home is there beside the container's, read-only.
void add_homes_of_root(permission::Sink& sink) {
    const Fd root = open_at(AT_FDCWD, sink.root(), O_PATH | O_DIRECTORY);
    const auto home = RootPaths(root.get()).find_directory("home");
    if (!home) return;
    for (const auto& [name, type] : list_directory(open_dir(home->fd.get(), ".").get())) {
        const std::string place = "/home/" + name;
        if (name == sink.request.container.str()) continue;
        if (type == DT_LNK) {
            sink.add(MountOp::Kind::symlink, read_link_at(home->fd.get(), name), place);
        } else if (type == DT_DIR || type == DT_REG) {
            sink.add(MountOp::Kind::bind_ro, sink.root() + "/" + home->path + "/" + name, place);
        }
    }
}

/// What every sandbox has, whatever its configuration says.
void add_skeleton(permission::Sink& sink, Composition& result) {
    sink.set_rule("every sandbox");
    sink.add(MountOp::Kind::dev, "", "/dev");
    add_proc(result.spec.mounts, sink.host.uid, "every sandbox");
    sink.add(MountOp::Kind::tmpfs, "", "/tmp", 01777);
    sink.add(MountOp::Kind::tmpfs, "", "/run", 0755);
    if (sink.request.kind == RunKind::root) return;
    sink.add(MountOp::Kind::tmpfs, "", "/home", 0755);
    add_homes_of_root(sink);
    sink.add(MountOp::Kind::directory, "", sink.home_inside(), 0700);
    sink.add(MountOp::Kind::directory, "", sink.runtime_directory(), 0700);
}

/// Of user runs, if the root has it.
std::string configured_directory(const permission::Sink& sink) {
    const std::string& wanted = sink.request.config.working_directory;
    if (wanted.empty() || sink.request.kind == RunKind::root) return "";
    const Fd root = open_at(AT_FDCWD, sink.root(), O_PATH | O_DIRECTORY);
    return RootPaths(root.get()).find_directory(wanted.substr(1)) ? wanted : "";
}

void add_environment(permission::Sink& sink) {
    const bool root = sink.request.kind == RunKind::root;
    const std::string name =
        root ? "root" : user_name_in(sink.root(), sink.request.container.str(), sink.host.uid);
    sink.set_variable("PATH", root ? kRootPath : kUserPath);
    sink.set_variable("HOME", root ? "/root" : sink.home_inside());
    sink.set_variable("USER", name);
    sink.set_variable("LOGNAME", name);
    sink.set_variable("SHELL", shell_in(sink.root()));
    if (!root) sink.set_variable("XDG_RUNTIME_DIR", sink.runtime_directory());
    sink.pass_variable("TERM", "dumb");
    sink.pass_variable("COLORTERM");
    sink.pass_variable("LANG", "C.UTF-8");
    sink.set_variable("container", "pwstore");
}

/// The entries that make the user's number a name, and the machine's names numbers; its time zone.
void add_identity(permission::Sink& sink) {
    if (sink.request.kind == RunKind::root) return;
    sink.set_rule("every sandbox");
    const std::string& container = sink.request.container.str();
    std::vector<GeneratedFile> files = identity_files(sink.root(), container, sink.host.uid, sink.host.gid);
    for (GeneratedFile& file : name_files(sink.root(), container))
        files.push_back(std::move(file));
    for (GeneratedFile& file : files)
        sink.add(MountOp::Kind::data_ro, std::move(file.content), std::move(file.path), 0644);
    if (is_empty_file(sink.root(), names::kLocalTime)) {
        const std::string path = std::string("/") + names::kLocalTime;
        sink.add(MountOp::Kind::bind_ro, path, path, 0755, true);
    }
}

/// Permissions of a root run: what it needs to work on its root, not the desktop.
bool is_for_root(const std::string& module) {
    return module == "none" || module == "net" || module == "env";
}

void add_modules(permission::Sink& sink) {
    const ContainerConfig& config = sink.request.config;
    const bool root = sink.request.kind == RunKind::root;
    bool has_root = false;
    for (const FilesystemModule& module : config.filesystems) {
        has_root = has_root || module.mount == "root";
        if (root && module.mount != "root") continue;
        if (sink.request.without_configured_volumes && is_volume_module(module.mount)) continue;
        register_module(*find_module(kFilesystems, "filesystem", module.mount), module,
                        "filesystem " + module.mount, sink);
    }
    if (!has_root) {
        throw Error("compose sandbox of " + sink.request.container.str(), "filesystems", "'root' is missing")
            .as(Fault::usage);
    }
    if (!root && !sink.request.extra_volumes.empty()) {
        const FilesystemModule volumes{.mount = "to_root", .volumes = sink.request.extra_volumes};
        register_module(permission::kToRoot, volumes, "command line", sink);
    }
    for (const PermissionModule& module : config.permissions) {
        if (root && !is_for_root(module.module)) continue;
        register_module(*find_module(kPermissions, "permission", module.module), module,
                        "permission " + module.module, sink);
    }
}

void add_policy(const ComposeRequest& request, Composition& result) {
    const ContainerConfig& config = request.config;
    const bool root = request.kind == RunKind::root;
    SandboxSpec& spec = result.spec;
    spec.root_powers = root;
    spec.user_namespace = config.enable_userns && !root ? UserNamespace::open : UserNamespace::sealed;
    const bool filtered = root || config.seccomp;
    spec.new_session = !filtered;
    spec.die_with_parent = root || !config.allow_forking;
    if (filtered) {
        spec.seccomp = compile_seccomp(
            {.user_namespaces = spec.user_namespace == UserNamespace::open, .root_emulation = root});
    } else {
        result.warnings.emplace_back("the system call filter is switched off (seccomp: false)");
    }
    if (spec.user_namespace == UserNamespace::open) {
        result.warnings.emplace_back(
            "programs may make user namespaces, which opens more of the kernel to them (enable_userns)");
    }
    if (!filtered && config.retain_session) {
        result.warnings.emplace_back(
            "without the filter programs get a terminal session of their own (seccomp: false, "
            "retain_session)");
    }
    if (!config.dbus_yaml.empty()) {
        result.warnings.emplace_back(
            "D-Bus modules are not available: the container gets no message bus (dbus)");
    }
}

}  // namespace

Composition compose_root_shell(const Layout& layout, const ComposeRequest& request, const HostContext& host) {
    Composition result;
    result.spec.container = request.container.str();
    result.spec.root = request.root;
    permission::Sink sink(layout, request, host, result);
    add_skeleton(sink, result);
    add_environment(sink);
    // A history is nobody's change of the container.
    sink.set_variable("HISTFILE", "");
    add_modules(sink);
    settle_mount_points(result.spec);
    std::erase_if(result.spec.mounts,
                  [](const MountOp& mount) { return mount.kind != MountOp::Kind::bind_ro; });
    return result;
}

Composition compose(const Layout& layout, const ComposeRequest& request, const HostContext& host) {
    if (request.kind == RunKind::user && request.config.type == ContainerType::slice) {
        throw Error("run in", request.container.str(),
                    "a slice is a layer for other containers, not one to run in")
            .as(Fault::usage)
            .with_hint("use a root shell (shell -r), or run in a container that is built on it");
    }
    Composition result;
    SandboxSpec& spec = result.spec;
    const Directories& directories = layout.directories();
    spec.container = request.container.str();
    spec.generation = request.generation;
    spec.root = request.root;
    spec.hostname = request.container.str();
    spec.protected_directories = {directories.data, directories.config, directories.cache};
    spec.uid = request.kind == RunKind::root ? 0 : host.uid;
    spec.gid = request.kind == RunKind::root ? 0 : host.gid;
    permission::Sink sink(layout, request, host, result);
    add_skeleton(sink, result);
    add_environment(sink);
    add_modules(sink);
    add_identity(sink);
    add_policy(request, result);
    spec.working_directory = request.working_directory;
    if (spec.working_directory.empty()) spec.working_directory = configured_directory(sink);
    if (spec.working_directory.empty()) {
        spec.follows_caller = request.kind == RunKind::user;
        spec.working_directory = spec.follows_caller ? sink.home_inside() : "/";
    }
    settle_mount_points(spec);
    apply_store_guard(spec);
    check_isolation(spec);
    return result;
}

}  // namespace pwstore
