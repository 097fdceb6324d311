// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "store/store.hpp"

namespace pwstore {

/// Remove roots/NAME@N of which the index knows no generation: left by a transaction that died before its
/// commit, or by a deletion. False when one is still in use and stays. Lock: the container's, held by the
/// caller.
bool remove_unrecorded_roots(const Store& store, const ContainerName& name);

/// What killed commands left: roots of containers that the index does not know, configurations that were
/// about to be published or dropped. Skips a name whose lock is held: its holder is alive. Call it before
/// taking locks.
void clean_up_after_the_dead(const Store& store);

}  // namespace pwstore
