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
    bool is_deb = false;                     ///< it is a Debian package
};

/// Which of `providers` there is to choose among, by index: those that nobody puts before another, the first
/// of them for when nobody is asked. As in Debian: of alternatives ("vim|vi(ge2)") the first that there is,
/// itself before what only provides it; then the higher priority (required, important, standard, the rest).
/// What is equal is in the order of its names. When not all of them are Debian packages and the dependency is
/// no alternative either: all, as libalpm lists them.
/// @pre there is one
[[nodiscard]] std::vector<size_t> providers_to_choose_from(std::string_view dependency,
                                                           const std::vector<Provider>& providers);

/// "debconf(ge0.5)|debconf-2.0" as Debian writes it, "debconf (>= 0.5) | debconf-2.0". What is no alternative
/// stays as it is.
[[nodiscard]] std::string alternatives_text(const std::string& dependency);

}  // namespace pwstore
