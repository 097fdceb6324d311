// SPDX-License-Identifier: GPL-3.0-or-later
#include "mount/executable.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <string_view>
#include <vector>

#include "store/base/error.hpp"
#include "store/base/path_at.hpp"

namespace pwstore {

namespace {

constexpr unsigned kMaxLinks = 40;

/// A place inside the sandbox: its path there, and the same place on the host if that can be reached.
struct Place {
    std::string path;
    Fd fd;                       ///< O_PATH; invalid: only the sandbox sees it
    bool is_plain_file = false;  ///< of those: made by us, and nobody may execute it
};

enum class Walk { arrived, missing, out_of_sight };

class View {
 public:
    View(const SandboxSpec& spec, const BindSources& sources) : spec_(spec), sources_(sources) {}

    Walk walk(const std::string& path, Place& place) const {
        std::vector<std::string> rest;
        push(path, rest);
        place = start();
        unsigned links = 0;
        while (!rest.empty()) {
            const std::string part = std::move(rest.back());
            rest.pop_back();
            if (part == "..") {
                // From the start again: what lies above may be another mount.
                place.path.resize(place.path.empty() ? 0 : place.path.rfind('/'));
                push(place.path, rest);
                place = start();
                continue;
            }
            std::string target;
            const Walk result = step(place, part, target);
            if (result == Walk::missing) return result;
            if (target.empty()) continue;
            if (++links > kMaxLinks) return Walk::missing;
            const std::string from =
                target.starts_with('/') ? "" : place.path.substr(0, place.path.rfind('/'));
            push(target, rest);
            push(from, rest);
            place = start();
        }
        return place.fd ? Walk::arrived : Walk::out_of_sight;
    }

 private:
    static void push(std::string_view path, std::vector<std::string>& rest) {
        const size_t bottom = rest.size();
        while (!path.empty()) {
            const size_t end = std::min(path.find('/'), path.size());
            if (end != 0 && path.substr(0, end) != ".") rest.emplace_back(path.substr(0, end));
            path.remove_prefix(std::min(end + 1, path.size()));
        }
        std::reverse(rest.begin() + static_cast<ptrdiff_t>(bottom), rest.end());
    }

    [[nodiscard]] Place start() const { return {"", duplicate(sources_.root.get())}; }

    static Fd duplicate(int fd) {
        if (fd < 0) return Fd();
        Fd copy(::fcntl(fd, F_DUPFD_CLOEXEC, 3));
        if (!copy) throw Error::from_errno("look up command", "");
        return copy;
    }

    /// The last mount at exactly this path.
    [[nodiscard]] std::optional<size_t> mount_at(const std::string& path) const {
        for (size_t i = spec_.mounts.size(); i-- > 0;) {
            const MountOp& mount = spec_.mounts[i];
            if (mount.destination == path && mount.kind != MountOp::Kind::remount_ro &&
                mount.kind != MountOp::Kind::directory) {
                return i;
            }
        }
        return std::nullopt;
    }

    /// One component further; `target` is set when a symlink is there.
    Walk step(Place& place, const std::string& part, std::string& target) const {
        place.path += "/" + part;
        if (const auto mount = mount_at(place.path)) {
            const bool bound = *mount < sources_.mounts.size() && sources_.mounts[*mount];
            place.fd = bound ? duplicate(sources_.mounts[*mount].get()) : Fd();
            const MountOp& op = spec_.mounts[*mount];
            place.is_plain_file = op.kind == MountOp::Kind::data_ro && (op.mode & 0111U) == 0;
            return place.fd ? Walk::arrived : Walk::out_of_sight;
        }
        if (place.is_plain_file) return Walk::missing;
        if (!place.fd) return Walk::out_of_sight;
        auto next = try_open_at(place.fd.get(), part, O_PATH | O_NOFOLLOW);
        if (!next) return Walk::missing;
        place.fd = std::move(*next);
        const mode_t mode = stat_fd(place.fd.get(), place.path).st_mode;
        if (S_ISLNK(mode)) target = read_link_at(place.fd.get(), "");
        return Walk::arrived;
    }

    const SandboxSpec& spec_;
    const BindSources& sources_;
};

bool is_executable(int fd, bool root_powers) {
    const struct stat status = stat_fd(fd, "");
    if (!S_ISREG(status.st_mode)) return false;
    if (root_powers) return (status.st_mode & 0111) != 0;
    return ::syscall(SYS_faccessat2, fd, "", X_OK, AT_EMPTY_PATH | AT_EACCESS) == 0;
}

/// A script's interpreter, empty if it is not a script.
std::string interpreter_of(int fd) {
    const auto file = try_open_at(AT_FDCWD, "/proc/self/fd/" + std::to_string(fd), O_RDONLY | O_NONBLOCK);
    if (!file) return "";
    std::array<char, 256> start{};
    const ssize_t got = ::pread(file->get(), start.data(), start.size(), 0);
    std::string_view line(start.data(), got > 0 ? static_cast<size_t>(got) : 0);
    if (!line.starts_with("#!")) return "";
    line = line.substr(2, std::min(line.find('\n'), line.size()) - 2);
    line.remove_prefix(std::min(line.find_first_not_of(" \t"), line.size()));
    return std::string(line.substr(0, line.find_first_of(" \t")));
}

CommandLookup look_at(const View& view, const std::string& path, bool root_powers, bool follow_interpreter) {
    Place place;
    switch (view.walk(path, place)) {
        case Walk::missing:
            return CommandLookup::not_found;
        case Walk::out_of_sight:
            return place.is_plain_file ? CommandLookup::not_executable : CommandLookup::unknown;
        case Walk::arrived:
            break;
    }
    if (!is_executable(place.fd.get(), root_powers)) return CommandLookup::not_executable;
    if (!follow_interpreter) return CommandLookup::found;
    const std::string interpreter = interpreter_of(place.fd.get());
    if (!interpreter.starts_with('/')) return CommandLookup::found;
    const CommandLookup other = look_at(view, interpreter, root_powers, false);
    return other == CommandLookup::not_found ? CommandLookup::not_executable : other;
}

}  // namespace

CommandLookup look_up_command(const SandboxSpec& spec, const BindSources& sources, const std::string& name) {
    const View view(spec, sources);
    if (name.empty()) return CommandLookup::not_found;
    if (name.find('/') != std::string::npos) {
        const std::string path = name.starts_with('/') ? name : spec.working_directory + "/" + name;
        return look_at(view, path, spec.root_powers, true);
    }
    std::string_view rest;
    for (const EnvironmentVariable& variable : spec.environment) {
        if (variable.name == "PATH") rest = variable.value;
    }
    CommandLookup result = CommandLookup::not_found;
    while (!rest.empty()) {
        const size_t end = std::min(rest.find(':'), rest.size());
        std::string path(rest.substr(0, end));
        path.append("/").append(name);
        rest.remove_prefix(std::min(end + 1, rest.size()));
        const CommandLookup here = look_at(view, path, spec.root_powers, true);
        if (here == CommandLookup::found || here == CommandLookup::unknown) return here;
        if (here == CommandLookup::not_executable) result = here;
    }
    return result;
}

}  // namespace pwstore
