// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <string>

namespace pwstore {

/// 16 random hexadecimal digits: a name that nothing else on this machine has.
[[nodiscard]] std::string random_id();

}  // namespace pwstore
