// SPDX-License-Identifier: GPL-3.0-or-later
#include "transact/harvest.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <string>
#include <vector>

#include "store/base/error.hpp"
#include "store/base/names.hpp"
#include "store/base/path_at.hpp"
#include "store/object.hpp"

namespace pwstore {

namespace {

constexpr const char* kTemporary = ".pwstore-harvest";
constexpr std::array<std::string_view, 11> kLeftOut{
    "etc/.pwd.lock",
    "etc/passwd-",
    "etc/group-",
    "etc/shadow-",
    "etc/gshadow-",
    "etc/subuid-",
    "etc/subgid-",
    "var/cache/ldconfig/aux-cache",
    "var/log/alternatives.log",
    "var/log/dpkg.log",
    "var/log/pacman.log",
};
constexpr std::array<std::string_view, 5> kLeftOutTrees{"var/lib/pacman", "var/log/apt", "dev", "proc",
                                                        "sys"};
// Below /root, what programs note about who used them: commands as they were typed, passwords among them.
constexpr std::string_view kRootHome = "root/";
constexpr std::array<std::string_view, 9> kHistories{".histfile",    ".zhistory",         ".lesshst",
                                                     ".viminfo",     ".wget-hsts",        ".history",
                                                     ".octave_hist", ".local/share/fish", ".local/state"};

std::string joined(const std::string& prefix, const std::string& name) {
    return prefix.empty() ? name : prefix + "/" + name;
}

std::string by_descriptor(int fd) {
    return fmt::format("/proc/self/fd/{}", fd);
}

/// Open something of the upper tree whatever its mode: the owner's bits are added first where they are
/// missing.
Fd open_readable(int dir, const std::string& name, mode_t mode, int flags) {
    const mode_t needed = S_ISDIR(mode) ? 0700 : 0400;
    if ((mode & needed) != needed) {
        const Fd handle = open_at(dir, name, O_PATH | O_NOFOLLOW);
        if (::chmod(by_descriptor(handle.get()).c_str(), (mode & 07777) | needed) != 0) {
            throw Error::from_errno("make readable", name);
        }
    }
    return open_at(dir, name, flags | O_NOFOLLOW);
}

bool is_opaque(int directory) {
    std::array<char, 4> value{};
    const ssize_t size = ::fgetxattr(directory, "user.overlay.opaque", value.data(), value.size());
    return size == 1 && value[0] == 'y';
}

class UpperApplier {
 public:
    UpperApplier(const Touch& who, ActLog& log, const HarvestLimits& limits)
        : who_(who), log_(log), limits_(limits) {}

    void directory(int upper, int root, const std::string& prefix, unsigned depth) {
        if (depth > limits_.depth) refuse(prefix, "directories are nested too deep");
        if (is_opaque(upper)) remove_hidden(upper, root, prefix);
        for (const DirectoryItem& item : list_directory(upper)) {
            const std::string path = joined(prefix, item.name);
            if (is_left_out(path)) continue;
            if (!is_root_path(path)) refuse(path, "the path is too long");
            if (++entries_ > limits_.entries) refuse(path, "more entries than allowed");
            entry(upper, root, item.name, path, depth);
        }
    }

 private:
    [[noreturn]] static void refuse(const std::string& path, std::string_view cause) {
        throw Error("take over what scripts did", path, cause).as(Fault::refused);
    }

    void touched(const std::string& path, std::optional<uint32_t> mode = {}) {
        Touch touch = who_;
        touch.mode = mode;
        log_.touched(path, std::move(touch));
    }

    void entry(int upper, int root, const std::string& name, const std::string& path, unsigned depth) {
        const struct stat info = stat_at(upper, name);
        switch (info.st_mode & S_IFMT) {
            case S_IFCHR:
                if (info.st_rdev == makedev(0, 0)) remove_from_root(root, name, path);
                break;
            case S_IFDIR:
                subdirectory(upper, root, name, path, info, depth);
                break;
            case S_IFREG:
                regular(upper, root, name, path, info);
                break;
            case S_IFLNK:
                symlink(upper, root, name, path, info);
                break;
            case S_IFIFO:
                fifo(root, name, path, info);
                break;
            default:
                break;  // sockets and devices mean nothing after their maker has ended
        }
    }

