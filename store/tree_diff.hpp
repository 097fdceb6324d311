// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "store/tree.hpp"

namespace pwstore {

/// How one path of two trees differs.
struct TreeChange {
    enum class Kind : uint8_t { added, removed, changed };
    std::string path;
    Kind kind = Kind::changed;
    /// Of a changed one, in this order: "type", "content", "target", "mode", "owner", "attributes".
    std::vector<std::string> what;
};

/// Every path that is not the same in both, by path. Times do not count, nor does a mount point that only one
/// of them has. Both trees are of one store:
/// contents are compared by object.
[[nodiscard]] std::vector<TreeChange> compare_trees(const Tree& before, const Tree& after);

/// How one package of two generations differs; a version is empty where it is not installed.
struct PackageChange {
    std::string name;
    std::string before = {}, after = {};
    /// Versions are the same; the reason, or what the archive held, is not.
    bool reason_changed = false;
    bool rebuilt = false;
    InstallReason reason = InstallReason::explicitly;  ///< the later one
};

/// Packages that are not the same in both lists, by name.
[[nodiscard]] std::vector<PackageChange> compare_packages(const std::vector<InstalledPackage>& before,
                                                          const std::vector<InstalledPackage>& after);

}  // namespace pwstore
