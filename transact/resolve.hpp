// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <string>
#include <vector>

#include "resolver/session.hpp"
#include "transact/work.hpp"

namespace pwstore {

/// Name, in the staging folder, of the throw-away package database that libalpm sees for a container.
[[nodiscard]] std::string view_name(const Work& work);

/// Write the view of `work`: its packages and those below it, as they are to be at this point of the
/// transaction.
void make_view(TransactionState& state, const Work& work);

/// Where libalpm works for `work`, with nothing below it.
[[nodiscard]] SessionSpec session_spec(const TransactionState& state, const Work& work);

/// The same with the packages of the containers below `work`, which it must leave alone.
[[nodiscard]] SessionSpec container_session_spec(TransactionState& state, const Work& work);

}  // namespace pwstore
