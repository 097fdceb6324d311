// SPDX-License-Identifier: GPL-3.0-or-later
#include "store/base/lock.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <unistd.h>

#include <thread>

#include "store/base/error.hpp"
#include "store/base/path_at.hpp"

namespace pwstore {

namespace {

constexpr size_t kOwnerTextLimit = 200;

bool try_flock(int fd, LockMode mode, const std::string& path) {
    const int operation = (mode == LockMode::exclusive ? LOCK_EX : LOCK_SH) | LOCK_NB;
    for (;;) {
        if (::flock(fd, operation) == 0) return true;
        if (errno == EWOULDBLOCK) return false;
        if (errno != EINTR) throw Error::from_errno("lock", path);
    }
}

bool names_inode(int dir, const std::string& path, int fd) {
    const auto there = try_stat_at(dir, path);
    if (!there) return false;
    const struct stat held = stat_fd(fd, path);
    return there->st_dev == held.st_dev && there->st_ino == held.st_ino;
}

/// What the holder wrote, made harmless: it may have been written by anyone who can open the file.
std::string owner_text(int fd) {
    std::string text(kOwnerTextLimit, '\0');
    const ssize_t got = ::pread(fd, text.data(), text.size(), 0);
    text.resize(got > 0 ? static_cast<size_t>(got) : 0);
    if (const size_t end = text.find('\n'); end != std::string::npos) text.resize(end);
    return text.empty() ? "another process" : printable(text);
}

void write_owner(int fd, const std::string& owner) {
    const std::string text = fmt::format("{} (pid {})\n", owner, ::getpid());
    if (::ftruncate(fd, 0) == 0) (void)!::pwrite(fd, text.data(), text.size(), 0);
}

}  // namespace

std::optional<FileLock> FileLock::try_acquire(int dir, const std::string& path, LockMode mode,
                                              const std::string& owner) {
    for (;;) {
        Fd file = open_at(dir, path, O_RDWR | O_CREAT | O_NOFOLLOW, 0600);
        if (!try_flock(file.get(), mode, path)) return std::nullopt;
        if (!names_inode(dir, path, file.get())) continue;
        if (mode == LockMode::exclusive) write_owner(file.get(), owner);
        return FileLock(std::move(file));
    }
}

FileLock FileLock::acquire(int dir, const std::string& path, LockMode mode,
                           std::chrono::milliseconds patience, const std::string& owner) {
    const auto deadline = std::chrono::steady_clock::now() + patience;
    auto pause = std::chrono::milliseconds(1);
    for (;;) {
        if (auto lock = try_acquire(dir, path, mode, owner)) return std::move(*lock);
        if (std::chrono::steady_clock::now() >= deadline) break;
        std::this_thread::sleep_for(pause);
        pause = std::min(pause * 2, std::chrono::milliseconds(50));
    }
    const auto file = try_open_at(dir, path, O_RDONLY | O_NOFOLLOW);
    const std::string holder = file ? owner_text(file->get()) : "another process";
    throw Error("lock", path, fmt::format("held by {}", holder))
        .as(Fault::busy)
        .with_hint("wait for it to end and try again");
}

bool is_lock_free(int dir, const std::string& path) {
    const auto file = try_open_at(dir, path, O_RDONLY | O_NOFOLLOW);
    if (!file) return true;
    // Another process that asks the same holds it for the moment of its question.
    constexpr int kTries = 6;
    for (int attempt = 1; !try_flock(file->get(), LockMode::exclusive, path); ++attempt) {
        if (attempt == kTries) return false;
        std::this_thread::sleep_for(std::chrono::milliseconds(2));
    }
    return true;
}

}  // namespace pwstore
