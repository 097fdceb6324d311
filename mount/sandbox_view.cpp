// SPDX-License-Identifier: GPL-3.0-or-later
#include "mount/sandbox_view.hpp"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>

#include "store/base/error.hpp"
#include "store/base/path_at.hpp"

namespace pwstore {

namespace {

constexpr unsigned kMaxLinks = 40;

void push(std::string_view path, std::vector<std::string>& rest) {
    const size_t bottom = rest.size();
    while (!path.empty()) {
        const size_t end = std::min(path.find('/'), path.size());
        if (end != 0 && path.substr(0, end) != ".") rest.emplace_back(path.substr(0, end));
        path.remove_prefix(std::min(end + 1, path.size()));
    }
    std::reverse(rest.begin() + static_cast<ptrdiff_t>(bottom), rest.end());
}

Fd duplicate(int fd) {
    if (fd < 0) return Fd();
    Fd copy(::fcntl(fd, F_DUPFD_CLOEXEC, 3));
    if (!copy) throw Error::from_errno("look into the sandbox", "");
    return copy;
}

}  // namespace

Place SandboxView::start() const {
    return {"", duplicate(sources_.root.get())};
}

Walk SandboxView::walk(const std::string& path, Place& place) const {
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
        const std::string from = target.starts_with('/') ? "" : place.path.substr(0, place.path.rfind('/'));
        push(target, rest);
        push(from, rest);
        place = start();
    }
    return place.fd ? Walk::arrived : Walk::out_of_sight;
}

/// The last mount at exactly this path.
std::optional<size_t> SandboxView::mount_at(const std::string& path) const {
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
Walk SandboxView::step(Place& place, const std::string& part, std::string& target) const {
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

}  // namespace pwstore
