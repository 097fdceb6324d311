// SPDX-License-Identifier: GPL-3.0-or-later
#include <gmock/gmock.h>

#include "store/base/similar.hpp"

namespace pwstore {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

TEST(Similar, DistanceCountsWhatFingersDo) {
    EXPECT_EQ(typing_distance("", ""), 0U);
    EXPECT_EQ(typing_distance("", "abc"), 3U);
    EXPECT_EQ(typing_distance("base", "base"), 0U);
    EXPECT_EQ(typing_distance("bse", "base"), 1U);
    EXPECT_EQ(typing_distance("bbase", "base"), 1U);
    EXPECT_EQ(typing_distance("bsae", "base"), 1U) << "two neighbours swapped are one step";
    EXPECT_EQ(typing_distance("kitten", "sitting"), 3U);
    EXPECT_EQ(typing_distance("sitting", "kitten"), 3U);
}

TEST(Similar, NearestFirstAndNotTooFar) {
    EXPECT_THAT(similar_to("bsae", {"editor", "base", "base2", "base"}), ElementsAre("base"));
    EXPECT_THAT(similar_to("editr", {"edit", "editor", "credits"}), ElementsAre("edit", "editor"));
    EXPECT_THAT(similar_to("base", {"work", "nothing", "b"}), IsEmpty());
    EXPECT_THAT(similar_to("x", {"y"}), IsEmpty()) << "every letter is another one";
    EXPECT_THAT(similar_to("pkg", {"pkg1", "pkg2", "pkg3", "pkg4"}), ElementsAre("pkg1", "pkg2", "pkg3"));
}

TEST(Similar, InWords) {
    EXPECT_EQ(did_you_mean("frobnicate", {"ls", "run"}), "");
    EXPECT_EQ(did_you_mean("bsae", {"base"}), "did you mean 'base'?");
    EXPECT_EQ(did_you_mean("pkg", {"pkg1", "pkg2"}), "did you mean 'pkg1' or 'pkg2'?");
    EXPECT_EQ(did_you_mean("pkg", {"pkg1", "pkg2", "pkg3"}), "did you mean 'pkg1', 'pkg2' or 'pkg3'?");
}

}  // namespace
}  // namespace pwstore
