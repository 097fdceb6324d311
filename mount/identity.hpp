// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace pwstore {

/// A file that the composer makes up and binds read-only.
struct GeneratedFile {
    std::string path;  ///< inside
    std::string content;
};

/// The root's /etc/passwd and /etc/group with a line for this user and group in front; those that the root
/// does not have (as plain files) are left alone, and so is everything for uid 0, which every root knows.
[[nodiscard]] std::vector<GeneratedFile> identity_files(const std::string& root, const std::string& container,
                                                        uint32_t uid, uint32_t gid);

/// The root's /etc/hosts with what it lacks of localhost and the container's own name, and /etc/hostname;
/// those that the root does not have (as plain files) are left alone.
[[nodiscard]] std::vector<GeneratedFile> name_files(const std::string& root, const std::string& container);

/// A plain file without content, reached without a symlink: a place for a generated one.
[[nodiscard]] bool is_empty_file(const std::string& root, const std::string& path);

/// The user's name inside: the container's, unless the root knows another user by it; "root" for uid 0.
[[nodiscard]] std::string user_name_in(const std::string& root, const std::string& container, uint32_t uid);

/// /bin/bash when the root has it, else /bin/sh.
[[nodiscard]] std::string shell_in(const std::string& root);

}  // namespace pwstore
