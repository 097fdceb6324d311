// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <string>

#include "mount/bwrap.hpp"
#include "mount/sandbox_spec.hpp"

namespace pwstore {

/// Whether the sandbox will find a command.
enum class CommandLookup {
    found,
    not_found,
    not_executable,
    unknown  ///< it lies where only the sandbox can look (in memory, in /proc)
};

/// Look `name` up as the sandbox would: along the spec's PATH if it has no slash, with every symlink resolved
/// inside the sandbox (its root and what is bound into it), never on the host.
[[nodiscard]] CommandLookup look_up_command(const SandboxSpec& spec, const BindSources& sources,
                                            const std::string& name);

}  // namespace pwstore
