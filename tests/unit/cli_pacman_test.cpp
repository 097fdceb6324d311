// SPDX-License-Identifier: GPL-3.0-or-later
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "cli/pacman/screen.hpp"
#include "store/base/error.hpp"
#include "tests/support/fake_backend.hpp"
#include "tests/support/test_dir.hpp"

namespace pwstore::cli {
namespace {

using test::Cli;
using test::TestDir;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::StartsWith;

PlanStep step(StepKind kind, const std::string& name, const std::string& version, uint64_t size) {
    PlanStep one;
    one.kind = kind;
    one.package.name = name;
    one.package.version = version;
    one.package.installed_size = size;
    return one;
}

/// A root with its database and configuration, and the command line on it.
struct PacmanCli {
    PacmanCli() {
        std::filesystem::create_directories(dir.path("root/var/lib/pacman"));
        config = dir.write("pacman.conf", "[options]\nCacheDir = /cache\n[repo]\nServer = file:///r\n");
        ContainerPlan plan;
        PlanStep newer = step(StepKind::upgrade, "vim", "2-1", 3 << 20);
        newer.old_version = "1-1";
        newer.old_installed_size = 1 << 20;
        newer.to_download = 1 << 19;
        newer.location = "https://r/vim.pkg";
        plan.plan.steps = {step(StepKind::remove, "vi", "1-1", 1 << 20), newer};
        plan.plan.notes = {"nano-1-1 is up to date -- skipping"};
        cli.backend.plans = {plan};
    }
    int operator()(std::vector<std::string> words) {
        words.insert(words.begin(), {"pacman", "--root", dir.path("root"), "--config", config});
        return cli(words);
    }
    [[nodiscard]] const TransactionRequest& request() const { return cli.backend.requests.back(); }

