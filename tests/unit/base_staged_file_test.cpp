// SPDX-License-Identifier: GPL-3.0-or-later
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>

#include "store/base/error.hpp"
#include "store/base/path_at.hpp"
#include "store/base/staged_file.hpp"
#include "tests/support/test_dir.hpp"

namespace pwstore {
namespace {

TEST(StagedFile, AppearsOnlyWhenPublished) {
    const test::TestDir dir;
    const Fd fd = open_dir(AT_FDCWD, dir.path());
    dir.write("file", "old");
    StagedFile file(fd.get(), "file", 0640);
    file.write("new ");
    file.write("content");
    EXPECT_EQ(dir.read("file"), "old");
    file.publish();
    EXPECT_EQ(dir.read("file"), "new content");
    EXPECT_EQ(list_directory(fd.get()).size(), 1U);
    EXPECT_EQ(stat_at(fd.get(), "file").st_mode & 0777U, 0640U);
}

TEST(StagedFile, LeavesNothingBehindUnpublished) {
    const test::TestDir dir;
    const Fd fd = open_dir(AT_FDCWD, dir.path());
    {
        StagedFile file(fd.get(), "file");
        file.write("content");
        EXPECT_TRUE(list_directory(fd.get()).empty()) << "nor while it is written, where the file system can";
    }
    EXPECT_TRUE(list_directory(fd.get()).empty());
}

TEST(StagedFile, AKilledProgramLeavesNothing) {
    const test::TestDir dir;
    const Fd fd = open_dir(AT_FDCWD, dir.path());
    const pid_t child = ::fork();
    if (child == 0) {
        StagedFile file(fd.get(), "file");
        file.write("content");
        (void)::raise(SIGKILL);
    }
    ASSERT_EQ(::waitpid(child, nullptr, 0), child);
    EXPECT_TRUE(list_directory(fd.get()).empty());
}

TEST(StagedFile, WhereEveryFileHasANameASignalRemovesIt) {
    const test::TestDir dir;
    const Fd fd = open_dir(AT_FDCWD, dir.path());
    StagedFile kept(fd.get(), "kept", 0644, StagedFile::Naming::from_the_start);
    {
        const StagedFile dropped(fd.get(), "dropped", 0644, StagedFile::Naming::from_the_start);
        EXPECT_EQ(list_directory(fd.get()).size(), 2U);
    }
    EXPECT_EQ(list_directory(fd.get()).size(), 1U);
    kept.write("content");
    kept.publish();
    const StagedFile ended(fd.get(), "ended", 0644, StagedFile::Naming::from_the_start);
    EXPECT_EQ(list_directory(fd.get()).size(), 2U);
    StagedFile::remove_names();
    EXPECT_EQ(list_directory(fd.get()).size(), 1U);
    EXPECT_EQ(dir.read("kept"), "content");
}

TEST(StagedFile, ReplacesRegularFilesOnly) {
    const test::TestDir dir;
    const Fd fd = open_dir(AT_FDCWD, dir.path());
    ASSERT_EQ(::mkfifoat(fd.get(), "pipe", 0600), 0);
    ASSERT_EQ(::symlinkat("pipe", fd.get(), "link"), 0);
    ASSERT_EQ(::mkdirat(fd.get(), "directory", 0700), 0);
    for (const char* name : {"pipe", "link", "directory"}) {
        const mode_t before = stat_at(fd.get(), name).st_mode;
        EXPECT_THROW(write_file_atomically(fd.get(), name, "content"), Error) << name;
        EXPECT_EQ(stat_at(fd.get(), name).st_mode, before) << name;
    }
    EXPECT_EQ(list_directory(fd.get()).size(), 3U);
}

TEST(StagedFile, TwoOfOneNameDoNotMeet) {
    const test::TestDir dir;
    const Fd fd = open_dir(AT_FDCWD, dir.path());
    dir.write("sub/file", "old");
    StagedFile first(fd.get(), "sub/file");
    StagedFile second(fd.get(), "sub/file");
    first.write("1");
    second.write("2");
    first.publish();
    second.publish();
    EXPECT_EQ(dir.read("sub/file"), "2");
    EXPECT_EQ(list_directory(open_dir(fd.get(), "sub").get()).size(), 1U);
}

TEST(StagedFile, FailsWhereItsDirectoryIsMissing) {
    const test::TestDir dir;
    const Fd fd = open_dir(AT_FDCWD, dir.path());
    EXPECT_THROW(StagedFile(fd.get(), "none/file"), Error);
}

TEST(WriteFileAtomically, ReplacesASymlinkAndNotItsTarget) {
    const test::TestDir dir;
    const Fd fd = open_dir(AT_FDCWD, dir.path());
    dir.write("target", "precious");
    replace_symlink(fd.get(), "file", "target");
    write_file_atomically(fd.get(), "file", "new");
    EXPECT_EQ(dir.read("target"), "precious");
    EXPECT_EQ(dir.read("file"), "new");
}

}  // namespace
}  // namespace pwstore
