// SPDX-License-Identifier: GPL-3.0-or-later
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include "store/base/error.hpp"
#include "store/base/path_at.hpp"
#include "store/gc/budget.hpp"
#include "store/gc/gc.hpp"
#include "store/lease.hpp"
#include "store/verify/verify.hpp"
#include "tests/support/packaged_store.hpp"

namespace pwstore {
namespace {

using test::PackagedStore;
using test::PackageSpec;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

constexpr int64_t kEver = INT64_MAX;
constexpr std::chrono::seconds kPatience{10};

PackageSpec package(const std::string& name, const std::string& version,
                    const std::map<std::string, std::string>& files) {
    PackageSpec spec;
    spec.name = name;
    spec.version = version;
    for (const auto& [path, content] : files)
        spec.files[path] = {content};
    return spec;
}

/// base@1 with a 1 ("one"), base@2 with a 2 ("two"); both with "both".
class GcTest : public ::testing::Test {
 protected:
    void SetUp() override {
        a1_ = s_.add(package("a", "1-1", {{"usr/one", "one"}, {"usr/both", "both"}}));
        a2_ = s_.add(package("a", "2-1", {{"usr/two", "two"}, {"usr/both", "both"}}));
        s_.install("base", {a1_});
        s_.install("base", {a2_});
    }
    [[nodiscard]] Garbage find(const std::vector<DroppedGeneration>& dropped, int64_t before = kEver) const {
        return find_garbage(s_.store.index().read(), s_.store.objects(), dropped, before);
    }
    SweepReport drop_and_sweep(const std::vector<DroppedGeneration>& dropped) {
        const Garbage garbage = find(dropped);
        drop(dropped);
        return sweep(s_.store, garbage, kPatience, sink_);
    }
    void drop(const std::vector<DroppedGeneration>& dropped) {
        WriteTxn txn = s_.store.index().write();
        txn.remove_generations(dropped);
        txn.commit();
    }
    [[nodiscard]] bool exists(const ObjectKey& key) const {
        return ::access(s_.object_path(key).c_str(), F_OK) == 0;
    }
    void expect_clean() {
        VerifyOptions options;
        options.roots = false;
        const VerifyReport report = verify(s_.store, options, sink_);
        for (const Finding& finding : report.findings)
            ADD_FAILURE() << finding.text;
    }

