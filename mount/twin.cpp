// SPDX-License-Identifier: GPL-3.0-or-later
#include "mount/twin.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <map>
#include <mutex>
#include <tuple>
#include <unordered_map>
#include <vector>

#include "mount/file_maker.hpp"
#include "mount/root.hpp"
#include "store/base/bytes.hpp"
#include "store/base/error.hpp"
#include "store/base/failpoint.hpp"
#include "store/base/parallel.hpp"
#include "store/base/path_at.hpp"
#include "store/replacements.hpp"

namespace pwstore {

namespace {

constexpr const char* kSeals = "store/seals";
constexpr size_t kChunk = 1024;  ///< entries that a thread looks at in turn
constexpr size_t kChanges = 64;  ///< and of those that it changes

// --- Seals ---

/// What nobody can give a file back once it was touched. Not the device: its number is another one after the
/// next mount.
struct Trace {
    uint64_t inode = 0;
    int64_t seconds = 0, nanoseconds = 0;
};

Trace trace_of(int root, const Entry& entry) {
    struct stat info {};
    if (::fstatat(root, entry.path.c_str(), &info, AT_SYMLINK_NOFOLLOW) != 0)
        throw Error::from_errno("stat", entry.path);
    return {info.st_ino, info.st_ctim.tv_sec, info.st_ctim.tv_nsec};
}

void put_entry(ByteWriter& out, const TreeEntry& entry, bool copied, const Trace& trace) {
    const Entry& what = entry.entry;
    out.put_string(what.path);
    out.put(what.kind);
    out.put(static_cast<uint8_t>(copied));
    out.put(what.mode);
    out.put(what.mtime);
    out.put(what.mtime_ns);
    out.put(what.object);
    out.put(what.link_group);
    out.put_string(what.target);
    out.put_string(entry.inlined);
    out.put(trace.inode);
    out.put(trace.seconds);
    out.put(trace.nanoseconds);
}

}  // namespace

std::string RootSeal::text() const {
    return fmt::format("pwstore seal 1\nreplacements {}\ndigest {}\n", replacements, digest.hex());
}

RootSeal seal_of(const Tree& tree, int root, uint64_t replacements) {
    const std::vector<bool> copied = copied_entries(tree);
    const DigestFunction function;
    // Publishing it changes the time of the root itself: what lies in it is looked at instead.
    ByteWriter top;
    top.put(stat_fd(root, "root").st_ino);
    for (const DirectoryItem& item : list_directory(root))
        top.put_string(item.name);
    std::vector<Digest> digests((tree.entries.size() + kChunk - 1) / kChunk);
    parallel_for(digests.size(), default_threads(), [&](size_t chunk) {
        ByteWriter lines;
        const size_t end = std::min(tree.entries.size(), (chunk + 1) * kChunk);
        for (size_t at = chunk * kChunk; at < end; ++at) {
            const TreeEntry& entry = tree.entries[at];
            const bool is_link = entry.entry.kind == EntryKind::file && !copied[at];
            put_entry(lines, entry, copied[at], is_link ? Trace{} : trace_of(root, entry.entry));
        }
        digests[chunk] = function(lines.bytes());
    });
    for (const Digest& digest : digests)
        top.put_bytes({reinterpret_cast<const char*>(digest.bytes.data()), digest.bytes.size()});
    return {replacements, function(top.bytes())};
}

std::string seal_name(const ContainerName& container, uint64_t generation) {
    return fmt::format("{}/{}@{}", kSeals, container.str(), generation);
}

std::string staged_seal_name(const std::string& name) {
    return name + ".seal";
}

void publish_seal(const Store& store, int dir, const std::string& staged, const ContainerName& container,
                  uint64_t generation) {
    const int data = store.layout().data();
    const std::string seal = seal_name(container, generation);
    make_directory(data, kSeals, 0700);
    if (exists_at(dir, staged_seal_name(staged))) {
        rename_at(dir, staged_seal_name(staged), data, seal);
    } else {
        remove_file(data, seal);
    }
}

void write_staged_seal(int dir, const std::string& name, const RootSeal& seal) {
    const std::string file = staged_seal_name(name);
    const Fd to = open_at(dir, file, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW, 0600);
    write_all(to.get(), seal.text(), file);
}

// --- Differences ---

namespace {

using Groups = std::unordered_map<size_t, std::vector<size_t>>;  ///< first member → members, two or more

/// The hard links of a tree, and by entry the first member of its group + 1; 0 = in none.
struct LinkedEntries {
    explicit LinkedEntries(const Tree& tree) : leader(tree.entries.size()) {
        std::map<std::tuple<uint32_t, uint32_t, ObjectId>, std::vector<size_t>> found;
        for (size_t at = 0; at < tree.entries.size(); ++at) {
            const TreeEntry& entry = tree.entries[at];
            if (entry.entry.link_group == 0 || entry.entry.kind != EntryKind::file || entry.entry.object == 0)
                continue;
            found[{entry.layer, entry.entry.link_group, entry.entry.object}].push_back(at);
        }
        for (auto& [key, members] : found) {
            if (members.size() < 2) continue;
            for (const size_t member : members)
                leader[member] = members.front() + 1;
            groups.emplace(members.front(), std::move(members));
        }
    }
    std::vector<size_t> leader;
    Groups groups;
};

/// Opens directories of a root; entries of one directory are mostly neighbours.
class Parents {
 public:
    explicit Parents(int root) : root_(root) {}

