// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "resolver/session.hpp"
#include "transact/work.hpp"

namespace pwstore {

/// apt's rule: whatever packages are named, the first ones from Debian bring what is essential. When `plan`
/// brings the first ones that `work` will see, what the repositories call essential and nobody has named is
/// added to the request. Returns whether something was: then it has to be resolved again.
[[nodiscard]] bool imply_essential_packages(TransactionState& state, Work& work, Session& session,
                                            const Plan& plan);

}  // namespace pwstore
