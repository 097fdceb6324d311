// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "mount/container_config.hpp"
#include "store/image/image_import.hpp"

namespace pwstore {

/// The policy that an image of another program asks for: its environment, its command and where that starts.
/// nullopt when that is what every new container has.
[[nodiscard]] std::optional<ContainerConfig> policy_from(const image::RunDescription& run);

/// How a container with this policy is to be started by another program.
[[nodiscard]] image::RunDescription run_description(const ContainerConfig& policy);

/// What of an image of another program did not come along, or is there and not seen: a sentence each.
[[nodiscard]] std::vector<std::string> notes_on(const image::RunDescription& run,
                                                const image::LeftOut& left_out, const Delta& files);

/// Why its programs do not run here; empty = they do.
[[nodiscard]] std::string platform_warning(const image::Platform& platform);

}  // namespace pwstore
