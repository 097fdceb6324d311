// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>

namespace pwstore {

/// Digest of kept xattrs for ObjectKey::xattrs: 0 for none, never 0 otherwise.
[[nodiscard]] uint64_t xattrs_hash(const std::map<std::string, std::string>& xattrs);
/// All user.* attributes of an open file; none where the file system has no attributes.
[[nodiscard]] std::map<std::string, std::string> user_xattrs_of(int fd, std::string_view path_for_errors);
/// @throws Error (unsupported) where the file system has no attributes
void set_user_xattrs(int fd, const std::map<std::string, std::string>& xattrs,
                     std::string_view path_for_errors);

}  // namespace pwstore
