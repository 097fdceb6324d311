// SPDX-License-Identifier: GPL-3.0-or-later
#include "store/object_store.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <linux/fs.h>
#include <linux/magic.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstring>

#include "store/base/error.hpp"
#include "store/base/failpoint.hpp"
#include "store/base/path_at.hpp"
#include "store/object_xattrs.hpp"

namespace pwstore {

namespace {

constexpr size_t kBuffer = 256 * 1024;
using Buffer = std::array<char, kBuffer>;

/// One per thread: most objects are small, and a fresh buffer would cost more than reading them.
Buffer& thread_buffer() {
    static thread_local const auto buffer = std::make_unique<Buffer>();
    return *buffer;
}

/// File systems of which it is known that link(2) either makes another name of the same inode or fails.
bool links_truly(int fd) {
    struct statfs info {};
    if (::fstatfs(fd, &info) != 0) return false;
    constexpr std::array<uint32_t, 6> kKnown{EXT4_SUPER_MAGIC, XFS_SUPER_MAGIC,  BTRFS_SUPER_MAGIC,
                                             TMPFS_MAGIC,      F2FS_SUPER_MAGIC, 0x2FC12FC1U /* ZFS */};
    return std::find(kKnown.begin(), kKnown.end(), static_cast<uint32_t>(info.f_type)) != kKnown.end();
}

bool is_same_inode(const struct stat& a, const struct stat& b) {
    return a.st_dev == b.st_dev && a.st_ino == b.st_ino;
}

int64_t inode_time(const ObjectKey& key) {
    return key.mtime == ObjectKey::kNoTime ? kObjectTime : key.mtime;
}

/// Give an object's inode the mode and time of its key.
void finish_inode(int fd, const ObjectKey& key, const std::string& path) {
    if (::fchmod(fd, key.mode) != 0) throw Error::from_errno("set mode of object", path);
    const timespec time{inode_time(key), 0};
    const std::array<timespec, 2> times{time, time};
    if (::futimens(fd, times.data()) != 0) throw Error::from_errno("set time of object", path);
}

enum class Sync { yes, no };

/// Make `path` under `objects` by `fill(fd)`: at once when the name is free, else beside it and renamed over
/// what lies there, so that at every moment a whole file has the name.
template <typename Fill>
void write_object(int objects, const std::string& path, const ObjectKey& key, Sync sync, const Fill& fill) {
    std::string target = path;
    int fd = ::openat(objects, target.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0 && errno == EEXIST) {
        target = path + ".new";
        remove_tree(objects, target);
        fd = ::openat(objects, target.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    }
    if (fd < 0) throw Error::from_errno("create object", target);
    const Fd file(fd);
    try {
        fill(file.get());
        finish_inode(file.get(), key, target);
        if (sync == Sync::yes) sync_fd(file.get(), target);
        if (target != path) {
            if (const auto there = try_stat_at(objects, path); there && S_ISDIR(there->st_mode))
                remove_tree(objects, path);
            rename_at(objects, target, objects, path);
        }
    } catch (...) {
        (void)::unlinkat(objects, target.c_str(), 0);
        throw;
    }
}

/// A regular file with the size, mode and, where it belongs to the identity, time of `key`.
bool has_metadata(int fd, const ObjectKey& key) {
    struct stat info {};
    if (::fstat(fd, &info) != 0 || !S_ISREG(info.st_mode)) return false;
    if ((info.st_mode & 07777U) != key.mode || static_cast<uint64_t>(info.st_size) != key.size) return false;
    return key.mtime == ObjectKey::kNoTime || info.st_mtim.tv_sec == key.mtime;
}

/// Whatever changes a stored file, a program or an accident, changes one of these; only a failing disk does
/// not.
bool is_as_named(const struct stat& info, const ObjectKey& key) {
    return S_ISREG(info.st_mode) && (info.st_mode & 07777U) == key.mode &&
           static_cast<uint64_t>(info.st_size) == key.size && info.st_mtim.tv_sec == inode_time(key) &&
           info.st_mtim.tv_nsec == 0;
}

bool has_bytes(int fd, const ObjectKey& key, const DigestFunction& function) {
    Buffer& buffer = thread_buffer();
    DigestStream stream(function);
    uint64_t total = 0;
    for (;;) {
        const ssize_t got = ::read(fd, buffer.data(), buffer.size());
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) return false;
        if (got == 0) break;
        total += static_cast<uint64_t>(got);
        stream.update({buffer.data(), static_cast<size_t>(got)});
    }
    return total == key.size && stream.finish() == key.digest;
}

void copy_content(int from, int to, const std::string& path) {
    if (::ioctl(to, FICLONE, from) == 0) return;
    copy_all(from, to, path);
}

}  // namespace

Error damaged_object(const ObjectKey& key, uint16_t copy, std::string_view what) {
    return Error("use stored file", key.path(copy), fmt::format("it {}", what))
        .as(Fault::corrupt)
        .with_hint("pwstore verify --heal");
}

ObjectStore::ObjectStore(Fd objects, unsigned link_limit, const DigestFunction& digest)
    : objects_(std::move(objects)),
      link_limit_(link_limit),
      digest_(digest),
      checks_links_(!links_truly(objects_.get())) {}

// --- Read ----------------------------------------------------------------------------------------

Fd ObjectStore::open(const ObjectKey& key, uint16_t copy) const {
    const std::string path = key.path(copy);
    Fd file(::openat(objects_.get(), path.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
    if (!file && errno == ENOENT) throw damaged_object(key, copy, "is missing");
    if (!file) throw Error::from_errno("open stored file", path).with_hint("pwstore verify --heal");
    const struct stat info = stat_fd(file.get(), path);
    if (is_as_named(info, key)) return file;
    if (static_cast<uint64_t>(info.st_size) != key.size)
        throw damaged_object(key, copy, fmt::format("has {} bytes instead of {}", info.st_size, key.size));
    if (!S_ISREG(info.st_mode) || !has_bytes(file.get(), key, digest_))
        throw damaged_object(key, copy, "has other bytes than its name says");
    if (::lseek(file.get(), 0, SEEK_SET) != 0) throw Error::from_errno("read stored file", path);
    return file;
}

void ObjectStore::read(const ObjectKey& key, std::span<char> buffer,
                       const std::function<void(std::string_view)>& take) const {
    const Fd file = open(key);
    DigestStream digest(digest_);
    uint64_t done = 0;
    while (done < key.size) {
        const size_t got = read_some(file.get(), buffer, key.path(0));
        if (got == 0) break;
        const std::string_view piece(buffer.data(), std::min<uint64_t>(got, key.size - done));
        digest.update(piece);
        take(piece);
        done += piece.size();
    }
    if (done != key.size || digest.finish() != key.digest)
        throw damaged_object(key, 0, "has other bytes than its name says");
}

std::string ObjectStore::content(const ObjectKey& key) const {
    std::string all;
    read(key, thread_buffer(), [&](std::string_view piece) { all += piece; });
    return all;
}

std::optional<Fd> ObjectStore::try_open(const ObjectKey& key) const {
    Fd file(::openat(objects_.get(), key.path(0).c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
    if (!file || !has_metadata(file.get(), key)) return std::nullopt;
    return file;
}

bool ObjectStore::equals(const ObjectKey& key, std::string_view content) const {
    const auto file = try_open(key);
    if (!file || content.size() != key.size) return false;
    Buffer& buffer = thread_buffer();
    while (!content.empty()) {
        const ssize_t got = ::read(file->get(), buffer.data(), std::min(buffer.size(), content.size()));
        if (got < 0 && errno == EINTR) continue;
        if (got <= 0) return false;
        const auto length = static_cast<size_t>(got);
        if (std::memcmp(buffer.data(), content.data(), length) != 0) return false;
        content.remove_prefix(length);
    }
    return true;
}

bool ObjectStore::equals_file(const ObjectKey& key, int fd) const {
    const auto file = try_open(key);
    if (!file) return false;
    Buffer& stored = thread_buffer();
    const auto other = std::make_unique<Buffer>();
    for (off_t offset = 0; static_cast<uint64_t>(offset) < key.size;) {
        const ssize_t got = ::pread(file->get(), stored.data(), stored.size(), offset);
        if (got < 0 && errno == EINTR) continue;
        if (got <= 0) return false;
        const ssize_t same = ::pread(fd, other->data(), static_cast<size_t>(got), offset);
        if (same < 0 && errno == EINTR) continue;
        if (same <= 0 || std::memcmp(stored.data(), other->data(), static_cast<size_t>(same)) != 0)
            return false;
        offset += same;
    }
    return true;
}

bool ObjectStore::is_intact(const ObjectKey& key, uint16_t copy, const DigestFunction& function) const {
    const Fd file(
        ::openat(objects_.get(), key.path(copy).c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
    if (!file || !has_metadata(file.get(), key)) return false;
    return has_bytes(file.get(), key, function);
}

// --- Write ---------------------------------------------------------------------------------------

void ObjectStore::create(const ObjectKey& key, uint16_t copy, std::string_view content) const {
    const std::string path = key.path(copy);
    write_object(objects_.get(), path, key, Sync::no, [&](int fd) { write_all(fd, content, path); });
    failpoint("object.created");
}

void ObjectStore::adopt(const ObjectKey& key, uint16_t copy, int dir, const char* staged_name) const {
    const std::string path = key.path(copy);
    const Fd file = open_at(dir, staged_name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK);
    const struct stat info = stat_fd(file.get(), staged_name);
    if (!S_ISREG(info.st_mode) || info.st_nlink != 1) {
        throw Error("adopt object", staged_name, "not a regular file with one name").as(Fault::refused);
    }
    finish_inode(file.get(), key, staged_name);
    if (const auto there = try_stat_at(objects_.get(), path); there && S_ISDIR(there->st_mode)) {
        remove_tree(objects_.get(), path);
    }
    rename_at(dir, staged_name, objects_.get(), path);
    failpoint("object.adopted");
}

void ObjectStore::add_copy(const ObjectKey& key, uint16_t from, uint16_t to) const {
    const Fd source = open(key, from);
    const std::string path = key.path(to);
    write_object(objects_.get(), path, key, Sync::yes, [&](int fd) {
        copy_content(source.get(), fd, path);
        if (key.xattrs != 0) set_user_xattrs(fd, user_xattrs_of(source.get(), path), path);
    });
    sync_fd(open_dir(objects_.get(), std::string(split_path(path).first)).get(), path);
    failpoint("object.copied");
}

bool ObjectStore::remove(const ObjectKey& key, uint16_t copy) const {
    return remove_file(objects_.get(), key.path(copy));
}

void ObjectStore::mend_metadata(const ObjectKey& key, uint16_t copy) const {
    const std::string path = key.path(copy);
    if (::fchmodat(objects_.get(), path.c_str(), key.mode | S_IWUSR, 0) != 0)
        throw Error::from_errno("set mode of object", path);
    const Fd file = open_at(objects_.get(), path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK);
    if (key.xattrs == 0) {
        for (const auto& [name, value] : user_xattrs_of(file.get(), path)) {
            if (::fremovexattr(file.get(), name.c_str()) != 0)
                throw Error::from_errno("remove attribute of", path);
        }
    }
    finish_inode(file.get(), key, path);
}

// --- Link ----------------------------------------------------------------------------------------

LinkOutcome ObjectStore::link(const ObjectKey& key, uint16_t copy, int dir, const char* name) const {
    const std::string path = key.path(copy);
    struct stat object {};
    if (::fstatat(objects_.get(), path.c_str(), &object, AT_SYMLINK_NOFOLLOW) != 0) {
        if (errno == ENOENT) throw damaged_object(key, copy, "is missing");
        throw Error::from_errno("look at stored file", path);
    }
    if (!is_as_named(object, key)) return LinkOutcome::not_as_named;
    if (link_limit_ != 0 && object.st_nlink >= link_limit_) return LinkOutcome::too_many_links;
    if (::linkat(objects_.get(), path.c_str(), dir, name, 0) != 0) {
        const int error_number = errno;
        if (error_number == EMLINK) return LinkOutcome::too_many_links;
        if (error_number == EXDEV || error_number == EPERM || error_number == EOPNOTSUPP)
            return LinkOutcome::not_linkable;
        throw Error::from_errno("link object " + path + " as", name, error_number);
    }
    if (!checks_links_ || is_same_inode(object, stat_at(dir, name))) return LinkOutcome::linked;
    // An overlay that copied the object up: a file of its own, which is not what was asked for.
    remove_file(dir, name);
    return LinkOutcome::not_linkable;
}

}  // namespace pwstore
