// SPDX-License-Identifier: GPL-3.0-or-later
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <mutex>
#include <string_view>
#include <utility>

#include "store/base/error.hpp"
#include "store/base/parallel.hpp"
#include "store/base/path_at.hpp"
#include "store/verify/parts.hpp"

namespace pwstore::verifying {

namespace {

constexpr std::string_view kOverlayAttributes = "user.overlay.";

std::string_view name_of(const TreeEntry& entry) {
    return split_path(entry.entry.path).second;
}

/// One directory of a tree with what lies directly in it, by name.
struct DirectoryPlan {
    const TreeEntry* self = nullptr;  ///< null: the root itself
    std::vector<const TreeEntry*> children;
};

std::vector<DirectoryPlan> directory_plans(const Tree& tree) {
    std::vector<DirectoryPlan> plans(1);
    std::unordered_map<std::string_view, size_t> by_path{{"", 0}};
    for (const TreeEntry& entry : tree.entries) {
        if (entry.entry.kind != EntryKind::directory) continue;
        by_path.emplace(entry.entry.path, plans.size());
        plans.push_back({&entry, {}});
    }
    for (const TreeEntry& entry : tree.entries) {
        plans[by_path.at(split_path(entry.entry.path).first)].children.push_back(&entry);
    }
    return plans;
}

const char* kind_name(mode_t mode) {
    if (S_ISDIR(mode)) return "a directory";
    if (S_ISREG(mode)) return "a file";
    if (S_ISLNK(mode)) return "a symlink";
    if (S_ISFIFO(mode)) return "a fifo";
    return "a special file";
}

mode_t file_type(EntryKind kind) {
    switch (kind) {
        case EntryKind::directory:
            return S_IFDIR;
        case EntryKind::file:
            return S_IFREG;
        case EntryKind::symlink:
            return S_IFLNK;
        case EntryKind::fifo:
            return S_IFIFO;
        case EntryKind::whiteout:
            break;
    }
    throw Error("verify", "", "a tree with a whiteout").as(Fault::corrupt);
}

std::string wrong_mode(mode_t there, mode_t wanted) {
    return fmt::format("has mode {:04o} instead of {:04o}", there & 07777U, wanted);
}

class RootChecker {
 public:
    RootChecker(const RootCheck& check, const Tree& tree, int root)
        : check_(check),
          tree_(tree),
          root_(root),
          plans_(directory_plans(tree)),
          copied_(copied_entries(tree)) {}

    RootScan run() {
        const unsigned threads = check_.threads != 0 ? check_.threads : default_threads();
        parallel_for(plans_.size(), threads, [&](size_t at) { check_directory(plans_[at]); });
        // Where nothing at all is linked, the file system does not link, and copies are what the assembler
        // made.
        if (scan_.linked == 0)
            std::erase_if(scan_.problems, [](const RootProblem& problem) { return problem.unlinked; });
        std::sort(scan_.problems.begin(), scan_.problems.end(),
                  [](const RootProblem& a, const RootProblem& b) { return a.path < b.path; });
        return std::move(scan_);
    }

 private:
    struct Found {
        std::vector<RootProblem> problems;
        uint64_t linked = 0;
        void add(std::string path, std::string what) {
            problems.push_back({std::move(path), std::move(what), false, false});
        }
    };

