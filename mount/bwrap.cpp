// SPDX-License-Identifier: GPL-3.0-or-later
#include "mount/bwrap.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "mount/child.hpp"
#include "mount/process.hpp"
#include "store/base/error.hpp"
#include "store/base/path_at.hpp"

namespace pwstore {

namespace {

/// bwrap takes 9000 in all; the rest is for the command.
constexpr size_t kMaxOptions = 8000;
constexpr std::array kRootCapabilities{"CAP_DAC_OVERRIDE", "CAP_FOWNER", "CAP_FSETID"};

class Builder {
 public:
    explicit Builder(const BwrapProgram& program) : program_(program) { command_.descriptors.emplace_back(); }

    template <typename... Text>
    void add(Text&&... text) {
        (command_.options.emplace_back(std::forward<Text>(text)), ...);
    }

    /// Pass `fd` on; the number that it will have.
    std::string pass(Fd fd) {
        command_.descriptors.push_back(std::move(fd));
        return std::to_string(child::kFirstDescriptor + static_cast<int>(command_.descriptors.size()) - 1);
    }

    void bind(const std::string& option, const std::string& path, Fd source, const std::string& destination) {
        if (program_.binds_descriptors && option != "--dev-bind") {
            add(option + "-fd", pass(std::move(source)), destination);
        } else {
            add(option, path, destination);
        }
    }

    void mount(const MountOp& op, Fd source) {
        switch (op.kind) {
            case MountOp::Kind::bind_ro:
                if (source) bind("--ro-bind", op.source, std::move(source), op.destination);
                return;
            case MountOp::Kind::bind_rw:
                if (source) bind("--bind", op.source, std::move(source), op.destination);
                return;
            case MountOp::Kind::bind_dev:
                if (source) bind("--dev-bind", op.source, std::move(source), op.destination);
                return;
            case MountOp::Kind::tmpfs:
                return add("--perms", fmt::format("{:04o}", op.mode), "--tmpfs", op.destination);
            case MountOp::Kind::proc:
                return add("--proc", op.destination);
            case MountOp::Kind::dev:
                return add("--dev", op.destination);
            case MountOp::Kind::directory:
                return add("--perms", fmt::format("{:04o}", op.mode), "--dir", op.destination);
            case MountOp::Kind::symlink:
                return add("--symlink", op.source, op.destination);
            case MountOp::Kind::data_ro:
                return add("--perms", fmt::format("{:04o}", op.mode), "--ro-bind-data",
                           pass(memory_file("data", op.source)), op.destination);
            case MountOp::Kind::remount_ro:
                return add("--remount-ro", op.destination);
        }
    }

    void root(const SandboxSpec& spec, BindSources& sources) {
        const std::string option = spec.root.kind == RootMount::Kind::read_only ? "--ro-bind" : "--bind";
        if (!sources.root_slot) return bind(option, spec.root.path, std::move(sources.root), "/");
        if (program_.binds_descriptors) return add(option + "-fd", std::to_string(*sources.root_slot), "/");
        add(option, sources.root_path, "/");
    }

    BwrapCommand take() {
        if (command_.options.size() > kMaxOptions) {
            throw Error("start sandbox", "", "more mounts and variables than bwrap takes").as(Fault::usage);
        }
        std::string bytes;
        for (const std::string& option : command_.options) {
            if (option.find('\0') != std::string::npos) {
                throw Error("start sandbox", option, "a name with a NUL byte").as(Fault::usage);
            }
            bytes += option;
            bytes += '\0';
        }
        command_.descriptors.front() = memory_file("options", bytes);
        return std::move(command_);
    }

    BwrapCommand& command() { return command_; }

