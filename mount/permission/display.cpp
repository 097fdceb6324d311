// SPDX-License-Identifier: GPL-3.0-or-later
#include <fcntl.h>
#include <sys/utsname.h>

#include "mount/permission/module.hpp"
#include "mount/xauthority.hpp"
#include "store/base/path_at.hpp"

namespace pwstore::permission {

namespace {

std::string host_name() {
    struct utsname names {};
    return ::uname(&names) == 0 ? names.nodename : "";
}

/// The compositor's socket, as clients look for it; empty when there is none that answers.
std::string wayland_socket(const Sink& sink) {
    std::string name = sink.host.variable("WAYLAND_DISPLAY").value_or("");
    if (name.empty()) name = "wayland-0";
    const std::string directory = sink.host.variable("XDG_RUNTIME_DIR").value_or(sink.runtime_directory());
    const std::string path = name.starts_with('/') ? name : directory + "/" + name;
    return accepts_connections(path) ? path : "";
}

struct X11 {
    std::string socket;
    std::string number;
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
    const std::string number =
        display.substr(colon + 1, display.find_first_not_of("0123456789", colon + 1) - colon - 1);
    if (number.empty()) return {"", "", "DISPLAY has no display number"};
    const std::string socket = "/tmp/.X11-unix/X" + number;
    if (!accepts_connections(socket)) return {"", "", "nothing listens on '" + socket + "'"};
    return {socket, number, ""};
}

/// The cookies for the server; empty when there are none, with a warning.
std::string cookies(Sink& sink, const std::string& number) {
    const std::string home = sink.host.variable("HOME").value_or("");
    std::string looked_at;
    for (const std::string& file : {sink.host.variable("XAUTHORITY").value_or(""), home + "/.Xauthority"}) {
        if (!file.starts_with('/')) continue;
        looked_at += (looked_at.empty() ? "" : ", ") + file;
        const Fd open(::open(file.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC));
        if (!open) continue;
        const std::string found = cookies_for_any_host(read_all(open.get(), file), host_name(), number);
        if (!found.empty()) return found;
    }
    sink.warn("no X cookie for display :" + number + " (" + looked_at + "): the server has to do without");
    return "";
}

Check check(const Sink& sink, const PermissionModule&) {
    const X11 server = x11(sink);
    if (!wayland_socket(sink).empty() || server.works()) return Check::pass();
    return Check::skip(server.problem.empty() ? "no display was found (WAYLAND_DISPLAY, DISPLAY)"
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
    sink.add(MountOp::Kind::bind_ro, server.socket, server.socket);
    sink.set_variable("DISPLAY", sink.host.variable("DISPLAY").value_or(""));
    if (std::string found = cookies(sink, server.number); !found.empty()) {
        const std::string authority = sink.runtime_directory() + "/Xauthority";
        sink.add(MountOp::Kind::data_ro, std::move(found), authority, 0600);
        sink.set_variable("XAUTHORITY", authority);
    }
    sink.warn("programs on one X server can watch and steer each other");
}

}  // namespace

const PermissionEntry kDisplay{"display", check, add};

}  // namespace pwstore::permission
