// SPDX-License-Identifier: GPL-3.0-or-later
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>

#include "cli/context.hpp"
#include "cli/log.hpp"
#include "cli/run.hpp"
#include "store/base/defect.hpp"
#include "store/base/error.hpp"
#include "store/base/path_at.hpp"
#include "store/debian/version.hpp"
#include "tests/support/fake_backend.hpp"
#include "tests/support/test_dir.hpp"

namespace pwstore::cli {
namespace {

using test::Cli;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::StartsWith;
using Json = nlohmann::json;

// --- Nobody to ask
// --------------------------------------------------------------------------------------------------

TEST(NoTerminal, NothingIsChangedWithoutNoconfirm) {
    ContainerPlan plan;
    plan.container = "box";
    plan.created = true;
    for (const std::vector<std::string>& words :
         std::vector<std::vector<std::string>>{{"install", "a", "b"},
                                               {"remove", "a", "b"},
                                               {"upgrade"},
                                               {"-Syu"},
                                               {"-Syucb", "--target=base"},
                                               {"delete", "a"},
                                               {"undo"},
                                               {"rebuild"}}) {
        Cli cli;
        cli.backend.switched = {{"a", 1, 2}};
        cli.backend.plans = {plan};
        EXPECT_EQ(cli(words), 2) << words[0];
        EXPECT_THAT(cli.err(), HasSubstr("there is no terminal to ask on")) << words[0];
        EXPECT_THAT(cli.err(), HasSubstr("--noconfirm")) << words[0];
        EXPECT_THAT(cli.backend.calls, IsEmpty()) << words[0];
        if (!cli.backend.requests.empty()) {
            EXPECT_THAT(cli.err(), HasSubstr("new container box")) << "what it would ask about is shown";
        }
    }
}

TEST(NoTerminal, IsMissedOnlyWhereThereIsSomethingToAsk) {
    Cli cli;
    cli.backend.report.unchanged = 3;
    EXPECT_EQ(cli({"-Syu"}), 0);
    EXPECT_EQ(cli.out(), "3 containers are up to date\n");
    cli.backend.failure = Error("resolve packages", "", "nosuchpkg: no such package");
    EXPECT_EQ(cli({"-Syucb", "--target=box", "nosuchpkg"}), 1);
    EXPECT_THAT(cli.err(), HasSubstr("nosuchpkg: no such package"));
    EXPECT_THAT(cli.err(), Not(HasSubstr("no terminal")));
}

TEST(Refreshed, IsSaidAsItWas) {
    Cli cli;
    EXPECT_EQ(cli({"-Sy"}), 0);
    EXPECT_EQ(cli.out(), "the package lists were up to date\n");
    cli.backend.report.refreshed = true;
    EXPECT_EQ(cli({"-Sy"}), 0);
    EXPECT_EQ(cli.out(), "the package lists are new\n");
    cli.backend.report.unchanged = 1;
    EXPECT_EQ(cli({"upgrade", "box"}), 0);
    EXPECT_EQ(cli.out(), "1 container is up to date\n");
}

TEST(NoTerminal, NeverPromptsWithNoconfirm) {
    Cli cli;
    cli.backend.plans = {ContainerPlan{}};
    cli.backend.plans[0].created = true;
    EXPECT_EQ(cli({"upgrade", "--noconfirm"}), 0);
    EXPECT_EQ(cli({"delete", "a", "--noconfirm"}), 0);
    EXPECT_EQ(cli({"upgrade", "--noconfirm", "--quiet"}), 0);
    EXPECT_EQ(cli.out() + cli.err(), "");
}

// --- All containers
// -------------------------------------------------------------------------------------------------

TEST(Everyone, OptionsHoldForContainersThatNobodyNamed) {
    for (const std::vector<std::string>& words : std::vector<std::vector<std::string>>{
             {"upgrade", "--ignore=tool", "--downgrade", "--noconfirm"},
             {"-Syuu", "--ignore=tool", "--noconfirm"},
             {"-Syuu", "--ignore=tool", "-t", "box", "pkg", "--noconfirm"}}) {
        Cli cli;
        EXPECT_EQ(cli(words), 0);
        ASSERT_EQ(cli.backend.requests.size(), 1U);
        const TransactionRequest& request = cli.backend.requests[0];
        EXPECT_TRUE(request.upgrade_all);
        EXPECT_THAT(request.everyone.ignore, ElementsAre("tool"));
        EXPECT_TRUE(request.everyone.downgrade);
        for (const ContainerRequest& named : request.containers) {
            EXPECT_THAT(named.packages.ignore, ElementsAre("tool"));
            EXPECT_TRUE(named.packages.downgrade);
        }
    }
}

TEST(Everyone, WhatIsSaidOfNamedPackagesIsSaidOfThemAlone) {
    const auto everyone = [](const std::vector<std::string>& words) {
        Cli cli;
        EXPECT_EQ(cli(words), 0);
        return cli.backend.requests.at(0).everyone;
    };
    EXPECT_FALSE(everyone({"-Syu", "--asdeps", "-t", "box", "pkg", "--noconfirm"}).as_deps);
    EXPECT_THAT(everyone({"-Syu", "--overwrite=usr/*", "-t", "box", "pkg", "--noconfirm"}).overwrite,
                ElementsAre("usr/*"));
    EXPECT_TRUE(everyone({"-Syu", "--asdeps", "--noconfirm"}).as_deps) << "as pacman does";
}

// --- Exit codes
// -----------------------------------------------------------------------------------------------------

TEST(ExitCodes, ByTheKindOfFailure) {
    const std::vector<std::pair<Fault, int>> table{
        {Fault::failure, 1}, {Fault::usage, 2},       {Fault::busy, 3},         {Fault::corrupt, 4},
        {Fault::refused, 1}, {Fault::unsupported, 1}, {Fault::interrupted, 130}};
    for (const auto& [fault, code] : table) {
        Cli cli;
        Error error("lock", "base", "held by someone");
        cli.backend.failure = error.as(fault).with_hint("wait");
        EXPECT_EQ(cli({"upgrade", "--noconfirm"}), code);
        EXPECT_EQ(cli.err(), "pwstore: error: lock 'base': held by someone\nhint: wait\n");
        EXPECT_EQ(cli.out(), "");
        EXPECT_THAT(cli.backend.logged,
                    ElementsAre("pwstore upgrade --noconfirm: failed: lock 'base': held by someone"));
    }
}

TEST(ExitCodes, OfTheProgram) {
    Cli cli;
    cli.backend.status = 127;
    EXPECT_EQ(cli({"run", "base", "absent"}), 127);
    EXPECT_EQ(cli.err(), "");
    cli.backend.not_started = Error("run", "absent", "No such file or directory");
    EXPECT_EQ(cli({"run", "base", "absent"}), 127);
    EXPECT_EQ(cli.err(), "pwstore: error: run 'absent': No such file or directory\n");
    cli.backend.on_run = [] { throw Error("mount", "x", "no").as(Fault::busy); };
    EXPECT_EQ(cli({"run", "base", "absent"}), 125);
    EXPECT_EQ(cli({"shell", "base"}), 125);
}

TEST(ExitCodes, WhatIsNoErrorIsAFaultOfPwstore) {
    Cli cli;
    const test::TestDir dir;
    cli.backend.on_export = [] { (void)std::map<int, int>().at(3); };
    EXPECT_EQ(cli({"export", "base", "-o", dir.path("base.tar")}), kDefect);
    EXPECT_THAT(cli.err(),
                HasSubstr("pwstore: error: fault of pwstore while exporting 'base': map::at\nhint: "));
    EXPECT_EQ(cli({"export", "-o", dir.path("base.tar"), "base"}), kDefect);
    EXPECT_THAT(cli.err(), HasSubstr("while carrying out 'pwstore export -o "));
    cli.backend.on_run = [] { (void)std::string().at(3); };
    EXPECT_EQ(cli({"run", "base", "true"}), 125) << "70 may be the program's own";
    EXPECT_THAT(cli.err(), HasSubstr("fault of pwstore while running 'base'"));
}

TEST(ExitCodes, OfAFaultInTheWorker) {
    Cli cli;
    const Defect defect = Defect::of(std::out_of_range("map::at\x1b"), "carrying out 'pwstore upgrade'");
    cli.backend.on_transact = [&](Dialogue&) { throw Defect(defect); };
    EXPECT_EQ(cli({"upgrade", "--noconfirm"}), kDefect);
    EXPECT_THAT(cli.err(),
                HasSubstr("fault of pwstore while carrying out 'pwstore upgrade': map::at\\x1b\nhint: "));
    EXPECT_THAT(cli.backend.logged, ElementsAre(HasSubstr("failed: fault of pwstore")));
}

TEST(ExitCodes, ALackOfMemoryIsNobodysFault) {
    Cli cli;
    const test::TestDir dir;
    cli.backend.on_export = [] { throw std::bad_alloc(); };
    EXPECT_EQ(cli({"export", "base", "-o", dir.path("base.tar")}), kFailed);
    EXPECT_EQ(cli.err(), "pwstore: error: exporting 'base': there is not enough memory\n");
}

TEST(Here, ADirectoryThatIsGoneIsSaid) {
    const test::TestDir dir;
    make_directories(AT_FDCWD, dir.path("gone"));
    const Fd before = open_at(AT_FDCWD, ".", O_RDONLY | O_DIRECTORY);
    ASSERT_EQ(::chdir(dir.path("gone").c_str()), 0);
    ASSERT_EQ(::rmdir(dir.path("gone").c_str()), 0);
    Cli cli;
    EXPECT_EQ(cli({"shell", "base", "--here"}), 125);
    ASSERT_EQ(::fchdir(before.get()), 0);
    EXPECT_THAT(cli.err(), HasSubstr("share the current directory: it is not there any more\nhint: cd "));
    EXPECT_FALSE(cli.backend.ran);
}

TEST(ExitCodes, OutputThatCannotBeWritten) {
    Cli cli;
    test::FakeBackend backend;
    std::ostringstream err;
    std::ostream full(nullptr);
    Io io{full, err, [] { return std::nullopt; }, [](const std::string&) { return std::nullopt; },
          [] { return 80U; }};
    EXPECT_EQ(run({"help"}, io, backend), 1);
    EXPECT_THAT(err.str(), HasSubstr("standard output does not take it"));
}

// --- Colours
// --------------------------------------------------------------------------------------------------------

TEST(Colour, OnlyOnATerminalThatWantsIt) {
    const auto coloured = [](Cli& cli, const std::vector<std::string>& more) {
        std::vector<std::string> words{"install", "a"};
        words.insert(words.end(), more.begin(), more.end());
        (void)cli({"help"});
        return cli.out().find('\x1b') != std::string::npos;
    };
    Cli cli;
    EXPECT_FALSE(coloured(cli, {}));
    cli.tty = true;
    EXPECT_FALSE(coloured(cli, {})) << "TERM is not set";
    cli.environment["TERM"] = "xterm";
    EXPECT_TRUE(coloured(cli, {}));
    cli.environment["NO_COLOR"] = "1";
    EXPECT_FALSE(coloured(cli, {}));
    cli.environment["NO_COLOR"] = "";
    EXPECT_TRUE(coloured(cli, {})) << "empty counts as not set";
    cli.environment["TERM"] = "dumb";
    EXPECT_FALSE(coloured(cli, {}));
}

TEST(Colour, OptionDecides) {
    Cli cli;
    cli.environment["NO_COLOR"] = "1";
    EXPECT_EQ(cli({"help", "--color=always"}), 0);
    EXPECT_THAT(cli.out(), HasSubstr("\x1b[1m"));
    cli.tty = true;
    cli.environment = {{"TERM", "xterm"}};
    EXPECT_EQ(cli({"help", "--color=never"}), 0);
    EXPECT_THAT(cli.out(), Not(HasSubstr("\x1b")));
}

// --- What is shown
// --------------------------------------------------------------------------------------------------

Cli filled() {
    Cli cli;
    cli.backend.states = {{"zebra", ContainerType::base, 3, 1'700'000'000, {}, 120},
                          {"editor", ContainerType::aggregate, 1, 1'700'000'001, {"zebra"}, 2},
                          {"empty", ContainerType::base, 0, 0, {}, 0}};
    cli.backend.use.containers = {{"editor", 1000, 1'200'000'000, 1'100'000'000, 20'000'000},
                                  {"empty", 0, 0, 0, 0},
                                  {"zebra", 900, 1'150'000'000, 1'100'000'000, 0}};
    cli.backend.use.objects = 1234;
    cli.backend.use.stored = 1'200'000'000;
    cli.backend.use.referenced = 1'120'000'000;
    cli.backend.use.apparent = 2'350'000'000;
    cli.backend.detail.state = cli.backend.states[1];
    cli.backend.detail.cause = "install neo\xffvim";
    cli.backend.detail.upstream = {{"zebra", 3}};
    cli.backend.detail.packages.resize(2);
    cli.backend.detail.packages[0].name = "neovim";
    cli.backend.detail.packages[0].version = "0.9-1";
    cli.backend.detail.packages[1].name = "libuv";
    cli.backend.detail.packages[1].version = "1.4-1";
    cli.backend.detail.packages[1].reason = InstallReason::dependency;
    return cli;
}

TEST(Show, WhatAllSaveTogetherIsNobodysOwn) {
    Cli cli = filled();
    EXPECT_EQ(cli({"ls", "-s"}), 0);
    EXPECT_THAT(cli.out(), HasSubstr("on disk                                   1.1 GB\n"));
    EXPECT_THAT(cli.out(), HasSubstr("saved                                     1.2 GB\n"));
}

TEST(Show, List) {
    Cli cli = filled();
    EXPECT_EQ(cli({"ls"}), 0);
    EXPECT_EQ(cli.out(),
              "Name    Type       Packages  Generation    Size  Exclusive\n"
              "zebra   base            120           3  1.1 GB        0 B\n"
              "empty   base              0           -     0 B        0 B\n"
              "editor  aggregate         2           1  1.2 GB      20 MB\n");
    EXPECT_EQ(cli({"ls", "-q"}), 0);
    EXPECT_EQ(cli.out(), "zebra\nempty\neditor\n");
    EXPECT_EQ(cli({"-Ltsb"}), 0);
    EXPECT_THAT(cli.out(), HasSubstr("1200000000"));
    EXPECT_THAT(cli.out(), Not(HasSubstr("Exclusive")));
    EXPECT_THAT(cli.out(), HasSubstr("saved"));
    cli.backend.states.clear();
    EXPECT_EQ(cli({"ls"}), 0);
    EXPECT_EQ(cli.out(), "");
    EXPECT_THAT(cli.err(), HasSubstr("no containers yet"));
}

TEST(Show, ListOnANarrowTerminal) {
    Cli cli = filled();
    cli.tty = true;
    cli.width = 40;
    EXPECT_EQ(cli({"ls"}), 0);
    EXPECT_THAT(cli.out(), HasSubstr("Size"));
    EXPECT_THAT(cli.out(), Not(HasSubstr("Exclusive")));
}

TEST(Show, Usage) {
    Cli cli = filled();
    EXPECT_EQ(cli({"du"}), 0);
    EXPECT_EQ(cli.out(),
              "Name    Files  Apparent  Shared  Exclusive\n"
              "editor   1000    1.2 GB  1.1 GB      20 MB\n"
              "empty       0       0 B     0 B        0 B\n"
              "zebra     900    1.1 GB  1.1 GB        0 B\n"
              "\n"
              "1234 objects, 1.2 GB on disk; the containers add up to 2.4 GB\n"
              "80 MB of it belong to no current state of a container\n");
    EXPECT_EQ(cli({"du", "absent"}), 2);
}

TEST(Show, Info) {
    Cli cli = filled();
    EXPECT_EQ(cli({"info", "editor", "--packages"}), 0);
    EXPECT_THAT(cli.out(), HasSubstr("install neo\\xffvim"));
    EXPECT_THAT(cli.out(), HasSubstr("zebra@3"));
    EXPECT_THAT(cli.out(), HasSubstr("2, 1 of them wanted for themselves"));
    EXPECT_THAT(cli.out(), HasSubstr("neovim   0.9-1    explicit"));
    cli.backend.known = false;
    EXPECT_EQ(cli({"info", "editor"}), 2);
}

TEST(Show, Query) {
    Cli cli = filled();
    EXPECT_EQ(cli({"-Q", "editor"}), 0);
    EXPECT_EQ(cli.out(), "libuv 1.4-1\nneovim 0.9-1\n");
    EXPECT_EQ(cli({"-Qqe", "editor"}), 0);
    EXPECT_EQ(cli.out(), "neovim\n");
    EXPECT_EQ(cli({"query", "editor", "libuv"}), 0);
    EXPECT_EQ(cli.out(), "libuv 1.4-1\n");
    EXPECT_EQ(cli({"-Qt", "editor", "neovim"}), 0);
    EXPECT_EQ(cli.out(), "neovim 0.9-1\n");
    EXPECT_EQ(cli({"query", "editor", "libuv", "absent"}), 1);
    EXPECT_EQ(cli.out(), "");
    EXPECT_THAT(cli.err(), HasSubstr("it has no package 'absent'"));
    EXPECT_EQ(cli({"query"}), 2);
}

TEST(Show, Search) {
    Cli cli;
    EXPECT_EQ(cli({"search", "x", "y"}), 1);
    EXPECT_THAT(cli.backend.calls, ElementsAre("search x", "search y"));
    cli.backend.found.resize(1);
    cli.backend.found[0].repository = "core";
    cli.backend.found[0].name = "bash";
    cli.backend.found[0].version = "5-1";
    cli.backend.found[0].description = "the shell";
    EXPECT_EQ(cli({"search", "x"}), 0);
    EXPECT_EQ(cli.out(), "core/bash 5-1\n    the shell\n");
    EXPECT_EQ(cli({"search", "x", "-q"}), 0);
    EXPECT_EQ(cli.out(), "bash\n");
}

TEST(Json, IsValidAndHasItsSchema) {
    Cli cli = filled();
    cli.backend.found.resize(1);
    cli.backend.found[0].description = "caf\xc3\xa9 \xff";
    cli.backend.probed = {{"overlay", false, "no", "slower", "do this"}};
    cli.backend.findings.findings = {
        {FindingKind::damaged_object, "store/objects/ab/x", "ab\xff", false, "archive \xff"}};
    const auto parsed = [&](const std::vector<std::string>& words, int code) {
        EXPECT_EQ(cli(words), code) << words[0] << cli.err();
        Json json = Json::parse(cli.out());
        EXPECT_EQ(json.at("schema"), "pwstore." + words[0] + "/1");
        EXPECT_EQ(cli.out().back(), '\n');
        return json;
    };
    const Json list = parsed({"ls", "--json"}, 0);
    ASSERT_EQ(list.at("containers").size(), 3U);
    EXPECT_EQ(list["containers"][2], (Json{{"name", "editor"},
                                           {"type", "aggregate"},
                                           {"generation", 1},
                                           {"time", 1'700'000'001},
                                           {"dependencies", {"zebra"}},
                                           {"packages", 2},
                                           {"apparent_bytes", 1'200'000'000},
                                           {"exclusive_bytes", 20'000'000}}));
    EXPECT_EQ(parsed({"du", "--json"}, 0).at("store").at("stored_bytes"), 1'200'000'000);
    const Json info = parsed({"info", "editor", "--json"}, 0);
    EXPECT_EQ(info.at("cause"), "install neo\\xffvim");
    EXPECT_EQ(info.at("installed").at(1).at("reason"), "dependency");
    EXPECT_EQ(info.at("built_on").at(0).at("generation"), 3);
    EXPECT_EQ(parsed({"query", "editor", "--json"}, 0).at("packages").size(), 2U);
    EXPECT_EQ(parsed({"explain", "editor", "--json"}, 0).at("lines"), Json({"/usr read-only of editor"}));
    EXPECT_EQ(parsed({"search", "x", "--json"}, 0).at("packages").at(0).at("description"),
              "caf\xc3\xa9 \\xff");
    EXPECT_EQ(parsed({"doctor", "--json"}, 0).at("probes").at(0).at("works"), false);
    const Json verify = parsed({"verify", "--json"}, 4);
    EXPECT_EQ(verify.at("clean"), false);
    EXPECT_EQ(verify.at("findings").at(0).at("kind"), "damaged-object");
    EXPECT_EQ(verify.at("findings").at(0).at("source"), "archive \\xff");
}

TEST(Versions, OfDebianArePrintedAsDebianWritesThem) {
    Cli cli = filled();
    const std::string version = "1:2.36-9+deb12u1";
    const std::string made = alpm_version(version);
    cli.backend.detail.packages = {{1, "libc6", made, InstallReason::explicitly, 5, 0, {}},
                                   {2, "own", "1.0-1", InstallReason::dependency, 6, 0, {}}};
    cli.backend.detail.notes = {{"libc6 " + made, "needs base>=" + made}};
    cli.backend.found.resize(1);
    cli.backend.found[0].version = made;
    cli.backend.found[0].depends = {"base>=" + made};
    EXPECT_EQ(cli({"query", "editor"}), 0);
    EXPECT_EQ(cli.out(), "libc6 " + version + "\nown 1.0-1\n");
    for (const std::vector<std::string>& words :
         {std::vector<std::string>{"info", "editor", "--packages"}, {"search", "x"}}) {
        EXPECT_EQ(cli(words), 0);
        EXPECT_THAT(cli.out(), AllOf(HasSubstr(version), Not(HasSubstr(made)))) << words[0];
    }
    EXPECT_EQ(cli({"query", "editor", "--json"}), 0);
    const Json packages = Json::parse(cli.out()).at("packages");
    EXPECT_EQ(packages.at(0).at("version"), version);
    EXPECT_EQ(packages.at(0).at("alpm_version"), made);
    EXPECT_FALSE(packages.at(1).contains("alpm_version"));
    EXPECT_EQ(cli({"search", "x", "--json"}), 0);
    EXPECT_EQ(Json::parse(cli.out()).at("packages").at(0).at("depends").at(0), "base>=" + version);
    EXPECT_EQ(cli({"info", "editor", "--json"}), 0);
    EXPECT_EQ(Json::parse(cli.out()).at("notes").at(0).at("text"), "needs base>=" + version);
    cli.backend.failure.emplace("install", "", "foo: requires base>=" + made);
    EXPECT_EQ(cli({"install", "editor", "foo", "--noconfirm"}), 1);
    EXPECT_THAT(cli.err(), AllOf(HasSubstr("requires base>=" + version), Not(HasSubstr(made))));
}

// --- verify, doctor
// -------------------------------------------------------------------------------------------------

TEST(Verify, FilesWithoutARecordAreOneLine) {
    Cli cli;
    for (const char* name : {"store/objects/aa/1", "store/objects/bb/2", "store/objects/cc/3"})
        cli.backend.findings.findings.push_back({FindingKind::stray_file, name, name, false});
    EXPECT_EQ(cli({"verify", "--quiet"}), 0);
    EXPECT_EQ(cli.out(),
              "found: 3 files in 'store/objects' that no record names, left by a command that was killed: "
              "'pwstore gc' removes them\n");
    for (Finding& finding : cli.backend.findings.findings)
        finding.healed = true;
    EXPECT_EQ(cli({"verify", "--heal", "--quiet"}), 0);
    EXPECT_THAT(cli.out(), StartsWith("healed: 3 files"));
    cli.backend.findings.findings.resize(1);
    EXPECT_EQ(cli({"verify", "--heal", "--quiet"}), 0);
    EXPECT_EQ(cli.out(), "healed: store/objects/aa/1\n");
}

TEST(Verify, OfALostIndexTheHintIsAnother) {
    Cli cli;
    cli.backend.findings.findings = {{FindingKind::bad_record, "store/index", "it is lost", false}};
    cli.backend.findings.hint = "put it back";
    EXPECT_EQ(cli({"verify"}), 4);
    EXPECT_EQ(cli.err(), "hint: put it back\n");
}

TEST(Stats, TheRatioIsThatOfWhatContainersUse) {
    Cli cli;
    cli.backend.numbers.apparent = 2'000;
    cli.backend.numbers.distinct = 1'000;
    cli.backend.numbers.stored = 4'000;  // old generations and the package database as well
    cli.backend.numbers.left_homes = {{"gone", 12'000'000}};
    EXPECT_EQ(cli({"stats"}), 0);
    EXPECT_THAT(cli.out(), AllOf(HasSubstr("2.0 times as much"),
                                 HasSubstr("home of the deleted container gone: 12 MB")));
}

TEST(Verify, OptionsAndExitCodes) {
    Cli cli;
    EXPECT_EQ(cli({"verify", "--heal", "--quick", "--sample=10%"}), 0);
    EXPECT_TRUE(cli.backend.verified->heal && cli.backend.verified->quick);
    EXPECT_DOUBLE_EQ(cli.backend.verified->sample, 0.1);
    EXPECT_THAT(cli.out(), HasSubstr("clean"));
    EXPECT_EQ(cli({"verify", "--sample", "0.25"}), 0);
    EXPECT_DOUBLE_EQ(cli.backend.verified->sample, 0.25);
    for (const char* bad : {"0", "2", "x", "10%x", "-1", "101%", "nan", "%"})
        EXPECT_EQ(cli({"verify", std::string("--sample=") + bad}), 2) << bad;
    cli.backend.findings.findings = {
        {FindingKind::damaged_object, "a", "bash 5-1: usr/bin/bash of base", false}};
    EXPECT_EQ(cli({"verify", "--quiet"}), 4);
    EXPECT_EQ(cli.out(), "found: bash 5-1: usr/bin/bash of base\n");
    EXPECT_EQ(cli({"verify"}), 4);
    EXPECT_THAT(cli.out(), HasSubstr(": 1 finding\n"));
    EXPECT_THAT(cli.err(), HasSubstr("'pwstore verify --heal'"));
    cli.backend.findings.findings[0].healed = true;
    EXPECT_EQ(cli({"verify", "--heal"}), 0);
    EXPECT_THAT(cli.out(), HasSubstr("healed: bash"));
    EXPECT_THAT(cli.out(), HasSubstr("clean now"));
    cli.backend.findings.findings.push_back(
        {FindingKind::stray_file, "roots/x", "'roots/x' is nobody's", false});
    EXPECT_EQ(cli({"verify"}), 0);
    EXPECT_THAT(cli.out(), HasSubstr(": 2 findings, no damage\n"));
    for (const char* other : {"--heal", "--from=x", "--quick", "--sample=10%", "--json"})
        EXPECT_EQ(cli({"verify", "--fidelity", other}), 2) << other;
    EXPECT_EQ(cli({"verify", "--fidelity", "base"}), 0);
    EXPECT_EQ(cli.out(), "fidelity of base\n");
    EXPECT_EQ(cli({"verify", "--fidelity"}), 0);
    EXPECT_EQ(cli.out(), "fidelity of all\n");
    EXPECT_EQ(cli({"verify", "base"}), 2);
}

TEST(Doctor, SaysWhatIsMissing) {
    Cli cli;
    cli.backend.probed = {{"overlay", true, "works", "", ""},
                          {"user-namespaces", false, "refused", "nothing runs", "sysctl x=1"}};
    EXPECT_EQ(cli({"doctor"}), 1);
    EXPECT_EQ(cli.out(),
              "ok      overlay: works\nmissing user-namespaces: refused\n        nothing runs\n        "
              "remedy: sysctl "
              "x=1\n");
    cli.backend.probed.pop_back();
    EXPECT_EQ(cli({"doctor"}), 0);
    cli.backend.probed[0].works = false;
    EXPECT_EQ(cli({"doctor"}), 0) << "slower, but it works";
}

// --- delete, undo, explain
// ------------------------------------------------------------------------------------------

TEST(Delete, AsksWithDefaultNo) {
    Cli cli;
    cli.tty = true;
    cli.answers = {""};
    EXPECT_EQ(cli({"rm", "a"}), 1);
    EXPECT_THAT(cli.backend.calls, IsEmpty());
    cli.answers = {"y"};
    EXPECT_EQ(cli({"rm", "a", "b", "--home", "--config", "--force"}), 0);
    EXPECT_THAT(cli.backend.calls, ElementsAre("delete a home config force", "delete b home config force"));
    EXPECT_THAT(cli.err(), HasSubstr("Delete containers? [y/N]"));
}

TEST(Explain, PrintsTheLines) {
    Cli cli;
    EXPECT_EQ(cli({"explain", "a"}), 0);
    EXPECT_EQ(cli.out(), "/usr read-only of a\n");
}

// --- run, shell, try
// ------------------------------------------------------------------------------------------------

TEST(Run, HereIsTheCurrentDirectory) {
    Cli cli;
    const std::string before = std::filesystem::current_path().string();
    std::filesystem::current_path("/");
    EXPECT_EQ(cli({"shell", "base", "--here"}), 0);
    EXPECT_EQ(cli.backend.ran->here, (Volume{"/", "/home/base/here", true}));
    std::filesystem::current_path("/tmp");
    EXPECT_EQ(cli({"run", "--here", "base", "ls"}), 0);
    EXPECT_EQ(cli.backend.ran->here, (Volume{"/tmp", "/home/base/here", true}));
    const std::string below = std::filesystem::temp_directory_path().string() + "/pwstore-here-test";
    if (below.rfind("/tmp/", 0) == 0) {
        std::filesystem::create_directories(below);
        std::filesystem::current_path(below);
        EXPECT_EQ(cli({"shell", "base", "--here"}), 0);
        EXPECT_EQ(cli.backend.ran->here, (Volume{below, below, true}));
        std::filesystem::remove(below);
    }
    std::filesystem::current_path(before);
    EXPECT_EQ(cli({"shell", "base", "--here", "--root"}), 125);
    EXPECT_EQ(cli({"shell", "base", "--discard"}), 125);
}

TEST(Run, WithoutWordsRunsWhatTheConfigurationNames) {
    Cli cli;
    EXPECT_EQ(cli({"run", "base"}), 125);
    EXPECT_THAT(cli.err(), HasSubstr("what is to be run"));
    cli.backend.policies.active.command = {"go", "version"};
    EXPECT_EQ(cli({"run", "base"}), 0);
    EXPECT_THAT(cli.backend.ran->argv, ElementsAre("go", "version"));
    EXPECT_EQ(cli({"run", "base", "ls"}), 0);
    EXPECT_THAT(cli.backend.ran->argv, ElementsAre("ls"));
    EXPECT_EQ(cli({"shell", "base"}), 0);
    EXPECT_THAT(cli.backend.ran->argv, IsEmpty());
}

TEST(RootShell, ListsWhatItChanged) {
    Cli cli;
    cli.backend.shell = {3, {"+ /etc/foo", "~ /etc/b\x1b[r"}, 5};
    EXPECT_EQ(cli({"-Esr", "base"}), 3);
    EXPECT_EQ(cli.err(),
              "+ /etc/foo\n~ /etc/b\\x1b[r\n2 changes, base: generation 5; 'pwstore undo' takes them back\n");
    EXPECT_THAT(cli.backend.logged, ElementsAre(HasSubstr("base@5")));
    cli.backend.shell.generation = 0;
    EXPECT_EQ(cli({"shell", "-r", "base", "--discard"}), 3);
    EXPECT_TRUE(cli.backend.rooted->discard);
    EXPECT_THAT(cli.err(), EndsWith("2 changes were thrown away\n"));
    EXPECT_EQ(cli.err().find("/etc/foo"), cli.err().rfind("/etc/foo"))
        << "a list of what is gone helps nobody";
}

/// A backend that knows the container which `try` makes.
Cli trying() {
    Cli cli;
    cli.backend.states = {{"base", ContainerType::base, 1, 0, {}, 1}};
    return cli;
}

void make_it(Cli& cli) {
    cli.backend.on_transact = [&cli](Dialogue&) {
        cli.backend.states.push_back(
            {cli.backend.requests.back().containers.at(0).name, ContainerType::aggregate, 1, 0, {"base"}, 1});
    };
}

TEST(Try, MakesRunsAndDrops) {
    Cli cli = trying();
    make_it(cli);
    cli.backend.status = 9;
    EXPECT_EQ(cli({"try", "ripgrep", "fd", "--", "rg", "--version"}), 9) << cli.err();
    const TransactionRequest& request = cli.backend.requests.at(0);
    ASSERT_EQ(request.containers.size(), 1U);
    const std::string name = request.containers[0].name;
    EXPECT_THAT(name, ::testing::StartsWith("try-"));
    EXPECT_TRUE(request.containers[0].create && request.no_confirm && request.target_only);
    EXPECT_EQ(request.containers[0].type, ContainerType::aggregate);
    EXPECT_THAT(request.containers[0].dependencies, ElementsAre("base"));
    EXPECT_THAT(request.containers[0].packages.install, ElementsAre("ripgrep", "fd"));
    EXPECT_THAT(cli.backend.ran->argv, ElementsAre("rg", "--version"));
    EXPECT_THAT(cli.backend.calls, ElementsAre("hold " + name, "delete " + name + " home config force"));
}

TEST(Try, DropsAlsoAfterAFailure) {
    Cli cli = trying();
    make_it(cli);
    cli.backend.on_run = [] { throw Error("mount", "x", "no"); };
    EXPECT_EQ(cli({"try", "ripgrep"}), 125);
    EXPECT_EQ(cli.backend.calls.size(), 2U);
    Cli failing = trying();
    failing.backend.failure = Error("resolve", "ripgrep", "no such package");
    EXPECT_EQ(failing({"try", "ripgrep"}), 125);
    EXPECT_THAT(failing.backend.calls, ElementsAre(HasSubstr("hold"))) << "there is nothing to drop";
    EXPECT_FALSE(failing.backend.ran);
}

TEST(Try, SweepsWhatAKilledOneLeft) {
    Cli cli = trying();
    cli.backend.abandoned = {ContainerName("try-0123abcd")};
    EXPECT_EQ(cli({"try", "ripgrep"}), 0);
    EXPECT_EQ(cli.backend.calls.at(0), "delete try-0123abcd home config");
    cli.backend.in_use = "try-0123abcd";
    EXPECT_EQ(cli({"try", "ripgrep"}), 0) << "its programs have not ended yet: the next one sweeps it";
}

TEST(Try, NamesAreRecognised) {
    EXPECT_TRUE(is_trial_name(new_trial_name()));
    EXPECT_NE(new_trial_name(), new_trial_name());
    for (const char* name : {"try-", "try-0123456", "try-012345678", "try-0123456G", "base", "atry-0123456"})
        EXPECT_FALSE(is_trial_name(name)) << name;
}

TEST(Try, NeedsOneBase) {
    Cli cli;
    EXPECT_EQ(cli({"try", "x"}), 125);
    EXPECT_THAT(cli.err(), HasSubstr("there is no base"));
    cli.backend.states = {{"a", ContainerType::base, 1, 0, {}, 1}, {"b", ContainerType::base, 1, 0, {}, 1}};
    EXPECT_EQ(cli({"try", "x"}), 125);
    EXPECT_THAT(cli.err(), HasSubstr("several bases: a, b"));
    EXPECT_EQ(cli({"try", "--base=b", "x"}), 0) << cli.err();
    EXPECT_THAT(cli.backend.requests.at(0).containers.at(0).dependencies, ElementsAre("b"));
}

// --- The log
// --------------------------------------------------------------------------------------------------------

TEST(Log, OneLinePerTransaction) {
    Cli cli;
    cli.backend.report.changed = true;
    cli.backend.report.transaction = 12;
    cli.backend.report.containers = {{"base", 3, 1, 0, 0}};
    EXPECT_EQ(cli({"install", "base", "vim", "--noconfirm"}), 0);
    EXPECT_THAT(cli.backend.logged,
                ElementsAre("pwstore install base vim --noconfirm: transaction 12: base@3"));
}

TEST(Log, FileIsAppendedAndHarmless) {
    const test::TestDir dir;
    write_log(dir.path("x.log"), "one");
    write_log(dir.path("x.log"), "two\nthree\x1b");
    EXPECT_THAT(dir.read("x.log"),
                ::testing::MatchesRegex(
                    "\\[[-0-9T:+]+\\] \\[info\\] one\n\\[[-0-9T:+]+\\] \\[info\\] two.x0athree.x1b\n"));
    write_log(dir.path("absent/x.log"), "one");
    EXPECT_FALSE(std::filesystem::exists(dir.path("absent")));
}

}  // namespace
}  // namespace pwstore::cli
