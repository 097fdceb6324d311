// SPDX-License-Identifier: GPL-3.0-or-later
#include "mount/root_paths.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <vector>

#include "store/base/error.hpp"
#include "store/base/path_at.hpp"
#include "store/object.hpp"

namespace pwstore {

namespace {

constexpr unsigned kLinkLimit = 40;  ///< as the kernel's
constexpr size_t kPathLimit = 4095;
constexpr int kWayFlags = O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;

/// One step for a path without symlinks; -1 with errno otherwise.
int open_straight(int root, const std::string& path) {
    open_how how{};
    how.flags = static_cast<__u64>(kWayFlags);
    how.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS;
    for (;;) {
        const auto fd = static_cast<int>(::syscall(SYS_openat2, root, path.c_str(), &how, sizeof how));
        if (fd >= 0 || (errno != EINTR && errno != EAGAIN)) return fd;
    }
}

std::string joined(const std::vector<std::string>& names) {
    return fmt::format("{}", fmt::join(names, "/"));
}

}  // namespace

void open_up(int dir, std::string_view path_for_errors) {
    struct stat info {};
    if (::fstat(dir, &info) != 0) throw Error::from_errno("stat", path_for_errors);
    const mode_t mode = root_directory_mode(info.st_mode);
    if (::chmod(fmt::format("/proc/self/fd/{}", dir).c_str(), mode) != 0) {
        throw Error::from_errno("make accessible", path_for_errors);
    }
}

/// Component by component, with every symlink's target put in its place.
class RootPaths::Walk {
 public:
    Walk(const RootPaths& paths, std::string_view path) : paths_(paths), fd_(paths.open_known("")) {
        prepend(path);
    }

    /// To the end, or to the first component that is missing or is no directory. True at the end.
    bool advance() {
        while (!rest_.empty()) {
            const std::string name = rest_.back();
            if (name == "..") {
                rest_.pop_back();
                if (!names_.empty()) names_.pop_back();
                fd_ = paths_.open_known(joined(names_));
                continue;
            }
            const int opened = with_rights(fd_.get(), joined(names_),
                                           [&] { return ::openat(fd_.get(), name.c_str(), kWayFlags); });
            if (opened >= 0) {
                enter(Fd(opened));
                continue;
            }
            const int error_number = errno;
            if (error_number == ENOENT) return false;
            if (error_number != ENOTDIR && error_number != ELOOP) {
                throw Error::from_errno("open directory", path_here(), error_number);
            }
            if (!follow(name)) return false;
        }
        return true;
    }

    /// Make the directory that advance() missed. Its path.
    std::string make_missing() {
        const std::string path = path_here();
        const std::string& name = rest_.back();
        const int made =
            with_rights(fd_.get(), joined(names_), [&] { return ::mkdirat(fd_.get(), name.c_str(), 0755); });
        if (made != 0) {
            const int error_number = errno;
            if (error_number == EEXIST)
                throw Error("make directory", path, "something that is no directory is in the way");
            throw Error::from_errno("make directory", path, error_number);
        }
        Fd fd(::openat(fd_.get(), name.c_str(), kWayFlags));
        if (!fd) throw Error::from_errno("open directory", path);
        if (::chmod(fmt::format("/proc/self/fd/{}", fd.get()).c_str(), 0755) != 0) {
            throw Error::from_errno("set mode", path);
        }
        enter(std::move(fd));
        return path;
    }

    [[nodiscard]] Fd take() { return std::move(fd_); }
    [[nodiscard]] std::string path() const {
        std::string path = joined(names_);
        if (path.size() > kPathLimit) throw Error::from_errno("resolve", path, ENAMETOOLONG);
        return path;
    }
    /// The resolved part and what follows it.
    [[nodiscard]] std::string whole() const {
        std::vector<std::string> all = names_;
        all.insert(all.end(), rest_.rbegin(), rest_.rend());
        return joined(all);
    }

 private:
    [[nodiscard]] std::string path_here() const {
        std::vector<std::string> all = names_;
        all.push_back(rest_.back());
        return joined(all);
    }

    void enter(Fd fd) {
        names_.push_back(std::move(rest_.back()));
        rest_.pop_back();
        fd_ = std::move(fd);
    }

    /// Put the target of symlink `name` in its place; false when it is no symlink.
    bool follow(const std::string& name) {
        const auto info = try_stat_at(fd_.get(), name);
        if (!info || !S_ISLNK(info->st_mode)) return false;
        if (++followed_ > kLinkLimit) throw Error::from_errno("resolve", path_here(), ELOOP);
        const std::string target = read_link_at(fd_.get(), name);
        rest_.pop_back();
        if (target.starts_with('/')) {
            names_.clear();
            fd_ = paths_.open_known("");
        }
        prepend(target);
        return true;
    }

    void prepend(std::string_view path) {
        std::vector<std::string> components;
        while (!path.empty()) {
            const size_t slash = path.find('/');
            const std::string_view component = path.substr(0, slash);
            if (!component.empty() && component != ".") components.emplace_back(component);
            if (slash == std::string_view::npos) break;
            path.remove_prefix(slash + 1);
        }
        rest_.insert(rest_.end(), components.rbegin(), components.rend());
    }

    const RootPaths& paths_;
    Fd fd_;
    std::vector<std::string> names_;  ///< of fd_, from the root
    std::vector<std::string> rest_;   ///< still to go, the next one last
    unsigned followed_ = 0;
};

/// A directory that was walked to before: no symlink is on the way.
Fd RootPaths::open_known(const std::string& path) const {
    if (path.empty()) return open_at(root_, ".", O_PATH | O_DIRECTORY);
    const int fd = open_straight(root_, path);
    if (fd < 0) throw Error::from_errno("open directory", path);
    return Fd(fd);
}

std::optional<Spot> RootPaths::find(std::string_view path) const {
    const auto [parent, name] = split_path(path);
    auto directory = find_directory(parent);
    if (!directory) return std::nullopt;
    return Spot{std::move(directory->fd), std::move(directory->path), std::string(name)};
}

Spot RootPaths::reach(std::string_view path, const std::function<void(const std::string&)>& made) const {
    const auto [parent, name] = split_path(path);
    std::string straight(parent);
    if (const int fd = straight.empty() ? -1 : open_straight(root_, straight); fd >= 0) {
        return {Fd(fd), std::move(straight), std::string(name)};
    }
    Walk walk(*this, parent);
    while (!walk.advance())
        made(walk.make_missing());
    std::string resolved = walk.path();
    return {walk.take(), std::move(resolved), std::string(name)};
}

std::optional<RootPaths::Directory> RootPaths::find_directory(std::string_view path) const {
    std::string straight(path);
    if (straight.empty()) return Directory{open_known(""), ""};
    if (const int fd = open_straight(root_, straight); fd >= 0) return Directory{Fd(fd), std::move(straight)};
    if (errno == ENOENT) return std::nullopt;
    Walk walk(*this, path);
    if (!walk.advance()) return std::nullopt;
    std::string resolved = walk.path();
    return Directory{walk.take(), std::move(resolved)};
}

std::string RootPaths::resolve(std::string_view path) const {
    const auto [parent, name] = split_path(path);
    if (parent.empty() || Fd(open_straight(root_, std::string(parent)))) return std::string(path);
    Walk walk(*this, parent);
    (void)walk.advance();
    const std::string resolved = walk.whole();
    return resolved.empty() ? std::string(name) : resolved + "/" + std::string(name);
}

}  // namespace pwstore
