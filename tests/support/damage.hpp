// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <cstdint>
#include <string>

namespace pwstore::test {

/// Damage to files as disks and people do it. Mode and times stay as they were unless they are what is
/// damaged. Paths are absolute.
void flip_byte(const std::string& path, uint64_t offset);
void truncate_file(const std::string& path, uint64_t size);
void change_mode(const std::string& path, uint32_t mode);
void change_time(const std::string& path, int64_t seconds);
/// Put a new file (another inode) with the same metadata and `content` in its place.
void replace_file(const std::string& path, const std::string& content);
void add_file(const std::string& path, const std::string& content, uint32_t mode = 0644);
/// The directory's time stays as it was.
void remove_name(const std::string& path);
void set_attribute(const std::string& path, const std::string& name, const std::string& value);
[[nodiscard]] uint64_t inode_number(const std::string& path);

}  // namespace pwstore::test