    /// Remove `name` with everything below it, logging each path.
    void remove_from_root(int root, const std::string& name, const std::string& path) {
        const auto there = try_stat_at(root, name);
        if (!there) return;
        if (S_ISDIR(there->st_mode)) log_below(root, name, path);
        touched(path);
        remove_tree(root, name);
    }

    void log_below(int root, const std::string& name, const std::string& path) {
        const Fd directory = open_dir(root, name);
        for (const DirectoryItem& item : list_directory(directory.get())) {
            const std::string below = joined(path, item.name);
            if (item.type == DT_DIR) log_below(directory.get(), item.name, below);
            touched(below);
        }
    }

    /// An opaque directory hides what lies below it: all of the root's entries that it does not have itself.
    void remove_hidden(int upper, int root, const std::string& prefix) {
        for (const DirectoryItem& item : list_directory(root)) {
            const std::string path = joined(prefix, item.name);
            if (!exists_at(upper, item.name) && !is_left_out(path)) remove_from_root(root, item.name, path);
        }
    }

    void subdirectory(int upper, int root, const std::string& name, const std::string& path,
                      const struct stat& info, unsigned depth) {
        auto there = try_stat_at(root, name);
        if (there && !S_ISDIR(there->st_mode)) {
            remove_from_root(root, name, path);
            there.reset();
        }
        const uint32_t mode = info.st_mode & 07777;
        if (!there) {
            make_directory(root, name, 0700);
            touched(path, mode);
        } else if (root_directory_mode(mode) != (there->st_mode & 07777)) {
            touched(path, mode);
        }
        const Fd from = open_readable(upper, name, info.st_mode, O_RDONLY | O_DIRECTORY);
        const Fd to = open_dir(root, name);
        directory(from.get(), to.get(), path, depth + 1);
        if (::fchmod(to.get(), root_directory_mode(mode)) != 0) throw Error::from_errno("set mode", path);
    }

    void clear_way(int root, const std::string& name, const std::string& path) {
        const auto there = try_stat_at(root, name);
        if (there && S_ISDIR(there->st_mode)) remove_from_root(root, name, path);
        (void)remove_file(root, kTemporary);
    }

    static void publish(int root, const std::string& name, const struct stat& info) {
        set_mtime_at(root, kTemporary, info.st_mtim.tv_sec, static_cast<uint32_t>(info.st_mtim.tv_nsec));
        rename_at(root, kTemporary, root, name);
    }

    void regular(int upper, int root, const std::string& name, const std::string& path,
                 const struct stat& info) {
        bytes_ += static_cast<uint64_t>(info.st_blocks) * 512;
        if (bytes_ > limits_.bytes) refuse(path, "more bytes than allowed");
        length_ += static_cast<uint64_t>(info.st_size);
        if (length_ > limits_.length) {
            refuse(path,
                   fmt::format("with it the files are {} bytes long, holes included; at most {} are taken",
                               length_, limits_.length));
        }
        clear_way(root, name, path);
        const Fd from = open_readable(upper, name, info.st_mode, O_RDONLY | O_NONBLOCK);
        if (!S_ISREG(stat_fd(from.get(), path).st_mode)) refuse(path, "the file changed its type");
        const Fd to = open_at(root, kTemporary, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0600);
        copy_all(from.get(), to.get(), path);
        const uint32_t mode = info.st_mode & 07777;
        if (::fchmod(to.get(), inode_mode(mode)) != 0) throw Error::from_errno("set mode", path);
        publish(root, name, info);
        touched(path, mode);
    }

