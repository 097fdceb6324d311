// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <string>

#include "mount/container_config.hpp"
#include "store/base/events.hpp"
#include "store/index/index.hpp"

namespace pwstore {

/// The configuration of a container that exists. What it is (type, what it is built on) the index knows:
/// where the file is missing or empty, that and the permissions of a new container; where the file says
/// something else, a warning says that this has no effect. @throws Error (usage) when the file makes no sense
[[nodiscard]] ContainerConfig recorded_config(const std::string& config_dir, const ContainerName& name,
                                              const ContainerRow& row, ProgressSink& sink);

/// A configuration that an earlier container of this name left, and that another one is about to replace:
/// it stays as NAME.yml.kept (NAME.yml.kept.2 …). Gives the name that it has now; empty when there was none.
/// A crash in between leaves both names.
std::string keep_configuration(const std::string& config_dir, const ContainerName& name);

}  // namespace pwstore
