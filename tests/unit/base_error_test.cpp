// SPDX-License-Identifier: GPL-3.0-or-later
#include <gtest/gtest.h>

#include "store/base/error.hpp"

namespace pwstore {
namespace {

TEST(Error, SaysStepPathAndCause) {
    EXPECT_STREQ(Error("link", "usr/bin/x", "no space").what(), "link 'usr/bin/x': no space");
    EXPECT_STREQ(Error("commit", "", "no space").what(), "commit: no space");
}

TEST(Error, KeepsErrnoAndHintsAtFullDisks) {
    const Error missing = Error::from_errno("open", "x", ENOENT);
    EXPECT_EQ(missing.error_number(), ENOENT);
    EXPECT_STREQ(missing.what(), "open 'x': No such file or directory");
    EXPECT_TRUE(missing.hint().empty());
    EXPECT_FALSE(Error::from_errno("write", "x", ENOSPC).hint().empty());
    EXPECT_FALSE(Error::from_errno("write", "x", EDQUOT).hint().empty());
}

TEST(Error, CarriesFaultAndWiderSteps) {
    const Error error = Error("lock", "a", "held").as(Fault::busy).with_hint("wait").within("install 'x'");
    EXPECT_EQ(error.fault(), Fault::busy);
    EXPECT_EQ(error.hint(), "wait");
    EXPECT_STREQ(error.what(), "install 'x': lock 'a': held");
    EXPECT_EQ(Error("a", "b", "c").fault(), Fault::failure);
}

TEST(Error, InStepPutsTheWiderStepInFrontAndPassesResultsThrough) {
    EXPECT_EQ(in_step("count", [] { return 3; }), 3);
    try {
        in_step("outer", [] { throw Error("inner", "p", "c"); });
        FAIL() << "nothing was thrown";
    } catch (const Error& error) {
        EXPECT_STREQ(error.what(), "outer: inner 'p': c");
    }
}

TEST(Printable, EscapesWhatATerminalWouldObey) {
    struct Case {
        std::string_view raw, shown;
    };
    const Case cases[] = {
        {"plain text/å€😀", "plain text/å€😀"},
        {"a\nb", "a\\x0ab"},
        {"\x1b[31m", "\\x1b[31m"},
        {std::string_view("\0", 1), "\\x00"},
        {"\x7f", "\\x7f"},
        {"\xc2\x9b", "\\xc2\\x9b"},           // C1 control
        {"\xe2\x80\xae", "\\xe2\\x80\\xae"},  // right-to-left override
        {"\xe2\x81\xa6", "\\xe2\\x81\\xa6"},  // left-to-right isolate
        {"\xff", "\\xff"},
        {"\xc3", "\\xc3"},                             // cut short
        {"\xc0\xaf", "\\xc0\\xaf"},                    // overlong
        {"\xe0\x80\xaf", "\\xe0\\x80\\xaf"},           // overlong
        {"\xed\xa0\x80", "\\xed\\xa0\\x80"},           // surrogate
        {"\xf0\x80\x80\x80", "\\xf0\\x80\\x80\\x80"},  // overlong
        {"\xf4\x90\x80\x80", "\\xf4\\x90\\x80\\x80"},  // beyond Unicode
        {"\xf5\x80\x80\x80", "\\xf5\\x80\\x80\\x80"},
    };
    for (const Case& one : cases)
        EXPECT_EQ(printable(one.raw), one.shown);
}

TEST(Printable, IsAppliedToPathsOfErrors) {
    EXPECT_STREQ(Error("open", "a\x1b[2J", "no").what(), "open 'a\\x1b[2J': no");
}

}  // namespace
}  // namespace pwstore
