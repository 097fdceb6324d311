// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_set>

#include "store/store.hpp"
#include "store/tree.hpp"

namespace pwstore {

enum class LinkPolicy {
    link,           ///< hard links to store objects, copies where is_copied() says so
    private_copies  ///< no inode is shared with the store (a root that scripts may write)
};

struct AssembleStats {
    uint64_t linked = 0;
    uint64_t copied = 0;
    uint64_t copied_bytes = 0;
    uint64_t directories = 0;
    uint64_t symlinks = 0;
    uint64_t fallback_copies = 0;  ///< would have been linked, but the file system refused (EXDEV, EPERM)
    uint64_t spilled = 0;          ///< links for which another copy of the object had to be made (EMLINK)

    AssembleStats& operator+=(const AssembleStats& other);
};

struct AssembleOptions {
    LinkPolicy policy = LinkPolicy::link;
    unsigned threads = 0;  ///< 0 = default_threads()
};

/// Build the root of `tree` in the empty directory `root`: complete, with final modes and times, or an Error.
/// Nothing here is synced. Parallel, a task per directory. Lock: none, but the ingest lock for a moment when
/// an object needs another copy; what `tree` refers to must be protected by a generation or a lease.
AssembleStats assemble(const Store& store, const Tree& tree, int root, const AssembleOptions& options = {});

/// Changes one root that is not yet published, entry by entry: what the transaction engine does between
/// scripts. The last component of a path is never followed; its parents may be symlinks of the root and are
/// resolved inside it.
class RootWriter {
 public:
    RootWriter(const Store& store, int root, LinkPolicy policy);
    ~RootWriter();
    RootWriter(const RootWriter&) = delete;
    RootWriter& operator=(const RootWriter&) = delete;

    /// Put the entry at its path (or at `as`), atomically replacing a non-directory that is there; missing
    /// parents are made. A directory that exists keeps its metadata. `linkable` false forces a private copy.
    /// Returns the resolved path. A directory in the way of a non-directory is an Error.
    std::string place(const TreeEntry& entry, std::string_view as = {}, bool linkable = true);
    /// unlink or rmdir; false when it was not there; a directory that is not empty stays (returns false).
    bool remove(std::string_view path);
    void rename(std::string_view from, std::string_view to);
    /// `path` with the symlinks in its parent resolved inside the root (absolute targets start at the root).
    [[nodiscard]] std::string resolve(std::string_view path) const;
    /// Give every directory whose content was changed the time that `tree` says, deepest first.
    void settle_times(const Tree& tree);
    /// Give these directories (and those whose content was changed here) the mode and time that `tree` says,
    /// deepest first.
    void settle_directories(const Tree& tree, const std::unordered_set<std::string>& directories);
    [[nodiscard]] const AssembleStats& stats() const;
    [[nodiscard]] int root() const noexcept;

 private:
    struct State;
    std::unique_ptr<State> state_;
};

/// Remove a root (or any tree of ours) in parallel: `name` under `dir` is first renamed away by the caller's
/// choice. Makes directories writable as needed; never follows symlinks.
void remove_root_tree(int dir, const std::string& name, unsigned threads = 0);

}  // namespace pwstore
