// SPDX-License-Identifier: GPL-3.0-or-later
#include "store/base/staged_file.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>

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

std::string directory_of(const std::string& name) {
    const auto parent = split_path(name).first;
    return parent.empty() ? "." : std::string(parent);
}

/// Where an open file can be found to be linked; without privileges there is no other way.
std::string place_of(const Fd& file) {
    return fmt::format("/proc/self/fd/{}", file.get());
}

/// A file that vanishes with its descriptor; invalid where there are none.
Fd unnamed_file(int dir, const std::string& directory, mode_t mode) {
    Fd file(::openat(dir, directory.c_str(), O_TMPFILE | O_RDWR | O_CLOEXEC, mode));
    return file && ::access(place_of(file).c_str(), F_OK) == 0 ? std::move(file) : Fd();
}

/// Those that have a name meanwhile. More than these are left to their destructors.
std::array<std::atomic<const StagedFile*>, 64> named;
static_assert(std::atomic<const StagedFile*>::is_always_lock_free);

void replace_in_named(const StagedFile* before, const StagedFile* after) noexcept {
    for (auto& place : named) {
        const StagedFile* expected = before;
        if (place.compare_exchange_strong(expected, after)) return;
    }
}

}  // namespace

StagedFile::StagedFile(int dir, std::string name, mode_t mode, Naming naming)
    : dir_(dir),
      name_(checked(dir, std::move(name))),
      staged_name_(staged_name_for(name_)),
      file_(naming == Naming::at_the_end ? unnamed_file(dir, directory_of(name_), mode) : Fd()) {
    if (!file_) {
        file_ = open_at(dir, staged_name_, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW, mode);
        has_name_ = true;
    }
    replace_in_named(nullptr, this);
}

StagedFile::~StagedFile() {
    replace_in_named(this, nullptr);
    if (file_ && has_name_) (void)::unlinkat(dir_, staged_name_.c_str(), 0);
}

void StagedFile::remove_names() noexcept {
    for (const auto& place : named) {
        if (const StagedFile* file = place.load())
            (void)::unlinkat(file->dir_, file->staged_name_.c_str(), 0);
    }
}

void StagedFile::write(std::string_view bytes) {
    write_all(file_.get(), bytes, name_);
}

/// False when there is one of this name.
bool StagedFile::link_as(const std::string& name) const {
    if (::linkat(AT_FDCWD, place_of(file_).c_str(), dir_, name.c_str(), AT_SYMLINK_FOLLOW) == 0) return true;
    if (errno != EEXIST) throw Error::from_errno("write file", name);
    return false;
}

void StagedFile::publish() {
    sync_fd(file_.get(), name_);
    if (has_name_ || !link_as(name_)) {
        if (!has_name_) has_name_ = link_as(staged_name_);
        rename_at(dir_, staged_name_, dir_, name_);
        has_name_ = false;
    }
    file_.reset();
    const std::string directory = directory_of(name_);
    sync_fd(open_at(dir_, directory, O_RDONLY | O_DIRECTORY).get(), directory);
}

void write_file_atomically(int dir, const std::string& name, std::string_view bytes, mode_t mode) {
    StagedFile file(dir, name, mode);
    file.write(bytes);
    file.publish();
}

}  // namespace pwstore