    TestDir dir;
    std::string config;
    Cli cli;
};

TEST(Pacman, ShowsThePlanAndAsksAsPacmanDoes) {
    PacmanCli pacman;
    pacman.cli.backend.report.changed = true;
    EXPECT_EQ(pacman({"-S", "--noconfirm", "vim"}), 0);
    EXPECT_EQ(pacman.cli.err(), "warning: nano-1-1 is up to date -- skipping\n");
    EXPECT_EQ(pacman.cli.out(),
              "\nPackages (2) vi-1-1 [removal]  vim-2-1\n\n"
              "Total Download Size:   0.50 MiB\n"
              "Total Installed Size:  3.00 MiB\n"
              "Net Upgrade Size:      1.00 MiB\n\n"
              ":: Proceed with installation? [Y/n] \n");
}

TEST(Pacman, TargetsStandBehindWhatComesWithThem) {
    PacmanCli pacman;
    pacman.cli.backend.plans[0].plan.steps = {
        step(StepKind::install, "apple", "1-1", 0), step(StepKind::install, "zlib", "1-1", 0),
        step(StepKind::install, "lib", "1-1", 0), step(StepKind::install, "member", "1-1", 0)};
    pacman.cli.backend.plans[0].plan.steps[3].package.groups = {"group"};
    EXPECT_EQ(pacman({"-S", "--noconfirm", "repo/apple", "group"}), 0);
    EXPECT_THAT(pacman.cli.out(), HasSubstr("Packages (4) lib-1-1  zlib-1-1  apple-1-1  member-1-1\n"));
}

TEST(Pacman, VerbosePkgListsIsATable) {
    PacmanCli pacman;
    pacman.config =
        pacman.dir.write("verbose.conf", "[options]\nVerbosePkgLists\n[repo]\nServer = file:///r\n");
    pacman.cli.backend.plans[0].plan.steps[1].package.repository = "repo";
    EXPECT_EQ(pacman({"-S", "--noconfirm", "vim"}), 0);
    EXPECT_THAT(pacman.cli.out(),
                StartsWith("\nPackage (2)  Old Version  New Version  Net Change  Download Size\n\n"
                           "vi           1-1                        -1.00 MiB               \n"
                           "repo/vim     1-1          2-1            2.00 MiB       0.50 MiB\n\n"
                           "Total Download Size:   0.50 MiB\n"));
}

TEST(Pacman, ANoIsExitCodeOne) {
    PacmanCli pacman;
    pacman.cli.tty = true;
    pacman.cli.answers = {"n"};
    EXPECT_EQ(pacman({"-R", "vi"}), 1);
    EXPECT_THAT(pacman.cli.err(), HasSubstr(":: Do you want to remove these packages? [Y/n] "));
    pacman.cli.answers = {};  // the end of input is no yes
    EXPECT_EQ(pacman({"-R", "vi"}), 1);
    pacman.cli.answers = {" YES "};
    EXPECT_EQ(pacman({"-R", "vi"}), 0);
}

TEST(Pacman, PrintsTargetsAndDoesNothing) {
    PacmanCli pacman;
    EXPECT_EQ(pacman({"-Sp", "vim"}), 0);
    EXPECT_EQ(pacman.cli.out(), "https://r/vim.pkg\n");
    EXPECT_TRUE(pacman.request().preview);
    EXPECT_EQ(pacman({"-R", "--print-format", "%n|%v|%r|%s", "vi"}), 0);
    EXPECT_EQ(pacman.cli.out(), "vi|1-1|local|1048576\n");
    EXPECT_EQ(pacman.cli.err(), "");
}

TEST(Pacman, NothingToDoIsSaid) {
    PacmanCli pacman;
    pacman.cli.backend.plans.clear();
    EXPECT_EQ(pacman({"-S", "vim", "--needed"}), 0);
    EXPECT_EQ(pacman.cli.out(), " there is nothing to do\n");
    EXPECT_EQ(pacman({"-Sy"}), 0);
    EXPECT_EQ(pacman.cli.out(), ":: Synchronizing package databases...\n");
    EXPECT_EQ(pacman({"-S"}), 1);
    EXPECT_EQ(pacman.cli.err(), "error: no targets specified (use -h for help)\n");
}

TEST(Pacman, TheRequestHasAllOptionsAndPlaces) {
    PacmanCli pacman;
    EXPECT_EQ(pacman({"-Syyuu", "--noconfirm", "--needed", "--asdeps", "--dbonly", "-dd", "--ignore", "a,b",
                      "--overwrite", "*", "--cachedir", "/mine", "--hookdir", "/hooks", "x"}),
              0);
    const TransactionRequest& request = pacman.request();
    EXPECT_EQ(request.refresh, 2U);
    ASSERT_TRUE(request.in_place);
    EXPECT_EQ(request.in_place->root, pacman.dir.path("root") + "/");
    EXPECT_EQ(request.in_place->database, pacman.dir.path("root/var/lib/pacman/"));
    EXPECT_THAT(request.in_place->cache_dirs, ElementsAre("/mine/", "/cache/"));
    EXPECT_THAT(request.in_place->hook_dirs, ElementsAre("/hooks/"));
    EXPECT_THAT(request.in_place->gnupg_dir, StartsWith(pacman.dir.path("root")));
    EXPECT_TRUE(request.in_place->db_only && request.in_place->no_scriptlet);
    const ResolveRequest& packages = request.containers.at(0).packages;
    EXPECT_TRUE(packages.upgrade && packages.downgrade && packages.needed && packages.as_deps);
    EXPECT_TRUE(packages.no_deps && packages.no_dep_version);
    EXPECT_THAT(packages.install, ElementsAre("x"));
    EXPECT_THAT(packages.ignore, ElementsAre("a", "b"));
    EXPECT_THAT(packages.overwrite, ElementsAre("*"));
}

TEST(Pacman, TargetsComeFromStandardInput) {
    PacmanCli pacman;
    pacman.cli.answers = {"b", "", "c"};
    EXPECT_EQ(pacman({"-S", "--noconfirm", "a", "-"}), 0);
    EXPECT_THAT(pacman.request().containers.at(0).packages.install, ElementsAre("a", "b", "c"));
    EXPECT_EQ(pacman({"-S", "-"}), 1);
    EXPECT_EQ(pacman.cli.err(), "error: argument '-' specified with empty stdin\n");
    pacman.cli.tty = true;
    EXPECT_EQ(pacman({"-S", "-"}), 1);
    EXPECT_EQ(pacman.cli.err(), "error: argument '-' specified without input on stdin\n");
}

TEST(Pacman, StandardAnswersCanBeInverted) {
    PacmanCli pacman;
    std::vector<int> answers;
    pacman.cli.backend.on_transact = [&](Dialogue& dialogue) {
        answers.push_back(dialogue.ask({.kind = Question::Kind::conflict, .text = "?", .default_answer = 0}));
        answers.push_back(
            dialogue.ask({.kind = Question::Kind::replace_package, .text = "?", .default_answer = 1}));
        answers.push_back(
            dialogue.ask({.kind = Question::Kind::hold_package, .text = "?", .default_answer = 0}));
    };
    EXPECT_EQ(pacman({"-S", "--noconfirm", "x"}), 0);
    EXPECT_EQ(pacman({"-S", "--ask=4", "x"}), 0);
    EXPECT_EQ(pacman({"-S", "--ask=6", "x"}), 0);
    EXPECT_THAT(answers, ElementsAre(0, 1, 0, 1, 1, 0, 1, 0, 0));
}

TEST(Pacman, WhatHappensIsPrintedOnce) {
    PacmanCli pacman;
    pacman.cli.backend.on_transact = [](Dialogue& dialogue) {
        for (int i = 0; i < 2; ++i) {
            dialogue.progress("resolve dependencies", "", 0, 0);
            dialogue.progress("download", "vim-2-1-any.pkg.tar.zst", 5, 10);
            dialogue.message(Severity::warning, "vim: ignoring package upgrade (1 => 2)");
            dialogue.message(Severity::warning, ":: a optionally requires b");
        }
        dialogue.progress("some step of ours", "x", 0, 0);
        dialogue.script_output("vim", "done \x1b[31m");
    };
    pacman.cli.backend.plans.clear();
    EXPECT_EQ(pacman({"-Su", "--noconfirm"}), 0);
    EXPECT_EQ(pacman.cli.err(), "warning: vim: ignoring package upgrade (1 => 2)\n");
    EXPECT_EQ(pacman.cli.out(),
              ":: Starting full system upgrade...\nresolving dependencies...\n vim-2-1-any downloading...\n"
              ":: a optionally requires b\ndone \\x1b[31m\n there is nothing to do\n");
}

TEST(Pacman, FailuresAreTranscripts) {
    PacmanCli pacman;
    pacman.cli.backend.failure =
        Error("prepare", "", "x")
            .with_hint("error: failed to prepare transaction (why)\n:: a breaks b\nplain");
    EXPECT_EQ(pacman({"-S", "x"}), 1);
    EXPECT_EQ(pacman.cli.err(), "error: failed to prepare transaction (why)\n");
    EXPECT_EQ(pacman.cli.out(), ":: a breaks b\nplain\n");
    pacman.cli.backend.failure = Error("open", "/x", "No such file");
    EXPECT_EQ(pacman({"-S", "x"}), 1);
    EXPECT_EQ(pacman.cli.err(), "error: open '/x': No such file\n");
}

TEST(Pacman, ThisMachineIsNeverMeantByAccident) {
    Cli cli;
    for (const char* operation : {"-Syu", "-Q", "-Rs", "-Dk"}) {
        EXPECT_EQ(cli({"pacman", operation, "x"}), 1) << operation;
        EXPECT_THAT(cli.err(), HasSubstr("error: no root was named")) << operation;
        EXPECT_THAT(cli.err(), HasSubstr("--root")) << operation;
    }
    EXPECT_THAT(cli.backend.requests, IsEmpty());
    EXPECT_EQ(cli({"pacman", "-V"}), 0);
    EXPECT_EQ(cli({"pacman", "-Sh"}), 0);
}

TEST(Pacman, FileDatabasesAreNotThere) {
    PacmanCli pacman;
    EXPECT_EQ(pacman({"-F", "x"}), 1);
    EXPECT_THAT(pacman.cli.err(), HasSubstr("-F"));
}

/// A container's view with one package, and the command line on it.
struct ContainerCli {
    ContainerCli() {
        dir.write("db/local/ALPM_DB_VERSION", "9\n");
        dir.write("db/local/vim-1-1/desc", "%NAME%\nvim\n\n%VERSION%\n1-1\n\n");
        dir.write("db/local/vim-1-1/files", "%FILES%\nusr/\nusr/vim\n");
        dir.write("root/usr/vim", "v");
        std::filesystem::create_directories(dir.path("db/sync"));
        std::filesystem::create_directories(dir.path("cache"));
        cli.backend.view.root = dir.path("root");
        cli.backend.view.database = dir.path("db");
        cli.backend.view.cache = dir.path("cache");
        cli.backend.view.gnupg_dir = dir.path("gnupg");
        cli.backend.view.config = dir.write("repositories.conf", "[options]\n[repo]\nServer = file:///r\n");
    }
    int operator()(std::vector<std::string> words) {
        words.insert(words.begin(), {"pacman", "--container", "editor"});
        return cli(words);
    }
    [[nodiscard]] const TransactionRequest& request() const { return cli.backend.requests.back(); }

