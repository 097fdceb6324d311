// SPDX-License-Identifier: GPL-3.0-or-later
#include "mount/file_maker.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <memory>

#include "store/base/error.hpp"
#include "store/base/path_at.hpp"
#include "store/spill.hpp"
#include "store/verify/verify.hpp"

namespace pwstore {

namespace {

constexpr size_t kSmallFile = 64 * 1024;  ///< up to here one read and one write beat anything cleverer
constexpr int kSpillAttempts = 3;
constexpr mode_t kModeBits = 07777;

/// For small files; one per thread.
std::array<char, kSmallFile>& thread_buffer() {
    static thread_local const auto buffer = std::make_unique<std::array<char, kSmallFile>>();
    return *buffer;
}

bool is_kept_xattr(std::string_view name) {
    return name.starts_with("user.") && !name.starts_with("user.overlay.");
}

std::string list_xattrs(int fd, const std::string& path) {
    for (;;) {
        const ssize_t needed = ::flistxattr(fd, nullptr, 0);
        if (needed < 0) throw Error::from_errno("list xattrs", path);
        std::string names(static_cast<size_t>(needed), '\0');
        const ssize_t got = ::flistxattr(fd, names.data(), names.size());
        if (got < 0 && errno == ERANGE) continue;
        if (got < 0) throw Error::from_errno("list xattrs", path);
        names.resize(static_cast<size_t>(got));
        return names;
    }
}

std::string get_xattr(int fd, const char* name, const std::string& path) {
    for (;;) {
        const ssize_t needed = ::fgetxattr(fd, name, nullptr, 0);
        if (needed < 0) throw Error::from_errno("read xattr", path);
        std::string value(static_cast<size_t>(needed), '\0');
        const ssize_t got = ::fgetxattr(fd, name, value.data(), value.size());
        if (got < 0 && errno == ERANGE) continue;
        if (got < 0) throw Error::from_errno("read xattr", path);
        value.resize(static_cast<size_t>(got));
        return value;
    }
}

void copy_xattrs(int from, int to, const std::string& path) {
    const std::string names = list_xattrs(from, path);
    for (size_t at = 0; at < names.size();) {
        const char* name = names.c_str() + at;
        at += std::strlen(name) + 1;
        if (!is_kept_xattr(name)) continue;
        const std::string value = get_xattr(from, name, path);
        if (::fsetxattr(to, name, value.data(), value.size(), 0) != 0) {
            throw Error::from_errno("set xattr", path);
        }
    }
}

void set_mode(int fd, mode_t mode, std::string_view path) {
    struct stat info {};
    if (::fstat(fd, &info) != 0) throw Error::from_errno("stat", path);
    if ((info.st_mode & kModeBits) == mode) return;
    if (::fchmod(fd, mode) != 0) throw Error::from_errno("set mode", path);
}

/// True when all of it went through the kernel; false when it cannot do that here and nothing was written
/// yet.
bool copy_in_kernel(int from, int to, uint64_t size, const std::string& path) {
    uint64_t copied = 0;
    while (copied < size) {
        const ssize_t got = ::copy_file_range(from, nullptr, to, nullptr, size - copied, 0);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0 && copied == 0) return false;
        if (got < 0) throw Error::from_errno("copy", path);
        if (got == 0) break;
        copied += static_cast<uint64_t>(got);
    }
    if (copied != size) throw Error("copy", path, "shorter than the index says").as(Fault::corrupt);
    return true;
}

/// What is damaged is said in the words of the root.
template <typename Act>
bool naming_the_file(const TreeEntry& entry, Act&& act) {
    try {
        return std::forward<Act>(act)();
    } catch (Error& error) {
        if (error.fault() == Fault::corrupt)
            error.within(fmt::format("make '{}'", printable(entry.entry.path)));
        throw;
    }
}

}  // namespace

FileMaker::FileMaker(const Store& store, LinkPolicy policy) : store_(store), policy_(policy) {}

bool FileMaker::links(const TreeEntry& entry) const {
    return policy_ == LinkPolicy::link && entry.entry.object != 0 && !is_copied(entry);
}

ObjectKey FileMaker::key_of(ObjectId id) const {
    if (auto key = store_.index().read().object_key(id)) return *key;
    throw Error("look up object", std::to_string(id), "the index does not know it").as(Fault::corrupt);
}

bool FileMaker::is_object(const ObjectKey& key, const struct stat& info) const {
    if (!S_ISREG(info.st_mode) || info.st_nlink < 2) return false;
    const auto object = try_stat_at(store_.objects().fd(), key.path(0));
    return object && object->st_dev == info.st_dev && object->st_ino == info.st_ino;
}

