// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <sys/types.h>

#include <string>
#include <string_view>

#include "store/base/fd.hpp"

namespace pwstore {

/// A file that appears whole at its name, or not at all: written without a name, fsync'ed and named by
/// publish(). A crash leaves the old file and nothing else (in the moment in which one file replaces another,
/// at worst a `.NAME.PID.N.staged`). File systems without such files (vfat, NFS) have it under that name from
/// the start; the destructor removes it, and remove_names() does when a signal ends the program.
class StagedFile {
 public:
    enum class Naming { at_the_end, from_the_start };
    /// Create the staged file in directory `dir` (not owned; it must outlive this object).
    /// @param naming `at_the_end` where the file system can
    /// @throws Error (usage) when `name` is anything but a regular file, also through a symbolic link
    StagedFile(int dir, std::string name, mode_t mode = 0644, Naming naming = Naming::at_the_end);
    StagedFile(const StagedFile&) = delete;
    StagedFile& operator=(const StagedFile&) = delete;
    ~StagedFile();

    [[nodiscard]] int fd() const noexcept { return file_.get(); }
    void write(std::string_view bytes);
    /// Durable when it returns: data synced, named, directory synced.
    void publish();
    /// Of all that are not published. To be called by a signal handler that ends the process; only system
    /// calls.
    static void remove_names() noexcept;

 private:
    int dir_;
    std::string name_;
    std::string staged_name_;
    Fd file_;
    bool has_name_ = false;  ///< staged_name_

    [[nodiscard]] bool link_as(const std::string& name) const;
};

/// Replace `name` under `dir` by `bytes`, durably and atomically.
void write_file_atomically(int dir, const std::string& name, std::string_view bytes, mode_t mode = 0644);

}  // namespace pwstore