    TestDir dir;
    Cli cli;
};

TEST(PacmanContainer, IsATransactionOfThatContainer) {
    ContainerCli pacman;
    EXPECT_EQ(pacman({"-S", "--noconfirm", "vim"}), 0);
    EXPECT_FALSE(pacman.request().in_place);
    EXPECT_TRUE(pacman.request().target_only);
    EXPECT_EQ(pacman.request().containers.at(0).name, "editor");
    ASSERT_TRUE(pacman.request().as_pacman);
    EXPECT_FALSE(pacman.request().as_pacman->db_only);
    EXPECT_EQ(pacman({"-S", "--noconfirm", "--dbonly", "--arch", "any", "vim"}), 0);
    EXPECT_TRUE(pacman.request().as_pacman->db_only);
    EXPECT_TRUE(pacman.request().as_pacman->no_scriptlet);
    EXPECT_THAT(pacman.request().as_pacman->architectures, ElementsAre("any"));
    EXPECT_EQ(pacman({"-Sw", "--noconfirm", "vim"}), 0);
    EXPECT_TRUE(pacman.request().as_pacman->download_only);
    const std::string other = pacman.dir.write("other.conf", "[options]\n");
    EXPECT_EQ(pacman({"-R", "--noconfirm", "--noscriptlet", "--config", other, "vim"}), 0);
    EXPECT_TRUE(pacman.request().as_pacman->no_scriptlet);
    EXPECT_EQ(pacman.request().as_pacman->config, other);
}

TEST(PacmanContainer, PlacesOfADirectoryAreRefused) {
    for (const char* option :
         {"--root", "--sysroot", "--dbpath", "--cachedir", "--hookdir", "--gpgdir", "--logfile"}) {
        ContainerCli pacman;
        EXPECT_EQ(pacman({"-Q", option, "/x"}), 1);
        EXPECT_EQ(pacman.cli.err(), "error: invalid option: '--container' and '" + std::string(option) +
                                        "' may not be used together\n");
    }
}

TEST(PacmanContainer, ReasonsAreATransactionOfTheirOwn) {
    ContainerCli pacman;
    EXPECT_EQ(pacman({"-D", "--asdeps", "vim", "nothing"}), 1);
    EXPECT_THAT(pacman.request().containers.at(0).make_dependency, ElementsAre("vim"));
    EXPECT_THAT(pacman.request().containers.at(0).make_explicit, IsEmpty());
    EXPECT_EQ(pacman.cli.out(), "vim: install reason has been set to 'installed as dependency'\n");
    EXPECT_THAT(
        pacman.cli.err(),
        HasSubstr(
            "error: could not set install reason for package nothing (could not find or read package)\n"));
}

TEST(PacmanContainer, ReasonsThatCouldNotBeSetAreNotSaidToBe) {
    ContainerCli pacman;
    pacman.cli.backend.failure = Error("set install reason", "vim", "it is from the container 'base'");
    EXPECT_EQ(pacman({"-D", "--asexplicit", "vim"}), 1);
    EXPECT_EQ(pacman.cli.out(), "");
    EXPECT_THAT(pacman.cli.err(), HasSubstr("it is from the container 'base'"));
}

TEST(PacmanContainer, ThePathOfAFileIsThatInTheContainer) {
    ContainerCli pacman;
    EXPECT_EQ(pacman({"-Qoq", "/usr/vim"}), 0);
    EXPECT_EQ(pacman.cli.out(), "vim\n");
}

TEST(PacmanContainer, CleaningKeepsWhatBelongsToOthers) {
    ContainerCli pacman;
    pacman.dir.write("cache/.pwstore-download.lock", "");
    pacman.dir.write("cache/vim-1-1-any.pkg.tar.gz", "damaged, so it is left alone");
    pacman.dir.write("db/sync/repo.db", "x");
    pacman.dir.write("db/sync/repo.release", "x");
    pacman.dir.write("db/sync/gone.db", "x");
    EXPECT_EQ(pacman({"-Sc", "--noconfirm"}), 0);
    EXPECT_TRUE(std::filesystem::exists(pacman.dir.path("cache/vim-1-1-any.pkg.tar.gz")));
    EXPECT_TRUE(std::filesystem::exists(pacman.dir.path("db/sync/repo.db")));
    EXPECT_TRUE(std::filesystem::exists(pacman.dir.path("db/sync/repo.release")));
    EXPECT_FALSE(std::filesystem::exists(pacman.dir.path("db/sync/gone.db")));
    EXPECT_EQ(pacman({"-Scc", "--ask=0"}), 0);
    EXPECT_TRUE(std::filesystem::exists(pacman.dir.path("cache/.pwstore-download.lock")));
}

TEST(PacmanSizes, AreWrittenAsPacmanWritesThem) {
    EXPECT_EQ(pacman::size_text(0, 'M'), "0.00 MiB");
    EXPECT_EQ(pacman::size_text(-1, 'M'), "0.00 MiB");
    EXPECT_EQ(pacman::size_text(-(5 << 20), 'M'), "-5.00 MiB");
    EXPECT_EQ(pacman::size_unit(2048), 'B');
    EXPECT_EQ(pacman::size_unit(2049), 'K');
    EXPECT_EQ(pacman::size_text(3'000'000, pacman::size_unit(3'000'000)), "2.86 MiB");
}

}  // namespace
}  // namespace pwstore::cli
