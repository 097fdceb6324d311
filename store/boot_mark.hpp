// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <cstdint>

namespace pwstore {

/// A number that stands for the running kernel: what is in the page cache lives exactly as long as it. Never
/// 0.
/// @throws Error (unsupported) where /proc is not mounted
[[nodiscard]] uint64_t boot_mark();

}  // namespace pwstore
