// SPDX-License-Identifier: GPL-3.0-or-later
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>

#include "cli/gc_schedule.hpp"
#include "tests/support/fake_backend.hpp"
#include "tests/support/test_dir.hpp"

namespace pwstore {
namespace {

using test::Cli;
using test::TestDir;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::SizeIs;
using ::testing::StartsWith;

CollectPlan some_plan() {
    CollectPlan plan;
    plan.bytes = 1'834'229'760;
    plan.inodes = 21'204;
    plan.generations.push_back(
        {{{"gimp", 3}, 1000}, {}, "last used 20 days ago, no rule keeps it", 7'000'000});
    plan.generations.push_back({{{"gimp", 4}, 1000}, {}, "last used today, no rule keeps it", 5'000'000});
    plan.roots = {{"gimp", 4}};
    plan.cache = {{"a-1-1-any.pkg.tar.zst", 1'000'000, 5}, {"b-1-1-any.pkg.tar.zst", 2'000'000, 5}};
    plan.garbage.objects.push_back({7, "ab/cd-1-0644", 1});
    return plan;
}

TEST(GcCommand, ADryRunShowsAndChangesNothing) {
    Cli cli;
    cli.backend.collection = some_plan();
    EXPECT_EQ(cli({"gc", "--dry-run"}), 0);
    EXPECT_THAT(cli.out(), AllOf(HasSubstr("gimp: generations 3, 4 (12 MB), 1 unused root\n"),
                                 HasSubstr("package cache: 2 archives (3.0 MB)\n"),
                                 HasSubstr("would free 1834229760 bytes (1.8 GB), 21204 files"),
                                 Not(HasSubstr("pkg.tar"))));
    EXPECT_THAT(cli.backend.collected, IsEmpty());
}

TEST(GcCommand, DoesWhatThePlanSays) {
    Cli cli;
    cli.backend.collection = some_plan();
    cli.backend.collect_report.bytes = 12;
    EXPECT_EQ(cli({"gc"}), 0);
    ASSERT_THAT(cli.backend.collected, SizeIs(1));
    EXPECT_EQ(cli.backend.collected[0], some_plan());
    EXPECT_THAT(cli.out(), HasSubstr("freed 12 bytes"));
}

TEST(GcCommand, NamesEverySingleThingOnRequest) {
    Cli cli;
    cli.backend.collection = some_plan();
    EXPECT_EQ(cli({"gc", "--dry-run", "--debug"}), 0);
    EXPECT_THAT(cli.out(), AllOf(HasSubstr("generation gimp@3: 7.0 MB, last used 20 days ago"),
                                 HasSubstr("root gimp@4"), HasSubstr("archive b-1-1-any.pkg.tar.zst")));
}

TEST(GcCommand, SaysWhatWentAndNotWhatWasToGo) {
    Cli cli;
    cli.backend.collection = some_plan();
    cli.backend.collect_report.generations = 1;
    cli.backend.collect_report.gone = 4;
    EXPECT_EQ(cli({"gc"}), 0);
    EXPECT_EQ(cli.out(),
              "removed: 1 generation\n4 items of the plan had gone before\n"
              "freed 0 bytes (0 B), 0 files\n");
}

TEST(GcCommand, SaysThatABudgetIsOutOfReach) {
    Cli cli;
    cli.backend.collection.is_over_budget = true;
    cli.backend.collection.stored = 154'000'000;
    EXPECT_EQ(cli({"gc", "--budget=100M"}), 2);
    EXPECT_THAT(cli.err(), AllOf(HasSubstr("out of reach"), HasSubstr("no generation is dropped"),
                                 HasSubstr("154 MB"), HasSubstr("--keep last=1")));
}

TEST(GcCommand, ReadsItsOptions) {
    Cli cli;
    EXPECT_EQ(cli({"gc", "--keep", "last=2,daily=1", "--min-dead=14d", "--budget=1.5G", "--no-cache"}), 0);
    ASSERT_THAT(cli.backend.collect_requests, SizeIs(1));
    const CollectRequest& request = cli.backend.collect_requests[0];
    EXPECT_EQ(request.keep, (RetentionPolicy{.last = 2, .daily = 1}));
    EXPECT_EQ(request.min_dead, 14 * 86400);
    EXPECT_EQ(request.budget, (uint64_t{3} << 29U));
    EXPECT_FALSE(request.package_cache);
    EXPECT_GT(request.now, 1'700'000'000);
}

TEST(GcCommand, RefusesNonsense) {
    Cli cli;
    for (const char* option :
         {"--budget=x", "--budget=-1G", "--budget=1X", "--budget=nanG", "--min-dead=soon", "--keep=some",
          "--keep=", "--lock-wait=x", "--dry-run", "--plan=x", "--apply=x", "--exit-code", "--json",
          "--install-timer", "--remove-timer"}) {
        EXPECT_EQ(cli({"gc", "--print-cron", option}), 2) << option;
        EXPECT_THAT(cli.out(), IsEmpty()) << option;
    }
    EXPECT_EQ(cli({"gc", "--apply=x", "--budget=1G"}), 2);
    EXPECT_EQ(cli({"gc", "--dry-run", "--lock-wait=x"}), 2);
}

TEST(GcCommand, ExitCodesTellWhatHappened) {
    Cli cli;
    EXPECT_EQ(cli({"gc"}), 0);
    EXPECT_EQ(cli({"gc", "--exit-code"}), 1);
    cli.backend.collection = some_plan();
    EXPECT_EQ(cli({"gc", "--exit-code"}), 0);
    cli.backend.collect_report.is_busy = true;
    EXPECT_EQ(cli({"gc"}), 3);
    cli.backend.collect_report.is_busy = false;
    cli.backend.collection.is_over_budget = true;
    EXPECT_EQ(cli({"gc"}), 2);
    EXPECT_EQ(cli({"gc", "--dry-run"}), 2);
}

TEST(GcCommand, IsSilentWhenAllIsWell) {
    Cli cli;
    cli.backend.collection = some_plan();
    EXPECT_EQ(cli({"gc", "--quiet"}), 0);
    EXPECT_THAT(cli.out(), IsEmpty());
    EXPECT_THAT(cli.err(), IsEmpty());
    cli.backend.collect_report.is_busy = true;
    cli.backend.collect_report.skipped = {"it is locked"};
    EXPECT_EQ(cli({"gc", "--quiet"}), 3);
    EXPECT_THAT(cli.err(), HasSubstr("it is locked"));
}

TEST(GcCommand, IfNeededDoesNothingForALittle) {
    Cli cli;
    cli.backend.collection = some_plan();
    cli.backend.collection_needed = false;
    EXPECT_EQ(cli({"gc", "--if-needed"}), 0);
    EXPECT_THAT(cli.backend.collected, IsEmpty());
    cli.backend.collection_needed = true;
    EXPECT_EQ(cli({"gc", "--if-needed"}), 0);
    EXPECT_THAT(cli.backend.collected, SizeIs(1));
}

TEST(GcCommand, APlanIsWrittenAndAppliedLater) {
    const TestDir dir;
    Cli cli;
    cli.backend.collection = some_plan();
    EXPECT_EQ(cli({"gc", "--plan", dir.path("p.json")}), 0);
    EXPECT_THAT(cli.backend.collected, IsEmpty());
    cli.backend.collection = {};
    EXPECT_EQ(cli({"gc", "--apply", dir.path("p.json")}), 0);
    ASSERT_THAT(cli.backend.collected, SizeIs(1));
    EXPECT_EQ(cli.backend.collected[0], some_plan());
    dir.write("bad.json", "{}");
    EXPECT_EQ(cli({"gc", "--apply", dir.path("bad.json")}), 2);
}

TEST(GcCommand, SpeaksJson) {
    Cli cli;
    cli.backend.collection = some_plan();
    EXPECT_EQ(cli({"gc", "--dry-run", "--json"}), 0);
    EXPECT_EQ(CollectPlan::decode(cli.out()), some_plan());
    EXPECT_EQ(cli({"gc", "--json"}), 0);
    EXPECT_THAT(cli.out(), HasSubstr("\"schema\": \"pwstore.gc/1\""));
}

// --- Schedules -----------------------------------------------------------------------------------

cli::GcJob some_job() {
    cli::GcJob job;
    job.program = "/opt/my programs/pwstore";
    job.arguments = {"--quiet", "--keep=last=3,daily=7"};
    job.environment = {"PWSTORE_DATA_DIR=/mnt/100%/it's"};
    job.minute = 7;
    return job;
}

TEST(CronLine, IsOneLineThatAShellReads) {
    EXPECT_EQ(cli::cron_line(some_job()),
              "7 3 * * * PWSTORE_DATA_DIR='/mnt/100\\%/it'\\''s' '/opt/my programs/pwstore' gc --quiet "
              "--keep=last=3,daily=7\n");
    cli::GcJob job = some_job();
    job.environment = {"PWSTORE_DATA_DIR=/a\nb"};
    EXPECT_ANY_THROW((void)cli::cron_line(job));
}

TEST(Units, QuoteWhatTheyAreGiven) {
    const std::string unit = cli::service_unit(some_job());
    EXPECT_THAT(unit, HasSubstr("ExecStart=\"/opt/my programs/pwstore\" gc --quiet --keep=last=3,daily=7\n"));
    EXPECT_THAT(unit, HasSubstr("Environment=\"PWSTORE_DATA_DIR=/mnt/100%%/it's\"\n"));
    EXPECT_THAT(unit, HasSubstr("IOSchedulingClass=idle\n"));
    EXPECT_THAT(cli::timer_unit(), AllOf(HasSubstr("Persistent=true"), HasSubstr("RandomizedDelaySec=")));
}

TEST(GcJob, SpellsOutWhatIsNotTheDefault) {
    const TestDir dir;
    ::setenv("HOME", dir.path().c_str(), 1);
    for (const char* name : {"XDG_DATA_HOME", "XDG_CONFIG_HOME", "XDG_CACHE_HOME", "PWSTORE_DATA_DIR",
                             "PWSTORE_CONFIG_DIR", "PWSTORE_CACHE_DIR"}) {
        ::unsetenv(name);
    }
    EXPECT_THAT(cli::gc_job({}).environment, IsEmpty());
    ::setenv("XDG_DATA_HOME", dir.path("elsewhere").c_str(), 1);
    EXPECT_THAT(cli::gc_job({}).environment,
                ::testing::ElementsAre("PWSTORE_DATA_DIR=" + dir.path("elsewhere/pwstore")));
    EXPECT_THAT(cli::gc_job({}).program, AllOf(StartsWith("/"), Not(HasSubstr(".."))));
    ::unsetenv("XDG_DATA_HOME");
}

}  // namespace
}  // namespace pwstore
