// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <string>
#include <vector>

#include "resolver/session.hpp"
#include "transact/work.hpp"

namespace pwstore {

/// Name, in the staging folder, of the throw-away package database that libalpm sees for a container.
/// What is done of a transaction, as sessions are told.
[[nodiscard]] CarryOut carried_out(const TransactionRequest& request);
[[nodiscard]] std::string view_name(const Work& work);

/// Write the view of `work`: its packages and those below it, as they are to be at this point of the
/// transaction.
void make_view(TransactionState& state, const Work& work);

/// What does not go together in a container of this transaction as it is before it.
[[nodiscard]] std::vector<SetProblem> problems_before(TransactionState& state, const Work& work);

/// libalpm sees the root that `work` has, all that is below it included, and finds its file conflicts. There
/// is none to be seen for a new container, and an outdated one where what is below changes too.
[[nodiscard]] bool shows_its_root(TransactionState& state, const Work& work);

/// Where libalpm works for `work`, with nothing below it and an empty root.
[[nodiscard]] SessionSpec session_spec(const TransactionState& state, const Work& work);

/// The same with its root, and with the packages of the containers below `work`, which it must leave alone.
[[nodiscard]] SessionSpec container_session_spec(TransactionState& state, const Work& work);

}  // namespace pwstore
