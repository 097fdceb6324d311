// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace pwstore {

/// One line of a file in pacman.conf(5) syntax that says something.
struct ConfigLine {
    size_t number = 0;                 ///< from 1
    std::optional<std::string> opens;  ///< the section that the line opens, then the rest is empty
    std::string key;
    std::optional<std::string> value;  ///< without one for "CheckSpace", empty for "Server ="
};

/// The lines of `file` that are neither empty nor comments, Include not followed.
/// @throws Error (usage) when the file cannot be read or holds a NUL byte
[[nodiscard]] std::vector<ConfigLine> read_config_lines(const std::string& file);

/// Files that an Include of `pattern` in `file` names: a plain path as it is, a pattern's matches in order.
[[nodiscard]] std::vector<std::string> included_files(const std::string& file, const std::string& pattern);

/// `text` cut at white space.
[[nodiscard]] std::vector<std::string> words(std::string_view text);

/// The machine's name as uname(2) says it.
[[nodiscard]] std::string machine_name();

}  // namespace pwstore
