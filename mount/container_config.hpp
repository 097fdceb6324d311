// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "store/base/names.hpp"
#include "store/digest.hpp"
#include "store/generation.hpp"

namespace pwstore {

/// One host directory or file made visible.
struct Volume {
    std::string path;
    std::string destination;  ///< empty = same as path
    bool writable = false;
    bool operator==(const Volume&) const = default;
};

/// `filesystems: - mount: X` of the YAML file.
struct FilesystemModule {
    std::string mount;  ///< root, home, to_home, to_root, sysfs, dir; lower case
    std::vector<Volume> volumes{};
    std::vector<std::string> paths{};  ///< of sysfs and dir
    bool operator==(const FilesystemModule&) const = default;
};

/// `permissions: - module: X`.
struct PermissionModule {
    std::string module;  ///< none, net, env, dev, display, gpu, pipewire, pulseaudio
    /// env: name, value (none = pass the caller's on)
    std::vector<std::pair<std::string, std::optional<std::string>>> variables{};
    std::vector<std::string> devices{};  ///< dev: names below /dev
    std::string socket{};                ///< pipewire, pulseaudio: path on the host; empty = the usual place
    bool operator==(const PermissionModule&) const = default;
};

/// A container's configuration: $XDG_CONFIG_HOME/pwstore/container/NAME.yml. The original's files are read as
/// they are.
struct ContainerConfig {
    ContainerType type = ContainerType::base;
    std::vector<std::string> dependencies;
    std::vector<std::string> explicit_packages;  ///< kept in step after every transaction
    int64_t meta_version = 0;
    bool enable_userns = false;
    bool retain_session = false;  ///< sandboxes with the filter do, whatever it says
    bool allow_forking = false;
    bool seccomp = true;
    std::vector<std::string> command;  ///< of a run that names none; empty = it has to name one
    std::string working_directory;     ///< absolute, inside; empty = the home
    std::vector<FilesystemModule> filesystems{{"root"}, {"home"}};
    std::vector<PermissionModule> permissions{{"none"}};
    /// Modules that are understood but not built yet (dbus): kept verbatim and said aloud at launch.
    std::string dbus_yaml;
    bool operator==(const ContainerConfig&) const = default;

    /// @throws Error (usage) naming file, line and the key that is wrong; unknown keys are errors too
    static ContainerConfig parse(std::string_view yaml, std::string_view path_for_errors);
    [[nodiscard]] std::string to_yaml() const;
    /// SHA-256 of the canonical form of what the sandbox depends on (not of packages, dependencies or times),
    /// whatever the file's layout.
    [[nodiscard]] Sha256 policy_digest() const;
};

/// "Base", "Slice", "Aggregate", "Symbolic", as the file has it.
[[nodiscard]] std::string_view type_name(ContainerType type);

/// Path of the YAML file below the configuration directory: "container/NAME.yml".
[[nodiscard]] std::string config_name(const ContainerName& name);
[[nodiscard]] std::optional<ContainerConfig> load_config(const std::string& config_dir,
                                                         const ContainerName& name);
/// Atomic and durable.
void save_config(const std::string& config_dir, const ContainerName& name, const ContainerConfig& config);

}  // namespace pwstore
