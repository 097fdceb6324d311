// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <string>

namespace pwstore {

/// Which libalpm this is, with which ones pwstore was tried, who downloads, and whether pacman's sandbox for
/// that is in use. One line for people.
[[nodiscard]] std::string describe_library();

}  // namespace pwstore
