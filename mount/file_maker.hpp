// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <sys/stat.h>

#include <atomic>
#include <mutex>
#include <span>
#include <string>
#include <unordered_map>

#include "mount/assembler.hpp"
#include "store/object.hpp"

namespace pwstore {

/// Makes the files of roots: hard links to objects where that is allowed and possible, private copies
/// otherwise. One per assembly or writer; its functions may be called from many threads at a time.
class FileMaker {
 public:
    FileMaker(const Store& store, LinkPolicy policy);

    /// `entry` is to share its inode with the store.
    [[nodiscard]] bool links(const TreeEntry& entry) const;

    /// Make the file of `entry` as `name` under `dir`, where nothing is. A private copy has the mode that
    /// inode_mode() gives, the entry's time and the object's `user.*` xattrs; nothing is left of one that
    /// failed.
    /// @param key of entry.entry.object, not looked at for a generated file
    /// True when it is a store inode. Lock: the ingest lock for a moment when all of the object's copies are
    /// full.
    bool make(const TreeEntry& entry, const ObjectKey& key, bool linked, int dir, const char* name,
              AssembleStats& stats);

    /// Make `names` under `dir` links of one inode with the content of `entry`. True when it is a store
    /// inode.
    bool make_group(const TreeEntry& entry, const ObjectKey& key, bool linked, int dir,
                    const std::vector<std::string>& names, AssembleStats& stats);

    /// `info` is of the object's (first) inode.
    [[nodiscard]] bool is_object(const ObjectKey& key, const struct stat& info) const;
    [[nodiscard]] ObjectKey key_of(ObjectId id) const;

 private:
    bool make_it(const TreeEntry& entry, const ObjectKey& key, bool linked, int dir, const char* name,
                 AssembleStats& stats);
    bool make_names(const TreeEntry& entry, const ObjectKey& key, bool linked, int dir,
                    const std::vector<std::string>& names, AssembleStats& stats);
    LinkOutcome link(ObjectId id, const ObjectKey& key, int dir, std::span<const char* const> names,
                     AssembleStats& stats);
    LinkOutcome link_elsewhere(ObjectId id, const ObjectKey& key, int dir, std::span<const char* const> names,
                               AssembleStats& stats);
    [[nodiscard]] LinkOutcome try_copy(const ObjectKey& key, uint16_t copy, int dir,
                                       std::span<const char* const> names) const;
    [[nodiscard]] uint16_t roomy_copy(ObjectId id);
    void copy(const TreeEntry& entry, const ObjectKey& key, int dir, const char* name, AssembleStats& stats);
    void fill(const TreeEntry& entry, const ObjectKey& key, int to);
    void copy_content(int from, int to, uint64_t size, const std::string& path);

    const Store& store_;
    LinkPolicy policy_;
    std::atomic<bool> clones_{true};  ///< the file system may be able to share data between files
    /// Objects whose copy 0 was full when last met, and the copy that had room then. Guarded by mutex_, which
    /// is also what keeps threads from spilling the same object twice; spilled_ spares everybody else the
    /// lock.
    std::unordered_map<ObjectId, uint16_t> roomy_;
    std::mutex mutex_;
    std::atomic<bool> spilled_{false};
};

/// Make the symlink or fifo `entry` as `name` under `dir`, where nothing is, with its time.
void make_special_file(const Entry& entry, int dir, const char* name, AssembleStats& stats);
/// Give `name` under `dir`, which may be a symlink, the entry's time.
void set_entry_time(int dir, const char* name, const Entry& entry);

/// Give the directory `fd` (O_PATH will do) the mode and time of `entry`; without one, those of a root
/// itself.
void settle_directory(int fd, const Entry* entry, std::string_view path_for_errors);

/// The time of a root's own directory, and of directories that nothing else gives a time.
inline constexpr int64_t kRootTime = kObjectTime;

}  // namespace pwstore
