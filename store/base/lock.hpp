// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <chrono>
#include <optional>
#include <string>

#include "store/base/fd.hpp"

namespace pwstore {

enum class LockMode { shared, exclusive };

/// A flock(2) on a regular file. It lives as long as an open description of the file does: a dead process
/// holds nothing, and the file's existence means nothing. The exclusive holder writes who it is into the
/// file; that text is for people only. After locking, the path is checked to name the locked inode still, so
/// a lock file may be unlinked by its exclusive holder.
class FileLock {
 public:
    /// Wait up to `patience` for the lock. @throws Error with Fault::busy naming the holder when it is not
    /// free in time.
    static FileLock acquire(int dir, const std::string& path, LockMode mode,
                            std::chrono::milliseconds patience, const std::string& owner);
    /// nullopt when another open description holds it.
    static std::optional<FileLock> try_acquire(int dir, const std::string& path, LockMode mode,
                                               const std::string& owner);

    [[nodiscard]] int fd() const noexcept { return file_.get(); }
    [[nodiscard]] Fd release() noexcept { return std::move(file_); }

 private:
    explicit FileLock(Fd file) : file_(std::move(file)) {}
    Fd file_;
};

/// True when no open description holds a lock on the file that conflicts with an exclusive one (or it is
/// absent).
[[nodiscard]] bool is_lock_free(int dir, const std::string& path);

}  // namespace pwstore
