// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <string>

#include "mount/container_config.hpp"
#include "store/base/fd.hpp"
#include "store/base/staged_file.hpp"
#include "store/generation.hpp"

namespace pwstore {

/// Names of the packages of `generation` that somebody asked for, sorted: what a configuration keeps.
[[nodiscard]] std::vector<std::string> explicit_packages(const Generation& generation);

/// The YAML file of a container, written beside its place. Made before the commit, so that a directory that
/// cannot be written or a full disk is found out while nothing is changed yet; vanishes unless published.
class StagedConfig {
 public:
    StagedConfig(const std::string& config_dir, const ContainerName& name, const ContainerConfig& config);
    /// Durable when it returns.
    void publish() { file_.publish(); }

 private:
    Fd directory_;
    StagedFile file_;
};

}  // namespace pwstore
