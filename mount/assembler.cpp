// SPDX-License-Identifier: GPL-3.0-or-later
#include "mount/assembler.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <map>
#include <tuple>
#include <unordered_map>
#include <vector>

#include "mount/file_maker.hpp"
#include "mount/task_stack.hpp"
#include "store/base/error.hpp"
#include "store/base/failpoint.hpp"
#include "store/base/parallel.hpp"
#include "store/base/path_at.hpp"

namespace pwstore {

namespace {

using Index32 = uint32_t;
constexpr Index32 kNone = UINT32_MAX;

/// What has to be made, by directory. Directory 0 is the root itself; entries are numbers into the tree's.
struct Plan {
    std::vector<Index32> directories;  ///< directory → its entry, in the order of the tree
    std::vector<Index32> number;       ///< entry → the directory that it is
    std::vector<Index32> first;  ///< directory → where its entries begin in `content`; one more at the end
    std::vector<Index32> content;  ///< entries by directory, each in the order of the tree
    /// Files that are names of one inode, two or more of each.
    std::vector<std::vector<Index32>> groups;
};

[[noreturn]] void reject(const Entry& entry, std::string_view rule) {
    throw Error("assemble", entry.path, rule).as(Fault::corrupt);
}

/// A last component that is one name below its directory. With each parent an entry of its own that passed,
/// too, no path leaves the root.
void check_name(const Entry& entry, std::string_view name) {
    if (name.empty() || name == "." || name == ".." || name.find('\0') != std::string_view::npos) {
        reject(entry, "not a path of a root");
    }
}

/// Files of one layer with one link group are one inode, also when they are copies.
std::vector<std::vector<Index32>> link_groups(const Tree& tree) {
    std::map<std::tuple<uint32_t, uint32_t, ObjectId>, std::vector<Index32>> groups;
    for (Index32 i = 0; i < tree.entries.size(); ++i) {
        const TreeEntry& entry = tree.entries[i];
        if (entry.entry.link_group == 0 || entry.entry.kind != EntryKind::file || entry.entry.object == 0)
            continue;
        groups[{entry.layer, entry.entry.link_group, entry.entry.object}].push_back(i);
    }
    std::vector<std::vector<Index32>> found;
    for (auto& [key, members] : groups) {
        if (members.size() > 1) found.push_back(std::move(members));
    }
    return found;
}

/// Number the directories of `tree` and find each entry's; returns entry → directory.
std::vector<Index32> directory_of_entries(const Tree& tree, Plan& plan) {
    std::vector<Index32> parent(tree.entries.size());
    std::unordered_map<std::string_view, Index32> known{{std::string_view{}, 0}};
    plan.directories.assign(1, kNone);
    plan.number.assign(tree.entries.size(), kNone);
    std::string_view last_directory;
    Index32 last = 0;
    for (Index32 i = 0; i < tree.entries.size(); ++i) {
        const Entry& entry = tree.entries[i].entry;
        const auto [directory, name] = split_path(entry.path);
        check_name(entry, name);
        if (directory != last_directory) {
            const auto found = known.find(directory);
            if (found == known.end()) reject(entry, "its directory is not part of the tree");
            last_directory = found->first;
            last = found->second;
        }
        parent[i] = last;
        if (entry.kind != EntryKind::directory) continue;
        const auto number = static_cast<Index32>(plan.directories.size());
        if (!known.emplace(entry.path, number).second) reject(entry, "it is there twice");
        plan.directories.push_back(i);
        plan.number[i] = number;
    }
    return parent;
}

Plan assembly_plan(const Tree& tree) {
    Plan plan;
    const std::vector<Index32> parent = directory_of_entries(tree, plan);
    plan.first.assign(plan.directories.size() + 1, 0);
    for (const Index32 directory : parent)
        ++plan.first[directory + 1];
    for (size_t i = 1; i < plan.first.size(); ++i)
        plan.first[i] += plan.first[i - 1];
    plan.content.resize(tree.entries.size());
    std::vector<Index32> next(plan.first.begin(), plan.first.end() - 1);
    for (Index32 i = 0; i < parent.size(); ++i)
        plan.content[next[parent[i]]++] = i;
    plan.groups = link_groups(tree);
    return plan;
}

const char* name_of(const Entry& entry) {
    const size_t slash = entry.path.rfind('/');
    return entry.path.c_str() + (slash == std::string::npos ? 0 : slash + 1);
}

/// Carries out a Plan.
class Assembly {
 public:
    Assembly(const Store& store, const Tree& tree, int root, const AssembleOptions& options)
        : store_(store),
          tree_(tree),
          root_(root),
          threads_(options.threads != 0 ? options.threads : default_threads()),
          plan_(assembly_plan(tree)),
          maker_(store, options.policy),
          workers_(threads_) {}

    AssembleStats run() {
        make_groups();
        tasks_.push(0);
        tasks_.run(threads_, [this](unsigned worker, Index32 directory) {
            make_directory_content(workers_[worker], directory);
        });
        if (!plan_.groups.empty()) {
            if (::unlinkat(root_, group_dir_.c_str(), AT_REMOVEDIR) != 0) {
                throw Error::from_errno("remove directory", group_dir_);
            }
            settle_directory(root_, nullptr, ".");
        }
        AssembleStats total = group_stats_;
        for (const Worker& worker : workers_)
            total += worker.stats;
        return total;
    }

 private:
    /// What one thread keeps between tasks.
    struct alignas(64) Worker {
        AssembleStats stats;
        std::vector<Index32> subdirectories;
        std::vector<ObjectKey> keys;
    };

