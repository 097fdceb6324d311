// SPDX-License-Identifier: GPL-3.0-or-later
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "store/base/error.hpp"
#include "store/gc/retention.hpp"

namespace pwstore {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::Pair;

constexpr int64_t kHour = 3600;
constexpr int64_t kDay = 24 * kHour;
constexpr int64_t kMonday = 1'767'571'200;  // 2026-01-05 00:00 UTC

std::vector<uint64_t> numbers(const std::map<uint64_t, std::string>& kept) {
    std::vector<uint64_t> list;
    for (const auto& [number, rule] : kept)
        list.push_back(number);
    return list;
}

TEST(RetentionPolicy, IsReadFromRules) {
    const auto policy = RetentionPolicy::parse("last=3,daily=7,weekly=4,monthly=6,yearly=1,within=36h");
    EXPECT_EQ(policy, (RetentionPolicy{3, 7, 4, 6, 1, 36 * kHour}));
    EXPECT_EQ(RetentionPolicy::parse("last=0"), RetentionPolicy{});
}

TEST(RetentionPolicy, RefusesWhatItDoesNotKnow) {
    for (const char* text : {"", "last", "last=", "last=x", "last=-1", "hourly=3", "last=3,,daily=1",
                             "last=3;daily=1", "within=3y", "last=99999999999"}) {
        EXPECT_THROW((void)RetentionPolicy::parse(text), Error) << text;
    }
}

TEST(Duration, HasUnits) {
    EXPECT_EQ(parse_duration("14d", "-x"), 14 * kDay);
    EXPECT_EQ(parse_duration("2w", "-x"), 14 * kDay);
    EXPECT_EQ(parse_duration("36h", "-x"), 36 * kHour);
    EXPECT_EQ(parse_duration("10m", "-x"), 600);
    EXPECT_EQ(parse_duration("45s", "-x"), 45);
    EXPECT_EQ(parse_duration("45", "-x"), 45);
    for (const char* text : {"", "d", "-1d", "1.5d", "10x", "99999999999d"})
        EXPECT_THROW((void)parse_duration(text, "-x"), Error) << text;
}

TEST(Kept, TheNewestOnes) {
    const std::vector<Dated> all{{1, 10}, {2, 20}, {3, 30}};
    EXPECT_THAT(numbers(kept_by({.last = 2}, all, 100)), ElementsAre(2, 3));
    EXPECT_THAT(numbers(kept_by({.last = 9}, all, 100)), ElementsAre(1, 2, 3));
    EXPECT_THAT(numbers(kept_by({}, all, 100)), IsEmpty());
}

TEST(Kept, TheNewestOfEachDayThatHasOne) {
    const std::vector<Dated> all{{1, kMonday - 3 * kDay},
                                 {2, kMonday + kHour},
                                 {3, kMonday + 20 * kHour},
                                 {4, kMonday + kDay + kHour},
                                 {5, kMonday + kDay + 2 * kHour}};
    EXPECT_THAT(numbers(kept_by({.daily = 2}, all, kMonday + 9 * kDay)), ElementsAre(3, 5));
    EXPECT_THAT(numbers(kept_by({.daily = 3}, all, kMonday + 9 * kDay)), ElementsAre(1, 3, 5));
}

TEST(Kept, WeeksBeginOnMonday) {
    const std::vector<Dated> all{
        {1, kMonday - 1}, {2, kMonday}, {3, kMonday + 7 * kDay - 1}, {4, kMonday + 7 * kDay}};
    EXPECT_THAT(numbers(kept_by({.weekly = 2}, all, kMonday + 30 * kDay)), ElementsAre(3, 4));
    EXPECT_THAT(numbers(kept_by({.weekly = 3}, all, kMonday + 30 * kDay)), ElementsAre(1, 3, 4));
}

TEST(Kept, MonthsAndYears) {
    const std::vector<Dated> all{
        {1, kMonday - 10 * kDay}, {2, kMonday}, {3, kMonday + 25 * kDay}, {4, kMonday + 30 * kDay}};
    EXPECT_THAT(numbers(kept_by({.monthly = 2}, all, kMonday + 60 * kDay)), ElementsAre(3, 4));
    EXPECT_THAT(numbers(kept_by({.yearly = 2}, all, kMonday + 60 * kDay)), ElementsAre(1, 4));
}

TEST(Kept, WithinATime) {
    const std::vector<Dated> all{{1, 100}, {2, 200}, {3, 300}};
    EXPECT_THAT(numbers(kept_by({.within = 150}, all, 300)), ElementsAre(2, 3));
}

TEST(Kept, NamesTheRule) {
    const std::vector<Dated> all{{1, kMonday}, {2, kMonday + kDay}};
    EXPECT_THAT(kept_by({.last = 1, .daily = 5}, all, kMonday + 9 * kDay),
                ElementsAre(Pair(1, "daily"), Pair(2, "last")));
}

}  // namespace
}  // namespace pwstore
