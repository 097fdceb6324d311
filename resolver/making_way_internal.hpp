// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <map>
#include <set>
#include <string>
#include <vector>

#include "resolver/alpm_compat.hpp"
#include "resolver/conversation_internal.hpp"
#include "resolver/handle_internal.hpp"

namespace pwstore {

/// Debian's packages do not say which others they succeed. One that was renamed or given up is broken by what
/// comes, or is left without what it needs, and apt takes it away. Here too a package of Debian makes way for
/// what comes when it is this container's own and no repository has anything to upgrade it to.
class MakingWay {
 public:
    MakingWay(const Handle& handle, const Upstream& upstream) : handle_(handle), upstream_(upstream) {}

    /// Shall `installed` go for the sake of `coming`? If so that is remembered.
    [[nodiscard]] bool for_conflict(const std::string& coming, const std::string& installed,
                                    const alpm_depend_t& reason);
    /// Libalpm would not prepare the transaction for these. Returns whether it will be another one by what
    /// was learned.
    [[nodiscard]] bool learn(const alpm_list_t* missing);
    /// It is prepared: what it leaves in the way of what is below this container, and what it leaves without
    /// dependencies there. Returns as learn() does.
    [[nodiscard]] bool learn_from_result();

    /// Go from the beginning of the next attempt.
    [[nodiscard]] const std::set<std::string>& names() const noexcept { return names_; }
    /// Alternatives that no package has the name of, but one is; see SessionSpec::alternatives.
    [[nodiscard]] const std::set<std::string>& satisfied() const noexcept { return satisfied_; }
    /// New packages that are explicitly installed because what they succeed was.
    [[nodiscard]] std::map<std::string, bool> reasons() const;

 private:
    [[nodiscard]] bool may_go(const std::string& name) const;
    [[nodiscard]] bool is_offered(const std::string& name) const;
    [[nodiscard]] bool is_given_up(const std::string& name) const;
    [[nodiscard]] bool is_in_the_way(const std::string& name, const alpm_depend_t& reason) const;
    bool take(const std::string& name);

    const Handle& handle_;
    const Upstream& upstream_;
    std::set<std::string> names_, satisfied_, unsatisfied_;
    std::vector<std::pair<std::string, std::string>> succeeded_;  ///< (new, old)
};

/// What is installed when the prepared transaction is done.
void fill_with_result(const Handle& handle, alpm::Packages& result);

/// Whether `dependency`, which nothing in `packages` satisfies as it is written, stands for alternatives of
/// which something there satisfies one.
[[nodiscard]] bool has_alternative(const Handle& handle, alpm_list_t* packages,
                                   const alpm_depend_t& dependency);

}  // namespace pwstore
