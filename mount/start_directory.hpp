// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <optional>
#include <string>

#include "mount/bwrap.hpp"
#include "mount/sandbox_spec.hpp"

namespace pwstore {

/// Where a program of the sandbox is to start: the caller's current directory, as it is called inside.
struct StartDirectory {
    std::optional<std::string> inside;  ///< nullopt: the sandbox does not have it
    std::string outside;                ///< its path on the host, empty when it has none any more
};

/// The directory itself has to be there, not another one of that name: under the same path if there is one,
/// else where a volume shows it.
[[nodiscard]] StartDirectory find_start_directory(const SandboxSpec& spec, const BindSources& sources);

}  // namespace pwstore
