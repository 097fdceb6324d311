// SPDX-License-Identifier: GPL-3.0-or-later
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <sstream>

#include "cli/dialogue.hpp"
#include "cli/progress.hpp"
#include "store/base/error.hpp"
#include "tests/support/fake_backend.hpp"

namespace pwstore::cli {
namespace {

using test::Cli;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

PlanStep step(StepKind kind, const std::string& name, const std::string& version, uint64_t size,
              uint64_t download = 0) {
    PlanStep it;
    it.kind = kind;
    it.package.name = name;
    it.package.version = version;
    it.package.installed_size = size;
    it.package.download_size = 2 * download;  // half of it is there already
    it.to_download = download;
    return it;
}

std::vector<ContainerPlan> sample_plans() {
    ContainerPlan editor;
    editor.container = "editor";
    editor.type = ContainerType::aggregate;
    editor.created = true;
    editor.plan.steps = {step(StepKind::install, "neovim", "0.9-1", 20'000'000, 5'000'000)};
    ContainerPlan base;
    base.container = "base";
    PlanStep upgrade = step(StepKind::upgrade, "bash", "5.2-2", 9'000'000, 1'000'000);
    upgrade.old_version = "5.2-1";
    upgrade.old_installed_size = 8'000'000;
    base.plan.steps = {step(StepKind::remove, "ed", "1-1", 300'000), upgrade};
    base.plan.notes = {"zlib is up to date"};
    ContainerPlan above;
    above.container = "above";
    above.rebuilt_on_top = true;
    return {base, editor, above};
}

TEST(Dialogue, Summary) {
    EXPECT_EQ(render_plans(sample_plans(), 80, Painter(false)),
              "note: zlib is up to date\n"
              "base (base)\n"
              "Package  Old    New      Net Change  Download\n"
              "ed       1-1    removed     -300 kB\n"
              "bash     5.2-1  5.2-2       +1.0 MB    1.0 MB\n"
              "\n"
              "new container editor (aggregate)\n"
              "Package  Old  New    Net Change  Download\n"
              "neovim        0.9-1      +20 MB    5.0 MB\n"
              "\n"
              "Rebuilt on top of it: above\n"
              "\n"
              "Total Download:       6.0 MB\n"
              "Total Installed:       29 MB\n"
              "Total Removed:        300 kB\n"
              "Net Upgrade Size:     +21 MB\n");
}

TEST(Dialogue, ContainersForWhichTheSameIsPlannedShareATable) {
    std::vector<ContainerPlan> plans(3, sample_plans().front());
    for (size_t at = 0; at < plans.size(); ++at) {
        plans[at].container = fmt::format("c{}", at);
        plans[at].plan.notes.clear();
    }
    plans.push_back(sample_plans().front());
    plans.back().plan.notes.clear();
    plans.back().plan.steps.pop_back();
    const std::string text = render_plans(plans, 80, Painter(false));
    EXPECT_THAT(text, HasSubstr("3 containers: c0, c1, c2\nPackage  Old    New "));
    EXPECT_THAT(text, HasSubstr("\nbase (base)\n"));
    EXPECT_EQ(text.find("bash"), text.rfind("bash"));
}

TEST(Dialogue, SummaryOfARebuilding) {
    ContainerPlan base;
    base.container = "base";
    base.rebuilt_on_top = true;
    EXPECT_EQ(render_plans({base}, 80, Painter(false)), "Rebuilt: base\n\n");
}

TEST(Dialogue, SummaryFitsNarrowTerminals) {
    std::istringstream in(render_plans(sample_plans(), 40, Painter(false)));
    for (std::string line; std::getline(in, line);)
        EXPECT_LE(display_width(line), 40U) << line;
}

TEST(Dialogue, Report) {
    TransactionReport report;
    report.changed = true;
    report.transaction = 3;
    report.containers = {{"base", 2, 0, 1, 1},
                         {"editor", 1, 12, 0, 0},
                         {"above", 5, 0, 0, 0},
                         {"fresh", 1, 0, 0, 0},
                         {"gone", 0, 0, 0, 0}};
    report.file_bytes = 312'000'000;
    report.new_disk_bytes = 9'000'000;
    report.notes = {{"foo.install", "post_install failed with 1"}};
    EXPECT_EQ(render_report(report, Painter(false)),
              "base: 1 upgraded, 1 removed, generation 2\n"
              "editor: 12 installed, generation 1\n"
              "above: rebuilt, generation 5\n"
              "fresh: created, generation 1\n"
              "gone: removed\n"
              "312 MB of files, 9.0 MB new on disk\n"
              "warning: foo.install: post_install failed with 1\n");
}

struct Asked {
    explicit Asked(std::vector<std::string> lines) { cli.answers = std::move(lines); }
    int confirm() {
        cli.tty = true;
        cli.backend.plans = sample_plans();
        cli.backend.report.changed = true;
        return cli({"install", "editor", "neovim"});
    }
    Cli cli;
};

TEST(Dialogue, ConfirmationDefaultsToYes) {
    Asked asked({""});
    EXPECT_EQ(asked.confirm(), 0);
    EXPECT_THAT(asked.cli.err(), HasSubstr(":: Proceed with installation? [Y/n] "));
    EXPECT_THAT(asked.cli.err(), HasSubstr("neovim"));
}

TEST(Dialogue, NoDeclines) {
    Asked asked({"perhaps", "n"});
    EXPECT_EQ(asked.confirm(), 1);
    EXPECT_THAT(asked.cli.err(), HasSubstr("please answer"));
    EXPECT_EQ(asked.cli.out(), "");
    EXPECT_THAT(asked.cli.backend.logged, ElementsAre(HasSubstr("declined")));
}

TEST(Dialogue, EndOfInputIsAnInterrupt) {
    Asked asked({});
    EXPECT_EQ(asked.confirm(), 130);
    EXPECT_THAT(asked.cli.backend.logged,
                ElementsAre(HasSubstr("failed: ask for a confirmation: interrupted")));
}

TEST(Dialogue, RemovalIsAskedAsRemoval) {
    Cli cli;
    cli.tty = true;
    cli.answers = {"y"};
    cli.backend.plans = {sample_plans()[0]};
    cli.backend.plans[0].plan.steps.resize(1);
    EXPECT_EQ(cli({"remove", "base", "ed"}), 0);
    EXPECT_THAT(cli.err(), HasSubstr("Proceed with removal?"));
}

TEST(Dialogue, NothingToDoIsNotAsked) {
    Cli cli;
    cli.tty = true;
    cli.backend.plans = {ContainerPlan{}};
    cli.backend.report.unchanged = 2;
    EXPECT_EQ(cli({"upgrade"}), 0);
    EXPECT_THAT(cli.err(), Not(HasSubstr("Proceed")));
    EXPECT_EQ(cli.out(), "2 containers are up to date\n");
    EXPECT_EQ(cli({"install", "base", "ed", "--needed"}), 0);
    EXPECT_EQ(cli.out(), "nothing to do\n");
}

TEST(Dialogue, QuestionsOfTheResolver) {
    Cli cli;
    cli.tty = true;
    cli.answers = {"0", "4", "x", "2", "", "n", ""};
    std::vector<int> got;
    cli.backend.on_transact = [&](Dialogue& dialogue) {
        const Question provider{Question::Kind::select_provider, "which \x1b java?", {"a", "b", "c"}, 0};
        got.push_back(dialogue.ask(provider));
        got.push_back(dialogue.ask(provider));
        got.push_back(dialogue.ask({Question::Kind::replace_package, "replace?", {}, 1}));
        got.push_back(dialogue.ask({Question::Kind::conflict, "remove?", {}, 0}));
    };
    EXPECT_EQ(cli({"install", "editor", "java"}), 0) << cli.err();
    EXPECT_THAT(got, ElementsAre(1, 0, 0, 0));
    EXPECT_THAT(cli.err(), HasSubstr("which \\x1b java?\n  1) a\n  2) b\n  3) c\n:: Enter a number [1]: "));
    EXPECT_THAT(cli.err(), HasSubstr("please enter a number from 1 to 3"));
}

TEST(Dialogue, NoconfirmAnswersWithTheDefaults) {
    Cli cli;
    cli.backend.plans = sample_plans();
    std::vector<int> got;
    cli.backend.on_transact = [&](Dialogue& dialogue) {
        got = {dialogue.ask({Question::Kind::conflict, "?", {}, 0}),
               dialogue.ask({Question::Kind::corrupted, "?", {}, 1}),
               dialogue.ask({Question::Kind::select_provider, "?", {"a", "b"}, 1})};
    };
    EXPECT_EQ(cli({"install", "editor", "java", "--noconfirm"}), 0);
    EXPECT_THAT(got, ElementsAre(0, 1, 1));
    EXPECT_THAT(cli.err(), Not(HasSubstr("::")));
}

TEST(Dialogue, PreviewPrintsThePlanAndAsksNothing) {
    Cli cli;
    cli.backend.plans = sample_plans();
    EXPECT_EQ(cli({"upgrade", "--preview"}), 0);
    EXPECT_TRUE(cli.backend.requests.at(0).preview);
    EXPECT_THAT(cli.out(), HasSubstr("Total Download:"));
    EXPECT_TRUE(cli.backend.logged.empty());
}

TEST(Dialogue, PreviewOfNothing) {
    Cli cli;
    EXPECT_EQ(cli({"upgrade", "--preview"}), 0);
    EXPECT_EQ(cli.out(), "nothing to do\n");
}

TEST(Dialogue, ScriptOutputIsIndentedBelowItsAgent) {
    Cli cli;
    cli.backend.on_transact = [](Dialogue& dialogue) {
        dialogue.script_output("bash.install", "one");
        dialogue.script_output("bash.install", "tw\x1b[31mo");
        dialogue.script_output("ldconfig.hook", "three");
        dialogue.message(Severity::warning, "careful\n");
        dialogue.message(Severity::debug, "unseen");
        dialogue.script_output("ldconfig.hook", "four");
    };
    EXPECT_EQ(cli({"upgrade", "--noconfirm"}), 0);
    EXPECT_EQ(cli.err(),
              "bash.install:\n    one\n    tw\\x1b[31mo\nldconfig.hook:\n    three\nwarning: "
              "careful\\x0a\nldconfig.hook:\n    four\n");
    EXPECT_EQ(cli({"upgrade", "--noconfirm", "--quiet"}), 0);
    EXPECT_EQ(cli.err(), "warning: careful\\x0a\n");
    EXPECT_EQ(cli.out(), "");
    EXPECT_EQ(cli({"upgrade", "--noconfirm", "--debug"}), 0);
    EXPECT_THAT(cli.err(), HasSubstr("debug: unseen"));
}

// --- Progress
// -------------------------------------------------------------------------------------------------------

struct Screen {
    explicit Screen(bool tty) : io{out, err, {}, {}, [] { return 80U; }, tty, tty, tty} {}
    std::ostringstream out, err;
    Io io;
    test::FakeBackend backend;
    Context context{io, backend, ""};
    ProgressScreen::Clock::time_point time{};
    ProgressScreen screen{context, [this] { return time; }};
};

TEST(Progress, AppearsAfterASecondOnATerminal) {
    Screen it(true);
    it.screen.progress("ingest", "bash 5.2-1", 1, 10);
    EXPECT_EQ(it.err.str(), "");
    it.time += std::chrono::milliseconds(1001);
    it.screen.progress("ingest", "bash 5.2-1", 5, 10);
    EXPECT_EQ(it.err.str(), "\r\x1b[Kingest           [############------------]  50%  bash 5.2-1");
    it.err.str("");
    it.screen.progress("ingest", "bash 5.2-1", 10, 10);
    EXPECT_EQ(it.err.str(), "\r\x1b[K") << "a finished step leaves nothing";
    it.screen.progress("ingest", "bash 5.2-1", 5, 10);
    it.err.str("");
    it.screen.progress("ingest", "bash 5.2-1", 6, 10);
    EXPECT_EQ(it.err.str(), "") << "too soon after the last one";
    it.screen.message(Severity::info, "hello");
    EXPECT_EQ(it.err.str(), "\r\x1b[Khello\n");
    it.err.str("");
    it.screen.clear();
    EXPECT_EQ(it.err.str(), "") << "there is nothing to take away";
}

TEST(Progress, TimeOfThinkingDoesNotCount) {
    Screen it(true);
    it.time += std::chrono::seconds(10);
    it.screen.begin_anew();
    it.screen.progress("ingest", "x", 5, 10);
    EXPECT_EQ(it.err.str(), "");
}

TEST(Progress, NothingWithoutATerminal) {
    Screen it(false);
    it.time += std::chrono::seconds(10);
    it.screen.progress("ingest", "x", 5, 10);
    it.screen.clear();
    EXPECT_EQ(it.err.str(), "");
}

TEST(Progress, LineFits) {
    EXPECT_EQ(progress_line("ingest", "bash", 0, 0, 60), "ingest            bash");
    EXPECT_EQ(progress_line("ingest", "bash", 10, 10, 30), "ingest           100%  bash");
    EXPECT_EQ(progress_line("ingest", "bash", 11, 10, 30), "ingest           100%  bash");
    for (const size_t width : {1U, 5U, 20U, 55U, 79U})
        EXPECT_LE(display_width(progress_line("a-very-long-step-of-work",
                                              "label \x1b that is long as well, and more", 3, 7, width)),
                  width);
}

}  // namespace
}  // namespace pwstore::cli