bool FileMaker::make(const TreeEntry& entry, const ObjectKey& key, bool linked, int dir, const char* name,
                     AssembleStats& stats) {
    return naming_the_file(entry, [&] { return make_it(entry, key, linked, dir, name, stats); });
}

bool FileMaker::make_it(const TreeEntry& entry, const ObjectKey& key, bool linked, int dir, const char* name,
                        AssembleStats& stats) {
    if (linked) {
        const LinkOutcome outcome = link(entry.entry.object, key, dir, {&name, 1}, stats);
        if (outcome == LinkOutcome::linked) {
            ++stats.linked;
            return true;
        }
        ++stats.fallback_copies;
    }
    copy(entry, key, dir, name, stats);
    return false;
}

bool FileMaker::make_group(const TreeEntry& entry, const ObjectKey& key, bool linked, int dir,
                           const std::vector<std::string>& names, AssembleStats& stats) {
    return naming_the_file(entry, [&] { return make_names(entry, key, linked, dir, names, stats); });
}

bool FileMaker::make_names(const TreeEntry& entry, const ObjectKey& key, bool linked, int dir,
                           const std::vector<std::string>& names, AssembleStats& stats) {
    if (linked) {
        std::vector<const char*> pointers(names.size());
        std::transform(names.begin(), names.end(), pointers.begin(),
                       [](const auto& name) { return name.c_str(); });
        if (link(entry.entry.object, key, dir, pointers, stats) == LinkOutcome::linked) {
            stats.linked += names.size();
            return true;
        }
        ++stats.fallback_copies;
    }
    copy(entry, key, dir, names.front().c_str(), stats);
    for (size_t i = 1; i < names.size(); ++i) {
        if (::linkat(dir, names.front().c_str(), dir, names[i].c_str(), 0) != 0) {
            throw Error::from_errno("link within the root", entry.entry.path);
        }
        ++stats.linked;
    }
    return false;
}

// --- Links ---

/// All of `names` become links of one inode of the object, or none does.
LinkOutcome FileMaker::link(ObjectId id, const ObjectKey& key, int dir, std::span<const char* const> names,
                            AssembleStats& stats) {
    const uint16_t copy = spilled_ ? roomy_copy(id) : uint16_t{0};
    const LinkOutcome outcome = try_copy(key, copy, dir, names);
    return outcome == LinkOutcome::too_many_links ? link_elsewhere(id, key, dir, names, stats) : outcome;
}

LinkOutcome FileMaker::try_copy(const ObjectKey& key, uint16_t copy, int dir,
                                std::span<const char* const> names) const {
    for (size_t made = 0; made < names.size(); ++made) {
        LinkOutcome outcome = store_.objects().link(key, copy, dir, names[made]);
        if (outcome == LinkOutcome::not_as_named) {
            make_sound(store_, key, copy);
            outcome = store_.objects().link(key, copy, dir, names[made]);
        }
        if (outcome == LinkOutcome::linked) continue;
        for (size_t i = 0; i < made; ++i)
            remove_file(dir, names[i]);
        return outcome;
    }
    return LinkOutcome::linked;
}

uint16_t FileMaker::roomy_copy(ObjectId id) {
    const std::scoped_lock lock(mutex_);
    const auto found = roomy_.find(id);
    return found == roomy_.end() ? uint16_t{0} : found->second;
}

/// The copy that was tried first is full: look for room in the others, then make new ones.
LinkOutcome FileMaker::link_elsewhere(ObjectId id, const ObjectKey& key, int dir,
                                      std::span<const char* const> names, AssembleStats& stats) {
    const std::scoped_lock lock(mutex_);
    uint16_t copies = store_.index().read().object(id).second.copies;
    const auto attempt = [&](uint16_t copy) {
        const LinkOutcome outcome = try_copy(key, copy, dir, names);
        if (outcome == LinkOutcome::linked) {
            roomy_[id] = copy;
            spilled_ = true;
        }
        return outcome;
    };
    for (uint16_t copy = copies; copy-- > 0;) {
        if (const LinkOutcome outcome = attempt(copy); outcome != LinkOutcome::too_many_links) return outcome;
    }
    for (int i = 0; i < kSpillAttempts; ++i) {
        copies = add_object_copy(store_, id, copies);
        const LinkOutcome outcome = attempt(static_cast<uint16_t>(copies - 1));
        if (outcome == LinkOutcome::linked) stats.spilled += names.size();
        if (outcome != LinkOutcome::too_many_links) return outcome;
    }
    return LinkOutcome::too_many_links;
}

// --- Copies ---

