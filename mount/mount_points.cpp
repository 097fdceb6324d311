// SPDX-License-Identifier: GPL-3.0-or-later
#include "mount/mount_points.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>
#include <optional>
#include <set>

#include "store/base/error.hpp"
#include "store/base/path_at.hpp"

namespace pwstore {

namespace {

constexpr unsigned kMaxLinks = 40;

std::vector<std::string> parts_of(std::string_view path) {
    std::vector<std::string> parts;
    while (!path.empty()) {
        const size_t end = std::min(path.find('/'), path.size());
        if (end != 0 && path.substr(0, end) != ".") parts.emplace_back(path.substr(0, end));
        path.remove_prefix(std::min(end + 1, path.size()));
    }
    return parts;
}

bool lies_below(std::string_view path, std::string_view top) {
    return path.size() > top.size() && path.starts_with(top) && path[top.size()] == '/';
}

bool makes_directories(MountOp::Kind kind) {
    return kind == MountOp::Kind::tmpfs || kind == MountOp::Kind::bind_rw || kind == MountOp::Kind::dev;
}

bool is_mount(MountOp::Kind kind) {
    return makes_directories(kind) || kind == MountOp::Kind::bind_ro || kind == MountOp::Kind::bind_dev ||
           kind == MountOp::Kind::proc;
}

/// What the walk to a destination found.
struct Place {
    std::string path;     ///< with the root's symlinks resolved
    std::string deepest;  ///< the part of it that exists in the root; "/" at least
    bool exists = false;
    bool covered = false;  ///< an earlier mount lies over the rest of it
};

class Settler {
 public:
    explicit Settler(SandboxSpec& spec)
        : spec_(spec), root_(open_at(AT_FDCWD, spec.root.path, O_PATH | O_DIRECTORY)) {}

    void settle() {
        std::vector<MountOp> wanted = std::move(spec_.mounts);
        spec_.mounts.clear();
        for (MountOp& mount : wanted) {
            if (mount.destination != "/") place(mount);
            spec_.mounts.push_back(std::move(mount));
        }
    }

 private:
    /// The earlier mount that `path` lies below, the last one that counts.
    [[nodiscard]] const MountOp* mount_over(const std::string& path) const {
        const auto over = std::find_if(spec_.mounts.rbegin(), spec_.mounts.rend(), [&](const MountOp& mount) {
            return is_mount(mount.kind) && (mount.destination == path || lies_below(path, mount.destination));
        });
        return over == spec_.mounts.rend() ? nullptr : &*over;
    }

    [[nodiscard]] Place walk(const std::string& destination) const {
        std::vector<std::string> rest = parts_of(destination);
        std::reverse(rest.begin(), rest.end());
        Place place{"", "/", true, false};
        unsigned links = 0;
        while (!rest.empty()) {
            const std::string part = std::move(rest.back());
            rest.pop_back();
            if (part == "..") {
                place.path.resize(place.path.rfind('/') == std::string::npos ? 0 : place.path.rfind('/'));
                continue;
            }
            place.path += "/" + part;
            if (place.covered || !place.exists) continue;
            if (mount_over(place.path) != nullptr) {
                place.covered = true;
                continue;
            }
            const auto status = try_stat_at(root_.get(), place.path.substr(1));
            place.exists = status.has_value();
            if (!status) continue;
            if (!S_ISLNK(status->st_mode)) {
                place.deepest = place.path;
                continue;
            }
            if (++links > kMaxLinks) fail(destination, "too many symbolic links");
            const std::string target = read_link_at(root_.get(), place.path.substr(1));
            place.path.resize(target.starts_with('/') ? 0 : place.path.rfind('/'));
            std::vector<std::string> more = parts_of(target);
            rest.insert(rest.end(), more.rbegin(), more.rend());
        }
        return place;
    }

    void place(MountOp& mount) {
        const Place place = walk(mount.destination);
        mount.destination = place.path;
        if (place.covered) {
            const MountOp& over = *mount_over(place.path);
            if (makes_directories(over.kind) || over.destination == place.path) return;
            const std::string below = over.source + place.path.substr(over.destination.size());
            if (!exists_at(AT_FDCWD, below))
                fail(mount.destination, "it does not exist in what is mounted there read-only");
            return;
        }
        if (place.exists) return check_type(mount, place);
        if (spec_.root.kind != RootMount::Kind::read_only) return;
        const struct stat deepest =
            stat_at(root_.get(), place.deepest == "/" ? "." : place.deepest.substr(1));
        if (place.deepest == "/" || !S_ISDIR(deepest.st_mode) || !is_empty(place.deepest)) {
            fail(mount.destination,
                 fmt::format("the root has no such place, and '{}' is not empty", printable(place.deepest)));
        }
        spec_.mounts.push_back({MountOp::Kind::tmpfs, "", place.deepest, 0755, false, mount.rule});
    }

    /// A directory goes on a directory, anything else on a file.
    void check_type(const MountOp& mount, const Place& place) const {
        if (mount.kind == MountOp::Kind::symlink || mount.kind == MountOp::Kind::remount_ro) return;
        const bool here = S_ISDIR(stat_at(root_.get(), place.path.substr(1)).st_mode);
        bool wanted = mount.kind != MountOp::Kind::data_ro;
        if (mount.kind == MountOp::Kind::bind_ro || mount.kind == MountOp::Kind::bind_rw ||
            mount.kind == MountOp::Kind::bind_dev) {
            const auto source = try_open_at(AT_FDCWD, mount.source, O_PATH);
            if (!source) return;
            wanted = S_ISDIR(stat_fd(source->get(), mount.source).st_mode);
        }
        if (here == wanted) return;
        fail(mount.destination, here ? "it is a directory in the root, and what goes there is not"
                                     : "it is not a directory in the root, and what goes there is");
    }

    [[nodiscard]] bool is_empty(const std::string& directory) const {
        return list_directory(open_dir(root_.get(), directory.substr(1)).get()).empty();
    }

    [[noreturn]] void fail(const std::string& destination, const std::string& cause) const {
        throw Error("mount in " + spec_.container + " at", destination, cause)
            .as(Fault::usage)
            .with_hint(
                fmt::format("choose another destination, or make it: pwstore shell -r {}", spec_.container));
    }

    SandboxSpec& spec_;
    Fd root_;
};

}  // namespace

void settle_mount_points(SandboxSpec& spec) {
    Settler(spec).settle();
}

}  // namespace pwstore
