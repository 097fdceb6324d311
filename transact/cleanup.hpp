// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "store/store.hpp"

namespace pwstore {

/// Remove roots/NAME@N of which the index knows no generation: left by a transaction that died before its
/// commit, or by a deletion. False when one is still in use and stays. Lock: the container's, held by the
/// caller.
bool remove_unrecorded_roots(const Store& store, const ContainerName& name);

/// True when a command was killed after its switching commit, so that configurations, homes or the links in
/// roots/ are behind the index, or when one is between that and its end. Nothing is changed.
[[nodiscard]] bool is_switch_unfinished(const Store& store);

/// What follows a switching commit, for commands that were killed before they had done it: configurations
/// and homes that were about to be published are, or are dropped, and links in roots/ point to what is
/// current. @throws as refuse_older_index(), before anything is done. Skips a name whose lock is held: its
/// holder is alive.
void finish_switches(const Store& store);

/// What killed commands left: unfinished switches, and roots that nobody needs. Call it before taking locks.
void clean_up_after_the_dead(const Store& store);

}  // namespace pwstore
