// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace pwstore {

/// Steps of one character (put one in, take one out, change one, swap two neighbours) that turn `a` into `b`.
[[nodiscard]] size_t typing_distance(std::string_view a, std::string_view b);

/// How far from a word of that length another may be to count as what was meant: one in three characters.
[[nodiscard]] size_t typing_tolerance(size_t length) noexcept;

/// What of `candidates` was probably meant by `word`: nearest first, then by name, each once, at most three.
[[nodiscard]] std::vector<std::string> similar_to(std::string_view word,
                                                  const std::vector<std::string>& candidates);

/// "did you mean 'base' or 'bash'?" for similar_to(), empty when there is nothing like it.
[[nodiscard]] std::string did_you_mean(std::string_view word, const std::vector<std::string>& candidates);

}  // namespace pwstore
