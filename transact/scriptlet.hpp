// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "mount/script_sandbox.hpp"

namespace pwstore {

/// The functions of a package's .INSTALL, as PKGBUILD(5) and alpm define them.
enum class ScriptletKind { pre_install, post_install, pre_upgrade, post_upgrade, pre_remove, post_remove };

[[nodiscard]] std::string_view scriptlet_function(ScriptletKind kind);

/// The text defines (or at least names) the function; libalpm decides by the same search.
[[nodiscard]] bool has_scriptlet(std::string_view install_script, ScriptletKind kind);

/// The command that libalpm would run: a shell that sources the script and calls the function with
/// `versions`.
[[nodiscard]] ScriptCommand scriptlet_command(std::string_view install_script, ScriptletKind kind,
                                              const std::vector<std::string>& versions,
                                              const std::string& shell);

}  // namespace pwstore
