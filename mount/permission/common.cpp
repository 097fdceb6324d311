// SPDX-License-Identifier: GPL-3.0-or-later
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>

#include "mount/permission/module.hpp"
#include "store/base/fd.hpp"

namespace pwstore::permission {

void Sink::add(MountOp::Kind kind, std::string source, std::string destination, uint32_t mode,
               bool optional) {
    result_.spec.mounts.push_back({kind, std::move(source), std::move(destination), mode, optional, rule_});
}

void Sink::set_variable(const std::string& name, std::string value) {
    std::erase_if(result_.passed_variables,
                  [&](const PassedVariable& passed) { return passed.name == name; });
    for (EnvironmentVariable& variable : result_.spec.environment) {
        if (variable.name != name) continue;
        variable.value = std::move(value);
        return;
    }
    result_.spec.environment.push_back({name, std::move(value)});
}

std::optional<std::string> Sink::without_caller(const std::string& name) const {
    for (const PassedVariable& passed : result_.passed_variables) {
        if (passed.name == name) return passed.otherwise;
    }
    for (const EnvironmentVariable& variable : result_.spec.environment) {
        if (variable.name == name) return variable.value;
    }
    return std::nullopt;
}

void Sink::pass_variable(const std::string& name, std::optional<std::string> otherwise) {
    if (!otherwise) otherwise = without_caller(name);
    auto value = host.variable(name);
    if (!value) value = otherwise;
    if (value) set_variable(name, *value);
    std::erase_if(result_.passed_variables,
                  [&](const PassedVariable& passed) { return passed.name == name; });
    result_.passed_variables.push_back({name, std::move(otherwise)});
}

void Sink::expect_variable(const std::string& name) {
    result_.expected_variables.push_back(name);
    if (!host.variable(name)) result_.warnings.push_back(missing_variable_warning(name));
}

bool path_exists(const std::string& path) {
    return ::access(path.c_str(), F_OK) == 0;
}

bool accepts_connections(const std::string& path) {
    struct sockaddr_un address {};
    if (path.empty() || path.size() >= sizeof address.sun_path) return false;
    address.sun_family = AF_UNIX;
    std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
    const Fd socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    return socket &&
           ::connect(socket.get(), reinterpret_cast<const struct sockaddr*>(&address), sizeof address) == 0;
}

bool is_plain_path(std::string_view path) {
    if (path.starts_with('/')) path.remove_prefix(1);
    if (path.ends_with('/')) path.remove_suffix(1);
    for (;;) {
        const size_t end = std::min(path.find('/'), path.size());
        const std::string_view part = path.substr(0, end);
        if (part.empty() || part == "." || part == "..") return false;
        if (end == path.size()) return true;
        path.remove_prefix(end + 1);
    }
}

Check check_volumes(const std::vector<PlacedVolume>& volumes) {
    if (volumes.empty()) return Check::skip("no volumes are named");
    for (const PlacedVolume& volume : volumes) {
        if (!is_plain_path(volume.destination))
            return Check::abort("'" + volume.destination + "' is no place for a volume");
        if (!path_exists(volume.source)) return Check::abort("'" + volume.source + "' does not exist");
    }
    return Check::pass();
}

void add_volumes(Sink& sink, const std::vector<PlacedVolume>& volumes) {
    for (const PlacedVolume& volume : volumes) {
        sink.add(volume.writable ? MountOp::Kind::bind_rw : MountOp::Kind::bind_ro, volume.source,
                 volume.destination);
    }
}

}  // namespace pwstore::permission
