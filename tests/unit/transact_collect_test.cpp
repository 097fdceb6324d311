// SPDX-License-Identifier: GPL-3.0-or-later
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/file.h>

#include "mount/root.hpp"
#include "store/base/error.hpp"
#include "store/base/path_at.hpp"
#include "store/lease.hpp"
#include "tests/support/fleet.hpp"
#include "transact/collect.hpp"
#include "transact/transaction.hpp"

namespace pwstore {
namespace {

using test::Fleet;
using test::PackageSpec;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

constexpr std::chrono::milliseconds kPatience{200};

PackageSpec package(const std::string& name, const std::string& version) {
    PackageSpec spec;
    spec.name = name;
    spec.version = version;
    spec.files["usr/share/" + name] = {name + " " + version + std::string(5000, '.')};
    return spec;
}

/// base and work on it, both at generations 1, 2 and 3.
class CollectTest : public ::testing::Test {
 protected:
    void SetUp() override {
        at_version("1");
        fleet_.run(fleet_.create_base("base", {"tool"}));
        fleet_.run(fleet_.create_aggregate("work", {"base"}, {"app"}));
        for (const char* version : {"2", "3"}) {
            at_version(version);
            fleet_.run(fleet_.upgrade_all());
        }
        request_.keep = {.last = 1};
        request_.now = ::time(nullptr) + 10;
    }
    void at_version(const std::string& version) {
        fleet_.repository({package("tool", version + "-1"), package("app", version + "-1")});
    }
    CollectPlan plan() {
        const auto store = Store::open_read_only(fleet_.directories());
        return plan_collection(*store, request_, sink_);
    }
    CollectReport carry_out(const CollectPlan& plan) {
        return collect(Store::open(fleet_.directories()), plan, kPatience, sink_);
    }
    static std::vector<std::string> names(const CollectPlan& plan) {
        std::vector<std::string> list;
        for (const CollectPlan::Drop& one : plan.generations) {
            const GenerationRef& which = one.generation.generation;
            list.push_back(which.container + "@" + std::to_string(which.generation));
        }
        return list;
    }
    [[nodiscard]] std::vector<uint64_t> kept(const std::string& container) const {
        const auto store = Store::open_read_only(fleet_.directories());
        return store->index().read().generation_numbers(ContainerName(container));
    }