    // --- Hard link groups ---
    // The inode of a group must have room for all of its names, which are in several directories and hence
    // made by several threads. So all names are made beforehand, in a folder of their own, and moved to their
    // places.

    void make_groups() {
        if (plan_.groups.empty()) return;
        while (tree_.find(group_dir_) != nullptr)
            group_dir_ += '_';
        if (::mkdirat(root_, group_dir_.c_str(), 0700) != 0)
            throw Error::from_errno("make directory", group_dir_);
        group_fd_ = open_dir(root_, group_dir_);
        for (const std::vector<Index32>& members : plan_.groups) {
            bool linked = true;
            std::vector<std::string> names;
            for (const Index32 member : members) {
                linked = linked && maker_.links(tree_.entries[member]);
                names.push_back(std::to_string(member));
                grouped_.emplace(member, names.back());
            }
            const TreeEntry& leader = tree_.entries[members.front()];
            maker_.make_group(leader, maker_.key_of(leader.entry.object), linked, group_fd_.get(), names,
                              group_stats_);
        }
    }

    // --- One directory ---

    void make_directory_content(Worker& worker, Index32 directory) {
        const Entry* self = directory == 0 ? nullptr : &tree_.entries[plan_.directories[directory]].entry;
        Fd opened;
        if (self != nullptr) opened = open_dir(root_, self->path);
        const int fd = self != nullptr ? opened.get() : root_;
        const Index32* begin = plan_.content.data() + plan_.first[directory];
        const Index32* end = plan_.content.data() + plan_.first[directory + 1];
        make_subdirectories(worker, fd, begin, end);
        make_files(worker, fd, begin, end);
        settle_directory(fd, self, self != nullptr ? std::string_view(self->path) : ".");
    }

    /// First, so that other threads find work as early as possible. With their final modes already, which
    /// always let the owner write: changing them later costs 5 % of an assembly. Nobody sees the tree before
    /// it is published.
    void make_subdirectories(Worker& worker, int fd, const Index32* begin, const Index32* end) {
        for (const Index32* i = begin; i != end; ++i) {
            const Entry& entry = tree_.entries[*i].entry;
            if (entry.kind != EntryKind::directory) continue;
            failpoint("assemble.entry");
            if (::mkdirat(fd, name_of(entry), root_directory_mode(entry.mode)) != 0)
                throw Error::from_errno("make directory", entry.path);
            ++worker.stats.directories;
            worker.subdirectories.push_back(plan_.number[*i]);
        }
        tasks_.push(worker.subdirectories);
    }

    void make_files(Worker& worker, int fd, const Index32* begin, const Index32* end) {
        look_up_keys(worker, begin, end);
        const ObjectKey* key = worker.keys.data();
        for (const Index32* i = begin; i != end; ++i) {
            const TreeEntry& entry = tree_.entries[*i];
            if (entry.entry.kind == EntryKind::directory) continue;
            failpoint("assemble.entry");
            if (entry.entry.kind == EntryKind::file) {
                make_file(worker, fd, *i, *key);
                if (entry.entry.object != 0) ++key;
            } else {
                make_special_file(entry.entry, fd, name_of(entry.entry), worker.stats);
            }
        }
    }

    /// Keys of this directory's objects in one read transaction, which is over before anything is made.
    void look_up_keys(Worker& worker, const Index32* begin, const Index32* end) {
        static const ObjectKey kNoKey;
        worker.keys.clear();
        std::optional<ReadTxn> txn;
        for (const Index32* i = begin; i != end; ++i) {
            const Entry& entry = tree_.entries[*i].entry;
            if (entry.kind != EntryKind::file || entry.object == 0) continue;
            if (!txn) txn.emplace(store_.index().read());
            auto key = txn->object_key(entry.object);
            if (!key) reject(entry, "the index does not know its object");
            worker.keys.push_back(*key);
        }
        worker.keys.push_back(kNoKey);  // for generated files after the last object
    }

    void make_file(Worker& worker, int fd, Index32 number, const ObjectKey& key) {
        const TreeEntry& entry = tree_.entries[number];
        const auto grouped = entry.entry.link_group != 0 ? grouped_.find(number) : grouped_.end();
        if (grouped != grouped_.end()) {
            if (::renameat2(group_fd_.get(), grouped->second.c_str(), fd, name_of(entry.entry),
                            RENAME_NOREPLACE) != 0) {
                throw Error::from_errno("place hard link", entry.entry.path);
            }
            return;
        }
        maker_.make(entry, key, maker_.links(entry), fd, name_of(entry.entry), worker.stats);
    }

    const Store& store_;
    const Tree& tree_;
    int root_;
    unsigned threads_;
    const Plan plan_;
    FileMaker maker_;
    TaskStack<Index32> tasks_;
    std::vector<Worker> workers_;
    std::string group_dir_ = ".pwstore-links";
    Fd group_fd_;
    std::unordered_map<Index32, std::string>
        grouped_;  ///< entry → its name in the folder; filled before the threads start
    AssembleStats group_stats_;
};

}  // namespace

AssembleStats& AssembleStats::operator+=(const AssembleStats& other) {
    linked += other.linked;
    copied += other.copied;
    copied_bytes += other.copied_bytes;
    directories += other.directories;
    symlinks += other.symlinks;
    fallback_copies += other.fallback_copies;
    spilled += other.spilled;
    return *this;
}

AssembleStats assemble(const Store& store, const Tree& tree, int root, const AssembleOptions& options) {
    return in_step("assemble a root", [&] { return Assembly(store, tree, root, options).run(); });
}

}  // namespace pwstore
