// SPDX-License-Identifier: GPL-3.0-or-later
#include <fcntl.h>
#include <gmock/gmock.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "store/base/error.hpp"
#include "store/base/path_at.hpp"
#include "tests/support/test_dir.hpp"
#include "transact/harvest.hpp"

namespace pwstore {
namespace {

using ::testing::HasSubstr;
using ::testing::Key;
using ::testing::UnorderedElementsAre;

/// A root and an upper directory as a scriptlet's overlay leaves it.
class Harvest : public ::testing::Test {
 protected:
    Harvest() {
        make_directory(AT_FDCWD, dir_.path("root"));
        make_directory(AT_FDCWD, dir_.path("upper"));
    }
    void apply() {
        apply_upper(open_dir(AT_FDCWD, dir_.path("upper")).get(), open_dir(AT_FDCWD, dir_.path("root")).get(),
                    {Cause::scriptlet, "pkg", {}}, log_);
    }
    void whiteout(const std::string& below) const {
        const std::string path = dir_.path("upper/" + below);
        make_directories(AT_FDCWD, std::string(split_path(path).first));
        ASSERT_EQ(::mknod(path.c_str(), S_IFCHR, makedev(0, 0)), 0) << errno;
    }
    [[nodiscard]] std::string root(const std::string& below) const { return dir_.path("root/" + below); }

