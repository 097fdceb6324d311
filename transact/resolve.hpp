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

/// Where libalpm works for `work`: `foreign` are the names it must leave alone.
[[nodiscard]] SessionSpec session_spec(const TransactionState& state, const Work& work,
                                       std::vector<std::string> foreign);

/// The session of one container: spec with its foreign packages, questions to the dialogue.
class ResolveContext {
 public:
    ResolveContext(TransactionState& state, const Work& work);
    [[nodiscard]] const SessionSpec& spec() const noexcept { return spec_; }
    [[nodiscard]] Asker asker() const;

 private:
    TransactionState& state_;
    SessionSpec spec_;
};

}  // namespace pwstore
