// SPDX-License-Identifier: GPL-3.0-or-later
#include "mount/permission/module.hpp"

namespace pwstore::permission {

namespace {

std::string usual_place(const Sink& sink) {
    return sink.runtime_directory() + "/pipewire-0";
}

std::string socket(const Sink& sink, const PermissionModule& module) {
    return module.socket.empty() ? usual_place(sink) : module.socket;
}

Check check(const Sink& sink, const PermissionModule& module) {
    const std::string path = socket(sink, module);
    return accepts_connections(path) ? Check::pass() : Check::skip("nothing listens at '" + path + "'");
}

void add(Sink& sink, const PermissionModule& module) {
    sink.depend_on_host();
    sink.add(MountOp::Kind::bind_ro, socket(sink, module), usual_place(sink));
}

}  // namespace

const PermissionEntry kPipewire{"pipewire", check, add};

}  // namespace pwstore::permission