    PackagedStore s_;
    InstalledPackage a1_, a2_;
    SilentSink sink_;
};

TEST_F(GcTest, NothingIsGarbageWhileAGenerationNeedsIt) {
    const Garbage garbage = find({});
    EXPECT_THAT(garbage.manifests, IsEmpty());
    EXPECT_THAT(garbage.objects, IsEmpty());
    EXPECT_THAT(garbage.strays, IsEmpty());
}

TEST_F(GcTest, WhatOnlyADroppedGenerationNeededGoes) {
    const ObjectKey one = s_.key_of(a1_, "usr/one");
    const ObjectKey both = s_.key_of(a1_, "usr/both");
    const Garbage garbage = find({{{"base", 1}, 1000}});
    ASSERT_THAT(garbage.manifests, SizeIs(1));
    EXPECT_EQ(garbage.manifests[0], (UnusedRecord{a1_.manifest, 1000}));
    drop_and_sweep({{{"base", 1}, 1000}});
    EXPECT_FALSE(exists(one));
    EXPECT_TRUE(exists(both));
    const ReadTxn txn = s_.store.index().read();
    EXPECT_FALSE(txn.find_object(one));
    EXPECT_EQ(txn.manifest_ids(), std::vector<ManifestId>{a2_.manifest});
    EXPECT_FALSE(txn.manifest_of_archive(*txn.manifest(a2_.manifest).archive_sha256) == 0U);
    expect_clean();
}

TEST_F(GcTest, TheArchiveOfACollectedPackageIsReadAgain) {
    drop_and_sweep({{{"base", 1}, 0}});
    const InstalledPackage again = s_.add(package("a", "1-1", {{"usr/one", "one"}, {"usr/both", "both"}}));
    EXPECT_NE(again.manifest, a1_.manifest);
    EXPECT_TRUE(exists(s_.key_of(again, "usr/one")));
    expect_clean();
}

TEST_F(GcTest, ADroppedGenerationMustNotBeNeeded) {
    EXPECT_THROW((void)find({{{"base", 2}, 0}}), Error);
    const InstalledPackage b = s_.add(package("b", "1-1", {{"usr/b", "b"}}));
    s_.install("top", {b}, {}, {{"base", 1}});
    try {
        (void)find({{{"base", 1}, 0}});
        FAIL() << "it was dropped";
    } catch (const Error& error) {
        EXPECT_THAT(error.what(), HasSubstr("top@1 is built on it"));
        EXPECT_EQ(error.fault(), Fault::refused);
    }
}

TEST_F(GcTest, ASnapshotPinsItsGeneration) {
    WriteTxn txn = s_.store.index().write();
    txn.add_snapshot("good", {"base", 1, 0, ""});
    txn.commit();
    const auto needed = find_needed(s_.store.index().read(), {{{"base", 1}, 0}});
    ASSERT_TRUE(needed);
    EXPECT_EQ(needed->reason, "snapshot 'good' pins it");
}

TEST_F(GcTest, AGenerationThatAnotherCommandReadsIsNeeded) {
    const Lease lease = Lease::create(s_.store.index(), s_.store.layout().data(), "a test");
    WriteTxn txn = s_.store.index().write();
    LeaseRow row;
    row.generations = {{"base", 1}};
    lease.record(txn, row);
    txn.commit();
    const auto needed = find_needed(s_.store.index().read(), {{{"base", 1}, 0}});
    ASSERT_TRUE(needed);
    EXPECT_EQ(needed->reason, "another command reads it");
}

TEST_F(GcTest, WhatIsUnusedForTooShortATimeStays) {
    EXPECT_THAT(find({{{"base", 1}, 1000}}, 999).manifests, IsEmpty());
    EXPECT_THAT(find({{{"base", 1}, 1000}}, 999).objects, IsEmpty());
    EXPECT_THAT(find({{{"base", 1}, 1000}}, 1000).manifests, SizeIs(1));
}

TEST_F(GcTest, TheClockOfARecordIsThatOfItsLastGeneration) {
    drop({{{"base", 1}, 1000}});
    EXPECT_THAT(find({}, 999).manifests, IsEmpty());
    EXPECT_EQ(find({}, 1000).manifests, (std::vector<UnusedRecord>{{a1_.manifest, 1000}}));
}

TEST_F(GcTest, APackageOfTwoGenerationsHasTheLaterOnesTime) {
    s_.install("other", {a1_});
    s_.install("other", {a2_});
    EXPECT_EQ(find({{{"base", 1}, 2000}, {{"other", 1}, 1000}}).manifests,
              (std::vector<UnusedRecord>{{a1_.manifest, 2000}}));
    EXPECT_EQ(find({{{"base", 1}, 1000}, {{"other", 1}, 2000}}).manifests,
              (std::vector<UnusedRecord>{{a1_.manifest, 2000}}));
}

TEST_F(GcTest, ALeaseProtects) {
    drop({{{"base", 1}, 0}});
    const Lease lease = Lease::create(s_.store.index(), s_.store.layout().data(), "a test");
    {
        WriteTxn txn = s_.store.index().write();
        LeaseRow row;
        row.manifests = {a1_.manifest};
        lease.record(txn, row);
        txn.commit();
    }
    EXPECT_THAT(find({}).manifests, IsEmpty());
    EXPECT_THAT(find({}).objects, IsEmpty());
    // Objects alone, as a harvest names them.
    const ObjectId one = s_.store.index().read().find_object(s_.key_of(a1_, "usr/one"))->id;
    {
        WriteTxn txn = s_.store.index().write();
        LeaseRow row;
        row.objects = {one};
        lease.record(txn, row);
        txn.commit();
    }
    const Garbage garbage = find({});
    EXPECT_THAT(garbage.manifests, SizeIs(1));
    for (const UnusedObject& object : garbage.objects)
        EXPECT_NE(object.id, one);
}

TEST_F(GcTest, WhatCameIntoUseSinceThePlanStays) {
    drop({{{"base", 1}, 1000}});
    const Garbage garbage = find({});
    ASSERT_THAT(garbage.manifests, SizeIs(1));
    ASSERT_FALSE(garbage.objects.empty());
    s_.install("other", {a1_});
    const SweepReport report = sweep(s_.store, garbage, kPatience, sink_);
    EXPECT_EQ(report.objects, 0U);
    EXPECT_EQ(report.manifests, 0U);
    EXPECT_EQ(report.skipped, garbage.manifests.size() + garbage.objects.size());
    EXPECT_TRUE(exists(s_.key_of(a1_, "usr/one")));
    expect_clean();
}

TEST_F(GcTest, AnObjectThatANewPackageSharesSinceThePlanStays) {
    const ObjectKey one = s_.key_of(a1_, "usr/one");
    drop({{{"base", 1}, 1000}});
    const Garbage garbage = find({});
    const InstalledPackage b = s_.add(package("b", "1-1", {{"usr/else", "one"}}));
    s_.install("other", {b});
    const SweepReport report = sweep(s_.store, garbage, kPatience, sink_);
    EXPECT_EQ(report.manifests, 1U);
    EXPECT_TRUE(exists(one));
    EXPECT_GE(report.skipped, 1U);
    expect_clean();
}

TEST_F(GcTest, ARecordThatWasUsedInBetweenHasAnotherTime) {
    drop({{{"base", 1}, 1000}});
    const Garbage garbage = find({});
    s_.install("other", {a1_});
    WriteTxn txn = s_.store.index().write();
    txn.remove_container(ContainerName("other"));
    txn.commit();
    EXPECT_EQ(sweep(s_.store, garbage, kPatience, sink_).manifests, 0U);
}

TEST_F(GcTest, AnIdThatLeadsToAnotherObjectIsSkipped) {
    drop({{{"base", 1}, 1000}});
    Garbage garbage = find({});
    const ObjectKey one = s_.key_of(a1_, "usr/one");
    const ObjectKey two = s_.key_of(a2_, "usr/two");
    const auto id_of = [&](const ObjectKey& key) { return s_.store.index().read().find_object(key)->id; };
    garbage.objects = {{id_of(one), "ab/cdef-3-0644", 1}};  // unused, of another name
    EXPECT_EQ(sweep(s_.store, garbage, kPatience, sink_).skipped, 1U);
    EXPECT_TRUE(exists(one));
    garbage.manifests.clear();
    const ObjectId id = id_of(two);
    garbage.objects = {{id, two.path(0), 1}};  // right, but in use
    EXPECT_EQ(sweep(s_.store, garbage, kPatience, sink_).skipped, 1U);
    EXPECT_TRUE(exists(two));
}

TEST_F(GcTest, FilesWithoutARecordGo) {
    const std::string stray = s_.dir.directories().data + "/store/objects/ab/stray";
    s_.dir.write("data/store/objects/ab/stray", "garbage");
    const Garbage garbage = find({});
    EXPECT_THAT(garbage.strays, ElementsAre("ab/stray"));
    Garbage hostile = garbage;
    hostile.strays.insert(hostile.strays.begin(),
                          {"../../config/x", "../ballast", "ab/../../x", "/etc/passwd", "index/data.mdb/x"});
    s_.dir.write("data/store/ballast", "not an object");
    EXPECT_EQ(sweep(s_.store, hostile, kPatience, sink_).skipped, 5U);
    EXPECT_EQ(::access((s_.dir.directories().data + "/store/ballast").c_str(), F_OK), 0);
    EXPECT_NE(::access(stray.c_str(), F_OK), 0);
    expect_clean();
}

TEST_F(GcTest, CountsBlocksOfFilesWhoseLastLinkGoes) {
    const std::string big(100'000, 'x');
    const InstalledPackage p = s_.add(package("p", "1-1", {{"usr/big", big}, {"usr/held", big + "y"}}));
    s_.install("p", {p});
    struct stat info {};
    ASSERT_EQ(::stat(s_.object_path(s_.key_of(p, "usr/big")).c_str(), &info), 0);
    const std::string outside = s_.dir.path("outside");
    ASSERT_EQ(::link(s_.object_path(s_.key_of(p, "usr/held")).c_str(), outside.c_str()), 0);
    {
        WriteTxn txn = s_.store.index().write();
        txn.remove_container(ContainerName("p"));
        txn.commit();
    }
    const SweepReport report = sweep(s_.store, find({}), kPatience, sink_);
    EXPECT_EQ(report.held_inodes, 1U);
    EXPECT_GE(report.bytes, static_cast<uint64_t>(info.st_blocks) * 512);
    EXPECT_LT(report.bytes, static_cast<uint64_t>(info.st_blocks) * 1024);
    EXPECT_GE(report.held_bytes, big.size());
}

TEST_F(GcTest, MarksWhatManifestsDeltasAndLeasesName) {
    const ObjectSet marked = mark(s_.store.index().read());
    EXPECT_TRUE(marked.contains(s_.store.index().read().find_object(s_.key_of(a1_, "usr/one"))->id));
    EXPECT_FALSE(marked.contains(s_.store.index().read().last_object_id() + 1));
}

// --- Budget --------------------------------------------------------------------------------------

class BudgetTest : public GcTest {
 protected:
    [[nodiscard]] std::vector<GenerationRef> chosen(const std::vector<GenerationRef>& candidates,
                                                    uint64_t budget) const {
        std::vector<GenerationRef> list;
        for (const auto& drop : fit_budget(s_.store.index().read(), candidates, budget).drops)
            list.push_back(drop.generation);
        return list;
    }
};

TEST_F(BudgetTest, NothingGoesWhenAllFits) {
    const BudgetChoice choice = fit_budget(s_.store.index().read(), {{"base", 1}}, 1U << 30U);
    EXPECT_THAT(choice.drops, IsEmpty());
    EXPECT_TRUE(choice.is_reachable);
    EXPECT_GT(choice.stored, 0U);
}

TEST_F(BudgetTest, TheOneThatFreesMostGoesFirst) {
    const InstalledPackage small = s_.add(package("x", "1-1", {{"usr/x", std::string(5'000, '1')}}));
    const InstalledPackage large = s_.add(package("x", "2-1", {{"usr/x", std::string(500'000, '2')}}));
    const InstalledPackage now = s_.add(package("x", "3-1", {{"usr/x", "now"}}));
    s_.install("c", {small});
    s_.install("c", {large});
    s_.install("c", {now});
    const uint64_t all = fit_budget(s_.store.index().read(), {}, 1U << 30U).stored;
    EXPECT_THAT(chosen({{"c", 1}, {"c", 2}}, all - 100'000), ElementsAre(GenerationRef{"c", 2}));
    EXPECT_THAT(chosen({{"c", 1}, {"c", 2}}, all - 515'000),
                ElementsAre(GenerationRef{"c", 2}, GenerationRef{"c", 1}));
}

TEST_F(BudgetTest, OutOfReachNothingGoes) {
    const uint64_t all = fit_budget(s_.store.index().read(), {}, 1U << 30U).stored;
    const BudgetChoice choice = fit_budget(s_.store.index().read(), {{"base", 1}}, 1);
    EXPECT_FALSE(choice.is_reachable);
    EXPECT_THAT(choice.drops, IsEmpty());
    EXPECT_EQ(choice.stored, all);
}

TEST_F(BudgetTest, WhatFreesNothingStays) {
    const InstalledPackage shared = s_.add(package("x", "1-1", {{"usr/x", std::string(500'000, '1')}}));
    const InstalledPackage own = s_.add(package("y", "1-1", {{"usr/y", std::string(50'000, '2')}}));
    s_.install("other", {shared});
    s_.install("c", {shared});  // frees nothing: other@1 has all of it
    s_.install("c", {shared, own});
    s_.install("c", {shared});
    const uint64_t all = fit_budget(s_.store.index().read(), {}, 1U << 30U).stored;
    EXPECT_THAT(chosen({{"c", 1}, {"c", 2}}, all - 1), ElementsAre(GenerationRef{"c", 2}));
    EXPECT_THAT(chosen({{"c", 1}}, all - 1), IsEmpty());
}

TEST_F(BudgetTest, TwoThatFreeOnlyTogetherGoTogether) {
    const InstalledPackage old = s_.add(package("x", "1-1", {{"usr/x", std::string(500'000, '1')}}));
    const InstalledPackage now = s_.add(package("x", "2-1", {{"usr/x", "now"}}));
    s_.install("c", {old});
    s_.install("c", {old});
    s_.install("c", {now});
    s_.install("a", {now});  // would go first, and nothing would be free by it
    s_.install("a", {now});
    const uint64_t all = fit_budget(s_.store.index().read(), {}, 1U << 30U).stored;
    EXPECT_THAT(chosen({{"a", 1}, {"c", 1}, {"c", 2}}, all - 400'000),
                testing::UnorderedElementsAre(GenerationRef{"c", 1}, GenerationRef{"c", 2}));
}

TEST_F(BudgetTest, WhatStandsOnAGenerationGoesWithItOrItStays) {
    const InstalledPackage b = s_.add(package("b", "1-1", {{"usr/b", std::string(500'000, 'b')}}));
    const InstalledPackage t = s_.add(package("t", "1-1", {{"usr/t", "t"}}));
    s_.install("below", {b});
    s_.install("top", {t}, {}, {{"below", 1}});
    const uint64_t all = fit_budget(s_.store.index().read(), {}, 1U << 30U).stored;
    EXPECT_THAT(chosen({{"below", 1}}, all - 400'000), IsEmpty());
    EXPECT_THAT(chosen({{"below", 1}, {"top", 1}}, all - 400'000),
                ElementsAre(GenerationRef{"top", 1}, GenerationRef{"below", 1}));
}

}  // namespace
}  // namespace pwstore