 private:
    const BwrapProgram& program_;
    BwrapCommand command_;
};

void add_namespaces(Builder& builder, const SandboxSpec& spec) {
    builder.add("--unshare-user", "--uid", std::to_string(spec.uid), "--gid", std::to_string(spec.gid));
    if (spec.user_namespace == UserNamespace::sealed) builder.add("--disable-userns");
    builder.add("--unshare-pid", "--unshare-ipc", "--unshare-uts", "--unshare-cgroup-try");
    if (spec.network == NetworkMode::none) builder.add("--unshare-net");
    builder.add("--hostname", spec.hostname);
    builder.add("--cap-drop", "ALL");
    if (spec.root_powers) {
        for (const char* capability : kRootCapabilities)
            builder.add("--cap-add", capability);
    }
    if (spec.die_with_parent) builder.add("--die-with-parent");
}

/// bwrap refuses a symlink where one is already.
bool is_repeated_symlink(const SandboxSpec& spec, size_t index) {
    if (spec.mounts[index].kind != MountOp::Kind::symlink) return false;
    return std::any_of(spec.mounts.begin(), spec.mounts.begin() + static_cast<ptrdiff_t>(index),
                       [&](const MountOp& other) {
                           return other.kind == MountOp::Kind::symlink &&
                                  other.destination == spec.mounts[index].destination;
                       });
}

/// All that the program says when it is given one option; nullopt when it fails.
std::optional<std::string> output_of(const std::string& path, const std::string& option) {
    auto [read_end, write_end] = make_pipe();
    const Fd null = open_at(AT_FDCWD, "/dev/null", O_RDWR);
    const pid_t child = spawn({.program = path,
                               .arguments = {"bwrap", option},
                               .environment = {},
                               .streams = {null.get(), write_end.get(), write_end.get()}});
    write_end.reset();
    std::string said = read_all(read_end.get(), "bwrap " + option);
    if (wait_for(child) != 0) return std::nullopt;
    return said;
}

}  // namespace

BwrapProgram BwrapProgram::find() {
    const auto path = find_program("bwrap");
    if (!path) {
        throw Error("find program", "bwrap", "not installed")
            .as(Fault::unsupported)
            .with_hint("install bubblewrap 0.8 or newer (Debian: apt install bubblewrap)");
    }
    const std::string help = output_of(*path, "--help").value_or("");
    const auto has = [&](std::string_view option) { return help.find(option) != std::string::npos; };
    for (const char* needed : {"--disable-userns", "--json-status-fd", "--perms", "--cap-drop"}) {
        if (has(needed)) continue;
        throw Error("look at program", *path, fmt::format("it has no {}", needed))
            .as(Fault::unsupported)
            .with_hint("install bubblewrap 0.8 or newer");
    }
    return {.path = *path, .binds_descriptors = has("--bind-fd") && has("--ro-bind-fd")};
}

std::string BwrapProgram::version() const {
    const std::string said = output_of(path, "--version").value_or("");  // "bubblewrap 0.8.0"
    const size_t begin = said.find(' ') + 1;
    return said.substr(begin, said.find('\n') - begin);
}

std::vector<std::string> BwrapCommand::arguments() const {
    std::vector<std::string> all{"bwrap", "--args", std::to_string(child::kFirstDescriptor), "--"};
    all.insert(all.end(), command.begin(), command.end());
    return all;
}

BwrapCommand bwrap_command(const BwrapProgram& program, const SandboxSpec& spec, BindSources sources,
                           BwrapChannels channels, std::vector<std::string> command) {
    check_isolation(spec);
    Builder builder(program);
    add_namespaces(builder, spec);
    builder.root(spec, sources);
    sources.mounts.resize(spec.mounts.size());
    for (size_t i = 0; i < spec.mounts.size(); ++i) {
        if (!is_repeated_symlink(spec, i)) builder.mount(spec.mounts[i], std::move(sources.mounts[i]));
    }
    builder.add("--clearenv");
    for (const EnvironmentVariable& variable : spec.environment)
        builder.add("--setenv", variable.name, variable.value);
    builder.add("--chdir", spec.working_directory.empty() ? "/" : spec.working_directory);
    if (channels.status) builder.add("--json-status-fd", builder.pass(std::move(channels.status)));
    if (channels.lease) builder.add("--sync-fd", builder.pass(std::move(channels.lease)));
    if (!spec.seccomp.empty()) builder.add("--seccomp", builder.pass(memory_file("filter", spec.seccomp)));
    if (channels.starter && !spec.new_session) {
        command.insert(command.begin(), {"/proc/self/fd/" + builder.pass(std::move(channels.starter)),
                                         channels.leads ? "lead" : "join"});
    } else {
        builder.add("--new-session");
    }
    builder.command().command = std::move(command);
    return builder.take();
}

}  // namespace pwstore
