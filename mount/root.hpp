// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "mount/assembler.hpp"
#include "store/base/events.hpp"
#include "store/base/lock.hpp"
#include "store/store.hpp"

namespace pwstore {

/// A root on disk is roots/NAME@N, complete or absent. Its run lease is a flock on roots/NAME@N.lock, shared
/// by every sandbox that runs on it.

/// The index is older than the roots on disk when roots/NAME leads to one that it never heard of (or when it
/// knows nothing at all and there is any): another index was put in its place. On its word no root may go.
/// @throws Error (corrupt) then, with what can be done. Nothing is changed.
void refuse_older_index(const Store& store);

/// Move the finished tree `staged` (name under `dir`, same file system) to roots/NAME@N, and its seal with it
/// when it has one (twin.hpp); what lay there unpublished is removed first. Not synced.
void publish_root(const Store& store, int dir, const std::string& staged, const ContainerName& name,
                  uint64_t generation);

/// Build roots/NAME@N from the index when it is missing (in staging, then renamed in). Returns true when it
/// was built. Lock: the container's, held by the caller.
bool ensure_root(const Store& store, const ContainerName& name, uint64_t generation, ProgressSink& sink);

/// Make roots/NAME point to the current generation of every container, and remove links of containers that
/// are gone. @throws as refuse_older_index()
void repair_root_links(const Store& store);

/// True when repair_root_links() has something to do: a command was killed after its switching commit, or one
/// is between that and its end. Nothing is changed. @throws as refuse_older_index()
[[nodiscard]] bool are_root_links_behind(const Store& store);

/// Remove roots/NAME@N and its lock file when no sandbox runs on it. False when one does.
bool remove_root(const Store& store, const ContainerName& name, uint64_t generation);

/// The newest root on disk that was current once and is not any more, used or not.
[[nodiscard]] std::optional<uint64_t> newest_retired_root(const Store& store, const ContainerName& name);

/// Remove every root that is neither current nor in use, except the newest retired one per container when
/// `keep_twin`. @throws as refuse_older_index()
void remove_retired_roots(const Store& store, bool keep_twin);

/// Roots on disk that are not current and on which nothing runs, by container and number. Nothing is changed.
[[nodiscard]] std::vector<GenerationRef> idle_roots(const Store& store);

}  // namespace pwstore
