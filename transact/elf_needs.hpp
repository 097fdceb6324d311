// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <string>
#include <string_view>
#include <unordered_set>
#include <vector>

#include "store/manifest.hpp"

namespace pwstore {

/// Names of the shared libraries that the ELF file asks the dynamic linker for (DT_NEEDED). None for anything
/// else, and for what is damaged or of another byte order.
[[nodiscard]] std::vector<std::string> elf_needs(int fd);

/// "/usr/bin/tool of 'tool' needs libx.so.1, which no package here has": for each program of `package` (below
/// bin/, sbin/, games/ or libexec/) and library where the dynamic linker looks. Plugins are left out: what
/// loads them may well bring what they need. A library counts as there wherever it lies.
/// @param root the merged root; @param names of all its files, without directories
[[nodiscard]] std::vector<std::string> missing_libraries(int root, const Manifest& package,
                                                         const std::unordered_set<std::string_view>& names);

}  // namespace pwstore
