// SPDX-License-Identifier: GPL-3.0-or-later
#include "mount/plain_root.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <cstring>

#include "store/base/error.hpp"
#include "store/base/path_at.hpp"
#include "store/digest.hpp"

namespace pwstore {

namespace {

constexpr size_t kReadSize = 128 * 1024;

std::optional<struct stat> look_at(const Spot& spot) {
    struct stat info {};
    if (::fstatat(spot.dir.get(), spot.name.c_str(), &info, AT_SYMLINK_NOFOLLOW) == 0) return info;
    if (errno == ENOENT) return std::nullopt;
    throw Error::from_errno("stat", spot.path());
}

}  // namespace

// --- Look --------------------------------------------------------------------------------------------------

std::optional<struct stat> PlainRoot::look(std::string_view path) const {
    const auto spot = paths_.find(path);
    return spot ? look_at(*spot) : std::nullopt;
}

bool PlainRoot::is_straight(std::string_view path) const {
    const auto spot = paths_.find(path);
    return spot && spot->path() == path;
}

std::optional<std::string> PlainRoot::md5(const std::string& path) const {
    const auto spot = paths_.find(path);
    if (!spot) return std::nullopt;
    std::optional<Fd> file;
    try {
        file = try_open_in_root(paths_.root(), spot->path(), O_RDONLY | O_NONBLOCK);
    } catch (const Error&) {
        return std::nullopt;  // it may not be read
    }
    if (!file || !S_ISREG(stat_fd(file->get(), path).st_mode)) return std::nullopt;
    std::string buffer(kReadSize, '\0');
    Md5Stream stream;
    while (const size_t got = read_some(file->get(), buffer, path))
        stream.update({buffer.data(), got});
    return stream.finish();
}

std::vector<std::string> PlainRoot::names_in(std::string_view directory) const {
    std::vector<std::string> names;
    const auto found = paths_.find_directory(directory);
    if (!found) return names;
    for (DirectoryItem& item : list_directory(found->fd.get()))
        names.push_back(std::move(item.name));
    return names;
}

bool PlainRoot::is_mount_point(std::string_view directory) const {
    const auto found = paths_.find_directory(directory);
    if (!found || found->path.empty()) return false;
    const struct stat here = stat_fd(found->fd.get(), directory);
    return stat_at(found->fd.get(), "..").st_dev != here.st_dev;
}

Spot PlainRoot::existing(std::string_view path) const {
    auto spot = paths_.find(path);
    if (!spot) throw Error::from_errno("find", path, ENOENT);
    return std::move(*spot);
}

// --- Lay down ----------------------------------------------------------------------------------------------

/// Run `make(name)` in the directory of `spot`: at its place when nothing is there, else beside it and
/// renamed over.
template <typename Make>
void PlainRoot::put(const Spot& spot, const Make& make) {
    const int dir = spot.dir.get();
    std::string name = spot.name;
    const bool replaces = look_at(spot).has_value();
    while (replaces && (name == spot.name || exists_at(dir, name)))
        name = fmt::format(".pwstore-{}", temporaries_++);
    try {
        make(name.c_str());
        if (replaces) rename_at(dir, name, dir, spot.name);
    } catch (...) {
        (void)::unlinkat(dir, name.c_str(), 0);
        throw;
    }
    // When both names were links of one inode the rename did nothing and this one is left.
    if (replaces) (void)::unlinkat(dir, name.c_str(), 0);
}

/// Give the owner, and return the mode that is then right: without its owner a file has no set-id bits.
mode_t PlainRoot::own(int dir, const char* name, const Entry& entry) {
    struct stat info {};
    const auto look_again = [&] {
        if (::fstatat(dir, name, &info, AT_SYMLINK_NOFOLLOW) != 0) throw Error::from_errno("stat", name);
    };
    look_again();
    if (info.st_uid != entry.uid || info.st_gid != entry.gid) {
        if (::fchownat(dir, name, entry.uid, entry.gid, AT_SYMLINK_NOFOLLOW) == 0) {
            look_again();
        } else if (errno == EPERM || errno == EINVAL) {
            ++disowned_;
        } else {
            throw Error::from_errno("set owner", name);
        }
    }
    mode_t mode = entry.mode & 07777U;
    if (info.st_uid != entry.uid) mode &= ~mode_t{S_ISUID};
    if (info.st_gid != entry.gid) mode &= ~mode_t{S_ISGID};
    return mode;
}

void PlainRoot::set_attributes(int fd, const Entry& entry) {
    for (const auto& [name, value] : entry.xattrs) {
        if (name.starts_with("system.posix_acl_")) continue;  // pacman does not extract these
        const std::string path = fmt::format("/proc/self/fd/{}", fd);
        if (::setxattr(path.c_str(), name.c_str(), value.data(), value.size(), 0) == 0) continue;
        const int error_number = errno;
        if (error_number != EPERM && error_number != ENOTSUP && error_number != EINVAL)
            throw Error::from_errno(fmt::format("set attribute {} of", printable(name)), entry.path,
                                    error_number);
        warn_(fmt::format("warning given when extracting {} (cannot set attribute {}: {})",
                          printable(entry.path), printable(name), std::strerror(error_number)));
    }
}

/// Owner, mode, attributes and time, in the order in which they do not undo each other.
void PlainRoot::settle(int dir, const char* name, const Entry& entry) {
    const mode_t mode = own(dir, name, entry);
    if (entry.kind != EntryKind::symlink) {
        const Fd fd = open_at(dir, name, O_PATH | O_NOFOLLOW);
        if (::chmod(fmt::format("/proc/self/fd/{}", fd.get()).c_str(), mode) != 0)
            throw Error::from_errno("set mode", entry.path);
        set_attributes(fd.get(), entry);
    }
    const struct timespec times[] = {{entry.mtime, static_cast<long>(entry.mtime_ns)},
                                     {entry.mtime, static_cast<long>(entry.mtime_ns)}};
    if (::utimensat(dir, name, times, AT_SYMLINK_NOFOLLOW) != 0)
        throw Error::from_errno("set time", entry.path);
}

void PlainRoot::put_file(const Entry& entry, const std::string& path,
                         const std::function<std::string_view()>& next) {
    const Spot spot = paths_.reach(path, [](const std::string&) {});
    put(spot, [&](const char* name) {
        {
            const Fd file = open_at(spot.dir.get(), name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0600);
            for (std::string_view piece = next(); !piece.empty(); piece = next())
                write_all(file.get(), piece, path);
        }
        settle(spot.dir.get(), name, entry);
    });
}

void PlainRoot::put_special(const Entry& entry, const std::string& path) {
    const Spot spot = paths_.reach(path, [](const std::string&) {});
    put(spot, [&](const char* name) {
        const int made = entry.kind == EntryKind::symlink
                             ? ::symlinkat(entry.target.c_str(), spot.dir.get(), name)
                             : ::mkfifoat(spot.dir.get(), name, 0600);
        if (made != 0) throw Error::from_errno("make", path);
        settle(spot.dir.get(), name, entry);
    });
}

void PlainRoot::put_link(const std::string& target, const std::string& path) {
    const Spot source = existing(target);
    const Spot spot = paths_.reach(path, [](const std::string&) {});
    put(spot, [&](const char* name) {
        if (::linkat(source.dir.get(), source.name.c_str(), spot.dir.get(), name, 0) != 0)
            throw Error::from_errno("link to '" + printable(target) + "'", path);
    });
}

void PlainRoot::put_directory(const Entry& entry) {
    const Spot spot = paths_.reach(entry.path, [](const std::string&) {});
    if (look_at(spot)) remove_file(entry.path);
    if (::mkdirat(spot.dir.get(), spot.name.c_str(), 0700) != 0)
        throw Error::from_errno("make directory", entry.path);
    settle(spot.dir.get(), spot.name.c_str(), entry);
}

// --- Take away ---------------------------------------------------------------------------------------------

bool PlainRoot::remove_file(std::string_view path) {
    const auto spot = paths_.find(path);
    if (!spot) return false;
    if (::unlinkat(spot->dir.get(), spot->name.c_str(), 0) == 0) return true;
    if (errno == ENOENT) return false;
    throw Error::from_errno("remove", path);
}

void PlainRoot::remove_directory(std::string_view path) {
    const Spot spot = existing(path);
    if (::unlinkat(spot.dir.get(), spot.name.c_str(), AT_REMOVEDIR) != 0)
        throw Error::from_errno("remove directory", path);
}

void PlainRoot::rename(std::string_view from, std::string_view to) {
    const Spot source = existing(from);
    const Spot destination = existing(to);
    rename_at(source.dir.get(), source.name, destination.dir.get(), destination.name);
}

}  // namespace pwstore
