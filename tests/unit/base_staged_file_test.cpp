// SPDX-License-Identifier: GPL-3.0-or-later
#include <fcntl.h>
#include <gtest/gtest.h>

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
        EXPECT_EQ(list_directory(fd.get()).size(), 1U);
    }
    EXPECT_TRUE(list_directory(fd.get()).empty());
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
