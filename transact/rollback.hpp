// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "store/store.hpp"
#include "transact/request.hpp"

namespace pwstore {

/// Which earlier state is wanted.
struct RollbackRequest {
    enum class Kind : uint8_t {
        undo,         ///< what `transaction` changed, provided that nothing has changed since
        container,    ///< `container` at `generation`
        transaction,  ///< every container that `transaction` changed, as it was before, whatever came since
    };
    Kind kind = Kind::undo;
    uint64_t transaction = 0;
    std::string container = {};
    uint64_t generation = 0;  ///< 0 = the one that the current one was made from
    /// Containers below may be switched as well, where the wanted generation was built on another state of
    /// them.
    bool with_below = false;
    std::string command = {};  ///< as typed, for the history
};

/// What such a request switches, in the order of the containers' names: what it names, and everything built
/// on that, each at its newest kept generation that was built on just these. Every container then stands on
/// the current generations of those below it. A generation 0 = the container is dropped, as it did not exist.
/// @throws Error (usage for what does not exist; refused, with the reason, when there is no such consistent
/// state)
[[nodiscard]] std::vector<ReadTxn::Switch> plan_rollback(const ReadTxn& txn, const RollbackRequest& request);

/// Do `expected`, which plan_rollback() gave, in one commit. Offline; builds a root only when it is no longer
/// there. Locks: these containers, LMDB. A crash leaves all in their old or all in their new state.
/// @throws Error (busy) when the plan is another one by now
TransactionReport roll_back(const Store& store, const RollbackRequest& request,
                            const std::vector<ReadTxn::Switch>& expected, Dialogue& dialogue);

}  // namespace pwstore
