// SPDX-License-Identifier: GPL-3.0-or-later
#include <dirent.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <memory>
#include <mutex>
#include <vector>

#include "mount/assembler.hpp"
#include "mount/root_paths.hpp"
#include "mount/task_stack.hpp"
#include "store/base/error.hpp"
#include "store/base/parallel.hpp"
#include "store/base/path_at.hpp"

namespace pwstore {

namespace {

/// Deeper directories are moved up and emptied later: each level has an open descriptor.
constexpr unsigned kDepthLimit = 16;
constexpr unsigned kThreadLimit = 16;
constexpr size_t kListBuffer = 32 * 1024;

/// A directory that is to go, once everything below it has gone.
struct Node {
    std::shared_ptr<Node> parent;  ///< null: it lies in the caller's directory
    std::string name;
    unsigned depth = 0;
    Fd fd;                           ///< open from when it is listed until its last child has gone
    std::atomic<size_t> waiting{1};  ///< children still there, and 1 while it is being listed
};
using NodePtr = std::shared_ptr<Node>;

/// Names in a directory, as the kernel hands them out, while they are being removed.
class Listing {
 public:
    explicit Listing(int fd) : fd_(fd) {}

    /// The next entry but "." and ".."; null at the end.
    const dirent64* next() {
        for (;;) {
            if (at_ == filled_ && !fill()) return nullptr;
            const auto* entry = reinterpret_cast<const dirent64*>(buffer_.data() + at_);
            at_ += entry->d_reclen;
            const std::string_view name = static_cast<const char*>(entry->d_name);
            if (name != "." && name != "..") return entry;
        }
    }

 private:
    bool fill() {
        const long got = ::syscall(SYS_getdents64, fd_, buffer_.data(), buffer_.size());
        if (got < 0) throw Error::from_errno("list directory", "");
        at_ = 0;
        filled_ = static_cast<size_t>(got);
        return got > 0;
    }

    int fd_;
    size_t at_ = 0;
    size_t filled_ = 0;
    alignas(dirent64) std::array<char, kListBuffer> buffer_;
};

class Removal {
 public:
    Removal(int dir, std::string name) : dir_(dir), name_(std::move(name)) {}

    /// Round after round: what was moved up waits until everything above it has gone. Begun at once, it would
    /// hold descriptors beside those of directories that still wait for another child.
    void run(unsigned threads) {
        tasks_.push(make_node(nullptr, name_));
        do {
            tasks_.push(deep_);
            tasks_.run(threads, [this](unsigned, NodePtr& node) { empty(node); });
        } while (!deep_.empty());
    }

 private:
    static NodePtr make_node(NodePtr parent, std::string name) {
        auto node = std::make_shared<Node>();
        node->depth = parent ? parent->depth + 1 : 0;
        node->parent = std::move(parent);
        node->name = std::move(name);
        return node;
    }

    [[nodiscard]] int dir_of(const Node& node) const { return node.parent ? node.parent->fd.get() : dir_; }

    /// Remove what is no directory in `node`, hand on what is.
    void empty(const NodePtr& node) {
        if (node->depth > kDepthLimit) {
            move_up(node);
            return;
        }
        open(*node);
        std::vector<NodePtr> below;
        Listing listing(node->fd.get());
        while (const dirent64* entry = listing.next()) {
            const char* name = static_cast<const char*>(entry->d_name);
            if (entry->d_type != DT_DIR && unlink(*node, name)) continue;
            below.push_back(make_node(node, name));
        }
        node->waiting += below.size();
        tasks_.push(below);
        end(node);
    }

    void open(Node& node) const {
        constexpr int kFlags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
        int fd = ::openat(dir_of(node), node.name.c_str(), kFlags);
        if (fd < 0 && errno == EACCES) {
            open_up(open_at(dir_of(node), node.name, O_PATH | O_DIRECTORY | O_NOFOLLOW).get(), node.name);
            fd = ::openat(dir_of(node), node.name.c_str(), kFlags);
        }
        if (fd < 0) throw Error::from_errno("open directory", node.name);
        node.fd = Fd(fd);
    }

    /// False when it is a directory (where the file system does not say so in its listings).
    static bool unlink(const Node& node, const char* name) {
        const int fd = node.fd.get();
        if (with_rights(fd, node.name, [&] { return ::unlinkat(fd, name, 0); }) == 0 || errno == ENOENT)
            return true;
        if (errno == EISDIR) return false;
        throw Error::from_errno("remove", name);
    }

    /// Make the directory a tree of its own beside the one that is being removed.
    void move_up(const NodePtr& node) {
        const std::string name = fmt::format("{}.deep-{}", name_, moved_++);
        const int from = dir_of(*node);
        const auto call = [&] {
            return ::renameat2(from, node->name.c_str(), dir_, name.c_str(), RENAME_NOREPLACE);
        };
        int result = with_rights(from, node->parent->name, call);
        if (result != 0 && errno == EACCES) {
            // A directory that changes its parent is written to: its ".." changes.
            open_up(open_at(from, node->name, O_PATH | O_DIRECTORY | O_NOFOLLOW).get(), node->name);
            result = call();
        }
        if (result != 0 && errno != EEXIST) throw Error::from_errno("move up", node->name);
        if (result != 0) {
            move_up(node);
            return;
        }
        {
            const std::scoped_lock lock(deep_mutex_);
            deep_.push_back(make_node(nullptr, name));
        }
        end(node->parent);
    }

    /// One of the things that `node` waited for is over; after the last one it goes, and so on upwards.
    void end(NodePtr node) {
        while (node && --node->waiting == 0) {
            node->fd.reset();
            const int dir = dir_of(*node);
            const auto call = [&] { return ::unlinkat(dir, node->name.c_str(), AT_REMOVEDIR); };
            const int result = node->parent ? with_rights(dir, node->parent->name, call) : call();
            if (result != 0 && errno == ENOTEMPTY) {
                again(node);
                return;
            }
            if (result != 0 && errno != ENOENT) throw Error::from_errno("remove directory", node->name);
            node = node->parent;
        }
    }

    /// A listing that missed entries because others were removed under it: list what is left.
    void again(const NodePtr& node) {
        node->waiting = 1;
        tasks_.push(node);
    }

    int dir_;
    std::string name_;
    std::atomic<unsigned> moved_{0};
    TaskStack<NodePtr> tasks_;
    std::mutex deep_mutex_;
    std::vector<NodePtr> deep_;  ///< of the next round
};

}  // namespace

void remove_root_tree(int dir, const std::string& name, unsigned threads) {
    const auto info = try_stat_at(dir, name);
    if (!info) return;
    in_step("remove tree '" + printable(name) + "'", [&] {
        if (!S_ISDIR(info->st_mode)) {
            remove_file(dir, name);
            return;
        }
        const unsigned wanted = threads != 0 ? threads : default_threads();
        Removal(dir, name).run(std::min(wanted, kThreadLimit));
    });
}

}  // namespace pwstore
