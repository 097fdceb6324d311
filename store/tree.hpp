// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "store/generation.hpp"
#include "store/index.hpp"

namespace pwstore {

/// Where a tree entry came from.
struct EntrySource {
    std::string_view label;  ///< package name, or "delta of NAME"; lives as long as the tree
};

/// One entry of a whole root.
struct TreeEntry {
    Entry entry;
    uint32_t layer = 0;   ///< index into Tree::layers
    std::string inlined;  ///< content of a generated file (entry.object == 0 and kind file)
};

/// Every entry of a root: layers merged in order, deltas applied, local database generated.
struct Tree {
    std::vector<TreeEntry> entries;   ///< sorted by path bytes, unique; parents always present
    std::vector<std::string> layers;  ///< "package NAME VERSION", "delta of NAME@N", "local database", "mount points"

    [[nodiscard]] const TreeEntry* find(std::string_view path) const;
};

/// One input of a merge: entries that are laid over those before.
struct TreeLayer {
    std::string label;
    const std::vector<Entry>* entries = nullptr;
};

/// Directories that the composer can name as mount points and every root therefore has: dev, proc, run, sys, tmp, home,
/// home/NAME, mnt, and the like.
[[nodiscard]] std::vector<Entry> mount_point_entries(std::string_view container);

/// Merge `layers` in order. A later entry replaces an earlier one, except that directories stay directories and take the
/// metadata of the first layer that names them (as pacman leaves an existing directory alone), a directory below a
/// symlink-to-directory of the same tree goes to the symlink's target, and a whiteout removes what is below.
/// Missing parents are added (0755, root, time of the child's layer). Pure.
[[nodiscard]] Tree merge_layers(const std::vector<TreeLayer>& layers);

/// The whole tree of a generation: its upstream generations' layers, its own, deltas, local database, mount points.
/// Reads within `txn` only. @throws Error (corrupt) when a record is missing.
[[nodiscard]] Tree tree_of(const ReadTxn& txn, const Generation& generation);

/// The parts of tree_of, for those who change a generation: layers of packages with upstream ones, without any delta.
[[nodiscard]] Tree tree_without_own_delta(const ReadTxn& txn, const Generation& generation);

/// SHA-256 over the canonical form of every entry (path, kind, true metadata, content SHA-256); see docs/format.md.
[[nodiscard]] Sha256 tree_digest(const ReadTxn& txn, const Tree& tree);
/// The canonical digest of one entry, as a delta records what lay below.
[[nodiscard]] Sha256 entry_digest(const ReadTxn& txn, const TreeEntry& entry);

/// A file that must be a private copy in every root, never a link to the object: below etc/, empty, a backup file,
/// generated, ld.so.cache, machine-id.
[[nodiscard]] bool is_copied(const TreeEntry& entry);

}  // namespace pwstore
