// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <string>

#include "mount/bwrap.hpp"
#include "mount/sandbox_spec.hpp"

namespace pwstore {

/// Whether the sandbox will find a command and can execute it.
struct CommandLookup {
    enum class Verdict {
        found,
        not_found,
        not_executable,
        unknown  ///< it lies where only the sandbox can look (in memory, in /proc)
    };
    Verdict verdict = Verdict::found;
    std::string cause;   ///< why not, in words
    std::string hint{};  ///< what to type, if there is something
};

/// Look `name` up as the sandbox would: along the spec's PATH if it has no slash, with every symlink resolved
/// inside the sandbox (its root and what is bound into it), never on the host. So are the interpreters of
/// scripts and the loaders of programs.
[[nodiscard]] CommandLookup look_up_command(const SandboxSpec& spec, const BindSources& sources,
                                            const std::string& name);

}  // namespace pwstore
