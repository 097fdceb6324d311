// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "store/base/fd.hpp"

namespace pwstore {

/// File operations relative to a directory descriptor (AT_FDCWD for none). All descriptors are O_CLOEXEC;
/// EINTR is retried; every failure is an Error with step and path. A final symlink is never followed unless a
/// flag says so.

// --- Open and look -------------------------------------------------------------------------------

/// openat(2) with O_CLOEXEC added.
[[nodiscard]] Fd open_at(int dir, const std::string& path, int flags, mode_t mode = 0);
/// Like open_at, but nullopt when the path does not exist (ENOENT, ENOTDIR).
[[nodiscard]] std::optional<Fd> try_open_at(int dir, const std::string& path, int flags, mode_t mode = 0);
/// A directory, O_DIRECTORY | O_NOFOLLOW.
[[nodiscard]] Fd open_dir(int dir, const std::string& path);
/// openat2(2) with RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS: for names that others
/// chose.
[[nodiscard]] Fd open_beneath(int dir, const std::string& path, int flags, mode_t mode = 0);
[[nodiscard]] std::optional<Fd> try_open_beneath(int dir, const std::string& path, int flags,
                                                 mode_t mode = 0);
/// openat2(2) with RESOLVE_IN_ROOT: symlinks are followed, but as if `root` were "/". nullopt when it does
/// not exist.
[[nodiscard]] std::optional<Fd> try_open_in_root(int root, const std::string& path, int flags);

[[nodiscard]] struct stat stat_fd(int fd, std::string_view path_for_errors);
/// lstat; nullopt when the path does not exist.
[[nodiscard]] std::optional<struct stat> try_stat_at(int dir, const std::string& path);
[[nodiscard]] struct stat stat_at(int dir, const std::string& path);
[[nodiscard]] bool exists_at(int dir, const std::string& path);
/// nullopt when the path does not exist.
[[nodiscard]] std::optional<std::string> try_read_link_at(int dir, const std::string& path);
[[nodiscard]] std::string read_link_at(int dir, const std::string& path);

struct DirectoryItem {
    std::string name;
    unsigned char type;  ///< DT_*; never DT_UNKNOWN
};
/// Entries of an open directory but "." and "..", sorted by bytes.
[[nodiscard]] std::vector<DirectoryItem> list_directory(int dir);
/// How many these are.
[[nodiscard]] size_t count_directory(int dir);

// --- Read and write ------------------------------------------------------------------------------

/// read(2) into `buffer`, retried when interrupted; 0 at the end.
[[nodiscard]] size_t read_some(int fd, std::span<char> buffer, std::string_view path_for_errors);
[[nodiscard]] std::string read_all(int fd, std::string_view path_for_errors);
[[nodiscard]] std::string read_file(int dir, const std::string& path);
[[nodiscard]] std::optional<std::string> try_read_file(int dir, const std::string& path);
void write_all(int fd, std::string_view bytes, std::string_view path_for_errors);
/// Copy `from` (current offset) to `to` until its end, holes of a file as holes; returns the bytes copied.
size_t copy_all(int from, int to, std::string_view path_for_errors);

// --- Change --------------------------------------------------------------------------------------

/// mkdirat(2); an existing directory is fine, anything else there is an error.
void make_directory(int dir, const std::string& path, mode_t mode = 0755);
/// mkdir -p of a path that we chose ourselves.
void make_directories(int dir, const std::string& path, mode_t mode = 0755);
/// unlinkat(2); false when it was not there.
bool remove_file(int dir, const std::string& path);
/// rm -rf of one name: never follows a symlink, takes directories of any depth and mode that belong to this
/// user; false when it was not there.
bool remove_tree(int dir, const std::string& name);
/// renameat2(2); `flags` as there (RENAME_NOREPLACE, RENAME_EXCHANGE).
void rename_at(int from_dir, const std::string& from, int to_dir, const std::string& to, unsigned flags = 0);
/// A symlink `name` → `target` put there atomically, whatever non-directory was there.
void replace_symlink(int dir, const std::string& name, const std::string& target);
void set_mtime_at(int dir, const std::string& path, int64_t seconds, uint32_t nanoseconds = 0);
void sync_filesystem(int fd, std::string_view path_for_errors);
void sync_fd(int fd, std::string_view path_for_errors);

/// Directory and last component of a path without a trailing slash: "a/b/c" → {"a/b", "c"}, "c" → {"", "c"}.
[[nodiscard]] std::pair<std::string_view, std::string_view> split_path(std::string_view path);

}  // namespace pwstore
