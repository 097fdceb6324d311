// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <string>
#include <string_view>

namespace pwstore {

/// "file://…" of an absolute path: every byte that a URL cannot carry as it is becomes %NN.
[[nodiscard]] std::string file_url(std::string_view absolute_path);

[[nodiscard]] bool is_file_url(std::string_view url) noexcept;

/// A server as someone wrote it, fit for libcurl: blanks, control bytes and non-ASCII bytes become %NN, '%'
/// is kept, slashes at the end are dropped. @throws Error (usage) when it is no URL with a scheme
[[nodiscard]] std::string normal_url(std::string_view url);

}  // namespace pwstore
