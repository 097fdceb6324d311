// SPDX-License-Identifier: GPL-3.0-or-later
#include <fcntl.h>
#include <gtest/gtest.h>

#include <csignal>

#include "store/base/error.hpp"
#include "store/base/lock.hpp"
#include "store/base/path_at.hpp"
#include "tests/support/child_process.hpp"
#include "tests/support/test_dir.hpp"

namespace pwstore {
namespace {

using namespace std::chrono_literals;

class FileLockTest : public ::testing::Test {
 protected:
    [[nodiscard]] std::optional<FileLock> attempt(LockMode mode) const {
        return FileLock::try_acquire(AT_FDCWD, path_, mode, "a test");
    }
    test::TestDir dir_;
    std::string path_ = dir_.path("x.lock");
};

TEST_F(FileLockTest, OneExclusiveHolderOrManyShared) {
    {
        const auto exclusive = attempt(LockMode::exclusive);
        ASSERT_TRUE(exclusive);
        EXPECT_FALSE(attempt(LockMode::exclusive));
        EXPECT_FALSE(attempt(LockMode::shared));
        EXPECT_FALSE(is_lock_free(AT_FDCWD, path_));
    }
    EXPECT_TRUE(is_lock_free(AT_FDCWD, path_));
    const auto first = attempt(LockMode::shared);
    const auto second = attempt(LockMode::shared);
    EXPECT_TRUE(first && second);
    EXPECT_FALSE(attempt(LockMode::exclusive));
    EXPECT_FALSE(is_lock_free(AT_FDCWD, path_));
}

TEST_F(FileLockTest, SaysWhoHoldsIt) {
    const auto held = FileLock::try_acquire(AT_FDCWD, path_, LockMode::exclusive, "install 'x'");
    ASSERT_TRUE(held);
    try {
        (void)FileLock::acquire(AT_FDCWD, path_, LockMode::exclusive, 5ms, "another");
        FAIL() << "two holders";
    } catch (const Error& error) {
        EXPECT_EQ(error.fault(), Fault::busy);
        EXPECT_NE(
            std::string(error.what()).find("held by install 'x' (pid " + std::to_string(::getpid()) + ")"),
            std::string::npos)
            << error.what();
        EXPECT_FALSE(error.hint().empty());
    }
}

TEST_F(FileLockTest, ShowsTheHoldersTextHarmlessly) {
    const auto held = attempt(LockMode::exclusive);
    ASSERT_TRUE(held);
    ASSERT_EQ(::ftruncate(held->fd(), 0), 0);
    const std::string text = "\x1b[2Jevil\nsecond line";
    ASSERT_EQ(::pwrite(held->fd(), text.data(), text.size(), 0), static_cast<ssize_t>(text.size()));
    try {
        (void)FileLock::acquire(AT_FDCWD, path_, LockMode::shared, 0ms, "another");
        FAIL() << "two holders";
    } catch (const Error& error) {
        EXPECT_NE(std::string(error.what()).find("\\x1b[2Jevil"), std::string::npos) << error.what();
        EXPECT_EQ(std::string(error.what()).find("second"), std::string::npos) << error.what();
    }
}

TEST_F(FileLockTest, WaitsForTheHolder) {
    test::ChildProcess holder([&] {
        const auto held = attempt(LockMode::exclusive);
        (void)::raise(SIGSTOP);
    });
    holder.wait_until_stopped();
    EXPECT_FALSE(attempt(LockMode::shared));
    holder.kill(SIGCONT);
    EXPECT_NO_THROW((void)FileLock::acquire(AT_FDCWD, path_, LockMode::exclusive, 30s, "another"));
}

TEST_F(FileLockTest, EndsWithItsProcess) {
    test::ChildProcess holder([&] {
        const auto held = attempt(LockMode::exclusive);
        (void)::raise(SIGSTOP);
    });
    holder.wait_until_stopped();
    holder.kill(SIGKILL);
    EXPECT_EQ(holder.wait(), 128 + SIGKILL);
    EXPECT_TRUE(attempt(LockMode::exclusive));
}

TEST_F(FileLockTest, IsNotFooledByAnUnlinkedFile) {
    auto old = attempt(LockMode::exclusive);
    ASSERT_TRUE(old);
    remove_file(AT_FDCWD, path_);
    // The name is free again: a new file, a new lock, although the old inode is still locked.
    const auto fresh = attempt(LockMode::exclusive);
    ASSERT_TRUE(fresh);
    EXPECT_FALSE(attempt(LockMode::exclusive));
}

TEST_F(FileLockTest, IsOnTheFileThatHasTheNameAlthoughHoldersUnlinkIt) {
    const auto take_turns = [&] {
        for (int turn = 0; turn < 3000;) {
            const auto lock = attempt(LockMode::exclusive);
            if (!lock) continue;
            const auto named = try_stat_at(AT_FDCWD, path_);
            if (!named || named->st_ino != stat_fd(lock->fd(), path_).st_ino) {
                throw Error("lock", path_, "a file without a name is locked");
            }
            remove_file(AT_FDCWD, path_);
            ++turn;
        }
    };
    test::ChildProcess first(take_turns);
    test::ChildProcess second(take_turns);
    test::ChildProcess third(take_turns);
    EXPECT_EQ(first.wait(), 0);
    EXPECT_EQ(second.wait(), 0);
    EXPECT_EQ(third.wait(), 0);
}

TEST_F(FileLockTest, DoesNotFollowASymlink) {
    replace_symlink(AT_FDCWD, path_, dir_.path("elsewhere"));
    EXPECT_THROW((void)attempt(LockMode::exclusive), Error);
    EXPECT_FALSE(exists_at(AT_FDCWD, dir_.path("elsewhere")));
}

TEST(IsLockFree, TrueForNoFile) {
    const test::TestDir dir;
    EXPECT_TRUE(is_lock_free(AT_FDCWD, dir.path("none")));
    EXPECT_FALSE(exists_at(AT_FDCWD, dir.path("none")));
}

}  // namespace
}  // namespace pwstore
