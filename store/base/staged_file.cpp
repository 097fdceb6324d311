// SPDX-License-Identifier: GPL-3.0-or-later
#include "store/base/staged_file.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>

#include "store/base/error.hpp"
#include "store/base/path_at.hpp"

namespace pwstore {

namespace {

std::string staged_name_for(const std::string& name) {
    static std::atomic<unsigned> counter{0};
    const auto [parent, base] = split_path(name);
    const std::string hidden = fmt::format(".{}.{}.{}.staged", base, ::getpid(), counter++);
    return parent.empty() ? hidden : fmt::format("{}/{}", parent, hidden);
}

/// `name`, unless a rename would put a file in the place of a device, a pipe or a directory.
std::string checked(int dir, std::string name) {
    struct stat info {};
    if (::fstatat(dir, name.c_str(), &info, 0) == 0 && !S_ISREG(info.st_mode))
        throw Error("replace file", printable(name), "it is not a regular file").as(Fault::usage);
    return name;
}

}  // namespace

StagedFile::StagedFile(int dir, std::string name, mode_t mode)
    : dir_(dir),
      name_(checked(dir, std::move(name))),
      staged_name_(staged_name_for(name_)),
      file_(open_at(dir, staged_name_, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW, mode)) {}

StagedFile::~StagedFile() {
    if (file_) (void)::unlinkat(dir_, staged_name_.c_str(), 0);
}

void StagedFile::write(std::string_view bytes) {
    write_all(file_.get(), bytes, staged_name_);
}

void StagedFile::publish() {
    sync_fd(file_.get(), staged_name_);
    rename_at(dir_, staged_name_, dir_, name_);
    file_.reset();
    const auto [parent, base] = split_path(name_);
    const std::string directory = parent.empty() ? "." : std::string(parent);
    sync_fd(open_at(dir_, directory, O_RDONLY | O_DIRECTORY).get(), directory);
}

void write_file_atomically(int dir, const std::string& name, std::string_view bytes, mode_t mode) {
    StagedFile file(dir, name, mode);
    file.write(bytes);
    file.publish();
}

}  // namespace pwstore
