// SPDX-License-Identifier: GPL-3.0-or-later
#include "tests/support/damage.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <array>

#include "store/base/error.hpp"
#include "store/base/path_at.hpp"

namespace pwstore::test {

namespace {

void check(bool worked, const char* step, const std::string& path) {
    if (!worked) throw Error::from_errno(step, path);
}

void set_times(const std::string& path, const struct stat& info) {
    const std::array<timespec, 2> times{info.st_atim, info.st_mtim};
    check(::utimensat(AT_FDCWD, path.c_str(), times.data(), AT_SYMLINK_NOFOLLOW) == 0, "set time", path);
}

std::string parent_of(const std::string& path) {
    return std::string(split_path(path).first);
}

/// Runs `act`, then gives the file its mode and time back.
template <typename Act>
void keeping_metadata(const std::string& path, const Act& act) {
    const struct stat before = stat_at(AT_FDCWD, path);
    check(::chmod(path.c_str(), 0600) == 0, "set mode", path);
    act();
    check(::chmod(path.c_str(), before.st_mode & 07777U) == 0, "set mode", path);
    set_times(path, before);
}

}  // namespace

void flip_byte(const std::string& path, uint64_t offset) {
    keeping_metadata(path, [&] {
        const Fd file = open_at(AT_FDCWD, path, O_RDWR);
        char byte = 0;
        check(::pread(file.get(), &byte, 1, static_cast<off_t>(offset)) == 1, "read", path);
        byte = static_cast<char>(byte ^ 1);
        check(::pwrite(file.get(), &byte, 1, static_cast<off_t>(offset)) == 1, "write", path);
    });
}

void truncate_file(const std::string& path, uint64_t size) {
    keeping_metadata(
        path, [&] { check(::truncate(path.c_str(), static_cast<off_t>(size)) == 0, "truncate", path); });
}

void change_mode(const std::string& path, uint32_t mode) {
    check(::chmod(path.c_str(), mode) == 0, "set mode", path);
}

void change_time(const std::string& path, int64_t seconds) {
    set_mtime_at(AT_FDCWD, path, seconds);
}

void replace_file(const std::string& path, const std::string& content) {
    const struct stat before = stat_at(AT_FDCWD, path);
    const struct stat parent = stat_at(AT_FDCWD, parent_of(path));
    const std::string beside = path + ".new";
    write_all(open_at(AT_FDCWD, beside, O_WRONLY | O_CREAT | O_EXCL, 0600).get(), content, beside);
    check(::chmod(beside.c_str(), before.st_mode & 07777U) == 0, "set mode", path);
    set_times(beside, before);
    rename_at(AT_FDCWD, beside, AT_FDCWD, path);
    set_times(parent_of(path), parent);
}

void add_file(const std::string& path, const std::string& content, uint32_t mode) {
    const struct stat parent = stat_at(AT_FDCWD, parent_of(path));
    write_all(open_at(AT_FDCWD, path, O_WRONLY | O_CREAT | O_EXCL, 0600).get(), content, path);
    check(::chmod(path.c_str(), mode) == 0, "set mode", path);
    set_times(parent_of(path), parent);
}

void remove_name(const std::string& path) {
    const struct stat parent = stat_at(AT_FDCWD, parent_of(path));
    remove_tree(open_dir(AT_FDCWD, parent_of(path)).get(), std::string(split_path(path).second));
    set_times(parent_of(path), parent);
}

void set_attribute(const std::string& path, const std::string& name, const std::string& value) {
    const auto set = [&] {
        check(::lsetxattr(path.c_str(), name.c_str(), value.data(), value.size(), 0) == 0, "set attribute",
              path);
    };
    if (S_ISDIR(stat_at(AT_FDCWD, path).st_mode)) return set();
    keeping_metadata(path, set);
}

uint64_t inode_number(const std::string& path) {
    return stat_at(AT_FDCWD, path).st_ino;
}

}  // namespace pwstore::test
