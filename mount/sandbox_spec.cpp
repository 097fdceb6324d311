// SPDX-License-Identifier: GPL-3.0-or-later
#include "mount/sandbox_spec.hpp"

#include <algorithm>

#include "store/base/bytes.hpp"
#include "store/base/error.hpp"

namespace pwstore {

namespace {

constexpr uint8_t kSpecVersion = 2;
constexpr size_t kSmallestMount = 1 + 4 + 4 + 4 + 1 + 4;

template <typename Enum>
Enum checked_enum(ByteReader& reader, Enum first, Enum last) {
    const auto value = reader.get<uint8_t>();
    if (value < static_cast<uint8_t>(first) || value > static_cast<uint8_t>(last))
        reader.fail("unknown kind");
    return static_cast<Enum>(value);
}

bool checked_bool(ByteReader& reader) {
    const auto value = reader.get<uint8_t>();
    if (value > 1) reader.fail("neither yes nor no");
    return value == 1;
}

void put_mount(ByteWriter& writer, const MountOp& mount) {
    writer.put(mount.kind);
    writer.put_string(mount.source);
    writer.put_string(mount.destination);
    writer.put(mount.mode);
    writer.put(mount.optional);
    writer.put_string(mount.rule);
}

MountOp get_mount(ByteReader& reader) {
    MountOp mount;
    mount.kind = checked_enum(reader, MountOp::Kind::bind_ro, MountOp::Kind::remount_ro);
    mount.source = reader.get_string();
    mount.destination = reader.get_string();
    mount.mode = reader.get<uint32_t>();
    mount.optional = checked_bool(reader);
    mount.rule = reader.get_string();
    return mount;
}

[[noreturn]] void refuse(const SandboxSpec& spec, std::string_view rule) {
    throw Error("compose sandbox of", spec.container, rule).as(Fault::refused);
}

}  // namespace

bool SandboxSpec::is_shell(const std::vector<std::string>& argv) const {
    return argv.size() == 1 && std::any_of(environment.begin(), environment.end(), [&](const auto& variable) {
               return variable.name == "SHELL" && variable.value == argv.front();
           });
}

std::string SandboxSpec::encode() const {
    ByteWriter writer;
    writer.put(kSpecVersion);
    writer.put_string(container);
    writer.put(generation);
    writer.put(root.kind);
    for (const std::string* text : {&root.path, &root.upper, &root.work})
        writer.put_string(*text);
    writer.put(static_cast<uint32_t>(mounts.size()));
    for (const MountOp& mount : mounts)
        put_mount(writer, mount);
    writer.put(static_cast<uint32_t>(environment.size()));
    for (const EnvironmentVariable& variable : environment) {
        writer.put_string(variable.name);
        writer.put_string(variable.value);
    }
    writer.put_string(hostname);
    writer.put_string(working_directory);
    writer.put(uid);
    writer.put(gid);
    writer.put(network);
    writer.put(user_namespace);
    for (const bool flag : {root_powers, new_session, die_with_parent, follows_caller})
        writer.put(flag);
    writer.put(static_cast<uint32_t>(protected_directories.size()));
    for (const std::string& directory : protected_directories)
        writer.put_string(directory);
    writer.put_string(seccomp);
    return writer.take();
}

SandboxSpec SandboxSpec::decode(std::string_view bytes) {
    ByteReader reader(bytes, "sandbox spec");
    if (reader.get<uint8_t>() != kSpecVersion) reader.fail("made by another version");
    SandboxSpec spec;
    spec.container = reader.get_string();
    spec.generation = reader.get<uint64_t>();
    spec.root.kind = checked_enum(reader, RootMount::Kind::read_only, RootMount::Kind::private_copy);
    for (std::string* text : {&spec.root.path, &spec.root.upper, &spec.root.work})
        *text = reader.get_string();
    spec.mounts.resize(reader.get_count(kSmallestMount));
    for (MountOp& mount : spec.mounts)
        mount = get_mount(reader);
    spec.environment.resize(reader.get_count(2 * sizeof(uint32_t)));
    for (EnvironmentVariable& variable : spec.environment) {
        variable.name = reader.get_string();
        variable.value = reader.get_string();
    }
    spec.hostname = reader.get_string();
    spec.working_directory = reader.get_string();
    spec.uid = reader.get<uint32_t>();
    spec.gid = reader.get<uint32_t>();
    spec.network = checked_enum(reader, NetworkMode::none, NetworkMode::host);
    spec.user_namespace = checked_enum(reader, UserNamespace::none, UserNamespace::open);
    for (bool* flag : {&spec.root_powers, &spec.new_session, &spec.die_with_parent, &spec.follows_caller})
        *flag = checked_bool(reader);
    spec.protected_directories.resize(reader.get_count(sizeof(uint32_t)));
    for (std::string& directory : spec.protected_directories)
        directory = reader.get_string();
    spec.seccomp = reader.get_string();
    reader.expect_end();
    return spec;
}

void add_proc(std::vector<MountOp>& mounts, uint32_t host_uid, std::string_view rule) {
    mounts.push_back({MountOp::Kind::proc, "", "/proc", 0755, false, std::string(rule)});
    if (host_uid == 0)
        mounts.push_back({MountOp::Kind::remount_ro, "", "/proc", 0755, false, std::string(rule)});
}

void check_isolation(const SandboxSpec& spec) {
    if (spec.user_namespace == UserNamespace::none) {
        refuse(spec,
               "without a user namespace of its own the sandbox would own its mounts and could make a root "
               "writable");
    }
    const bool writable_root = spec.root.kind != RootMount::Kind::read_only;
    if (spec.root_powers && !writable_root)
        refuse(spec, "root powers need an overlay or a private copy as root");
    if (writable_root && spec.user_namespace != UserNamespace::sealed) {
        refuse(spec, "a writable root needs a user namespace in which no further ones can be made");
    }
    if (spec.root_powers && spec.seccomp.empty()) refuse(spec, "root powers need the system call filter");
    if (spec.seccomp.empty() && !spec.new_session)
        refuse(spec, "without the system call filter programs could type into the terminal that they share");
    if (spec.root.kind == RootMount::Kind::overlay && (spec.root.upper.empty() || spec.root.work.empty())) {
        refuse(spec, "an overlay needs an upper and a work directory");
    }
    for (const MountOp& mount : spec.mounts) {
        if (!mount.destination.starts_with('/')) refuse(spec, "a mount without an absolute destination");
    }
}

}  // namespace pwstore
