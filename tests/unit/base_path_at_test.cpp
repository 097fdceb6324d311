// SPDX-License-Identifier: GPL-3.0-or-later
#include <dirent.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <unistd.h>

#include <array>

#include "store/base/error.hpp"
#include "store/base/path_at.hpp"
#include "tests/support/child_process.hpp"
#include "tests/support/test_dir.hpp"

namespace pwstore {
namespace {

class PathAtTest : public ::testing::Test {
 protected:
    test::TestDir dir_;
    Fd fd_ = open_dir(AT_FDCWD, dir_.path());
};

// --- Open and look -------------------------------------------------------------------------------

TEST_F(PathAtTest, OpensCloseOnExec) {
    dir_.write("a", "x");
    EXPECT_NE(::fcntl(open_at(fd_.get(), "a", O_RDONLY).get(), F_GETFD) & FD_CLOEXEC, 0);
    EXPECT_NE(::fcntl(open_beneath(fd_.get(), "a", O_RDONLY).get(), F_GETFD) & FD_CLOEXEC, 0);
    EXPECT_FALSE(try_open_at(fd_.get(), "none", O_RDONLY));
    EXPECT_FALSE(try_open_at(fd_.get(), "a/below", O_RDONLY));
    EXPECT_THROW((void)open_at(fd_.get(), "none", O_RDONLY), Error);
}

TEST_F(PathAtTest, OpenDirDoesNotFollow) {
    make_directory(fd_.get(), "real");
    replace_symlink(fd_.get(), "link", "real");
    EXPECT_NO_THROW((void)open_dir(fd_.get(), "real"));
    EXPECT_THROW((void)open_dir(fd_.get(), "link"), Error);
}

TEST_F(PathAtTest, OpenBeneathLeavesByNoWay) {
    dir_.write("in/file", "x");
    dir_.write("secret", "s");
    replace_symlink(fd_.get(), "in/up", "../secret");
    replace_symlink(fd_.get(), "in/absolute", "/etc/passwd");
    replace_symlink(fd_.get(), "in/sibling", "file");
    const Fd in = open_dir(fd_.get(), "in");
    EXPECT_NO_THROW((void)open_beneath(in.get(), "file", O_RDONLY));
    EXPECT_FALSE(try_open_beneath(in.get(), "none", O_RDONLY));
    for (const char* path : {"../secret", "up", "absolute", "/etc/passwd", "sibling"}) {
        EXPECT_THROW((void)open_beneath(in.get(), path, O_RDONLY), Error) << path;
    }
    EXPECT_NO_THROW((void)open_beneath(in.get(), "made", O_WRONLY | O_CREAT, 0600));
    EXPECT_EQ(stat_at(in.get(), "made").st_mode & 0777U, 0600U);
}

TEST_F(PathAtTest, LooksAtSymlinksThemselves) {
    replace_symlink(fd_.get(), "link", "nowhere");
    EXPECT_TRUE(S_ISLNK(stat_at(fd_.get(), "link").st_mode));
    EXPECT_TRUE(exists_at(fd_.get(), "link"));
    EXPECT_FALSE(exists_at(fd_.get(), "nowhere"));
    EXPECT_FALSE(try_stat_at(fd_.get(), "link/below"));
    EXPECT_THROW((void)stat_at(fd_.get(), "nowhere"), Error);
}

TEST_F(PathAtTest, ReadsLinksOfAnyLength) {
    for (const size_t length : {1UL, 255UL, 256UL, 257UL, 4000UL}) {
        const std::string target(length, 't');
        replace_symlink(fd_.get(), "link", target);
        EXPECT_EQ(read_link_at(fd_.get(), "link"), target);
    }
    dir_.write("file", "x");
    EXPECT_THROW((void)read_link_at(fd_.get(), "file"), Error);
}

TEST_F(PathAtTest, ListsSortedWithTypes) {
    dir_.write("b", "");
    make_directory(fd_.get(), "a");
    replace_symlink(fd_.get(), "c", "b");
    const auto items = list_directory(fd_.get());
    ASSERT_EQ(items.size(), 3U);
    EXPECT_EQ(items[0].name + items[1].name + items[2].name, "abc");
    EXPECT_EQ(items[0].type, DT_DIR);
    EXPECT_EQ(items[1].type, DT_REG);
    EXPECT_EQ(items[2].type, DT_LNK);
    EXPECT_EQ(list_directory(fd_.get()).size(), 3U);  // the descriptor's offset does not matter
}

// --- Read and write ------------------------------------------------------------------------------

TEST_F(PathAtTest, ReadsFilesOfAnySize) {
    for (const size_t size : {0UL, 1UL, 4095UL, 4096UL, 4097UL, 1'000'000UL}) {
        const std::string content(size, 'c');
        dir_.write("file", content);
        EXPECT_EQ(read_file(fd_.get(), "file"), content);
    }
    EXPECT_FALSE(try_read_file(fd_.get(), "none"));
    EXPECT_FALSE(read_file(AT_FDCWD, "/proc/self/status").empty());  // a file that says its size is 0
    EXPECT_THROW((void)read_file(fd_.get(), "."), Error);
}

TEST_F(PathAtTest, CopiesToTheEnd) {
    const std::string content(700'000, 'x');
    dir_.write("from", content);
    const Fd from = open_at(fd_.get(), "from", O_RDONLY);
    const Fd to = open_at(fd_.get(), "to", O_WRONLY | O_CREAT, 0600);
    EXPECT_EQ(copy_all(from.get(), to.get(), "from"), content.size());
    EXPECT_EQ(dir_.read("to"), content);
}

TEST_F(PathAtTest, CopiesHolesAsHoles) {
    constexpr off_t kLength = off_t{1} << 33;
    for (const off_t data : {off_t{0}, kLength / 2, kLength - 3}) {
        const Fd from = open_at(fd_.get(), "from", O_RDWR | O_CREAT | O_TRUNC, 0600);
        ASSERT_EQ(::ftruncate(from.get(), kLength), 0);
        ASSERT_EQ(::pwrite(from.get(), "abc", 3, data), 3);
        const Fd to = open_at(fd_.get(), "to", O_RDWR | O_CREAT | O_TRUNC, 0600);
        EXPECT_EQ(copy_all(from.get(), to.get(), "from"), static_cast<size_t>(kLength));
        const struct stat copied = stat_fd(to.get(), "to");
        EXPECT_EQ(copied.st_size, kLength);
        EXPECT_LT(copied.st_blocks * 512, 1 << 20);
        std::array<char, 3> read{};
        ASSERT_EQ(::pread(to.get(), read.data(), read.size(), data), 3);
        EXPECT_EQ(std::string(read.data(), 3), "abc");
    }
}

TEST_F(PathAtTest, AFileOfNothingButAHoleKeepsItsLength) {
    const Fd from = open_at(fd_.get(), "from", O_RDWR | O_CREAT, 0600);
    ASSERT_EQ(::ftruncate(from.get(), 1 << 24), 0);
    const Fd to = open_at(fd_.get(), "to", O_RDWR | O_CREAT, 0600);
    EXPECT_EQ(copy_all(from.get(), to.get(), "from"), size_t{1} << 24U);
    EXPECT_EQ(stat_fd(to.get(), "to").st_size, 1 << 24);
}

TEST_F(PathAtTest, WriteFailureNamesThePath) {
    dir_.write("file", "");
    const Fd read_only = open_at(fd_.get(), "file", O_RDONLY);
    try {
        write_all(read_only.get(), "x", "that file");
        FAIL() << "wrote through a read-only descriptor";
    } catch (const Error& error) {
        EXPECT_EQ(error.error_number(), EBADF);
        EXPECT_NE(std::string(error.what()).find("that file"), std::string::npos);
    }
}

// --- Change --------------------------------------------------------------------------------------

TEST_F(PathAtTest, MakesDirectoriesTwiceButNotOverFiles) {
    make_directories(fd_.get(), "a/b/c", 0700);
    make_directories(fd_.get(), "a/b/c", 0700);
    make_directory(fd_.get(), "a");
    EXPECT_EQ(stat_at(fd_.get(), "a/b").st_mode & 07777U, 0700U);
    dir_.write("file", "");
    EXPECT_THROW(make_directory(fd_.get(), "file"), Error);
    EXPECT_THROW(make_directories(fd_.get(), "file/below"), Error);
    replace_symlink(fd_.get(), "link", "a");
    EXPECT_THROW(make_directory(fd_.get(), "link"), Error);
}

TEST_F(PathAtTest, RenamesWithFlags) {
    dir_.write("a", "1");
    dir_.write("b", "2");
    EXPECT_THROW(rename_at(fd_.get(), "a", fd_.get(), "b", RENAME_NOREPLACE), Error);
    rename_at(fd_.get(), "a", fd_.get(), "b", RENAME_EXCHANGE);
    EXPECT_EQ(dir_.read("a") + dir_.read("b"), "21");
    rename_at(fd_.get(), "a", fd_.get(), "b");
    EXPECT_EQ(dir_.read("b"), "2");
    EXPECT_FALSE(exists_at(fd_.get(), "a"));
}

TEST_F(PathAtTest, ReplacesFilesAndLinksBySymlinks) {
    dir_.write("name", "file");
    replace_symlink(fd_.get(), "name", "one");
    replace_symlink(fd_.get(), "name", "two");
    EXPECT_EQ(read_link_at(fd_.get(), "name"), "two");
    make_directory(fd_.get(), "dir");
    EXPECT_THROW(replace_symlink(fd_.get(), "dir", "x"), Error);
    EXPECT_EQ(list_directory(fd_.get()).size(), 2U);  // nothing temporary is left
}

TEST_F(PathAtTest, SetsTimesOfLinksThemselves) {
    dir_.write("file", "");
    replace_symlink(fd_.get(), "link", "file");
    set_mtime_at(fd_.get(), "link", 1000, 5);
    EXPECT_EQ(stat_at(fd_.get(), "link").st_mtim.tv_sec, 1000);
    EXPECT_EQ(stat_at(fd_.get(), "link").st_mtim.tv_nsec, 5);
    EXPECT_NE(stat_at(fd_.get(), "file").st_mtim.tv_sec, 1000);
}

TEST(SplitPath, GivesDirectoryAndLastComponent) {
    EXPECT_EQ(split_path("a/b/c"), std::pair(std::string_view("a/b"), std::string_view("c")));
    EXPECT_EQ(split_path("c"), std::pair(std::string_view(""), std::string_view("c")));
}

// --- Remove --------------------------------------------------------------------------------------

TEST_F(PathAtTest, RemoveTellsWhetherThereWasSomething) {
    dir_.write("a", "");
    EXPECT_TRUE(remove_file(fd_.get(), "a"));
    EXPECT_FALSE(remove_file(fd_.get(), "a"));
    EXPECT_FALSE(remove_tree(fd_.get(), "a"));
    EXPECT_FALSE(remove_tree(fd_.get(), "a/b"));
    dir_.write("a", "");
    EXPECT_TRUE(remove_tree(fd_.get(), "a"));
    EXPECT_TRUE(list_directory(fd_.get()).empty());
}

TEST_F(PathAtTest, RemoveTreeFollowsNoSymlink) {
    dir_.write("precious/file", "x");
    make_directory(fd_.get(), "tree");
    replace_symlink(fd_.get(), "tree/link", dir_.path("precious"));
    replace_symlink(fd_.get(), "alias", "precious");
    EXPECT_TRUE(remove_tree(fd_.get(), "tree"));
    EXPECT_TRUE(remove_tree(fd_.get(), "alias"));
    EXPECT_EQ(dir_.read("precious/file"), "x");
}

/// Directories of every mode that denies something, with files in them; run by an ordinary user.
void remove_forbidding_tree(const std::string& top) {
    if (::geteuid() == 0 &&
        (::setresgid(12345, 12345, 12345) != 0 || ::setresuid(12345, 12345, 12345) != 0)) {
        throw Error::from_errno("become an ordinary user", "");
    }
    const Fd fd = open_dir(AT_FDCWD, top);
    for (const unsigned mode : {0000U, 0100U, 0200U, 0300U, 0400U, 0500U, 0600U, 0700U}) {
        const std::string name = "tree/d" + std::to_string(mode);
        make_directories(fd.get(), name + "/below");
        write_all(open_at(fd.get(), name + "/below/file", O_WRONLY | O_CREAT, 0000).get(), "x", name);
        if (::fchmodat(fd.get(), (name + "/below").c_str(), mode, 0) != 0 ||
            ::fchmodat(fd.get(), name.c_str(), mode, 0) != 0) {
            throw Error::from_errno("chmod", name);
        }
    }
    if (::fchmodat(fd.get(), "tree", 0500, 0) != 0) throw Error::from_errno("chmod", "tree");
    if (!remove_tree(fd.get(), "tree") || exists_at(fd.get(), "tree"))
        throw Error("remove", "tree", "it is still there");
}

TEST_F(PathAtTest, ASyncThatFailsIsAnError) {
    EXPECT_THROW(sync_filesystem(-1, "nowhere"), Error);
    EXPECT_THROW(sync_fd(-1, "nowhere"), Error);
    const Fd dir = open_dir(AT_FDCWD, dir_.path());
    EXPECT_NO_THROW(sync_filesystem(dir.get(), "dir"));
    EXPECT_NO_THROW(sync_fd(dir.get(), "dir"));
}

TEST_F(PathAtTest, OpenInRootFollowsSymlinksAsIfTheRootWereSlash) {
    dir_.write("outside", "host");
    dir_.write("root/inside", "root");
    dir_.write("root/outside", "root");
    make_directories(AT_FDCWD, dir_.path("root/sub"));
    const Fd root = open_dir(AT_FDCWD, dir_.path("root"));
    const auto content = [&](const std::string& path) {
        const auto fd = try_open_in_root(root.get(), path, O_RDONLY);
        return fd ? read_all(fd->get(), path) : "(none)";
    };
    replace_symlink(root.get(), "absolute", "/inside");
    replace_symlink(root.get(), "up", "../../../outside");
    replace_symlink(root.get(), "host", dir_.path("outside"));
    replace_symlink(root.get(), "loop", "loop");
    EXPECT_EQ(content("inside"), "root");
    EXPECT_EQ(content("/inside"), "root");
    EXPECT_EQ(content("sub/../../../inside"), "root");
    EXPECT_EQ(content("absolute"), "root");
    EXPECT_EQ(content("up"), "root");
    EXPECT_EQ(content("host"), "(none)");
    EXPECT_EQ(content(dir_.path("outside")), "(none)");
    EXPECT_EQ(content("loop"), "(none)");
}

TEST_F(PathAtTest, RemoveTreeTakesDirectoriesOfAnyMode) {
    ASSERT_EQ(::chmod(dir_.path().c_str(), 0777), 0);
    const mode_t before = stat_at(AT_FDCWD, dir_.path()).st_mode;
    EXPECT_EQ(test::run_in_child([&] { remove_forbidding_tree(dir_.path()); }), 0);
    EXPECT_EQ(stat_at(AT_FDCWD, dir_.path()).st_mode, before);
}

TEST_F(PathAtTest, RemoveTreeOfFiveThousandLevelsNeedsFewDescriptors) {
    const auto act = [&] {
        const struct rlimit few { 64, 64 };
        if (::setrlimit(RLIMIT_NOFILE, &few) != 0) throw Error::from_errno("limit descriptors", "");
        Fd at = open_dir(AT_FDCWD, dir_.path());
        for (int level = 0; level < 5000; ++level) {
            make_directory(at.get(), "d");
            write_all(open_at(at.get(), "file", O_WRONLY | O_CREAT, 0600).get(), "x", "file");
            at = open_dir(at.get(), "d");
        }
        at = open_dir(AT_FDCWD, dir_.path());
        if (!remove_tree(at.get(), "d")) throw Error("remove", "d", "it was not there");
        if (list_directory(at.get()).size() != 1) throw Error("remove", "d", "something is left");
    };
    EXPECT_EQ(test::run_in_child(act), 0);
}

}  // namespace
}  // namespace pwstore
