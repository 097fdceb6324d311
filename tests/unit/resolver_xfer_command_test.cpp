// SPDX-License-Identifier: GPL-3.0-or-later
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "resolver/xfer_command.hpp"
#include "store/base/error.hpp"
#include "store/base/path_at.hpp"
#include "tests/support/test_dir.hpp"

namespace pwstore {
namespace {

using test::TestDir;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using Anew = XferCommand::Anew;

TEST(XferCommandWords, AreCutAsAShellCutsThem) {
    EXPECT_THAT(split_words("  /usr/bin/curl  -o %o\t%u "), ElementsAre("/usr/bin/curl", "-o", "%o", "%u"));
    EXPECT_THAT(split_words("a 'b c' \"d \\\" e\" f\\ g ''"), ElementsAre("a", "b c", "d \" e", "f g", ""));
    EXPECT_THAT(split_words("'\\'"), ElementsAre("\\"));
    EXPECT_THAT(split_words(" \t"), IsEmpty());
    EXPECT_THROW((void)split_words("a 'b"), Error);
    EXPECT_THROW(XferCommand(" "), Error);
}

TEST(XferCommandFetch, KeepsTheFileWhenTheProgramEndsWell) {
    const TestDir dir;
    const std::string cache = dir.path();
    const XferCommand command("/bin/sh -c 'printf %s \"$1\" > \"$0\"' %o %u");
    EXPECT_TRUE(command.fetch("https://example.org/a b.pkg", cache, Anew::no));
    EXPECT_EQ(dir.read("a b.pkg"), "https://example.org/a b.pkg");
    EXPECT_FALSE(exists_at(AT_FDCWD, cache + "/a b.pkg.part"));
}

TEST(XferCommandFetch, RunsInTheDirectory) {
    const TestDir dir;
    const XferCommand command("/bin/sh -c 'pwd > here'");
    EXPECT_TRUE(command.fetch("https://example.org/x", dir.path() + "/", Anew::no));
    EXPECT_EQ(dir.read("here"), dir.path() + "\n");
}

TEST(XferCommandFetch, AFailureKeepsWhatWasThereUnlessItIsFetchedAnew) {
    const TestDir dir;
    const std::string file = dir.write("x", "old");
    const XferCommand command("/bin/false %o %u");
    EXPECT_FALSE(command.fetch("https://example.org/x", dir.path(), Anew::no));
    EXPECT_EQ(dir.read("x"), "old");
    EXPECT_FALSE(command.fetch("https://example.org/x", dir.path(), Anew::yes));
    EXPECT_FALSE(exists_at(AT_FDCWD, file));
}

TEST(XferCommandFetch, NamesOfDirectoriesAndMissingProgramsAreRefused) {
    const TestDir dir;
    EXPECT_FALSE(XferCommand("/bin/true").fetch("https://example.org/", dir.path(), Anew::no));
    EXPECT_FALSE(XferCommand("/bin/true").fetch("https://example.org/..", dir.path(), Anew::yes));
    EXPECT_THROW((void)XferCommand("/nothing/here %u").fetch("https://example.org/x", dir.path(), Anew::no),
                 Error);
}

}  // namespace
}  // namespace pwstore
