// SPDX-License-Identifier: GPL-3.0-or-later
#include "transact/pacman_failure.hpp"

#include <fmt/format.h>

namespace pwstore {

Error pacman_commit_failure(std::string_view cause, Fault fault) {
    Error error("commit transaction", "", cause);
    error.as(fault).with_hint(fmt::format(
        "error: failed to commit transaction ({})\nErrors occurred, no packages were upgraded.", cause));
    return error;
}

}  // namespace pwstore
