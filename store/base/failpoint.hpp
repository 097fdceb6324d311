// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <string_view>

namespace pwstore {

/// A named place where a test can make the process fail. `PWSTORE_FAILPOINT=NAME:ACTION[:COUNT]` acts at the
/// COUNTth (default first) time the place is reached: `kill` (SIGKILL to itself), `stop` (SIGSTOP),
/// `killgroup` (SIGKILL to the process group), `error` (an Error is thrown), `errno=N` (an Error with that
/// errno). `PWSTORE_FAILPOINT_LOG=FILE` appends each name reached. Without these variables a failpoint is one
/// load and a branch.
void failpoint(std::string_view name);

}  // namespace pwstore
