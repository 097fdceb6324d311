// SPDX-License-Identifier: GPL-3.0-or-later
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "tests/support/fake_backend.hpp"

namespace pwstore::cli {
namespace {

using test::Cli;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

TEST(Undo, ShowsAsksAndUndoes) {
    Cli cli;
    cli.tty = true;
    cli.backend.switched = {{"base", 2, 1}, {"new", 1, 0}};
    cli.backend.report.changed = true;
    cli.backend.report.transaction = 10;
    cli.backend.report.containers = {{"base", 1, 0, 0, 0}, {"new", 0, 0, 0, 0}};
    cli.answers = {""};
    EXPECT_EQ(cli({"undo"}), 0);
    EXPECT_THAT(cli.err(), HasSubstr("base: generation 2 → generation 1\nnew: generation 1 → absent\n"));
    EXPECT_THAT(cli.backend.calls, ElementsAre("roll back 9"));
    EXPECT_EQ(cli.out(), "transaction 9 is undone\nbase: generation 1\nnew: absent\n");
    EXPECT_EQ(cli({"undo", "5", "--noconfirm"}), 0);
    EXPECT_EQ(cli.backend.calls.back(), "roll back 5");
    EXPECT_EQ(cli.backend.rolled->kind, RollbackRequest::Kind::undo);
    cli.answers = {"n"};
    EXPECT_EQ(cli({"undo"}), 1);
    EXPECT_EQ(cli.backend.calls.size(), 2U);
}

TEST(Undo, ARefusalComesBeforeAnythingIsAsked) {
    Cli cli;
    cli.backend.failure = Error("roll back", "gone", "it was deleted").as(Fault::refused);
    EXPECT_EQ(cli({"undo"}), 1);
    EXPECT_THAT(cli.err(), AllOf(HasSubstr("it was deleted"), Not(HasSubstr("terminal"))));
    EXPECT_THAT(cli.backend.calls, IsEmpty());
}

TEST(Undo, WithoutATerminalNothingIsDoneUnasked) {
    Cli cli;
    cli.backend.switched = {{"base", 2, 1}};
    EXPECT_NE(cli({"undo"}), 0);
    EXPECT_THAT(cli.backend.calls, IsEmpty());
    EXPECT_EQ(cli({"undo", "--preview"}), 0);
    EXPECT_EQ(cli.out(), "base: generation 2 → generation 1\n");
    EXPECT_THAT(cli.backend.calls, IsEmpty());
}

TEST(Rollback, ReadsItsArguments) {
    Cli cli;
    cli.backend.switched = {{"base", 2, 1}};
    EXPECT_EQ(cli({"rollback", "base", "--noconfirm"}), 0);
    EXPECT_EQ(cli.backend.rolled->container, "base");
    EXPECT_EQ(cli.backend.rolled->generation, 0U);
    EXPECT_FALSE(cli.backend.rolled->with_below);
    for (const std::vector<std::string>& words :
         {std::vector<std::string>{"rollback", "base", "7"}, {"rollback", "base@7"}}) {
        std::vector<std::string> all = words;
        all.emplace_back("--noconfirm");
        all.emplace_back("--with-dependencies");
        EXPECT_EQ(cli(all), 0);
        EXPECT_EQ(cli.backend.rolled->generation, 7U);
        EXPECT_TRUE(cli.backend.rolled->with_below);
    }
    EXPECT_EQ(cli({"rollback", "--txn", "12", "--noconfirm"}), 0);
    EXPECT_EQ(cli.backend.rolled->kind, RollbackRequest::Kind::transaction);
    EXPECT_EQ(cli.backend.rolled->transaction, 12U);
    for (const std::vector<std::string>& words : {std::vector<std::string>{"rollback"},
                                                  {"rollback", "base", "--txn", "3"},
                                                  {"rollback", "base@7", "8"},
                                                  {"rollback", "base", "x"},
                                                  {"rollback", "--txn", "0"}}) {
        EXPECT_EQ(cli(words), 2) << words.back();
    }
}

TEST(Rollback, WhatIsSoAlreadyIsNothingToDo) {
    Cli cli;
    EXPECT_EQ(cli({"rollback", "base", "3"}), 0);
    EXPECT_THAT(cli.out(), HasSubstr("nothing to do"));
    EXPECT_THAT(cli.backend.calls, IsEmpty());
}

TEST(History, ShowsGenerations) {
    Cli cli;
    cli.width = 120;
    GenerationStep one;
    one.number = 1;
    one.installed = 3;
    one.cause = "create base";
    GenerationStep two = one;
    two.number = 2;
    two.parent = 1;
    two.current = true;
    two.installed = 1;
    two.changed = 2;
    two.upstream = {{"below", 4}};
    two.cause = "upgrade\x1b[2J";
    cli.backend.generations = {one, two};
    EXPECT_EQ(cli({"history", "base"}), 0);
    EXPECT_THAT(cli.out(), AllOf(HasSubstr("create base"), HasSubstr("+1 ~2"), HasSubstr("below@4"),
                                 HasSubstr("*"), HasSubstr("\\x1b"), Not(HasSubstr("\x1b"))));
    EXPECT_EQ(cli({"history", "base", "--json"}), 0);
    const auto json = nlohmann::json::parse(cli.out());
    EXPECT_EQ(json["schema"], "pwstore.history/1");
    EXPECT_EQ(json["generations"][1]["built_on"][0]["name"], "below");
    EXPECT_EQ(json["generations"][1]["current"], true);
}

TEST(History, ClaimsNothingOfWhatIsNoLongerKept) {
    Cli cli;
    GenerationStep oldest;
    oldest.number = 4;
    oldest.parent = 3;
    oldest.installed = 80;
    oldest.parent_kept = false;
    oldest.cause = "shell -r base";
    cli.backend.generations = {oldest};
    EXPECT_EQ(cli({"history", "base"}), 0);
    EXPECT_THAT(cli.out(), AllOf(HasSubstr(" ? "), Not(HasSubstr("+80"))));
}

TEST(History, ShowsTransactions) {
    Cli cli;
    cli.width = 120;
    cli.backend.done = {{4, {0, "upgrade", {{"a", 1, 2}, {"b", 0, 1}, {"c", 5, 0}}}}};
    EXPECT_EQ(cli({"history"}), 0);
    EXPECT_THAT(cli.out(), AllOf(HasSubstr("a 1 → 2, b - → 1, c 5 → -"), HasSubstr("upgrade")));
    EXPECT_EQ(cli({"history", "--json"}), 0);
    EXPECT_EQ(nlohmann::json::parse(cli.out())["transactions"][0]["containers"][1]["to"], 1);
}

TEST(Diff, ChoosesTheGenerations) {
    Cli cli;
    cli.backend.detail.parent = 6;
    EXPECT_EQ(cli({"diff", "a@7", "a@8"}), 0);
    EXPECT_EQ(cli.backend.calls.back(), "diff a@7 a@8");
    EXPECT_EQ(cli({"diff", "a@3"}), 0);
    EXPECT_EQ(cli.backend.calls.back(), "diff a@3 a@0");
    EXPECT_EQ(cli({"diff", "a"}), 0);
    EXPECT_EQ(cli.backend.calls.back(), "diff a@6 a@0");
    EXPECT_EQ(cli({"diff", "a", "b"}), 0);
    EXPECT_EQ(cli.backend.calls.back(), "diff a@0 b@0");
    cli.backend.detail.parent = 0;
    EXPECT_EQ(cli({"diff", "a"}), 2);
    EXPECT_EQ(cli({"diff", "a@x"}), 2);
}

TEST(Diff, PrintsPackagesAndFiles) {
    Cli cli;
    GenerationDiff& diff = cli.backend.difference;
    diff.packages = {{"new", "", "1-1"}, {"old", "2-1", ""}, {"other", "1-1", "2-1"}};
    diff.packages.push_back({"same", "1-1", "1-1", true, false, InstallReason::dependency});
    diff.packages.push_back({"built", "1-1", "1-1", false, true});
    diff.files = {{"etc/a\nb", TreeChange::Kind::added, {}},
                  {"usr/b", TreeChange::Kind::changed, {"content", "mode"}},
                  {"usr/c", TreeChange::Kind::removed, {}}};
    EXPECT_EQ(cli({"diff", "a@1", "a@2"}), 0);
    EXPECT_EQ(cli.out(),
              "+ new 1-1\n- old 2-1\n~ other 1-1 → 2-1\n~ same 1-1, now a dependency\n~ built 1-1, another "
              "archive\n\n+ /etc/a\\x0ab\n~ /usr/b (content, mode)\n- /usr/c\n");
    EXPECT_EQ(cli({"diff", "a@1", "a@2", "--files"}), 0);
    EXPECT_THAT(cli.out(), Not(HasSubstr("new 1-1")));
    EXPECT_EQ(cli({"diff", "a@1", "a@2", "--packages", "--exit-code"}), 1);
    EXPECT_THAT(cli.out(), Not(HasSubstr("/usr/b")));
    EXPECT_EQ(cli({"diff", "a@1", "a@2", "--json"}), 0);
    const auto json = nlohmann::json::parse(cli.out());
    EXPECT_TRUE(json["packages"][0]["before"].is_null());
    EXPECT_EQ(json["files"][1]["what"], (std::vector<std::string>{"content", "mode"}));
    diff = {};
    EXPECT_EQ(cli({"diff", "a@1", "a@2", "--exit-code"}), 0);
    EXPECT_EQ(cli.out(), "");
}

TEST(Snapshot, LsKnowsTheContainer) {
    Cli cli;
    EXPECT_EQ(cli({"snapshot", "ls", "a"}), 0);
    EXPECT_EQ(cli({"snapshot", "ls", "a", "b"}), 2);
    cli.backend.known = false;
    EXPECT_EQ(cli({"snapshot", "ls", "a"}), 2);
    EXPECT_THAT(cli.err(), HasSubstr("there is no such container"));
}

TEST(Where, TakesDigitsInCapitals) {
    Cli cli;
    cli({"where", "sha256:91AB03"});
    EXPECT_THAT(cli.backend.calls, ElementsAre("places of 91ab03"));
}

}  // namespace
}  // namespace pwstore::cli
