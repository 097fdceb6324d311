// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <sys/types.h>

#include <string>
#include <string_view>

#include "store/base/fd.hpp"

namespace pwstore {

/// A file that appears whole at its name, or not at all: written beside it, fsync'ed and renamed by
/// publish(); the destructor removes what was not published. A crash leaves the old file, or at worst a
/// `.NAME.PID.N.staged`.
class StagedFile {
 public:
    /// Create the staged file in directory `dir` (not owned; it must outlive this object).
    /// @throws Error (usage) when `name` is anything but a regular file, also through a symbolic link
    StagedFile(int dir, std::string name, mode_t mode = 0644);
    StagedFile(const StagedFile&) = delete;
    StagedFile& operator=(const StagedFile&) = delete;
    ~StagedFile();

    [[nodiscard]] int fd() const noexcept { return file_.get(); }
    void write(std::string_view bytes);
    /// Durable when it returns: data synced, name renamed, directory synced.
    void publish();

 private:
    int dir_;
    std::string name_;
    std::string staged_name_;
    Fd file_;
};

/// Replace `name` under `dir` by `bytes`, durably and atomically.
void write_file_atomically(int dir, const std::string& name, std::string_view bytes, mode_t mode = 0644);

}  // namespace pwstore
