// SPDX-License-Identifier: GPL-3.0-or-later
#include <termios.h>
#include <unistd.h>

#include "mount/composer.hpp"

namespace pwstore {

HostContext HostContext::current() {
    HostContext host;
    host.uid = ::geteuid();
    host.gid = ::getegid();
    for (char** item = environ; item != nullptr && *item != nullptr; ++item) {
        const std::string_view text = *item;
        const size_t equals = text.find('=');
        if (equals == std::string_view::npos) continue;
        host.environment.push_back(
            {std::string(text.substr(0, equals)), std::string(text.substr(equals + 1))});
    }
    struct termios settings {};
    host.terminal = ::tcgetattr(STDIN_FILENO, &settings) == 0;
    return host;
}

std::optional<std::string> HostContext::variable(std::string_view name) const {
    for (const EnvironmentVariable& variable : environment) {
        if (variable.name == name) return variable.value;
    }
    return std::nullopt;
}

std::string missing_variable_warning(const std::string& name) {
    return "permission env: the variable " + name + " is not set";
}

}  // namespace pwstore
