// SPDX-License-Identifier: GPL-3.0-or-later
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cli/pacman/options.hpp"

namespace pwstore::cli::pacman {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using Words = std::vector<std::string>;

std::string refusal(const Words& words) {
    try {
        (void)read_options(words);
    } catch (const Usage& problem) {
        return problem.what();
    }
    return "";
}

TEST(PacmanOptions, LettersMayBeBundled) {
    const Options sync = read_options({"-Syyuw", "vim"});
    EXPECT_EQ(sync.operation, Operation::sync);
    EXPECT_EQ(sync.refresh, 2U);
    EXPECT_EQ(sync.upgrade, 1U);
    EXPECT_TRUE(sync.download_only);
    EXPECT_THAT(sync.targets, ElementsAre("vim"));
    const Options query = read_options({"-Qqen"});
    EXPECT_TRUE(query.quiet && query.explicitly && query.native);
    EXPECT_FALSE(query.no_save);
    const Options remove = read_options({"-Rnss", "a", "-c"});
    EXPECT_TRUE(remove.no_save && remove.cascade);
    EXPECT_EQ(remove.recursive, 2U);
    EXPECT_FALSE(remove.native);
}

TEST(PacmanOptions, ALetterMeansWhatItsOperationMakesOfIt) {
    EXPECT_TRUE(read_options({"-Qc"}).changelog);
    EXPECT_TRUE(read_options({"-Rc"}).cascade);
    EXPECT_EQ(read_options({"-Scc"}).clean, 2U);
    EXPECT_EQ(read_options({"-cSc"}).clean, 2U);  // the operation may come later
    EXPECT_TRUE(read_options({"-Qp"}).file);
    EXPECT_TRUE(read_options({"-Up"}).print);
}

TEST(PacmanOptions, ValuesStandBehindOrInTheWord) {
    const Options options =
        read_options({"--root=/a", "-b", "/b", "-S", "--cachedir", "/c", "--cachedir=/d", "--ignore=x,,y",
                      "--ignore", "z", "--ask=4", "--print-format", "%n"});
    EXPECT_EQ(options.root, "/a");
    EXPECT_EQ(options.database, "/b");
    EXPECT_THAT(options.cache_dirs, ElementsAre("/c", "/d"));
    EXPECT_THAT(options.ignore, ElementsAre("x", "y", "z"));
    EXPECT_EQ(options.ask, 4U);
    EXPECT_TRUE(options.no_confirm && options.print);
    EXPECT_EQ(read_options({"-Qr/a"}).root, "/a");
    EXPECT_EQ(read_options({"-Q", "--root="}).root, "");
}

TEST(PacmanOptions, LongNamesMayBeShortenedWhileTheyAreClear) {
    EXPECT_TRUE(read_options({"--sync", "--noconf"}).no_confirm);
    EXPECT_THAT(refusal({"-S", "--no"}), HasSubstr("option '--no' is ambiguous"));
    EXPECT_EQ(read_options({"--query", "--check"}).check, 1U);
}

TEST(PacmanOptions, OperandsMayStandAnywhere) {
    EXPECT_THAT(read_options({"a", "-Q", "b", "--", "-x", "--"}).targets, ElementsAre("a", "b", "-x", "--"));
    EXPECT_THAT(read_options({"-Q", "-"}).targets, ElementsAre("-"));
    EXPECT_THAT(read_options({"-Q", ""}).targets, ElementsAre(""));
}

TEST(PacmanOptions, TheLastOfConfirmAndNoconfirmCounts) {
    EXPECT_FALSE(read_options({"-S", "--noconfirm", "--confirm"}).no_confirm);
    EXPECT_TRUE(read_options({"-S", "--confirm", "--noconfirm"}).no_confirm);
}

TEST(PacmanOptions, OneOperationOnly) {
    EXPECT_EQ(refusal({"-SR"}), "error: only one operation may be used at a time");
    EXPECT_EQ(refusal({"-S", "--query"}), "error: only one operation may be used at a time");
    EXPECT_TRUE(read_options({"-S", "-h", "-q"}).help);
    EXPECT_EQ(read_options({"-v"}).operation, Operation::none);
}

TEST(PacmanOptions, UnknownOptionsAreNamed) {
    EXPECT_THAT(refusal({"-Sz"}), HasSubstr("invalid option -- 'z'"));
    EXPECT_THAT(refusal({"-S", "--nothing"}), HasSubstr("unrecognized option '--nothing'"));
    EXPECT_EQ(refusal({"-Qy"}), "error: invalid option '-y'");
    EXPECT_EQ(refusal({"-Q", "--refresh"}), "error: invalid option '--refresh'");
    EXPECT_EQ(refusal({"-q"}), "error: invalid option '-q'");
    EXPECT_THAT(refusal({"-S", "--root"}), HasSubstr("option '--root' requires an argument"));
    EXPECT_THAT(refusal({"-Sb"}), HasSubstr("option requires an argument -- 'b'"));
    EXPECT_THAT(refusal({"-S", "--needed=1"}), HasSubstr("option '--needed' doesn't allow an argument"));
    EXPECT_THAT(refusal({"-S", "--color", "pink"}), HasSubstr("error: invalid argument 'pink' for --color"));
    EXPECT_THAT(refusal({"-S", "-\x1b"}), HasSubstr("invalid option -- '\\x1b'"));
}

TEST(PacmanOptions, WhatDoesNotGoTogetherIsSaid) {
    const auto apart = [](const char* a, const char* b) {
        return "error: invalid option: '" + std::string(a) + "' and '" + b + "' may not be used together";
    };
    EXPECT_EQ(refusal({"-Scu"}), apart("--clean", "--sysupgrade"));
    EXPECT_EQ(refusal({"-Ssl"}), apart("--search", "--list"));
    EXPECT_EQ(refusal({"-Qde"}), apart("--deps", "--explicit"));
    EXPECT_EQ(refusal({"-Qmn"}), apart("--native", "--foreign"));
    EXPECT_EQ(refusal({"-Qsi"}), apart("--search", "--info"));
    EXPECT_EQ(refusal({"-Rnp"}), apart("--nosave", "--print"));
    EXPECT_EQ(refusal({"-U", "--asdeps", "--asexplicit"}), apart("--asdeps", "--asexplicit"));
    EXPECT_EQ(refusal({"-Dk", "--asdeps"}), apart("--asdeps", "--check"));
    EXPECT_EQ(refusal({"-Sp", "--dbonly"}), apart("--print", "--dbonly"));
    EXPECT_EQ(refusal({"-Q", "--container", "a", "--in-place"}), apart("--container", "--in-place"));
    EXPECT_EQ(refusal({"-Q", "--container", "a", "-r", "/"}), apart("--container", "--root"));
}

TEST(PacmanOptions, EveryOperationHasAPage) {
    for (const Operation operation :
         {Operation::database, Operation::files, Operation::query, Operation::remove, Operation::sync,
          Operation::deptest, Operation::upgrade})
        EXPECT_THAT(usage_text(operation, "p"), HasSubstr("--noconfirm"));
    EXPECT_THAT(usage_text(Operation::none, "p"), HasSubstr("p {-S --sync}"));
}

}  // namespace
}  // namespace pwstore::cli::pacman
