// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <string>
#include <vector>

#include "store/base/deb_source.hpp"

namespace pwstore {

/// Keyrings of the distributions whose archives apt uses, those that are on this machine; Debian's name when
/// none is.
[[nodiscard]] std::vector<std::string> distribution_keyrings();

/// The suites of packages that sources.list(5) in `directory` names (sources.list, sources.list.d/*.list and
/// *.sources) and that one of `keyrings` signs: those with such a Signed-By, and those without one in the
/// distribution's own files (sources.list, debian.sources, ubuntu.sources). What is disabled, for other
/// architectures, without components, or of other schemes than http, https and file is passed over, and so
/// are files that cannot be read.
[[nodiscard]] std::vector<DebSource> read_apt_sources(const std::string& directory,
                                                      const std::vector<std::string>& keyrings);

}  // namespace pwstore
