// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "store/generation.hpp"
#include "store/index/index.hpp"
#include "store/object_store.hpp"

namespace pwstore {

/// One entry of a whole root.
struct TreeEntry {
    Entry entry;
    uint32_t layer = 0;   ///< index into Tree::layers
    std::string inlined;  ///< content of a generated file (entry.object == 0 and kind file)
};

/// Every entry of a root: layers merged in order, deltas applied, local database generated. A pure function
/// of the generation: the same one always gives the same entries, times included.
struct Tree {
    std::vector<TreeEntry> entries;  ///< sorted by path bytes, unique; parents always present; no whiteouts
    std::vector<std::string>
        layers;  ///< "package NAME VERSION", "delta of NAME@N", kDatabaseLayer, kMountPointLayer

    [[nodiscard]] const TreeEntry* find(std::string_view path) const;
    /// The entry that `path` names once symlinks in its parent are followed inside the tree; the last
    /// component is not.
    [[nodiscard]] const TreeEntry* resolve(std::string_view path) const;
};

/// Labels of the generated layers; kParentLayer is that of directories that no layer names but something lies
/// in.
inline constexpr const char* kDatabaseLayer = "local database";
inline constexpr const char* kMountPointLayer = "mount points";
inline constexpr const char* kParentLayer = "parent directories";

/// How a layer treats what lies below it.
enum class LayerKind : uint8_t {
    package,    ///< an existing directory, or symlink to one, is left alone; only non-directories replace
    delta,      ///< what was done to the tree: replaces anything, directories' metadata too; whiteouts remove
    generated,  ///< fills what is absent, replaces nothing; a later layer's metadata for one of its
                ///< directories win
};

/// One input of a merge: entries that are laid over those before.
struct TreeLayer {
    std::string label;
    const std::vector<Entry>* entries = nullptr;  ///< sorted by path, unique
    LayerKind kind = LayerKind::package;
    const std::vector<std::string>* inlined =
        nullptr;  ///< contents by entry, when the layer has generated files
};

/// What the composer can name as mount points and every root therefore has: dev, proc, sys, run, tmp, mnt,
/// root, home, home/NAME, the directory of the package database, and, empty, the files over which it lays
/// generated ones (names::kMountPointFiles). A layer's own entry for one of them wins.
[[nodiscard]] std::vector<Entry> mount_point_entries(std::string_view container);

/// `path` is a file that tree_of() generates: package databases, which no script and nobody else changes.
[[nodiscard]] bool is_generated(const Tree& tree, std::string_view path);

/// Merge `layers` in order. A later entry replaces an earlier one, except that directories stay directories
/// and take the metadata of the first layer that names them (as pacman leaves an existing directory alone); a
/// path below a symlink of the same tree goes to the symlink's target (followed inside the tree, and made
/// where there is nothing yet); a symlink laid over a directory moves its content to the target when that is
/// a directory. Missing parents are added (0755, root, time of the child). A delta replaces whatever is there
/// with all that lies below it. Pure.
/// @throws Error (refused) naming both layers when a package lays a non-directory over a directory that holds
/// something
[[nodiscard]] Tree merge_layers(const std::vector<TreeLayer>& layers);

/// Finds generations that are not in the index yet; nullopt = look there. An empty function knows none.
using GenerationSource = std::function<std::optional<Generation>(const GenerationRef&)>;

/// The packages that the local database of `generation` lists, in the order in which their files are laid
/// down: those of its upstream generations, then its own; of several with one name the one laid down last, as
/// its files are the ones there.
/// @throws Error (corrupt) when an upstream generation is missing
[[nodiscard]] std::vector<InstalledPackage> visible_packages(const ReadTxn& txn, const Generation& generation,
                                                             const GenerationSource& pending = {});

/// The whole tree of a generation: for each upstream generation in order its packages and its delta, then its
/// own packages and delta, the local database, the mount points. Reads .PKGINFO objects from `objects`, all
/// else within `txn`.
/// @throws Error (corrupt) when a record is missing
[[nodiscard]] Tree tree_of(const ReadTxn& txn, const ObjectStore& objects, const Generation& generation,
                           const GenerationSource& pending = {});

/// tree_of without the generation's own delta: what that delta is relative to. Upstream deltas are in.
[[nodiscard]] Tree tree_without_own_delta(const ReadTxn& txn, const ObjectStore& objects,
                                          const Generation& generation, const GenerationSource& pending = {});

/// tree_of without the generated layers (local database, mount points): what packages and deltas say.
[[nodiscard]] Tree content_tree(const ReadTxn& txn, const Generation& generation,
                                const GenerationSource& pending = {});

/// SHA-256 over the canonical form of every entry that a package or delta gave (path, kind, true metadata,
/// content SHA-256; docs/format.md). The generated layers are left out: they are functions of the recipe, of
/// the container's name and of install dates.
[[nodiscard]] Sha256 tree_digest(const ReadTxn& txn, const Tree& tree);
/// The canonical digest of one entry, as a delta records what lay below; times are left out.
[[nodiscard]] Sha256 entry_digest(const ReadTxn& txn, const TreeEntry& entry);

/// A file that must be a private copy in every root, never a link to the object: below etc/ or the package
/// database, empty, a backup file, generated, machine-id.
[[nodiscard]] bool is_copied(const TreeEntry& entry);
/// By index into tree.entries: is_copied(), or a hard link of such a file (one inode cannot be both).
[[nodiscard]] std::vector<bool> copied_entries(const Tree& tree);

}  // namespace pwstore
