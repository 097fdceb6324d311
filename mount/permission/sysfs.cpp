// SPDX-License-Identifier: GPL-3.0-or-later
#include "mount/permission/module.hpp"

namespace pwstore::permission {

namespace {

std::vector<std::string> names_of(const FilesystemModule& module) {
    return module.paths.empty() ? std::vector<std::string>{"block", "bus", "class", "dev", "devices"}
                                : module.paths;
}

Check check(const Sink&, const FilesystemModule& module) {
    for (const std::string& name : names_of(module)) {
        if (!is_plain_path(name)) return Check::abort("'" + name + "' is no name below /sys");
        if (!path_exists("/sys/" + name)) return Check::abort("'/sys/" + name + "' does not exist");
    }
    return Check::pass();
}

void add(Sink& sink, const FilesystemModule& module) {
    for (const std::string& name : names_of(module))
        sink.add(MountOp::Kind::bind_ro, "/sys/" + name, "/sys/" + name);
}

}  // namespace

const FilesystemEntry kSysfs{"sysfs", check, add};

}  // namespace pwstore::permission
