// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "transact/request.hpp"

namespace pwstore {

/// Do to the root directory of `request.in_place` what pacman would do to it: its files, its local database,
/// its hooks and scriptlets. No store, container or generation is involved and nothing in the root is linked
/// to a store. Runs libalpm in this process: call it in the worker program only.
///
/// Lock: the database's db.lck (libalpm's), from the decision to the end. A crash leaves what a crash of
/// pacman leaves: packages that were done are done, the one that was being changed may be half there, db.lck
/// stays.
/// @throws Error whose text and hint are libalpm's words; nothing was changed unless it says "after"
TransactionReport run_in_place(const TransactionRequest& request, Dialogue& dialogue);

}  // namespace pwstore