    /// The directory of `path`, and the last component.
    std::pair<int, const char*> place_of(const std::string& path) {
        const size_t slash = path.rfind('/');
        if (slash == std::string::npos) return {root_, path.c_str()};
        const std::string_view parent = std::string_view(path).substr(0, slash);
        if (!fd_ || parent != path_) {
            fd_ = open_dir(root_, std::string(parent));
            path_ = parent;
        }
        return {fd_.get(), path.c_str() + slash + 1};
    }

 private:
    int root_;
    std::string path_;
    Fd fd_;
};

/// Carries out change_root().
class Change {
 public:
    Change(const Store& store, const Tree& before, const Tree& after, int root)
        : store_(store),
          before_(before),
          after_(after),
          root_(root),
          maker_(store, LinkPolicy::link),
          copied_before_(copied_entries(before)),
          copied_after_(copied_entries(after)),
          linked_before_(before),
          linked_after_(after) {}

    AssembleStats run() {
        compare();
        // Entries of one kind do not get in each other's way: each lot is done by all threads.
        in_parallel(removed_files_.size(), [&](Worker& worker, size_t at) {
            remove(worker.parents, before_.entries[removed_files_[at]].entry);
        });
        Parents parents(root_);
        for (auto at = removed_directories_.rbegin(); at != removed_directories_.rend(); ++at)
            remove(parents, before_.entries[*at].entry);
        for (const size_t at : made_directories_)
            make_directory_of(parents, after_.entries[at].entry);
        make_groups();
        look_up_keys();
        in_parallel(made_files_.size(),
                    [&](Worker& worker, size_t at) { make(worker, made_files_[at], keys_[at]); });
        if (group_dir_ && ::unlinkat(root_, group_name_.c_str(), AT_REMOVEDIR) != 0)
            throw Error::from_errno("remove directory", group_name_);
        const std::vector<std::pair<std::string, const Entry*>> touched(touched_.begin(), touched_.end());
        in_parallel(touched.size(),
                    [&](Worker&, size_t at) { settle(touched[at].first, touched[at].second); });
        settle_directory(root_, nullptr, ".");
        return stats_;
    }

 private:
    void compare() {
        size_t old = 0;
        for (size_t at = 0; at < after_.entries.size(); ++at) {
            const std::string& path = after_.entries[at].entry.path;
            for (; old < before_.entries.size() && before_.entries[old].entry.path < path; ++old)
                drop(old);
            if (old == before_.entries.size() || before_.entries[old].entry.path != path) {
                add(at);
                continue;
            }
            compare_entry(old++, at);
        }
        for (; old < before_.entries.size(); ++old)
            drop(old);
    }

    void compare_entry(size_t old, size_t at) {
        const Entry& was = before_.entries[old].entry;
        const Entry& is = after_.entries[at].entry;
        if (was.kind == EntryKind::directory && is.kind == EntryKind::directory) {
            const bool same =
                root_directory_mode(was.mode) == root_directory_mode(is.mode) && has_same_time(was, is);
            if (!same) touched_[is.path] = &is;
            return;
        }
        if (is_same(old, at)) return;
        drop(old);
        add(at);
    }

    static bool has_same_time(const Entry& a, const Entry& b) {
        return a.mtime == b.mtime && a.mtime_ns == b.mtime_ns;
    }

    /// What is there is what would be made; neither is a directory.
    [[nodiscard]] bool is_same(size_t old, size_t at) const {
        const TreeEntry& was = before_.entries[old];
        const TreeEntry& is = after_.entries[at];
        if (was.entry.kind != is.entry.kind) return false;
        if (is.entry.kind == EntryKind::symlink)
            return was.entry.target == is.entry.target && has_same_time(was.entry, is.entry);
        if (is.entry.kind == EntryKind::fifo)
            return was.entry.mode == is.entry.mode && has_same_time(was.entry, is.entry);
        if (was.entry.object != is.entry.object || was.inlined != is.inlined) return false;
        if (copied_before_[old] != copied_after_[at] || !is_in_same_group(old, at)) return false;
        // A link has mode and time of its object.
        return !copied_after_[at] || is_same_copy(was.entry, is.entry);
    }

