// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace pwstore {

/// One suite of a Debian archive, or a flat archive: what a "deb" line of sources.list(5) says.
struct DebSource {
    std::vector<std::string> servers = {};  ///< http, https or file; mirrors of each other, tried in order
    std::string suite =
        {};  ///< of a flat archive: the directory of its Release and Packages, "./", "stable/"
    std::vector<std::string> components = {};  ///< none of a flat archive
    /// Absolute paths of OpenPGP keyrings, binary or armoured; a key of any of them will do.
    std::vector<std::string> keyrings = {};
    [[nodiscard]] bool is_flat() const { return suite.ends_with('/'); }
    bool operator==(const DebSource&) const = default;
};

/// dpkg's name of the architecture that this program was made for.
[[nodiscard]] std::string_view native_deb_architecture();

}  // namespace pwstore
