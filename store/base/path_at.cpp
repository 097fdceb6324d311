// SPDX-License-Identifier: GPL-3.0-or-later
#include "store/base/path_at.hpp"

#include <dirent.h>
#include <fmt/format.h>
#include <linux/openat2.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <memory>

#include "store/base/error.hpp"

namespace pwstore {

namespace {

template <typename Call>
auto retried(Call&& call) {
    auto result = call();
    while (result < 0 && errno == EINTR)
        result = call();
    return result;
}

bool is_absence(int error_number) {
    return error_number == ENOENT || error_number == ENOTDIR;
}

int openat2_resolved(int dir, const std::string& path, int flags, mode_t mode, uint64_t resolve) {
    open_how how{};
    how.flags = static_cast<__u64>(flags | O_CLOEXEC);
    how.mode = (flags & (O_CREAT | O_TMPFILE)) != 0 ? mode : 0;
    how.resolve = static_cast<__u64>(resolve);
    const auto call = [&] {
        return static_cast<int>(::syscall(SYS_openat2, dir, path.c_str(), &how, sizeof how));
    };
    int fd = retried(call);
    while (fd < 0 && errno == EAGAIN)
        fd = retried(call);  // a concurrent rename made the walk uncertain
    return fd;
}

int openat2_beneath(int dir, const std::string& path, int flags, mode_t mode) {
    return openat2_resolved(dir, path, flags, mode,
                            RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS);
}

}  // namespace

Fd open_at(int dir, const std::string& path, int flags, mode_t mode) {
    const int fd = retried([&] { return ::openat(dir, path.c_str(), flags | O_CLOEXEC, mode); });
    if (fd < 0) throw Error::from_errno("open", path);
    return Fd(fd);
}

std::optional<Fd> try_open_at(int dir, const std::string& path, int flags, mode_t mode) {
    const int fd = retried([&] { return ::openat(dir, path.c_str(), flags | O_CLOEXEC, mode); });
    if (fd >= 0) return Fd(fd);
    if (is_absence(errno)) return std::nullopt;
    throw Error::from_errno("open", path);
}

Fd open_dir(int dir, const std::string& path) {
    return open_at(dir, path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
}

Fd open_beneath(int dir, const std::string& path, int flags, mode_t mode) {
    const int fd = openat2_beneath(dir, path, flags, mode);
    if (fd < 0) throw Error::from_errno("open beneath", path);
    return Fd(fd);
}

std::optional<Fd> try_open_beneath(int dir, const std::string& path, int flags, mode_t mode) {
    const int fd = openat2_beneath(dir, path, flags, mode);
    if (fd >= 0) return Fd(fd);
    if (is_absence(errno)) return std::nullopt;
    throw Error::from_errno("open beneath", path);
}

std::optional<Fd> try_open_in_root(int root, const std::string& path, int flags) {
    const int fd = openat2_resolved(root, path, flags, 0, RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS);
    if (fd >= 0) return Fd(fd);
    if (is_absence(errno) || errno == ELOOP) return std::nullopt;
    throw Error::from_errno("open in root", path);
}

struct stat stat_fd(int fd, std::string_view path_for_errors) {
    struct stat info {};
    if (::fstat(fd, &info) != 0) throw Error::from_errno("stat", path_for_errors);
    return info;
}

std::optional<struct stat> try_stat_at(int dir, const std::string& path) {
    struct stat info {};
    if (::fstatat(dir, path.c_str(), &info, AT_SYMLINK_NOFOLLOW) == 0) return info;
    if (is_absence(errno)) return std::nullopt;
    throw Error::from_errno("stat", path);
}

struct stat stat_at(int dir, const std::string& path) {
    struct stat info {};
    if (::fstatat(dir, path.c_str(), &info, AT_SYMLINK_NOFOLLOW) != 0) throw Error::from_errno("stat", path);
    return info;
}

bool exists_at(int dir, const std::string& path) {
    return try_stat_at(dir, path).has_value();
}

std::optional<std::string> try_read_link_at(int dir, const std::string& path) {
    std::string target(256, '\0');
    for (;;) {
        const ssize_t length = ::readlinkat(dir, path.c_str(), target.data(), target.size());
        if (length < 0) {
            if (errno == ENOENT) return std::nullopt;
            throw Error::from_errno("read link", path);
        }
        if (static_cast<size_t>(length) < target.size()) {
            target.resize(static_cast<size_t>(length));
            return target;
        }
        target.resize(target.size() * 2);
    }
}

std::string read_link_at(int dir, const std::string& path) {
    auto target = try_read_link_at(dir, path);
    if (!target) throw Error::from_errno("read link", path, ENOENT);
    return *std::move(target);
}

namespace {

using DirectoryStream = std::unique_ptr<DIR, int (*)(DIR*)>;

/// Reads `dir` from its start, whatever its own offset is.
DirectoryStream stream_of(int dir) {
    const int copy = ::openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (copy < 0) throw Error::from_errno("open directory", ".");
    DirectoryStream stream(::fdopendir(copy), ::closedir);
    if (!stream) {
        const int error_number = errno;
        ::close(copy);
        throw Error::from_errno("list directory", "", error_number);
    }
    return stream;
}

/// The next one that is neither "." nor "..", nullptr at the end.
const dirent* next_of(DIR* stream) {
    for (;;) {
        errno = 0;
        const dirent* entry = ::readdir(stream);
        if (entry == nullptr && errno != 0) throw Error::from_errno("list directory", "");
        if (entry == nullptr) return nullptr;
        const std::string_view name = static_cast<const char*>(entry->d_name);
        if (name != "." && name != "..") return entry;
    }
}

}  // namespace

size_t count_directory(int dir) {
    const DirectoryStream stream = stream_of(dir);
    size_t count = 0;
    while (next_of(stream.get()) != nullptr)
        ++count;
    return count;
}

std::vector<DirectoryItem> list_directory(int dir) {
    const DirectoryStream stream = stream_of(dir);
    std::vector<DirectoryItem> items;
    while (const dirent* entry = next_of(stream.get())) {
        std::string name = static_cast<const char*>(entry->d_name);
        unsigned char type = entry->d_type;
        if (type == DT_UNKNOWN) {
            const auto info = try_stat_at(dir, name);
            if (!info) continue;
            type = static_cast<unsigned char>(IFTODT(info->st_mode));
        }
        items.push_back({std::move(name), type});
    }
    std::sort(items.begin(), items.end(), [](const auto& a, const auto& b) { return a.name < b.name; });
    return items;
}

size_t read_some(int fd, std::span<char> buffer, std::string_view path_for_errors) {
    const ssize_t got = retried([&] { return ::read(fd, buffer.data(), buffer.size()); });
    if (got < 0) throw Error::from_errno("read", path_for_errors);
    return static_cast<size_t>(got);
}

std::string read_all(int fd, std::string_view path_for_errors) {
    std::string content;
    struct stat info {};
    const bool sized = ::fstat(fd, &info) == 0 && S_ISREG(info.st_mode) && info.st_size > 0;
    content.resize(sized ? static_cast<size_t>(info.st_size) + 1 : 4096);
    size_t filled = 0;
    for (;;) {
        const ssize_t got =
            retried([&] { return ::read(fd, content.data() + filled, content.size() - filled); });
        if (got < 0) throw Error::from_errno("read", path_for_errors);
        if (got == 0) break;
        filled += static_cast<size_t>(got);
        if (filled == content.size()) content.resize(content.size() * 2);
    }
    content.resize(filled);
    return content;
}

std::string read_file(int dir, const std::string& path) {
    return read_all(open_at(dir, path, O_RDONLY).get(), path);
}

std::optional<std::string> try_read_file(int dir, const std::string& path) {
    const auto file = try_open_at(dir, path, O_RDONLY);
    if (!file) return std::nullopt;
    return read_all(file->get(), path);
}

void write_all(int fd, std::string_view bytes, std::string_view path_for_errors) {
    while (!bytes.empty()) {
        const ssize_t put = retried([&] { return ::write(fd, bytes.data(), bytes.size()); });
        if (put < 0) throw Error::from_errno("write", path_for_errors);
        bytes.remove_prefix(static_cast<size_t>(put));
    }
}

namespace {

/// Up to `most` bytes, or all that come before the end.
size_t copy_some(int from, int to, size_t most, std::string_view path_for_errors) {
    constexpr size_t kBuffer = 256 * 1024;
    const auto buffer = std::make_unique<std::array<char, kBuffer>>();
    size_t total = 0;
    while (total < most) {
        const size_t wanted = std::min(buffer->size(), most - total);
        const ssize_t got = retried([&] { return ::read(from, buffer->data(), wanted); });
        if (got < 0) throw Error::from_errno("read", path_for_errors);
        if (got == 0) break;
        write_all(to, {buffer->data(), static_cast<size_t>(got)}, path_for_errors);
        total += static_cast<size_t>(got);
    }
    return total;
}

/// A regular file with holes, read from its beginning; its length.
std::optional<off_t> length_with_holes(int file) {
    constexpr blkcnt_t kBlock = 512;
    struct stat info {};
    if (::fstat(file, &info) != 0 || !S_ISREG(info.st_mode)) return std::nullopt;
    if (info.st_blocks * kBlock >= info.st_size || ::lseek(file, 0, SEEK_CUR) != 0) return std::nullopt;
    return info.st_size;
}

}  // namespace

size_t copy_all(int from, int to, std::string_view path_for_errors) {
    const auto length = length_with_holes(from);
    struct stat target {};
    if (!length || ::fstat(to, &target) != 0 || !S_ISREG(target.st_mode) || target.st_size != 0)
        return copy_some(from, to, SIZE_MAX, path_for_errors);
    for (off_t at = 0; at < *length;) {
        const off_t data = ::lseek(from, at, SEEK_DATA);
        if (data < 0 && errno == ENXIO) break;  // nothing but a hole follows
        const off_t hole = data < 0 ? -1 : ::lseek(from, data, SEEK_HOLE);
        if (hole < 0 || ::lseek(from, data, SEEK_SET) < 0) throw Error::from_errno("read", path_for_errors);
        if (::lseek(to, data, SEEK_SET) < 0) throw Error::from_errno("write", path_for_errors);
        const auto piece = static_cast<size_t>(hole - data);
        if (copy_some(from, to, piece, path_for_errors) < piece) break;  // it became shorter
        at = hole;
    }
    if (::ftruncate(to, *length) != 0) throw Error::from_errno("write", path_for_errors);
    return static_cast<size_t>(*length);
}

void make_directory(int dir, const std::string& path, mode_t mode) {
    if (::mkdirat(dir, path.c_str(), mode) == 0) return;
    const int error_number = errno;
    if (error_number == EEXIST) {
        const auto info = try_stat_at(dir, path);
        if (info && S_ISDIR(info->st_mode)) return;
    }
    throw Error::from_errno("make directory", path, error_number);
}

void make_directories(int dir, const std::string& path, mode_t mode) {
    for (size_t slash = path.find('/', 1); slash != std::string::npos; slash = path.find('/', slash + 1)) {
        const std::string parent = path.substr(0, slash);
        if (::mkdirat(dir, parent.c_str(), mode) == 0 || errno == EEXIST) continue;
        const int error_number = errno;
        struct stat info {};
        if (::fstatat(dir, parent.c_str(), &info, 0) == 0 && S_ISDIR(info.st_mode)) continue;
        throw Error::from_errno("make directory", parent, error_number);
    }
    if (::mkdirat(dir, path.c_str(), mode) == 0) return;
    const int error_number = errno;
    struct stat info {};
    if (::fstatat(dir, path.c_str(), &info, 0) == 0 && S_ISDIR(info.st_mode)) return;
    throw Error::from_errno("make directory", path, error_number);
}

bool remove_file(int dir, const std::string& path) {
    if (::unlinkat(dir, path.c_str(), 0) == 0) return true;
    if (is_absence(errno)) return false;
    throw Error::from_errno("remove", path);
}

void rename_at(int from_dir, const std::string& from, int to_dir, const std::string& to, unsigned flags) {
    if (::renameat2(from_dir, from.c_str(), to_dir, to.c_str(), flags) != 0) {
        throw Error::from_errno("rename to '" + printable(to) + "'", from);
    }
}

void replace_symlink(int dir, const std::string& name, const std::string& target) {
    static std::atomic<unsigned> counter{0};
    const std::string temporary = fmt::format("{}.{}.{}.new", name, ::getpid(), counter++);
    (void)::unlinkat(dir, temporary.c_str(), 0);
    if (::symlinkat(target.c_str(), dir, temporary.c_str()) != 0)
        throw Error::from_errno("make symlink", temporary);
    if (::renameat(dir, temporary.c_str(), dir, name.c_str()) != 0) {
        const int error_number = errno;
        (void)::unlinkat(dir, temporary.c_str(), 0);
        throw Error::from_errno("replace symlink", name, error_number);
    }
}

void set_mtime_at(int dir, const std::string& path, int64_t seconds, uint32_t nanoseconds) {
    const std::array<timespec, 2> times{{{0, UTIME_OMIT}, {seconds, static_cast<long>(nanoseconds)}}};
    if (::utimensat(dir, path.c_str(), times.data(), AT_SYMLINK_NOFOLLOW) != 0) {
        throw Error::from_errno("set time", path);
    }
}

void sync_filesystem(int fd, std::string_view path_for_errors) {
    if (::syncfs(fd) != 0) throw Error::from_errno("sync file system", path_for_errors);
}

void sync_fd(int fd, std::string_view path_for_errors) {
    if (::fsync(fd) != 0) throw Error::from_errno("sync", path_for_errors);
}

std::pair<std::string_view, std::string_view> split_path(std::string_view path) {
    const size_t slash = path.rfind('/');
    if (slash == std::string_view::npos) return {std::string_view{}, path};
    return {path.substr(0, slash), path.substr(slash + 1)};
}

}  // namespace pwstore
