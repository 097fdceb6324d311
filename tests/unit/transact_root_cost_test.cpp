// SPDX-License-Identifier: GPL-3.0-or-later
#include <gtest/gtest.h>

#include "store/package/archive_listing.hpp"
#include "transact/root_cost.hpp"

namespace pwstore::test {

namespace {

Entry file(const std::string& path, uint64_t size) {
    Entry entry;
    entry.path = path;
    entry.size = size;
    entry.object = 7;
    return entry;
}

Entry directory(const std::string& path) {
    Entry entry;
    entry.path = path;
    entry.kind = EntryKind::directory;
    return entry;
}

uint64_t cost_of(const std::vector<Entry>& entries, ScriptMode mode = ScriptMode::overlay) {
    RootCost cost(mode);
    cost.add_package(entries, 0);
    return cost.bytes();
}

TEST(TransactRootCost, LinksCostNothingCopiesDo) {
    const uint64_t base = cost_of({file("usr/a", 1)});
    EXPECT_EQ(cost_of({file("usr/a", 100 * kDiskBlock)}), base);
    EXPECT_EQ(cost_of({file("etc/a", 2 * kDiskBlock + 1)}), base + 3 * kDiskBlock);
    Entry backup = file("usr/a", kDiskBlock);
    backup.backup_md5 = "x";
    EXPECT_EQ(cost_of({backup}), base + kDiskBlock);
    EXPECT_EQ(cost_of({file("usr/a", 100 * kDiskBlock)}, ScriptMode::private_copy), base + 100 * kDiskBlock);
}

uint64_t inodes_of(const std::vector<Entry>& entries, ScriptMode mode = ScriptMode::overlay) {
    RootCost cost(mode);
    cost.add_package(entries, 0);
    return cost.inodes();
}

TEST(TransactRootCost, WhatIsNoLinkTakesAnInode) {
    const uint64_t base = inodes_of({});
    EXPECT_GE(base, 3U) << "directory, desc and files of the database's entry";
    EXPECT_EQ(inodes_of({file("usr/a", 1)}), base);
    EXPECT_EQ(inodes_of({file("etc/a", 1)}), base + 1);
    EXPECT_EQ(inodes_of({file("usr/a", 1)}, ScriptMode::private_copy), base + 1);
    Entry link = file("usr/l", 0);
    link.kind = EntryKind::symlink;
    link.target = "a";
    EXPECT_EQ(inodes_of({directory("usr"), directory("usr/bin"), link}), base + 3);
}

TEST(TransactRootCost, EachDirectoryCountsOnce) {
    RootCost cost(ScriptMode::overlay);
    cost.add_package({directory("usr"), directory("usr/bin")}, 0);
    const uint64_t one = cost.bytes();
    cost.add_package({directory("usr"), directory("usr/bin")}, 0);
    const uint64_t entry = cost.bytes() - one;
    cost.add_package({directory("usr"), directory("usr/lib")}, 0);
    EXPECT_EQ(cost.bytes() - one, 2 * entry + kDiskBlock);
    EXPECT_GE(entry, 3 * kDiskBlock) << "directory, desc and files of the database's entry";
}

TEST(TransactRootCost, ADeltaOfItsOwnIsRecordedAsWell) {
    Delta delta;
    DeltaEntry made;
    made.entry = file("etc/made", kDiskBlock);
    delta.entries.push_back(made);
    RootCost below(ScriptMode::overlay), own(ScriptMode::overlay);
    below.add_delta(delta, false);
    own.add_delta(delta, true);
    EXPECT_EQ(own.bytes(), below.bytes() + kDiskBlock);
    EXPECT_GE(below.bytes(), kDiskBlock);
}

}  // namespace

}  // namespace pwstore::test