    void symlink(int upper, int root, const std::string& name, const std::string& path,
                 const struct stat& info) {
        clear_way(root, name, path);
        const std::string target = read_link_at(upper, name);
        if (::symlinkat(target.c_str(), root, kTemporary) != 0) throw Error::from_errno("make symlink", path);
        publish(root, name, info);
        touched(path);
    }

    void fifo(int root, const std::string& name, const std::string& path, const struct stat& info) {
        clear_way(root, name, path);
        if (::mkfifoat(root, kTemporary, inode_mode(info.st_mode)) != 0)
            throw Error::from_errno("make fifo", path);
        publish(root, name, info);
        touched(path, info.st_mode & 07777);
    }

    const Touch& who_;
    ActLog& log_;
    const HarvestLimits& limits_;
    uint64_t entries_ = 0;
    uint64_t bytes_ = 0;
    uint64_t length_ = 0;
};

}  // namespace

namespace {

/// .bash_history, .python_history and the like.
bool is_history(std::string_view path) {
    if (!path.starts_with(kRootHome)) return false;
    path.remove_prefix(kRootHome.size());
    if (path.starts_with('.') && path.ends_with("_history") && path.find('/') == std::string_view::npos)
        return true;
    return std::find(kHistories.begin(), kHistories.end(), path) != kHistories.end();
}

}  // namespace

bool is_left_out(std::string_view path) {
    if (is_history(path)) return true;
    for (const std::string_view exact : kLeftOut) {
        if (path == exact) return true;
    }
    for (const std::string_view tree : kLeftOutTrees) {
        if (path.starts_with(tree) && path.size() > tree.size() && path[tree.size()] == '/') return true;
    }
    return path == kTemporary || path.ends_with(std::string("/") + kTemporary);
}

void apply_upper(int upper, int root, const Touch& who, ActLog& log, const HarvestLimits& limits) {
    UpperApplier(who, log, limits).directory(upper, root, "", 0);
}

RootScan::RootScan(int root) {
    walk(root, "", 0);
}

void RootScan::walk(int directory, const std::string& prefix, unsigned depth) {
    if (depth > HarvestLimits{}.depth) {
        throw Error("look at what scripts did", prefix, "directories are nested too deep").as(Fault::refused);
    }
    for (const DirectoryItem& item : list_directory(directory)) {
        const std::string path = joined(prefix, item.name);
        if (is_left_out(path)) continue;
        const struct stat info = stat_at(directory, item.name);
        if (S_ISSOCK(info.st_mode) || S_ISCHR(info.st_mode) || S_ISBLK(info.st_mode)) continue;
        seen_[path] = {info.st_ino, info.st_ctim.tv_sec * 1'000'000'000 + info.st_ctim.tv_nsec, info.st_mode};
        if (S_ISDIR(info.st_mode)) {
            walk(open_readable(directory, item.name, info.st_mode, O_RDONLY | O_DIRECTORY).get(), path,
                 depth + 1);
        }
    }
}

void RootScan::log_changes(const RootScan& later, const Touch& who, ActLog& log) const {
    const auto log_path = [&](const std::string& path, std::optional<uint32_t> mode) {
        Touch touch = who;
        touch.mode = mode;
        log.touched(path, std::move(touch));
    };
    for (const auto& [path, before] : seen_) {
        if (!later.seen_.contains(path)) log_path(path, std::nullopt);
    }
    for (const auto& [path, after] : later.seen_) {
        const auto found = seen_.find(path);
        const std::optional<uint32_t> mode =
            S_ISLNK(after.mode) ? std::nullopt : std::optional<uint32_t>(after.mode & 07777);
        if (found == seen_.end()) {
            log_path(path, mode);
            continue;
        }
        const Seen& before = found->second;
        const bool same_file = before.inode == after.inode && before.change_time_ns == after.change_time_ns;
        const bool same_directory = S_ISDIR(before.mode) && before.mode == after.mode;
        if (!same_file && !same_directory) log_path(path, mode);
    }
}

}  // namespace pwstore