    test::TestDir dir_;
    ActLog log_;
};

TEST_F(Harvest, TakesFilesAsNewInodesAndNeverWritesThroughOldOnes) {
    dir_.write("root/etc/conf", "old");
    ASSERT_EQ(::link(root("etc/conf").c_str(), dir_.path("object").c_str()), 0);
    dir_.write("upper/etc/conf", "new");
    ASSERT_EQ(::chmod(dir_.path("upper/etc/conf").c_str(), 04755), 0);
    apply();
    EXPECT_EQ(dir_.read("root/etc/conf"), "new");
    EXPECT_EQ(dir_.read("object"), "old");
    EXPECT_EQ(stat_at(AT_FDCWD, root("etc/conf")).st_mode & 07777, 0755U);
    ASSERT_THAT(log_.paths(), UnorderedElementsAre(Key("etc/conf")));
    EXPECT_EQ(log_.paths().at("etc/conf").mode, 04755U);
    EXPECT_EQ(log_.paths().at("etc/conf").agent, "pkg");
}

TEST_F(Harvest, AWhiteoutRemovesAndLogsEverythingBelow) {
    dir_.write("root/usr/a/one", "1");
    dir_.write("root/usr/a/b/two", "2");
    dir_.write("root/usr/keep", "3");
    whiteout("usr/a");
    apply();
    EXPECT_FALSE(exists_at(AT_FDCWD, root("usr/a")));
    EXPECT_EQ(dir_.read("root/usr/keep"), "3");
    EXPECT_THAT(log_.paths(),
                UnorderedElementsAre(Key("usr/a"), Key("usr/a/one"), Key("usr/a/b"), Key("usr/a/b/two")));
}

TEST_F(Harvest, AnOpaqueDirectoryHidesWhatWasThere) {
    dir_.write("root/usr/a/old", "1");
    dir_.write("upper/usr/a/new", "2");
    if (::setxattr(dir_.path("upper/usr/a").c_str(), "user.overlay.opaque", "y", 1, 0) != 0) {
        PWSTORE_CANNOT_RUN("no user xattrs on the test directory");
    }
    apply();
    EXPECT_FALSE(exists_at(AT_FDCWD, root("usr/a/old")));
    EXPECT_EQ(dir_.read("root/usr/a/new"), "2");
    EXPECT_THAT(log_.paths(), UnorderedElementsAre(Key("usr/a/old"), Key("usr/a/new")));
}

TEST_F(Harvest, TypesReplaceEachOther) {
    dir_.write("root/file-to-dir", "x");
    dir_.write("root/dir-to-file/inner", "x");
    dir_.write("upper/file-to-dir/inner", "y");
    dir_.write("upper/dir-to-file", "y");
    ASSERT_EQ(::symlink("/etc/shadow", dir_.path("upper/link").c_str()), 0);
    ASSERT_EQ(::mkfifo(dir_.path("upper/pipe").c_str(), 0600), 0);
    apply();
    EXPECT_EQ(dir_.read("root/file-to-dir/inner"), "y");
    EXPECT_EQ(dir_.read("root/dir-to-file"), "y");
    EXPECT_EQ(read_link_at(AT_FDCWD, root("link")), "/etc/shadow");
    EXPECT_TRUE(S_ISFIFO(stat_at(AT_FDCWD, root("pipe")).st_mode));
}

TEST_F(Harvest, ModeZeroIsNoObstacleAndIsRemembered) {
    dir_.write("upper/secret/file", "x");
    ASSERT_EQ(::chmod(dir_.path("upper/secret/file").c_str(), 0), 0);
    ASSERT_EQ(::chmod(dir_.path("upper/secret").c_str(), 0), 0);
    apply();
    EXPECT_EQ(log_.paths().at("secret").mode, 0U);
    EXPECT_EQ(log_.paths().at("secret/file").mode, 0U);
    EXPECT_EQ(dir_.read("root/secret/file"), "x");
}

TEST_F(Harvest, ALinkInTheRootIsReplacedNotFollowed) {
    dir_.write("outside/victim", "untouched");
    ASSERT_EQ(::symlink(dir_.path("outside").c_str(), root("sub").c_str()), 0);
    dir_.write("upper/sub/victim", "evil");
    apply();
    EXPECT_EQ(dir_.read("outside/victim"), "untouched");
    EXPECT_TRUE(S_ISDIR(stat_at(AT_FDCWD, root("sub")).st_mode));
}

TEST_F(Harvest, LeavesOutWhatDiffersByNatureAndTheDatabase) {
    dir_.write("root/var/lib/pacman/local/x/desc", "ours");
    dir_.write("upper/var/lib/pacman/local/x/desc", "theirs");
    dir_.write("upper/var/cache/ldconfig/aux-cache", "x");
    dir_.write("upper/etc/passwd-", "x");
    for (const char* log : {"alternatives.log", "dpkg.log", "pacman.log", "apt/history.log", "other.log"})
        dir_.write(std::string("upper/var/log/") + log, "x");
    apply();
    EXPECT_THAT(list_directory(open_dir(AT_FDCWD, root("var/log")).get()), ::testing::SizeIs(2));
    EXPECT_TRUE(exists_at(AT_FDCWD, root("var/log/other.log")));
    EXPECT_FALSE(exists_at(AT_FDCWD, root("var/log/apt/history.log")));
    EXPECT_EQ(dir_.read("root/var/lib/pacman/local/x/desc"), "ours");
    EXPECT_THAT(log_.paths(), ::testing::Not(::testing::Contains(Key("etc/passwd-"))));
    EXPECT_FALSE(exists_at(AT_FDCWD, root("var/cache/ldconfig/aux-cache")));
}

TEST_F(Harvest, LeavesOutWhatAPersonTyped) {
    for (const char* path :
         {"root/.bash_history", "root/.python_history", "root/.lesshst", "root/.viminfo",
          "root/.local/state/nvim/shada/main.shada", "root/.local/share/fish/fish_history"}) {
        dir_.write(std::string("upper/") + path, "secret");
    }
    for (const char* path : {"root/.bashrc", "root/history", "root/sub/.bash_history", "srv/.bash_history"})
        dir_.write(std::string("upper/") + path, "kept");
    apply();
    std::vector<std::string> files;
    for (const auto& [path, touch] : log_.paths()) {
        if (path.find("ist") != std::string::npos || path.find("rc") != std::string::npos)
            files.push_back(path);
    }
    EXPECT_THAT(files, ::testing::ElementsAre("root/.bashrc", "root/history", "root/sub/.bash_history",
                                              "srv/.bash_history"));
    EXPECT_FALSE(exists_at(AT_FDCWD, root("root/.bash_history")));
}

TEST_F(Harvest, LimitsEndIt) {
    dir_.write("upper/a/b/c/d", "x");
    HarvestLimits limits;
    limits.depth = 2;
    try {
        apply_upper(open_dir(AT_FDCWD, dir_.path("upper")).get(), open_dir(AT_FDCWD, dir_.path("root")).get(),
                    {}, log_, limits);
        FAIL() << "accepted";
    } catch (const Error& error) {
        EXPECT_THAT(error.what(), HasSubstr("too deep"));
    }
    limits = {};
    limits.bytes = 1;
    dir_.write("upper/big", std::string(100'000, 'x'));
    EXPECT_THROW(apply_upper(open_dir(AT_FDCWD, dir_.path("upper")).get(),
                             open_dir(AT_FDCWD, dir_.path("root")).get(), {}, log_, limits),
                 Error);
}

TEST_F(Harvest, HolesStayHolesAndTheLengthHasALimit) {
    dir_.write("upper/var/log/sparse", "");
    ASSERT_EQ(::truncate(dir_.path("upper/var/log/sparse").c_str(), off_t{1} << 33), 0);
    apply();
    const struct stat taken = stat_at(AT_FDCWD, root("var/log/sparse"));
    EXPECT_EQ(taken.st_size, off_t{1} << 33);
    EXPECT_LT(taken.st_blocks * 512, 1 << 20);
    HarvestLimits limits;
    limits.length = 1 << 30;
    try {
        apply_upper(open_dir(AT_FDCWD, dir_.path("upper")).get(), open_dir(AT_FDCWD, dir_.path("root")).get(),
                    {}, log_, limits);
        FAIL() << "accepted";
    } catch (const Error& error) {
        EXPECT_THAT(error.what(), HasSubstr("var/log/sparse"));
        EXPECT_THAT(error.what(), HasSubstr("holes included"));
    }
}

TEST_F(Harvest, AScanSeesChangesInPlace) {
    dir_.write("root/same", "x");
    dir_.write("root/changed", "x");
    dir_.write("root/gone", "x");
    dir_.write("root/dir/inner", "x");
    const Fd root_fd = open_dir(AT_FDCWD, dir_.path("root"));
    const RootScan before(root_fd.get());
    ::usleep(20'000);
    dir_.write("root/changed", "y");
    dir_.write("root/dir/new", "z");
    ASSERT_EQ(::unlink(root("gone").c_str()), 0);
    before.log_changes(RootScan(root_fd.get()), {Cause::user, "me", {}}, log_);
    EXPECT_THAT(log_.paths(), UnorderedElementsAre(Key("changed"), Key("gone"), Key("dir/new")));
}

}  // namespace
}  // namespace pwstore
