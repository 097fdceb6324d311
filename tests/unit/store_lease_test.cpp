// SPDX-License-Identifier: GPL-3.0-or-later
#include <fcntl.h>
#include <gtest/gtest.h>

#include <csignal>

#include "store/base/error.hpp"
#include "store/base/path_at.hpp"
#include "store/layout.hpp"
#include "store/lease.hpp"
#include "tests/support/child_process.hpp"
#include "tests/support/corruption.hpp"
#include "tests/support/test_dir.hpp"

namespace pwstore {
namespace {

LeaseRow sample() {
    LeaseRow row;
    row.manifests = {1, 4'000'000'000U};
    row.generations = {{"base", 7}, {"editor", 1}};
    row.objects = {9};
    return row;
}

TEST(LeaseRow, IsReadAsItWasWrittenAndSurvivesCorruption) {
    const LeaseRow read = LeaseRow::decode(sample().encode());
    EXPECT_EQ(read.manifests, sample().manifests);
    EXPECT_EQ(read.generations, sample().generations);
    EXPECT_EQ(read.objects, sample().objects);
    test::expect_survives_corruption(
        sample().encode(), [](std::string_view bytes) { return LeaseRow::decode(bytes); },
        [](const LeaseRow& row) { return row.encode(); });
}

class LeaseTest : public ::testing::Test {
 protected:
    [[nodiscard]] Index open() const { return Index::open(layout_.data(), Index::Mode::read_write); }
    [[nodiscard]] size_t files() const {
        return list_directory(open_dir(layout_.data(), names::kLeases).get()).size();
    }
    static size_t rows(const Index& index) { return index.read().leases().size(); }

    /// A process that died with a lease.
    void leave_dead_lease() const {
        test::ChildProcess child([&] {
            const Index index = open();
            const Lease lease = Lease::create(index, layout_.data(), "a test");
            WriteTxn txn = index.write();
            lease.record(txn, sample());
            txn.commit();
            (void)::raise(SIGKILL);
        });
        ASSERT_EQ(child.wait(), 128 + SIGKILL);
    }

    test::TestDir dir_;
    Layout layout_ = Layout::create(dir_.directories());
};

TEST_F(LeaseTest, LivesFromCreateToDestructor) {
    const Index index = open();
    {
        const Lease lease = Lease::create(index, layout_.data(), "a test");
        ASSERT_EQ(rows(index), 1U);
        EXPECT_EQ(index.read().leases()[0].first, lease.id());
        EXPECT_TRUE(LeaseRow::decode(index.read().leases()[0].second).manifests.empty());
        WriteTxn txn = index.write();
        lease.record(txn, sample());
        txn.commit();
        EXPECT_EQ(LeaseRow::decode(index.read().leases()[0].second).manifests, sample().manifests);
    }
    EXPECT_EQ(rows(index), 0U);
    EXPECT_EQ(files(), 0U);
}

TEST_F(LeaseTest, MovesWithoutEnding) {
    const Index index = open();
    Lease first = Lease::create(index, layout_.data(), "a test");
    {
        const Lease second = std::move(first);
        EXPECT_EQ(rows(index), 1U);
    }
    EXPECT_EQ(rows(index), 0U);
}

TEST_F(LeaseTest, SweepTakesTheDeadAndLeavesTheLiving) {
    ASSERT_NO_FATAL_FAILURE(leave_dead_lease());
    const Index index = open();
    const Lease living = Lease::create(index, layout_.data(), "a test");
    EXPECT_EQ(rows(index), 2U);
    EXPECT_EQ(Lease::sweep(index, layout_.data()), 1U);
    ASSERT_EQ(rows(index), 1U);
    EXPECT_EQ(index.read().leases()[0].first, living.id());
    EXPECT_EQ(files(), 1U);
    EXPECT_EQ(Lease::sweep(index, layout_.data()), 0U);
}

TEST_F(LeaseTest, SweepTakesFilesWithoutRowsAndRowsWithoutFiles) {
    const Index index = open();
    dir_.write("data/store/leases/0123456789abcdef", "");
    {
        WriteTxn txn = index.write();
        txn.put_lease("fedcba9876543210", LeaseRow{}.encode());
        txn.put_lease("../../outside", LeaseRow{}.encode());
        txn.commit();
    }
    dir_.write("data/outside", "precious");
    EXPECT_EQ(Lease::sweep(index, layout_.data()), 3U);
    EXPECT_EQ(rows(index), 0U);
    EXPECT_EQ(files(), 0U);
    EXPECT_EQ(dir_.read("data/outside"), "precious");
}

TEST_F(LeaseTest, SweepDoesNotTouchALeaseThatIsBeingMade) {
    const Index index = open();
    const std::string file = layout_.path(std::string(names::kLeases) + "/0123456789abcdef");
    const auto lock =
        FileLock::try_acquire(AT_FDCWD, file, LockMode::exclusive, "a lease without its row yet");
    ASSERT_TRUE(lock);
    EXPECT_EQ(Lease::sweep(index, layout_.data()), 0U);
    EXPECT_EQ(files(), 1U);
}

}  // namespace
}  // namespace pwstore
