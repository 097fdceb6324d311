// SPDX-License-Identifier: GPL-3.0-or-later
#include "transact/scriptlet.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

namespace pwstore {

namespace {
constexpr const char* kScriptPath = "/tmp/alpm_pwstore/.INSTALL";
}

std::string_view scriptlet_function(ScriptletKind kind) {
    switch (kind) {
        case ScriptletKind::pre_install:
            return "pre_install";
        case ScriptletKind::post_install:
            return "post_install";
        case ScriptletKind::pre_upgrade:
            return "pre_upgrade";
        case ScriptletKind::post_upgrade:
            return "post_upgrade";
        case ScriptletKind::pre_remove:
            return "pre_remove";
        case ScriptletKind::post_remove:
            return "post_remove";
    }
    return "";
}

bool has_scriptlet(std::string_view install_script, ScriptletKind kind) {
    return install_script.find(scriptlet_function(kind)) != std::string_view::npos;
}

ScriptCommand scriptlet_command(std::string_view install_script, ScriptletKind kind,
                                const std::vector<std::string>& versions, const std::string& shell) {
    ScriptCommand command;
    command.argv = {
        shell, "-c",
        fmt::format(". {}; {} {}", kScriptPath, scriptlet_function(kind), fmt::join(versions, " "))};
    command.files = {{kScriptPath, std::string(install_script)}};
    return command;
}

}  // namespace pwstore
