// SPDX-License-Identifier: GPL-3.0-or-later
#include <charconv>

#include "mount/permission/module.hpp"

namespace pwstore::permission {

namespace {

/// The compositor's socket; empty when there is none that answers.
std::string wayland_socket(const Sink& sink) {
    const std::string name = sink.host.variable("WAYLAND_DISPLAY").value_or("");
    if (name.empty()) return "";
    const std::string directory = sink.host.variable("XDG_RUNTIME_DIR").value_or(sink.runtime_directory());
    const std::string path = name.starts_with('/') ? name : directory + "/" + name;
    return accepts_connections(path) ? path : "";
}

struct X11 {
    std::string socket;
    std::string authority;
    std::string problem;  ///< why not, empty when there is no X11 to speak of
    [[nodiscard]] bool works() const { return !socket.empty(); }
};

X11 x11(const Sink& sink) {
    const std::string display = sink.host.variable("DISPLAY").value_or("");
    if (display.empty()) return {};
    const size_t colon = display.rfind(':');
    if (colon == std::string::npos) return {"", "", "DISPLAY has no display number"};
    if (colon != 0 && display.substr(0, colon) != "unix")
        return {"", "", "an X server on the network is not supported"};
    unsigned number = 0;
    if (std::from_chars(display.data() + colon + 1, display.data() + display.size(), number).ec !=
        std::errc()) {
        return {"", "", "DISPLAY has no display number"};
    }
    const std::string authority = sink.host.variable("XAUTHORITY").value_or("");
    if (authority.empty() || !path_exists(authority)) return {"", "", "XAUTHORITY names no file"};
    const std::string socket = "/tmp/.X11-unix/X" + std::to_string(number);
    if (!path_exists(socket)) return {"", "", "'" + socket + "' does not exist"};
    return {socket, authority, ""};
}

Check check(const Sink& sink, const PermissionModule&) {
    const X11 server = x11(sink);
    if (!wayland_socket(sink).empty() || server.works()) return Check::pass();
    return Check::abort(server.problem.empty() ? "no display was found (WAYLAND_DISPLAY, DISPLAY)"
                                               : server.problem);
}

void add(Sink& sink, const PermissionModule&) {
    sink.depend_on_host();
    if (const std::string socket = wayland_socket(sink); !socket.empty()) {
        sink.add(MountOp::Kind::bind_ro, socket, sink.runtime_directory() + "/wayland-0");
        sink.set_variable("WAYLAND_DISPLAY", "wayland-0");
    }
    const X11 server = x11(sink);
    if (!server.problem.empty()) sink.warn(server.problem);
    if (!server.works()) return;
    const std::string authority = sink.runtime_directory() + "/Xauthority";
    sink.add(MountOp::Kind::bind_ro, server.socket, server.socket);
    sink.add(MountOp::Kind::bind_ro, server.authority, authority);
    sink.set_variable("DISPLAY", sink.host.variable("DISPLAY").value_or(""));
    sink.set_variable("XAUTHORITY", authority);
    sink.warn("programs on one X server can watch and steer each other");
}

}  // namespace

const PermissionEntry kDisplay{"display", check, add};

}  // namespace pwstore::permission
