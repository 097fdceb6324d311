// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <set>
#include <string>
#include <vector>

#include "store/generation.hpp"
#include "store/store.hpp"

namespace pwstore {

/// Of packages that come into a root without dpkg, those that have to be configured before any script of the
/// others can run: what Debian calls essential or required, with all it depends on. debootstrap(8) installs
/// the same first. All of `packages` when dpkg is not among them.
[[nodiscard]] std::set<std::string> bootstrap_set(const Store& store,
                                                  const std::vector<InstalledPackage>& packages);

}  // namespace pwstore