    [[nodiscard]] static bool is_same_copy(const Entry& was, const Entry& is) {
        return inode_mode(was.mode) == inode_mode(is.mode) && has_same_time(was, is);
    }

    /// Both are alone, or have the same names beside them.
    [[nodiscard]] bool is_in_same_group(size_t old, size_t at) const {
        const size_t before = linked_before_.leader[old];
        const size_t after = linked_after_.leader[at];
        if (before == 0 || after == 0) return before == after;
        const std::vector<size_t>& were = linked_before_.groups.at(before - 1);
        const std::vector<size_t>& are = linked_after_.groups.at(after - 1);
        // A copy has the time of the group's first name.
        return std::equal(were.begin(), were.end(), are.begin(), are.end(), [&](size_t a, size_t b) {
            const Entry& was = before_.entries[a].entry;
            const Entry& is = after_.entries[b].entry;
            return was.path == is.path && is_same_copy(was, is);
        });
    }

    void drop(size_t old) {
        const std::string_view parent = split_path(before_.entries[old].entry.path).first;
        const bool is_directory = before_.entries[old].entry.kind == EntryKind::directory;
        (is_directory ? removed_directories_ : removed_files_).push_back(old);
        touch(parent);
    }

    void add(size_t at) {
        const Entry& entry = after_.entries[at].entry;
        const bool is_directory = entry.kind == EntryKind::directory;
        (is_directory ? made_directories_ : made_files_).push_back(at);
        touch(split_path(entry.path).first);
        if (is_directory) touched_[entry.path] = &entry;
    }

    /// Its content changes: it gets its time back at the end.
    void touch(std::string_view directory) {
        if (directory.empty() || touched_.contains(directory)) return;
        const TreeEntry* entry = after_.find(directory);
        if (entry != nullptr && entry->entry.kind == EntryKind::directory)
            touched_[entry->entry.path] = &entry->entry;
    }

    // --- Act ---

    /// What one thread keeps while it does a chunk.
    struct Worker {
        Parents parents;
        AssembleStats stats;
    };

    template <typename Act>
    void in_parallel(size_t count, const Act& act) {
        parallel_for((count + kChanges - 1) / kChanges, default_threads(), [&](size_t chunk) {
            Worker worker{Parents(root_), {}};
            const size_t end = std::min(count, (chunk + 1) * kChanges);
            for (size_t at = chunk * kChanges; at < end; ++at)
                act(worker, at);
            const std::scoped_lock lock(guard_);
            stats_ += worker.stats;
        });
    }

    static void remove(Parents& parents, const Entry& entry) {
        const auto [dir, name] = parents.place_of(entry.path);
        if (::unlinkat(dir, name, entry.kind == EntryKind::directory ? AT_REMOVEDIR : 0) != 0)
            throw Error::from_errno("remove", entry.path);
    }

    void make_directory_of(Parents& parents, const Entry& entry) {
        const auto [dir, name] = parents.place_of(entry.path);
        if (::mkdirat(dir, name, root_directory_mode(entry.mode)) != 0)
            throw Error::from_errno("make directory", entry.path);
        ++stats_.directories;
    }

    /// All names of one inode beforehand, in a folder of their own: it needs room for all of them.
    void make_groups() {
        for (const size_t at : made_files_) {
            const size_t leader = linked_after_.leader[at];
            if (leader == 0 || leader - 1 != at) continue;
            if (!group_dir_) {
                while (after_.find(group_name_) != nullptr)
                    group_name_ += '_';
                if (::mkdirat(root_, group_name_.c_str(), 0700) != 0)
                    throw Error::from_errno("make directory", group_name_);
                group_dir_ = open_dir(root_, group_name_);
            }
            std::vector<std::string> names;
            for (const size_t member : linked_after_.groups.at(at))
                names.push_back(std::to_string(member));
            const TreeEntry& first = after_.entries[at];
            maker_.make_group(first, maker_.key_of(first.entry.object), !copied_after_[at], group_dir_.get(),
                              names, stats_);
        }
    }

    /// Of made_files_, in one read transaction, which is over before anything is made of them.
    void look_up_keys() {
        const ReadTxn txn = store_.index().read();
        keys_.resize(made_files_.size());
        for (size_t at = 0; at < made_files_.size(); ++at) {
            const Entry& entry = after_.entries[made_files_[at]].entry;
            if (entry.kind != EntryKind::file || entry.object == 0) continue;
            const auto key = txn.object_key(entry.object);
            if (!key)
                throw Error("make", entry.path, "the index does not know its object").as(Fault::corrupt);
            keys_[at] = *key;
        }
    }

