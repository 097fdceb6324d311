// SPDX-License-Identifier: GPL-3.0-or-later
#include <gtest/gtest.h>

#include "store/provenance.hpp"
#include "tests/support/packaged_store.hpp"

namespace pwstore {
namespace {

using test::PackagedStore;
using test::PackageSpec;

class ProvenanceTest : public ::testing::Test {
 protected:
    ProvenanceTest() {
        PackageSpec spec;
        spec.name = "tool";
        spec.files["usr/bin/tool"] = {"tool"};
        spec.files["usr/share/doc/tool"] = {"words"};
        tool_ = store_.add(spec);
    }
    static DeltaEntry removal(const std::string& path) {
        DeltaEntry removed;
        removed.entry.path = path;
        removed.entry.kind = EntryKind::whiteout;
        removed.cause = Cause::user;
        return removed;
    }
    void drop(uint64_t number) {
        WriteTxn txn = store_.store.index().write();
        txn.remove_generations({{{"base", number}, 1}});
        txn.commit();
    }
    PathStory story(const Generation& generation) {
        return *story_of(store_.store.index().read(), generation, "usr/bin/tool");
    }

    PackagedStore store_;
    InstalledPackage tool_;
};

TEST_F(ProvenanceTest, WhatIsNoLongerKeptMayHaveBroughtIt) {
    const Generation first = store_.install("base", {tool_});
    Generation last = store_.install("base", {tool_});
    EXPECT_EQ(story(last).since_generation, first.number);
    EXPECT_FALSE(story(last).is_older);
    last = store_.install("base", {tool_});
    drop(first.number);
    EXPECT_EQ(story(last).since_generation, first.number + 1);
    EXPECT_TRUE(story(last).is_older);
}

TEST_F(ProvenanceTest, TheRemovalOfAPathIsKnown) {
    const Generation generation =
        store_.install("base", {tool_}, {removal("usr/bin/tool"), removal("usr/share/doc")});
    const ReadTxn txn = store_.store.index().read();
    const auto removed = removal_of(txn, generation, "usr/bin/tool");
    ASSERT_TRUE(removed);
    EXPECT_EQ(removed->change->cause, Cause::user);
    EXPECT_EQ(removed->generation, generation.number);
    const auto with_its_directory = removal_of(txn, generation, "usr/share/doc/tool");
    ASSERT_TRUE(with_its_directory);
    EXPECT_EQ(with_its_directory->entry.path, "usr/share/doc");
    EXPECT_FALSE(removal_of(txn, generation, "usr/bin/never"));
}

}  // namespace
}  // namespace pwstore
