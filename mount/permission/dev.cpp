// SPDX-License-Identifier: GPL-3.0-or-later
#include "mount/permission/module.hpp"

namespace pwstore::permission {

namespace {

Check check(const Sink&, const PermissionModule& module) {
    if (module.devices.empty()) return Check::skip("no devices are named");
    for (const std::string& name : module.devices) {
        if (!is_plain_path(name)) return Check::abort("'" + name + "' is no name below /dev");
        if (!path_exists("/dev/" + name)) return Check::abort("'/dev/" + name + "' does not exist");
    }
    return Check::pass();
}

void add(Sink& sink, const PermissionModule& module) {
    sink.depend_on_host();
    for (const std::string& name : module.devices) {
        sink.add(MountOp::Kind::bind_dev, "/dev/" + name, "/dev/" + name, 0755, true);
    }
}

}  // namespace

const PermissionEntry kDev{"dev", check, add};

}  // namespace pwstore::permission
