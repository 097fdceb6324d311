// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <string_view>

#include "store/base/error.hpp"

namespace pwstore {

/// What pacman says when it gives up a transaction that it had begun: an Error whose hint is the transcript.
[[nodiscard]] Error pacman_commit_failure(std::string_view cause, Fault fault);

}  // namespace pwstore
