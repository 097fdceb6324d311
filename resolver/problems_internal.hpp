// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "resolver/alpm_compat.hpp"
#include "resolver/handle_internal.hpp"
#include "resolver/package.hpp"
#include "store/base/error.hpp"

namespace pwstore {

/// What is wrong with a request, collected so that all of it can be said at once.
class Problems {
 public:
    /// `as_pacman`: the lines are in pacman's words, and what is thrown is a transcript
    /// (pacman_words_internal.hpp).
    explicit Problems(bool as_pacman = false) : as_pacman_(as_pacman) {}
    void add(std::string line, Fault fault = Fault::failure);
    [[nodiscard]] bool empty() const noexcept { return lines_.empty(); }
    /// @throws Error "STEP: CAUSE" with one problem per line as hint, when there is one. One problem alone is
    /// the cause itself.
    void throw_if_any(std::string_view step, std::string_view cause) const;

 private:
    std::vector<std::string> lines_;
    Fault fault_ = Fault::failure;
    bool as_pacman_;
};

/// Names among the packages of `databases` that look like `name`, nearest first, at most three.
[[nodiscard]] std::vector<std::string> near_names(const alpm_list_t* databases, const std::string& name);

[[nodiscard]] std::string missing_text(const Handle& handle, const Upstream& upstream,
                                       const alpm_depmissing_t& missing);
[[nodiscard]] std::string conflict_text(const Handle& handle, const Upstream& upstream,
                                        const alpm_conflict_t& conflict);

/// Dependencies that are missing among `packages` (alpm_pkg_t*), and conflicts.
[[nodiscard]] std::vector<SetProblem> set_problems(const Handle& handle, const Upstream& upstream,
                                                   alpm_list_t* packages);

/// Free what alpm_trans_prepare or alpm_trans_commit put into `data` (its type depends on `code`) and throw
/// what it says.
[[noreturn]] void throw_prepare_error(const Handle& handle, const Upstream& upstream, const Error& error,
                                      alpm_errno_t code, alpm_list_t* data);
/// @param damaged files, as Conversation::damaged() has them
[[noreturn]] void throw_commit_error(const Error& error, alpm_errno_t code, alpm_list_t* data,
                                     const std::vector<std::string>& damaged);

}  // namespace pwstore
