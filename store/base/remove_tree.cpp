// SPDX-License-Identifier: GPL-3.0-or-later
#include <dirent.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <vector>

#include "store/base/error.hpp"
#include "store/base/path_at.hpp"

namespace pwstore {

namespace {

/// Removes one directory with all that is below it. Depth costs memory, not descriptors: of a deep tree only
/// the last levels stay open, and those above are found again by "..", checked by inode.
class TreeRemover {
 public:
    explicit TreeRemover(int top) : top_(top) {}

    void remove(const std::string& name) {
        descend(top_, name);
        while (!levels_.empty()) {
            Level& level = levels_.back();
            if (level.next == level.items.size()) {
                ascend();
                continue;
            }
            const DirectoryItem& item = level.items[level.next++];
            if (item.type == DT_DIR) {
                descend(level.fd.get(), item.name);
            } else {
                unlink(level.fd.get(), item.name, 0);
            }
        }
    }

 private:
    struct Level {
        std::string name;
        Fd fd;
        struct stat info {};
        std::vector<DirectoryItem> items;
        size_t next = 0;
    };

    static constexpr size_t kOpenLevels = 32;

    static void unlink(int dir, const std::string& name, int flags) {
        if (::unlinkat(dir, name.c_str(), flags) != 0 && errno != ENOENT)
            throw Error::from_errno("remove", name);
    }

    static int try_open(int dir, const std::string& name) {
        return ::openat(dir, name.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    }

    /// A directory that its owner may not read is given to the owner by its O_PATH descriptor, which needs no
    /// permission.
    static Fd open_directory(int dir, const std::string& name) {
        int fd = try_open(dir, name);
        if (fd < 0 && errno == EACCES) {
            const Fd handle(::openat(dir, name.c_str(), O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
            if (handle) (void)::chmod(fmt::format("/proc/self/fd/{}", handle.get()).c_str(), 0700);
            fd = try_open(dir, name);
        }
        if (fd < 0 && errno != ENOENT) throw Error::from_errno("open directory", name);
        return Fd(fd);
    }

    void descend(int dir, const std::string& name) {
        Level level{name, open_directory(dir, name), {}, {}, 0};
        if (!level.fd) return;  // gone meanwhile
        level.info = stat_fd(level.fd.get(), name);
        if ((level.info.st_mode & 0700U) != 0700U) (void)::fchmod(level.fd.get(), 0700);
        level.items = list_directory(level.fd.get());
        levels_.push_back(std::move(level));
        if (levels_.size() > kOpenLevels) levels_[levels_.size() - 1 - kOpenLevels].fd.reset();
    }

    void ascend() {
        Level done = std::move(levels_.back());
        levels_.pop_back();
        if (!levels_.empty() && !levels_.back().fd) reopen(levels_.back(), done.fd.get());
        done.fd.reset();
        unlink(levels_.empty() ? top_ : levels_.back().fd.get(), done.name, AT_REMOVEDIR);
    }

    static void reopen(Level& level, int child) {
        level.fd = open_at(child, "..", O_RDONLY | O_DIRECTORY);
        const struct stat info = stat_fd(level.fd.get(), level.name);
        if (info.st_dev != level.info.st_dev || info.st_ino != level.info.st_ino) {
            throw Error("remove", level.name, "the tree was moved while it was removed");
        }
    }

    int top_;
    std::vector<Level> levels_;
};

}  // namespace

bool remove_tree(int dir, const std::string& name) {
    const auto info = try_stat_at(dir, name);
    if (!info) return false;
    if (!S_ISDIR(info->st_mode)) return remove_file(dir, name);
    in_step("remove tree '" + printable(name) + "'", [&] { TreeRemover(dir).remove(name); });
    return true;
}

}  // namespace pwstore
