// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace pwstore {

/// A package that satisfies a dependency.
struct Provider {
    std::string name;
    std::vector<std::string> provides = {};  ///< names, with or without a version
    std::vector<std::string> groups = {};    ///< of a Debian package: its priority, when above "optional"
    bool is_deb = false;                     ///< its repository is one of Debian packages
};

/// Which of `providers` is taken when nobody is asked. As in Debian: of alternatives ("vim|vi(ge2)") the
/// first that there is, before what only provides it; then the higher priority (required, important,
/// standard, the rest), then the earlier name. When not all of them are Debian packages: the first, as
/// libalpm lists them.
/// @pre there is one
[[nodiscard]] size_t preferred_provider(std::string_view dependency, const std::vector<Provider>& providers);

}  // namespace pwstore
