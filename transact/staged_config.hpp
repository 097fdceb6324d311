// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "mount/container_config.hpp"
#include "store/base/fd.hpp"
#include "store/generation.hpp"

namespace pwstore {

/// Names of the packages of `generation` that somebody asked for, sorted: what a configuration keeps.
[[nodiscard]] std::vector<std::string> explicit_packages(const Generation& generation);

/// The YAML file of a container as it is to be once `generation` is current. Written durably beside its place
/// before the commit that switches the container, so that a directory that cannot be written or a full disk
/// is found out while nothing is changed yet; vanishes unless published. A crash leaves
/// `.NAME.yml.GENERATION.staged`, which settle_configuration() publishes or drops: the index tells whether
/// the commit took place. Lock: the container's, held by the caller.
class StagedConfig {
 public:
    StagedConfig(const std::string& config_dir, const ContainerName& name, const ContainerConfig& config,
                 uint64_t generation);
    StagedConfig(const StagedConfig&) = delete;
    StagedConfig& operator=(const StagedConfig&) = delete;
    ~StagedConfig();
    /// Durable when it returns.
    void publish();

 private:
    Fd directory_;
    std::string name_;
    std::string staged_;
};

/// Containers of which a killed command (or one that is under way) left such a file.
[[nodiscard]] std::vector<std::string> unsettled_configurations(const std::string& config_dir);
/// What a killed command left of `name`, whose current generation is `current`. Lock: the container's.
void settle_configuration(const std::string& config_dir, const ContainerName& name, uint64_t current);

}  // namespace pwstore
