// SPDX-License-Identifier: GPL-3.0-or-later
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include "store/base/error.hpp"
#include "store/base/path_at.hpp"
#include "store/file_fetch.hpp"
#include "tests/support/test_dir.hpp"

namespace pwstore {
namespace {

using ::testing::HasSubstr;

class FileFetchTest : public ::testing::Test {
 protected:
    FileFetchTest() {
        (void)dir.write("server/file", "content");
        make_directories(AT_FDCWD, dir.path("here"));
        set_time("server/file", 1000);
    }
    void set_time(const std::string& below, time_t seconds) const {
        const timespec times[] = {{seconds, 0}, {seconds, 0}};
        ASSERT_EQ(::utimensat(AT_FDCWD, dir.path(below).c_str(), times, 0), 0);
    }
    [[nodiscard]] FetchOrder order() const {
        return {.url = "file://" + dir.path("server/file"), .directory = dir.path("here"), .name = "file"};
    }
    [[nodiscard]] bool has_part() const { return exists_at(AT_FDCWD, dir.path("here/file.part")); }

    test::TestDir dir;
    Fetcher fetch = make_fetcher({});
};

TEST_F(FileFetchTest, AFileComesWholeAndWithItsTime) {
    uint64_t last = 0, of = 0;
    EXPECT_TRUE(fetch(order(), [&](uint64_t done, uint64_t total) { last = done, of = total; }));
    EXPECT_EQ(dir.read("here/file"), "content");
    EXPECT_EQ(stat_at(AT_FDCWD, dir.path("here/file")).st_mtime, 1000);
    EXPECT_EQ(last, 7U);
    EXPECT_EQ(of, 7U);
    EXPECT_FALSE(has_part());
}

TEST_F(FileFetchTest, OnlyWhatIsNewerComesUnlessItIsWantedAnew) {
    (void)dir.write("here/file", "old");
    set_time("here/file", 1000);
    EXPECT_FALSE(fetch(order(), {}));
    EXPECT_EQ(dir.read("here/file"), "old");
    EXPECT_FALSE(has_part());
    FetchOrder anew = order();
    anew.anew = true;
    EXPECT_TRUE(fetch(anew, {}));
    EXPECT_EQ(dir.read("here/file"), "content");
    (void)dir.write("here/file", "old");
    set_time("here/file", 999);
    EXPECT_TRUE(fetch(order(), {}));
    EXPECT_EQ(dir.read("here/file"), "content");
}

TEST_F(FileFetchTest, ABeginningIsContinuedWhereThatIsWanted) {
    (void)dir.write("here/file.part", "CON");
    FetchOrder wanted = order();
    wanted.continues = true;
    EXPECT_TRUE(fetch(wanted, {}));
    EXPECT_EQ(dir.read("here/file"), "CONtent");
    (void)dir.write("here/file.part", "CON");
    set_time("server/file", 2000);
    EXPECT_TRUE(fetch(order(), {}));
    EXPECT_EQ(dir.read("here/file"), "content");
}

TEST_F(FileFetchTest, WhatCannotBeContinuedBeginsAnew) {
    (void)dir.write("here/file.part", "longer than all that the server has");
    FetchOrder wanted = order();
    wanted.continues = true;
    EXPECT_TRUE(fetch(wanted, {}));
    EXPECT_EQ(dir.read("here/file"), "content");
}

TEST_F(FileFetchTest, AMissingFileIsAnErrorThatNamesIt) {
    (void)dir.write("here/file", "old");
    FetchOrder absent = order();
    absent.url += "-2";
    try {
        (void)fetch(absent, {});
        ADD_FAILURE() << "no Error was thrown";
    } catch (const Error& error) {
        EXPECT_THAT(error.what(), HasSubstr(absent.url));
        EXPECT_THAT(error.what(), HasSubstr("no such file"));
    }
    EXPECT_EQ(dir.read("here/file"), "old");
    EXPECT_FALSE(has_part());
}

TEST_F(FileFetchTest, NothingBeyondTheLimitIsKept) {
    FetchOrder limited = order();
    limited.limit = 6;
    EXPECT_THROW((void)fetch(limited, {}), Error);
    EXPECT_FALSE(exists_at(AT_FDCWD, dir.path("here/file")));
    EXPECT_FALSE(has_part());
    limited.limit = 7;
    EXPECT_TRUE(fetch(limited, {}));
}

}  // namespace
}  // namespace pwstore