void FileMaker::copy(const TreeEntry& entry, const ObjectKey& key, int dir, const char* name,
                     AssembleStats& stats) {
    const bool has_object = entry.entry.object != 0;
    const mode_t mode = inode_mode(entry.entry.mode);
    // xattrs can only be set while the owner may write.
    const mode_t first_mode = has_object && key.xattrs != 0 ? mode_t{0600} : mode;
    const Fd to(::openat(dir, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, first_mode));
    if (!to) throw Error::from_errno("create", entry.entry.path);
    try {
        fill(entry, key, to.get());
        set_mode(to.get(), mode, entry.entry.path);
        const std::array<timespec, 2> times{
            {{0, UTIME_OMIT}, {entry.entry.mtime, static_cast<long>(entry.entry.mtime_ns)}}};
        if (::futimens(to.get(), times.data()) != 0) throw Error::from_errno("set time", entry.entry.path);
    } catch (...) {
        (void)::unlinkat(dir, name, 0);
        throw;
    }
    ++stats.copied;
    stats.copied_bytes += has_object ? key.size : entry.inlined.size();
}

void FileMaker::fill(const TreeEntry& entry, const ObjectKey& key, int to) {
    if (entry.entry.object == 0) {
        write_all(to, entry.inlined, entry.entry.path);
        return;
    }
    if (key.size == 0 && key.xattrs == 0) return;
    const Fd from = store_.objects().open(key);
    copy_content(from.get(), to, key.size, entry.entry.path);
    if (key.xattrs != 0) copy_xattrs(from.get(), to, entry.entry.path);
}

void FileMaker::copy_content(int from, int to, uint64_t size, const std::string& path) {
    if (clones_ && size != 0) {
        struct stat info {};
        if (::ioctl(to, FICLONE, from) == 0) {
            if (::fstat(to, &info) != 0) throw Error::from_errno("stat", path);
            if (static_cast<uint64_t>(info.st_size) == size) return;
            throw Error("copy", path, "not as long as the index says").as(Fault::corrupt);
        }
        if (errno != EINVAL) clones_ = false;
    }
    if (size > kSmallFile && copy_in_kernel(from, to, size, path)) return;
    auto& buffer = thread_buffer();
    uint64_t copied = 0;
    for (;;) {
        const ssize_t got = ::read(from, buffer.data(), buffer.size());
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) throw Error::from_errno("read object of", path);
        if (got == 0) break;
        write_all(to, {buffer.data(), static_cast<size_t>(got)}, path);
        copied += static_cast<uint64_t>(got);
        if (copied >= size) break;
    }
    if (copied != size) throw Error("copy", path, "not as long as the index says").as(Fault::corrupt);
}

void settle_directory(int fd, const Entry* entry, std::string_view path_for_errors) {
    const mode_t mode = root_directory_mode(entry != nullptr ? entry->mode : 0755U);
    struct stat info {};
    if (::fstat(fd, &info) != 0) throw Error::from_errno("stat", path_for_errors);
    if ((info.st_mode & kModeBits) != mode) {
        // A descriptor that is for paths only has to be reached through /proc.
        const bool set =
            ::fchmod(fd, mode) == 0 ||
            (errno == EBADF && ::chmod(("/proc/self/fd/" + std::to_string(fd)).c_str(), mode) == 0);
        if (!set) throw Error::from_errno("set mode", path_for_errors);
    }
    const int64_t seconds = entry != nullptr ? entry->mtime : kRootTime;
    const long nanoseconds = entry != nullptr ? static_cast<long>(entry->mtime_ns) : 0;
    const std::array<timespec, 2> times{{{0, UTIME_OMIT}, {seconds, nanoseconds}}};
    if (::utimensat(fd, "", times.data(), AT_EMPTY_PATH) != 0) {
        throw Error::from_errno("set time", path_for_errors);
    }
}

void set_entry_time(int dir, const char* name, const Entry& entry) {
    const std::array<timespec, 2> times{{{0, UTIME_OMIT}, {entry.mtime, static_cast<long>(entry.mtime_ns)}}};
    if (::utimensat(dir, name, times.data(), AT_SYMLINK_NOFOLLOW) != 0) {
        throw Error::from_errno("set time", entry.path);
    }
}

void make_special_file(const Entry& entry, int dir, const char* name, AssembleStats& stats) {
    if (entry.kind == EntryKind::symlink) {
        if (::symlinkat(entry.target.c_str(), dir, name) != 0)
            throw Error::from_errno("make symlink", entry.path);
        ++stats.symlinks;
    } else if (entry.kind == EntryKind::fifo) {
        if (::mkfifoat(dir, name, 0600) != 0) throw Error::from_errno("make fifo", entry.path);
        if (::fchmodat(dir, name, entry.mode & 0777U, 0) != 0)
            throw Error::from_errno("set mode", entry.path);
    } else {
        throw Error("make", entry.path, "not an entry of a root").as(Fault::corrupt);
    }
    set_entry_time(dir, name, entry);
}

}  // namespace pwstore
