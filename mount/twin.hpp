// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <optional>
#include <string>

#include "mount/assembler.hpp"
#include "store/base/events.hpp"
#include "store/store.hpp"

namespace pwstore {

/// A container's newest retired root is its twin: the next root is made of it, at the cost of what differs.
///
/// It may have been damaged since it was made, by somebody's hand, by a restored backup, by a file system, so
/// what is on disk is trusted only while its seal holds: a digest of what its tree says and of the inode and
/// change time of everything in it that is not a link of an object, kept in store/seals/NAME@N. Whatever is
/// added, removed, replaced or changed in a root changes such a time, of a file of its own or of a directory;
/// nobody can set one back. Links of objects are as good as the objects: where a file of one was replaced
/// because it was damaged (replacements()), no older seal holds. Without a seal that holds a root is
/// assembled.

/// What a root was when it was made.
struct RootSeal {
    uint64_t replacements = 0;  ///< replacements() from before its first link was made
    Digest digest;

    [[nodiscard]] std::string text() const;
};

/// The seal of `root`, which is the root of `tree` and complete. Its name and place do not matter.
[[nodiscard]] RootSeal seal_of(const Tree& tree, int root, uint64_t replacements);

/// "store/seals/NAME@N".
[[nodiscard]] std::string seal_name(const ContainerName& container, uint64_t generation);
/// Write the seal of the staged root `name` under `dir` beside it, for publish_root(). Not synced.
void write_staged_seal(int dir, const std::string& name, const RootSeal& seal);
/// Name of that file.
[[nodiscard]] std::string staged_seal_name(const std::string& name);

/// Move the seal of the staged root to its place; without one, remove what is there.
void publish_seal(const Store& store, int dir, const std::string& staged, const ContainerName& container,
                  uint64_t generation);

/// Make of `root`, which is the root of `before`, the root of `after`: what assemble() would have made. Costs
/// what differs; nothing is synced. Lock: as assemble().
AssembleStats change_root(const Store& store, const Tree& before, const Tree& after, int root);

/// Put `added` into `root`, where nothing is at any of its paths: what assemble() would have made of it. The
/// parent of each is a directory of the root, no symlink on the way, or one of `added`. In parallel; a
/// directory that was there has the time of its change. Lock: as assemble().
AssembleStats add_to_root(const Store& store, const Tree& added, int root);

struct LaidRoot {
    AssembleStats stats;
    uint64_t replacements = 0;          ///< for its seal
    std::optional<uint64_t> made_from;  ///< the generation whose root was taken
};

/// Make the root of `tree` as `name` under `dir`, where nothing is: of the twin of `container` when there is
/// one that nobody runs on and whose seal holds, else by assembling. The twin is gone then, its lease file as
/// well. A crash leaves `dir/name` only. Lock: the container's, held by the caller.
LaidRoot lay_root(const Store& store, const ContainerName& container, const Tree& tree, int dir,
                  const std::string& name);

}  // namespace pwstore