    Fleet fleet_;
    CollectRequest request_;
    SilentSink sink_;
};

TEST_F(CollectTest, DropsWhatNoRuleKeeps) {
    const CollectPlan plan = this->plan();
    EXPECT_THAT(names(plan), ElementsAre("base@1", "base@2", "work@1", "work@2"));
    EXPECT_GT(plan.bytes, 4 * 5000U);
    const CollectReport report = carry_out(plan);
    EXPECT_THAT(report.skipped, IsEmpty());
    EXPECT_EQ(report.generations, 4U);
    EXPECT_EQ(report.bytes, plan.bytes);
    EXPECT_EQ(report.inodes, plan.inodes);
    EXPECT_THAT(kept("base"), ElementsAre(3));
    EXPECT_THAT(kept("work"), ElementsAre(3));
    EXPECT_TRUE(this->plan().is_empty());
    fleet_.expect_sound();
}

TEST_F(CollectTest, KeepsWhatLiesBelowAKeptGeneration) {
    at_version("4");
    auto only_base = fleet_.upgrade_all();
    fleet_.run(only_base);
    request_.keep = {.last = 2};
    EXPECT_THAT(names(plan()), ElementsAre("base@1", "base@2", "work@1", "work@2"));
    const auto store = Store::open(fleet_.directories());
    {
        WriteTxn txn = store.index().write();
        txn.add_snapshot("first", {"work", 1, 0, ""});
        txn.commit();
    }
    EXPECT_THAT(names(plan()), ElementsAre("base@2", "work@2"));
}

TEST_F(CollectTest, AGenerationThatAnotherCommandReadsStays) {
    const Store store = Store::open(fleet_.directories());
    const Lease lease = Lease::create(store.index(), store.layout().data(), "an export");
    {
        WriteTxn txn = store.index().write();
        LeaseRow row;
        row.generations = {{"work", 2}};
        lease.record(txn, row);
        txn.commit();
    }
    EXPECT_THAT(names(plan()), ElementsAre("base@1", "work@1"));
}

TEST_F(CollectTest, ARootOnWhichAProgramRunsStaysWithItsGeneration) {
    const std::string lease = fleet_.data("roots/work@2.lock");
    const Fd running = open_at(AT_FDCWD, lease, O_RDONLY | O_CREAT, 0600);
    ASSERT_EQ(::flock(running.get(), LOCK_SH), 0);
    const CollectPlan plan = this->plan();
    EXPECT_THAT(names(plan), ElementsAre("base@1", "work@1"));
    for (const GenerationRef& root : plan.roots)
        EXPECT_NE(root, (GenerationRef{"work", 2}));
}

TEST_F(CollectTest, AProgramThatWasStartedSinceThePlanIsLeftAlone) {
    const CollectPlan plan = this->plan();
    const Fd running = open_at(AT_FDCWD, fleet_.data("roots/work@2.lock"), O_RDONLY | O_CREAT, 0600);
    ASSERT_EQ(::flock(running.get(), LOCK_SH), 0);
    const CollectReport report = carry_out(plan);
    EXPECT_THAT(kept("work"), ElementsAre(2, 3));
    EXPECT_THAT(kept("base"), ElementsAre(2, 3)) << "work@2 is built on base@2";
    EXPECT_FALSE(report.skipped.empty());
}

TEST_F(CollectTest, WhatBecameCurrentSinceThePlanIsLeftAlone) {
    const CollectPlan plan = this->plan();
    fleet_.undo();
    const CollectReport report = carry_out(plan);
    EXPECT_THAT(kept("base"), ElementsAre(2, 3));
    EXPECT_THAT(kept("work"), ElementsAre(2, 3));
    EXPECT_THAT(report.skipped, SizeIs(::testing::Ge(2U)));
    fleet_.expect_sound();
}

TEST_F(CollectTest, WhatWasCurrentALittleWhileAgoStays) {
    request_.min_dead = 3600;
    const CollectPlan plan = this->plan();
    EXPECT_THAT(names(plan), IsEmpty());
    EXPECT_THAT(plan.garbage.objects, IsEmpty());
    EXPECT_THAT(plan.roots, IsEmpty());
    request_.now += 3600;
    EXPECT_THAT(names(this->plan()), SizeIs(4));
    EXPECT_THAT(this->plan().roots, SizeIs(2));
}

TEST_F(CollectTest, ABusyContainerIsSkippedAndSaid) {
    const CollectPlan plan = this->plan();
    const Store store = Store::open(fleet_.directories());
    const FileLock lock = store.lock_container(ContainerName("work"), kPatience, "somebody");
    const CollectReport report = collect(store, plan, kPatience, sink_);
    EXPECT_TRUE(report.is_busy);
    EXPECT_THAT(kept("work"), ElementsAre(1, 2, 3));
    EXPECT_THAT(report.skipped[0], HasSubstr("somebody"));
}

TEST_F(CollectTest, ABudgetDropsOnlyWhatItHasTo) {
    request_.keep = {};
    request_.budget = uint64_t{1} << 30U;
    EXPECT_THAT(names(plan()), IsEmpty());
    request_.budget = plan().stored - 1;
    const CollectPlan tight = plan();
    EXPECT_THAT(names(tight), SizeIs(::testing::AllOf(::testing::Ge(1U), ::testing::Le(2U))));
    EXPECT_FALSE(tight.is_over_budget);
    EXPECT_LE(tight.stored, *request_.budget);
}

TEST_F(CollectTest, ABudgetThatIsOutOfReachDropsNoGeneration) {
    request_.keep = {};
    request_.budget = 1;
    const CollectPlan plan = this->plan();
    EXPECT_TRUE(plan.is_over_budget);
    EXPECT_THAT(names(plan), IsEmpty());
    (void)carry_out(plan);
    EXPECT_THAT(kept("base"), ElementsAre(1, 2, 3));
    EXPECT_THAT(kept("work"), ElementsAre(1, 2, 3));
}

TEST_F(CollectTest, ABudgetTakesNothingThatTheRulesKeep) {
    request_.keep = {.last = 2};
    request_.budget = uint64_t{1} << 30U;
    const uint64_t all = plan().stored;
    request_.budget = all - 1;
    EXPECT_THAT(names(plan()), ::testing::IsSubsetOf({"base@1", "work@1"}));
    EXPECT_FALSE(plan().is_over_budget);
    request_.keep = CollectRequest{}.keep;  // what the help says that holds unless something else is given
    EXPECT_THAT(names(plan()), IsEmpty());
    EXPECT_TRUE(plan().is_over_budget);
}

TEST_F(CollectTest, ArchivesOfNoKeptPackageGo) {
    const std::string cache = fleet_.directories().cache + "/pkg";
    const CollectPlan plan = this->plan();
    ASSERT_FALSE(plan.cache.empty());
    for (const CachedFile& file : plan.cache)
        EXPECT_THAT(file.name, ::testing::Not(HasSubstr("-3-1-")));
    carry_out(plan);
    for (const CachedFile& file : plan.cache)
        EXPECT_FALSE(exists_at(AT_FDCWD, cache + "/" + file.name));
    request_.package_cache = false;
    EXPECT_THAT(this->plan().cache, IsEmpty());
}

TEST_F(CollectTest, ArchivesOfAnotherStoreStay) {
    Directories other = fleet_.directories();
    other.data += "-other";
    (void)Store::open(other);
    const auto cache_of_other = [&] {
        const auto store = Store::open_read_only(other);
        return plan_collection(*store, request_, sink_).cache;
    };
    for (const CachedFile& file : cache_of_other())
        EXPECT_THAT(file.name, ::testing::Not(HasSubstr("-3-1-"))) << "the first store keeps version 3";
    EXPECT_THAT(cache_of_other(), IsEmpty()) << "it keeps all generations";
    carry_out(plan());
    const auto store = Store::open(other);
    CollectPlan greedy;
    greedy.time = request_.now;
    const std::string cache = fleet_.directories().cache + "/pkg";
    for (const DirectoryItem& item : list_directory(open_dir(AT_FDCWD, cache).get())) {
        const struct stat info = stat_at(AT_FDCWD, cache + "/" + item.name);
        greedy.cache.push_back({item.name, static_cast<uint64_t>(info.st_size), info.st_mtime});
    }
    EXPECT_FALSE(collect(store, greedy, kPatience, sink_).skipped.empty()) << "needed since the plan";
    EXPECT_TRUE(exists_at(AT_FDCWD, cache + "/tool-3-1-any.pkg.tar.zst"));
    remove_tree(AT_FDCWD, fleet_.directories().data + "/store/index");
    EXPECT_THAT(cache_of_other(), IsEmpty()) << "what a damaged store needs is not known";
    remove_tree(AT_FDCWD, fleet_.directories().data);
    EXPECT_FALSE(cache_of_other().empty()) << "a store that is gone needs nothing";
}

TEST_F(CollectTest, SaysWhatEachGenerationFrees) {
    for (const CollectPlan::Drop& one : plan().generations)
        EXPECT_GE(one.bytes, 5000U) << one.generation.generation.container;
}

TEST_F(CollectTest, APlanThatWasCarriedOutLeavesNothingToDo) {
    const CollectPlan plan = this->plan();
    carry_out(plan);
    const CollectReport again = carry_out(plan);
    EXPECT_EQ(again.generations + again.roots + again.cached, 0U);
    EXPECT_EQ(again.gone, plan.generations.size() + plan.roots.size() + plan.cache.size());
    EXPECT_THAT(again.skipped, IsEmpty());
}

TEST_F(CollectTest, APlanIsWhatWasWritten) {
    const CollectPlan plan = this->plan();
    EXPECT_EQ(CollectPlan::decode(plan.encode()), plan);
    for (const char* text : {"", "{}", "[]", "{\"schema\":\"pwstore.gc-plan/2\"}", "nonsense"})
        EXPECT_THROW((void)CollectPlan::decode(text), Error) << text;
    std::string hostile = plan.encode();
    const size_t at = hostile.find("\"work\"");
    ASSERT_NE(at, std::string::npos);
    hostile.replace(at, 6, "\"../x\"");
    EXPECT_THROW((void)CollectPlan::decode(hostile), Error);
}

TEST_F(CollectTest, APlanOfAnotherStoreChangesNothing) {
    CollectPlan plan = this->plan();
    for (CollectPlan::Drop& one : plan.generations)
        one.digest.bytes[0] ^= 1U;
    for (UnusedObject& object : plan.garbage.objects)
        object.path.back() ^= 1;
    for (UnusedRecord& record : plan.garbage.manifests)
        record.since += 1;
    plan.roots.clear();
    const CollectReport report = carry_out(plan);
    EXPECT_EQ(report.generations, 0U);
    EXPECT_EQ(report.swept.objects, 0U);
    EXPECT_EQ(report.swept.manifests, 0U);
    EXPECT_THAT(kept("base"), ElementsAre(1, 2, 3));
    fleet_.expect_sound();
}

TEST_F(CollectTest, ADeletedContainerLeavesNothing) {
    const Store store = Store::open(fleet_.directories());
    delete_containers(store, {ContainerName("work"), ContainerName("base")}, true, true, false, sink_);
    carry_out(this->plan());
    const ReadTxn txn = store.index().read();
    EXPECT_EQ(txn.object_count(), 0U);
    EXPECT_THAT(txn.manifest_ids(), IsEmpty());
    EXPECT_THAT(txn.delta_ids(), IsEmpty());
}

}  // namespace
}  // namespace pwstore