    void make(Worker& worker, size_t at, const ObjectKey& key) {
        const TreeEntry& entry = after_.entries[at];
        const auto [dir, name] = worker.parents.place_of(entry.entry.path);
        if (entry.entry.kind != EntryKind::file) {
            make_special_file(entry.entry, dir, name, worker.stats);
        } else if (linked_after_.leader[at] != 0) {
            rename_at(group_dir_.get(), std::to_string(at), dir, name, RENAME_NOREPLACE);
        } else {
            maker_.make(entry, key, !copied_after_[at] && entry.entry.object != 0, dir, name, worker.stats);
        }
    }

    void settle(const std::string& path, const Entry* entry) const {
        const Fd directory = open_dir(root_, path);
        settle_directory(directory.get(), entry, path);
    }

    const Store& store_;
    const Tree& before_;
    const Tree& after_;
    int root_;
    FileMaker maker_;
    const std::vector<bool> copied_before_, copied_after_;
    const LinkedEntries linked_before_, linked_after_;
    std::vector<size_t> removed_files_, removed_directories_, made_files_, made_directories_;
    std::vector<ObjectKey> keys_;  ///< of made_files_
    std::map<std::string, const Entry*, std::less<>> touched_;
    std::string group_name_ = ".pwstore-links";
    Fd group_dir_;
    std::mutex guard_;  ///< of stats_
    AssembleStats stats_;
};

}  // namespace

AssembleStats change_root(const Store& store, const Tree& before, const Tree& after, int root) {
    return in_step("change a root", [&] { return Change(store, before, after, root).run(); });
}

AssembleStats add_to_root(const Store& store, const Tree& added, int root) {
    return in_step("add to a root", [&] { return Change(store, Tree{}, added, root).run(); });
}

// --- Twins ---

namespace {

/// The tree of a recorded generation; nullopt when records of it are gone.
std::optional<Tree> recorded_tree(const Store& store, const ContainerName& container, uint64_t generation) {
    const ReadTxn txn = store.index().read();
    const auto record = txn.generation(container, generation);
    if (!record) return std::nullopt;
    for (const GenerationRef& below : record->upstream) {
        if (!txn.generation(ContainerName(below.container), below.generation)) return std::nullopt;
    }
    return tree_of(txn, store.objects(), *record);
}

/// Take the root of `generation` away as `name` under `dir` when nobody runs on it, it has a seal of
/// `replacements`, and the seal holds. Returns its tree.
std::optional<Tree> take_root(const Store& store, const ContainerName& container, uint64_t generation,
                              uint64_t replacements, int dir, const std::string& name) {
    const int data = store.layout().data();
    const auto seal = try_read_file(data, seal_name(container, generation));
    if (!seal) return std::nullopt;
    const std::string lease = Layout::run_lease_name(container, generation);
    const auto lock = FileLock::try_acquire(data, lease, LockMode::exclusive, "make the next root of it");
    if (!lock) return std::nullopt;
    auto tree = recorded_tree(store, container, generation);
    if (!tree) return std::nullopt;
    const auto root =
        try_open_at(data, Layout::root_name(container, generation), O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
    if (!root) return std::nullopt;
    try {
        if (seal_of(*tree, root->get(), replacements).text() != *seal) return std::nullopt;
    } catch (const Error& error) {
        const int number = error.error_number();
        if (number == ENOENT || number == ENOTDIR || number == ELOOP) return std::nullopt;  // it is damaged
        throw;
    }
    remove_file(data, seal_name(container, generation));
    rename_at(data, Layout::root_name(container, generation), dir, name, RENAME_NOREPLACE);
    failpoint("twin.taken");
    remove_file(data, lease);
    return tree;
}

}  // namespace

LaidRoot lay_root(const Store& store, const ContainerName& container, const Tree& tree, int dir,
                  const std::string& name) {
    LaidRoot laid;
    laid.replacements = replacements(store);
    std::optional<Tree> before;
    const auto twin = newest_retired_root(store, container);
    if (twin) before = take_root(store, container, *twin, laid.replacements, dir, name);
    if (before) {
        laid.made_from = twin;
        laid.stats = change_root(store, *before, tree, open_dir(dir, name).get());
        failpoint("twin.changed");
    } else {
        make_directory(dir, name, 0755);
        laid.stats = assemble(store, tree, open_dir(dir, name).get());
    }
    return laid;
}

}  // namespace pwstore
