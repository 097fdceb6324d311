// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <optional>
#include <string>

#include "mount/container_config.hpp"
#include "store/base/names.hpp"

namespace pwstore {

/// A policy that came with a container from elsewhere: proposed/NAME.yml below the configuration directory,
/// never active by itself. The file is replaced atomically.

/// `config` without what only its host knows: type, dependencies, packages, times.
[[nodiscard]] ContainerConfig policy_of(ContainerConfig config);

[[nodiscard]] std::optional<ContainerConfig> load_proposal(const std::string& config_dir,
                                                           const ContainerName& name);
void save_proposal(const std::string& config_dir, const ContainerName& name, const ContainerConfig& policy);
/// False when there was none.
bool remove_proposal(const std::string& config_dir, const ContainerName& name);

/// `policy` in place of the container's own; packages and dependencies stay.
[[nodiscard]] ContainerConfig with_policy(const ContainerConfig& config, const ContainerConfig& policy);

}  // namespace pwstore
