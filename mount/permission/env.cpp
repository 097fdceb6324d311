// SPDX-License-Identifier: GPL-3.0-or-later
#include "mount/permission/module.hpp"

namespace pwstore::permission {

namespace {

Check check(const Sink&, const PermissionModule& module) {
    return module.variables.empty() ? Check::skip("no variables are named") : Check::pass();
}

void add(Sink& sink, const PermissionModule& module) {
    for (const auto& [name, value] : module.variables) {
        if (value) {
            sink.set_variable(name, *value);
        } else {
            sink.pass_variable(name);
            sink.expect_variable(name);
        }
    }
}

}  // namespace

const PermissionEntry kEnv{"env", check, add};

}  // namespace pwstore::permission