    void check_directory(const DirectoryPlan& plan) {
        Found found;
        const std::string path = plan.self != nullptr ? plan.self->entry.path : "";
        const std::string open_path = path.empty() ? "." : path;
        try {
            const auto dir = try_open_beneath(root_, open_path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
            // What is missing, or is no directory, is its parent's problem.
            if (dir) check_open_directory(plan, path, dir->get(), found);
        } catch (const Error& error) {
            const int number = error.error_number();
            if (number != ENOTDIR && number != ELOOP)
                found.add(path, fmt::format("cannot be read: {}", error.what()));
        }
        const std::scoped_lock lock(guard_);
        scan_.linked += found.linked;
        std::move(found.problems.begin(), found.problems.end(), std::back_inserter(scan_.problems));
    }

    void check_open_directory(const DirectoryPlan& plan, const std::string& path, int dir, Found& found) {
        const struct stat info = stat_fd(dir, path);
        const mode_t mode = root_directory_mode(plan.self != nullptr ? plan.self->entry.mode : 0755U);
        if ((info.st_mode & 07777U) != mode) {
            found.add(path, wrong_mode(info.st_mode, mode));
        } else if (plan.self != nullptr && info.st_mtim.tv_sec != plan.self->entry.mtime) {
            found.add(path, "has another time than the generation says");
        } else if (has_overlay_attributes(dir)) {
            found.add(path, "has attributes by which an overlay hides files");
        }
        const std::vector<DirectoryItem> items = list_directory(dir);
        auto item = items.begin();
        const auto below = [&](std::string_view name) {
            return path.empty() ? std::string(name) : fmt::format("{}/{}", path, name);
        };
        for (const TreeEntry* child : plan.children) {
            const std::string_view name = name_of(*child);
            for (; item != items.end() && item->name < name; ++item)
                check_extra(below(item->name), dir, item->name, found);
            if (item == items.end() || item->name != name) {
                if (!may_be_missing(*child)) found.add(child->entry.path, "is missing");
                continue;
            }
            check_entry(*child, dir, item->name, found);
            ++item;
        }
        for (; item != items.end(); ++item)
            check_extra(below(item->name), dir, item->name, found);
    }

    /// Roots that were made before there were such places live on without them.
    [[nodiscard]] bool may_be_missing(const TreeEntry& child) const {
        return tree_.layers[child.layer] == kMountPointLayer &&
               (child.entry.kind == EntryKind::file || child.entry.path == "etc");
    }

    static bool has_overlay_attributes(int dir) {
        char names[4096];
        const ssize_t length = ::flistxattr(dir, names, sizeof names);
        if (length < 0) return errno == ERANGE;  // more names than any directory of ours has
        return std::string_view(names, static_cast<size_t>(length)).find(kOverlayAttributes) !=
               std::string_view::npos;
    }

    static void check_extra(const std::string& path, int dir, const std::string& name, Found& found) {
        const auto info = try_stat_at(dir, name);
        if (!info) return;
        found.add(path, fmt::format("is {} that the generation does not have", kind_name(info->st_mode)));
        found.problems.back().set_id = S_ISREG(info->st_mode) && (info->st_mode & (S_ISUID | S_ISGID)) != 0;
    }

    void check_entry(const TreeEntry& wanted, int dir, const std::string& name, Found& found) const {
        const Entry& entry = wanted.entry;
        const auto info = try_stat_at(dir, name);
        if (!info) return found.add(entry.path, "is missing");
        if ((info->st_mode & S_IFMT) != file_type(entry.kind)) {
            return found.add(entry.path, fmt::format("is {} instead of {}", kind_name(info->st_mode),
                                                     kind_name(file_type(entry.kind))));
        }
        if (entry.kind == EntryKind::directory) return;  // looked at when it is open
        if (entry.kind == EntryKind::file) return check_file(wanted, dir, name, *info, found);
        if (entry.kind == EntryKind::symlink && read_link_at(dir, name) != entry.target) {
            return found.add(entry.path, fmt::format("leads to '{}' instead of '{}'", read_link_at(dir, name),
                                                     entry.target));
        }
        if (entry.kind == EntryKind::fifo && (info->st_mode & 07777U) != (entry.mode & 0777U)) {
            return found.add(entry.path, wrong_mode(info->st_mode, entry.mode & 0777U));
        }
        if (info->st_mtim.tv_sec != entry.mtime)
            found.add(entry.path, "has another time than the generation says");
    }

    void check_file(const TreeEntry& wanted, int dir, const std::string& name, const struct stat& info,
                    Found& found) const {
        const Entry& entry = wanted.entry;
        const bool copied = is_copy(wanted);
        bool is_object = false;
        if (entry.object != 0) {
            const uint32_t place = check_.catalog.place(entry.object);
            if (place == Catalog::kNowhere) return;  // a bad record
            is_object = check_.objects.is_inode_of(place, info.st_dev, info.st_ino);
            // With an inode of the object missing nobody knows what is a link of it; its other properties are
            // known.
            if (!copied && !is_object && check_.objects.lacks_inode(place)) return;
        }
        if (is_object && !copied) {
            ++found.linked;
            return;
        }
        const size_t before = found.problems.size();
        if (is_object) {
            found.add(entry.path, "is a link of the object, where a copy is meant");
        } else if (const std::string what = difference(wanted, dir, name, info); !what.empty()) {
            found.add(entry.path, what);
            found.problems.back().set_id = (info.st_mode & (S_ISUID | S_ISGID)) != 0;
        }
        if (found.problems.size() > before || copied) return;
        found.add(entry.path, "is a file of its own, where a link of the object is meant");
        found.problems.back().unlinked = true;
    }

    /// How the file that is there differs from the private copy that should be; empty = not at all.
    [[nodiscard]] std::string difference(const TreeEntry& wanted, int dir, const std::string& name,
                                         const struct stat& info) const {
        const Entry& entry = wanted.entry;
        const auto* object = check_.catalog.find(entry.object);
        const uint64_t size = object != nullptr ? object->first.size : wanted.inlined.size();
        const mode_t mode = inode_mode(entry.mode);
        if ((info.st_mode & 07777U) != mode) return wrong_mode(info.st_mode, mode);
        if (static_cast<uint64_t>(info.st_size) != size)
            return fmt::format("has {} bytes instead of {}", info.st_size, size);
        if (check_.contents && !has_content(wanted, object, dir, name)) return "has other content";
        if (info.st_mtim.tv_sec != entry.mtime) return "has another time than the generation says";
        return {};
    }

    bool has_content(const TreeEntry& wanted, const std::pair<ObjectKey, ObjectRow>* object, int dir,
                     const std::string& name) const {
        const auto file = try_open_at(dir, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK);
        if (!file) return false;
        if (object == nullptr) return read_all(file->get(), wanted.entry.path) == wanted.inlined;
        return digest_of_file(file->get(), object->first.size, check_.store.digest()) == object->first.digest;
    }

    [[nodiscard]] bool is_copy(const TreeEntry& entry) const {
        return copied_[static_cast<size_t>(&entry - tree_.entries.data())];
    }

    const RootCheck& check_;
    const Tree& tree_;
    int root_;
    std::vector<DirectoryPlan> plans_;
    std::vector<bool> copied_;
    std::mutex guard_;  ///< of scan_
    RootScan scan_;
};

}  // namespace

RootScan check_root(const RootCheck& check, const Tree& tree, int root) {
    return RootChecker(check, tree, root).run();
}

}  // namespace pwstore::verifying
