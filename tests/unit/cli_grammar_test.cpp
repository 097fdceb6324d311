// SPDX-License-Identifier: GPL-3.0-or-later
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <sstream>

#include "cli/grammar.hpp"
#include "store/base/error.hpp"
#include "tests/support/fake_backend.hpp"
#include "tests/support/test_dir.hpp"

namespace pwstore::cli {
namespace {

using test::Cli;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

/// Words as typed, without quoting.
std::vector<std::string> words(const std::string& line) {
    std::istringstream in(line);
    std::vector<std::string> all;
    for (std::string word; in >> word;)
        all.push_back(word);
    return all;
}

/// The one request that a line leads to.
TransactionRequest request_of(const std::string& line) {
    Cli cli;
    std::vector<std::string> all = words(line);
    all.emplace_back("--noconfirm");
    EXPECT_EQ(cli(all), 0) << line << "\n" << cli.err();
    EXPECT_EQ(cli.backend.requests.size(), 1U) << line;
    return cli.backend.requests.empty() ? TransactionRequest{} : cli.backend.requests[0];
}

std::string usage_error(const std::string& line) {
    Cli cli;
    EXPECT_EQ(cli(words(line)), 2) << line << "\n" << cli.out();
    EXPECT_THAT(cli.backend.requests, IsEmpty()) << line;
    EXPECT_EQ(cli.out(), "") << line;
    return cli.err();
}

// --- The commands of the original's manual
// --------------------------------------------------------------------------

TEST(Grammar, CreateBase) {
    for (const char* line :
         {"-Syucb --target=base", "-Syucbt base", "-S -y -u -c -b -t base",
          "--sync --refresh --upgrade --create --base --target base", "sync -yucbt base", "init -bt base",
          "init --base --target=base", "create base --base", "init --base base"}) {
        const TransactionRequest request = request_of(line);
        ASSERT_EQ(request.containers.size(), 1U) << line;
        const ContainerRequest& base = request.containers[0];
        EXPECT_EQ(base.name, "base") << line;
        EXPECT_TRUE(base.create) << line;
        EXPECT_EQ(base.type, ContainerType::base) << line;
        EXPECT_THAT(base.dependencies, IsEmpty()) << line;
        EXPECT_THAT(base.packages.install, ElementsAre("base")) << line;
        EXPECT_FALSE(base.packages.upgrade) << line;
        EXPECT_EQ(request.refresh, 1U) << line;
        EXPECT_TRUE(request.upgrade_all) << line;
        EXPECT_FALSE(request.target_only) << line;
        EXPECT_TRUE(request.no_confirm) << line;
        EXPECT_FALSE(request.preview) << line;
    }
}

TEST(Grammar, CreateEmptyBase) {
    for (const char* line :
         {"create --base --empty bare", "create bare --empty --base", "create -b bare --empty",
          "-Syucb --empty --target=bare", "create --base --empty --target=bare"}) {
        const TransactionRequest request = request_of(line);
        ASSERT_EQ(request.containers.size(), 1U) << line;
        EXPECT_EQ(request.containers[0].name, "bare") << line;
        EXPECT_EQ(request.containers[0].type, ContainerType::base) << line;
        EXPECT_THAT(request.containers[0].packages.install, IsEmpty()) << line;
    }
    const TransactionRequest two = request_of("-Syucb --empty -t bare -cb -t whole");
    EXPECT_THAT(two.containers.at(0).packages.install, IsEmpty());
    EXPECT_THAT(two.containers.at(1).packages.install, ElementsAre("base"));
}

TEST(Grammar, ABaseOfOnesOwnPackages) {
    const test::TestDir dir;
    const std::string archive = dir.write("tool-1-1-any.pkg.tar.zst", "");
    for (const std::string& line :
         {"create --base own " + archive, "create own --base " + archive, "-Syucbt own " + archive}) {
        const TransactionRequest request = request_of(line);
        ASSERT_EQ(request.containers.size(), 1U) << line;
        EXPECT_THAT(request.containers[0].packages.install, IsEmpty()) << line;
        EXPECT_THAT(request.containers[0].packages.archive_files, ElementsAre(archive)) << line;
    }
}

TEST(Grammar, CreateAggregate) {
    for (const char* line :
         {"-Syucat editor --dep=base neovim", "-Syucat editor neovim --dep=base",
          "-Syuca --dep=base -t editor neovim", "-Syucat editor -d base neovim",
          "init -at editor --dep=base neovim", "create editor --aggregate --dep=base neovim",
          "create editor neovim -a -d base"}) {
        const TransactionRequest request = request_of(line);
        ASSERT_EQ(request.containers.size(), 1U) << line;
        const ContainerRequest& editor = request.containers[0];
        EXPECT_EQ(editor.name, "editor") << line;
        EXPECT_TRUE(editor.create) << line;
        EXPECT_EQ(editor.type, ContainerType::aggregate) << line;
        EXPECT_THAT(editor.dependencies, ElementsAre("base")) << line;
        EXPECT_THAT(editor.packages.install, ElementsAre("neovim")) << line;
    }
}

TEST(Grammar, SeveralTargetsInOneLine) {
    const TransactionRequest request =
        request_of("-Syucst common gtk3 --dep=base -cat app pkg --dep=base,common");
    ASSERT_EQ(request.containers.size(), 2U);
    const ContainerRequest& common = request.containers[0];
    EXPECT_EQ(common.name, "common");
    EXPECT_EQ(common.type, ContainerType::slice);
    EXPECT_THAT(common.dependencies, ElementsAre("base"));
    EXPECT_THAT(common.packages.install, ElementsAre("gtk3"));
    const ContainerRequest& app = request.containers[1];
    EXPECT_EQ(app.name, "app");
    EXPECT_EQ(app.type, ContainerType::aggregate);
    EXPECT_THAT(app.dependencies, ElementsAre("base", "common"));
    EXPECT_THAT(app.packages.install, ElementsAre("pkg"));
    EXPECT_TRUE(common.create && app.create);
}

TEST(Grammar, DependenciesRepeatOrTakeAList) {
    EXPECT_THAT(request_of("-Syucat x --dep=a,b -d c").containers.at(0).dependencies,
                ElementsAre("a", "b", "c"));
    EXPECT_THAT(request_of("-Syucat x --dep=a,,b,").containers.at(0).dependencies, ElementsAre("a", "b"));
}

TEST(Grammar, InitStaysInCreateMode) {
    const TransactionRequest request =
        request_of("init -st common --dep=base gtk3 -t other --dep=base -at app --dep=common");
    ASSERT_EQ(request.containers.size(), 3U);
    EXPECT_TRUE(request.containers[1].create);
    EXPECT_EQ(request.containers[1].type, ContainerType::slice);
    EXPECT_THAT(request.containers[1].dependencies, ElementsAre("base"));
    EXPECT_EQ(request.containers[2].type, ContainerType::aggregate);
    EXPECT_THAT(request.containers[2].dependencies, ElementsAre("common"));
    EXPECT_EQ(request.refresh, 1U);
}

TEST(Grammar, UpgradeAll) {
    for (const char* line : {"-Syu", "-S -yu", "sync -y --upgrade", "upgrade"}) {
        const TransactionRequest request = request_of(line);
        EXPECT_THAT(request.containers, IsEmpty()) << line;
        EXPECT_EQ(request.refresh, 1U) << line;
        EXPECT_TRUE(request.upgrade_all) << line;
        EXPECT_FALSE(request.target_only) << line;
    }
    EXPECT_EQ(request_of("-Syyu").refresh, 2U);
    EXPECT_EQ(request_of("-Su").refresh, 0U);
    EXPECT_FALSE(request_of("-Sy").upgrade_all);
}

TEST(Grammar, TargetOnly) {
    for (const char* line : {"-Syuo -t x", "-Syuot x", "upgrade x"}) {
        const TransactionRequest request = request_of(line);
        ASSERT_EQ(request.containers.size(), 1U) << line;
        EXPECT_EQ(request.containers[0].name, "x") << line;
        EXPECT_TRUE(request.containers[0].packages.upgrade) << line;
        EXPECT_FALSE(request.containers[0].create) << line;
        EXPECT_TRUE(request.target_only) << line;
        EXPECT_FALSE(request.upgrade_all) << line;
    }
    const TransactionRequest all_and_one = request_of("-Syut x pkg");
    EXPECT_TRUE(all_and_one.upgrade_all);
    EXPECT_THAT(all_and_one.containers.at(0).packages.install, ElementsAre("pkg"));
}

TEST(Grammar, RefreshNeverMeansDowngrade) {
    EXPECT_FALSE(request_of("-Syyuot x").containers.at(0).packages.downgrade);
    EXPECT_TRUE(request_of("-Syuuot x").containers.at(0).packages.downgrade);
    Cli cli;
    EXPECT_EQ(cli({"-Syuu", "--noconfirm"}), 0);
    EXPECT_THAT(cli.backend.requests.at(0).containers, IsEmpty());
    EXPECT_TRUE(cli.backend.requests[0].everyone.downgrade);
    EXPECT_EQ(cli({"-Syyu", "--noconfirm"}), 0);
    EXPECT_FALSE(cli.backend.requests.at(1).everyone.downgrade);
}

TEST(Grammar, FilesystemOnly) {
    for (const char* line : {"-Sof", "rebuild"}) {
        const TransactionRequest request = request_of(line);
        EXPECT_TRUE(request.force_rebuild && request.target_only) << line;
        EXPECT_FALSE(request.upgrade_all) << line;
        EXPECT_THAT(request.containers, IsEmpty()) << line;
    }
}

TEST(Grammar, InstallIntoTarget) {
    for (const char* line :
         {"-St editor neovim git", "-S --target editor neovim git", "install editor neovim git"}) {
        const TransactionRequest request = request_of(line);
        ASSERT_EQ(request.containers.size(), 1U) << line;
        EXPECT_THAT(request.containers[0].packages.install, ElementsAre("neovim", "git")) << line;
        EXPECT_FALSE(request.containers[0].create) << line;
        EXPECT_EQ(request.refresh, 0U) << line;
        EXPECT_FALSE(request.upgrade_all) << line;
    }
    EXPECT_EQ(request_of("install -y editor neovim").refresh, 1U);
}

TEST(Grammar, InstallRefreshesWhenThereAreNoLists) {
    Cli cli;
    cli.backend.databases = false;
    EXPECT_EQ(cli({"install", "editor", "neovim", "--noconfirm"}), 0);
    EXPECT_EQ(cli.backend.requests.at(0).refresh, 1U);
}

TEST(Grammar, ArchivesAreFilesThatExist) {
    const test::TestDir dir;
    const std::string archive = dir.write("hello-1-1-any.pkg.tar.zst", "x");
    const TransactionRequest request = request_of("install editor core/bash " + archive);
    EXPECT_THAT(request.containers[0].packages.install, ElementsAre("core/bash"));
    EXPECT_THAT(request.containers[0].packages.archive_files, ElementsAre(archive));
    EXPECT_THAT(usage_error("install editor " + dir.path("absent-1-1-any.pkg.tar.zst") + " --noconfirm"),
                HasSubstr("there is no such file"));
}

TEST(Grammar, Remove) {
    for (const char* line :
         {"-Rs -t editor neovim", "-Rst editor neovim", "-R --recursive --target=editor neovim",
          "remove -s editor neovim", "remove editor neovim --recursive", "--remove -st editor neovim"}) {
        const TransactionRequest request = request_of(line);
        ASSERT_EQ(request.containers.size(), 1U) << line;
        EXPECT_EQ(request.containers[0].name, "editor") << line;
        EXPECT_THAT(request.containers[0].packages.remove, ElementsAre("neovim")) << line;
        EXPECT_TRUE(request.containers[0].packages.recursive) << line;
        EXPECT_FALSE(request.containers[0].packages.recursive_all) << line;
        EXPECT_FALSE(request.containers[0].packages.cascade) << line;
        EXPECT_EQ(request.refresh, 0U) << line;
        EXPECT_FALSE(request.upgrade_all) << line;
    }
    const TransactionRequest both = request_of("-Rssct a x y -t b z");
    ASSERT_EQ(both.containers.size(), 2U);
    EXPECT_THAT(both.containers[0].packages.remove, ElementsAre("x", "y"));
    EXPECT_THAT(both.containers[1].packages.remove, ElementsAre("z"));
    EXPECT_TRUE(both.containers[1].packages.recursive_all && both.containers[0].packages.cascade);
}

TEST(Grammar, DeleteContainers) {
    for (const char* line : {"-Rm x y", "-Rm -t x -t y", "rm x y", "delete x y", "-Ur x y", "-R -m x y",
                             "-R --delete x y", "-U -r x y"}) {
        Cli cli;
        std::vector<std::string> all = words(line);
        all.emplace_back("--noconfirm");
        EXPECT_EQ(cli(all), 0) << line << cli.err();
        EXPECT_THAT(cli.backend.calls, ElementsAre("delete x", "delete y")) << line;
    }
}

TEST(Grammar, RunPassesEverythingThrough) {
    for (const char* line : {"-E base ls -la --color=auto -- -h", "run base ls -la --color=auto -- -h",
                             "exec base ls -la --color=auto -- -h", "--exec base ls -la --color=auto -- -h",
                             "run base -- ls -la --color=auto -- -h"}) {
        Cli cli;
        cli.backend.status = 42;
        EXPECT_EQ(cli(words(line)), 42) << line << cli.err();
        ASSERT_TRUE(cli.backend.ran) << line;
        EXPECT_EQ(cli.backend.ran->container.str(), "base") << line;
        EXPECT_THAT(cli.backend.ran->argv, ElementsAre("ls", "-la", "--color=auto", "--", "-h")) << line;
        EXPECT_FALSE(cli.backend.ran->here) << line;
    }
}

TEST(Grammar, Shell) {
    for (const char* line : {"-Es base", "-E -s base", "-E --shell base", "shell base", "run --shell base",
                             "-Es base ignored words"}) {
        Cli cli;
        EXPECT_EQ(cli(words(line)), 0) << line << cli.err();
        ASSERT_TRUE(cli.backend.ran) << line;
        EXPECT_THAT(cli.backend.ran->argv, IsEmpty()) << line;
    }
}

TEST(Grammar, RootShell) {
    for (const char* line : {"-Esr base", "-Er base", "-E -rs base", "shell -r base", "shell base --root"}) {
        Cli cli;
        cli.backend.shell.status = 7;
        EXPECT_EQ(cli(words(line)), 7) << line << cli.err();
        ASSERT_TRUE(cli.backend.rooted) << line;
        EXPECT_THAT(cli.backend.rooted->argv, IsEmpty()) << line;
        EXPECT_FALSE(cli.backend.rooted->discard) << line;
    }
    Cli cli;
    EXPECT_EQ(cli({"-Er", "base", "locale-gen", "-x"}), 0);
    EXPECT_THAT(cli.backend.rooted->argv, ElementsAre("locale-gen", "-x"));
}

TEST(Grammar, QueryListVersionHelp) {
    for (const char* line : {"-Q editor", "-Q -t editor", "query editor", "-Qt editor", "-Qqe editor"}) {
        Cli cli;
        EXPECT_EQ(cli(words(line)), 0) << line << cli.err();
        EXPECT_THAT(cli.backend.calls, ElementsAre("details editor")) << line;
    }
    for (const char* line : {"-L", "-Ul", "ls", "list", "-Ltos", "-Ltob", "--list"})
        EXPECT_EQ(Cli()(words(line)), 0) << line;
    for (const char* line : {"-V", "--version", "version", "--version=min"}) {
        Cli cli;
        EXPECT_EQ(cli(words(line)), 0) << line;
        EXPECT_THAT(cli.out(), HasSubstr("pwstore ")) << line;
    }
    for (const char* line : {"-h", "--help", "help", "help install", "-h S", "-hf man", "-h exit-codes",
                             "--help=all", "install --help", "-S -h"}) {
        Cli cli;
        EXPECT_EQ(cli(words(line)), 0) << line << cli.err();
        EXPECT_NE(cli.out(), "") << line;
    }
}

// --- Refusals
// -------------------------------------------------------------------------------------------------------

TEST(GrammarErrors, UnknownWords) {
    for (const char* line : {"", "-X", "--frobnicate", "-Sz", "-Syz", "frobnicate", "install x y --what",
                             "-P", "-C x.yml", "ls -z", "-", "--", "-Ud x", "help nothing-like-this",
                             "completion tcsh", "install x y --color=sometimes"}) {
        const std::string text = usage_error(line);
        EXPECT_THAT(text, HasSubstr("pwstore: error:")) << line;
        EXPECT_THAT(text, HasSubstr("Try 'pwstore -h' for more information on valid operational parameters."))
            << line;
    }
    EXPECT_THAT(usage_error("-Syz"), HasSubstr("'-z'"));
    EXPECT_THAT(usage_error("install x y --what=1"), HasSubstr("'--what'"));
    EXPECT_THAT(usage_error("instal x y"), HasSubstr("did you mean 'install'?"));
    EXPECT_THAT(usage_error("ls --jsom"), HasSubstr("did you mean '--json'?"));
    EXPECT_THAT(usage_error("install x y --noconfrim"), HasSubstr("did you mean '--noconfirm'?"));
}

TEST(GrammarErrors, OwnFailureOfRunIs125) {
    Cli cli;
    EXPECT_EQ(cli({"run"}), 125);
    EXPECT_EQ(cli({"run", "base"}), 125);
    EXPECT_EQ(cli({"-Ez", "base"}), 125);
    EXPECT_FALSE(cli.backend.ran);
}

struct Refusal {
    const char* line;
    const char* reason;
};

class Refused : public ::testing::TestWithParam<Refusal> {};

TEST_P(Refused, WithTheRule) {
    EXPECT_THAT(usage_error(std::string(GetParam().line) + " --noconfirm"), HasSubstr(GetParam().reason));
}

INSTANTIATE_TEST_SUITE_P(
    Sync, Refused,
    ::testing::Values(
        Refusal{"-S", "something to do"}, Refusal{"-Sbt x", "'--create' is missing"},
        Refusal{"-Syuct x", "--base, --slice, --aggregate"},
        Refusal{"-Scbt x", "Required for container creation."},
        Refusal{"-Sucbt x", "'-y/--refresh': Required for container creation."},
        Refusal{"-Sycbt x", "'-u/--upgrade': Required for container creation."},
        Refusal{"-Syucb", "needs a '--target NAME'"},
        Refusal{"-Syucbt x --dep=y", "Dependencies cannot be specified for Base"},
        Refusal{"-Syucat x", "needs --dep"}, Refusal{"-Syucst x y", "needs --dep"},
        Refusal{"-Syucpbt x", "Container creation cannot be previewed."},
        Refusal{"-Syu neovim", "give --target NAME before it"}, Refusal{"-Syuo", "'--target-only' needs"},
        Refusal{"-Syut x --dep=y", "when a container is created"}, Refusal{"-Syucbat x", "one type"},
        Refusal{"-Syut x -t x", "a target twice"}, Refusal{"-St x", "are missing"},
        Refusal{"-Syut ../x", "must start with"}, Refusal{"-Syucat x --dep=a/b", "only letters"},
        Refusal{"-Syuct", "'-t' needs a value"}, Refusal{"-Syu --target", "'--target' needs a value"},
        Refusal{"-Syu --refresh=2", "'--refresh' takes no value"}, Refusal{"-Syu --dbonly", "not supported"},
        Refusal{"-Syucc -bt x", "'--create' needs"}, Refusal{"-Syucb x -t y", "give --target NAME before it"},
        Refusal{"-Syut y -cb x -t z", "stands between"}, Refusal{"init", "needs the NAME"},
        Refusal{"create x", "--base, --slice, --aggregate"},
        Refusal{"create -a --empty x -d y", "only a base"}, Refusal{"-Syut x --empty -t y", "only a base"},
        Refusal{"create --base --empty x pkg", "to be empty and to have packages"},
        Refusal{"-Syucb -t x --empty", "stands before the name"},
        Refusal{"-Syut x --dep=,", "'--dep' needs a value"}));

INSTANTIATE_TEST_SUITE_P(
    Others, Refused,
    ::testing::Values(Refusal{"-R", "needs the NAME"}, Refusal{"-Rs editor", "which packages"},
                      Refusal{"-Rst editor", "which packages"},
                      Refusal{"remove -s pkg -t x", "give --target NAME before it"},
                      Refusal{"-Rm", "needs the NAME"}, Refusal{"install editor", "needs PKG"},
                      Refusal{"install", "needs NAME"}, Refusal{"undo 0", "not the number"},
                      Refusal{"undo x", "not the number"}, Refusal{"undo 1 2", "does not take '2'"},
                      Refusal{"install x y --wait=soon", "number of seconds"},
                      Refusal{"install x y --wait=-1", "number of seconds"}));

TEST(Grammar, OptionsWithoutEffectAreSaid) {
    Cli cli;
    EXPECT_EQ(cli({"-Syul", "--noconfirm"}), 0);
    EXPECT_THAT(cli.err(), HasSubstr("--lazy-load is accepted and has no effect"));
}

TEST(Grammar, CommandIsKeptAsTyped) {
    Cli cli;
    EXPECT_EQ(cli({"-Syucat", "editor", "--dep=base", "a b'c", "--noconfirm"}), 0);
    EXPECT_EQ(cli.backend.requests.at(0).command,
              "pwstore -Syucat editor --dep=base 'a b'\\''c' --noconfirm");
}

TEST(Targets, WhatLooksLikeAFileHasToBeOne) {
    const auto refusal = [](const std::string& word) {
        ResolveRequest request;
        try {
            add_target(request, word);
        } catch (const Error& error) {
            EXPECT_EQ(error.fault(), Fault::usage);
            return std::string(error.what()) + error.hint();
        }
        return std::string("accepted as ") + (request.install.empty() ? "a file" : "a package");
    };
    EXPECT_THAT(refusal("./missing.pkg"), HasSubstr("'./missing.pkg': there is no such file"));
    EXPECT_THAT(refusal("../x"), HasSubstr("there is no such file"));
    EXPECT_THAT(refusal("a-1-1-any.pkg.tar.zst"), HasSubstr("there is no such file"));
    EXPECT_THAT(refusal("/etc/hostname.absent"), HasSubstr("there is no such file"));
    EXPECT_THAT(refusal("/proc/self/status"), HasSubstr("it is no package archive"));
    EXPECT_THAT(refusal("/proc"), HasSubstr("it is no file"));
    EXPECT_THAT(refusal("missing.deb"), HasSubstr("there is no such file"));
    EXPECT_EQ(refusal("core/ed"), "accepted as a package");
}

}  // namespace
}  // namespace pwstore::cli
