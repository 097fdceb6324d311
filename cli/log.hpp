// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <string>

namespace pwstore::cli {

/// Append one line with the time to the log at `path`. A log that cannot be written is no failure of the
/// command; a missing directory is not made.
void write_log(const std::string& path, const std::string& line) noexcept;

}  // namespace pwstore::cli
