// SPDX-License-Identifier: GPL-3.0-or-later
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "store/debian/universe.hpp"
#include "store/debian/version.hpp"

namespace pwstore {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

DebControl package(const std::string& name, const std::string& version, const std::string& more = "") {
    return parse_deb_control("Package: " + name + "\nVersion: " + version + "\nArchitecture: all\n" + more,
                             name);
}

TEST(DebRelations, AreReadWithTheirVersions) {
    const auto groups = parse_deb_relations(
        "aa (>> 1), bb:any (<2) | cc:native (= 1:2-3) [x] <!y>, dd:vax, ${bad}, ee (?? 1) | ff");
    ASSERT_EQ(groups.size(), 3U);
    EXPECT_THAT(groups[0], ElementsAre(DebRelation{"aa", ">>", "1"}));
    EXPECT_THAT(groups[1], ElementsAre(DebRelation{"bb", "<=", "2"}, DebRelation{"cc", "=", "1:2-3"}));
    EXPECT_THAT(groups[2], ElementsAre(DebRelation{"ff", "", ""}));
}

TEST(DebRelations, BecomeAlpms) {
    EXPECT_EQ(alpm_relation({"a", "", ""}), "a");
    EXPECT_EQ(alpm_relation({"a", ">>", "1.0"}), "a>" + alpm_version("1.0"));
    EXPECT_EQ(alpm_relation({"a", "<<", "1.0-1~"}), "a<" + alpm_version("1.0-1~"));
    EXPECT_EQ(alpm_relation({"a", "=", "2:1"}), "a=" + alpm_version("2:1"));
}

TEST(DebRelations, AlternativesHaveAName) {
    const DebAlternatives alternatives{{"vim", "", ""}, {"vi", ">=", "2~rc1"}, {"ed", "<<", "1:3"}};
    EXPECT_EQ(alternatives_name(alternatives), "vim|vi(ge2~rc1)|ed(lt1:3)");
    EXPECT_EQ(alternatives_of_name("vim|vi(ge2~rc1)|ed(lt1:3)"), alternatives);
    EXPECT_THAT(alternatives_of_name("vim"), IsEmpty());
}

TEST(DebRelations, AVersionSatisfiesOrNot) {
    EXPECT_TRUE(satisfies("1.0-1", {"a", "", ""}));
    EXPECT_TRUE(satisfies("", {"a", "", ""}));
    EXPECT_FALSE(satisfies("", {"a", ">=", "0"})) << "provided without a version";
    EXPECT_TRUE(satisfies("1.0-1", {"a", ">=", "1.0"}));
    EXPECT_FALSE(satisfies("1.0~rc1-1", {"a", ">=", "1.0"}));
    EXPECT_TRUE(satisfies("1.0", {"a", "=", "1.0-0"}));
    EXPECT_FALSE(satisfies("1.0", {"a", "<<", "1.0"}));
    EXPECT_TRUE(satisfies("1.0", {"a", "<=", "1.0"}));
    EXPECT_FALSE(satisfies("1.0", {"a", ">>", "1.0"}));
}

class DebUniverseTest : public ::testing::Test {
 protected:
    DebUniverse universe_;
    std::vector<std::string> unsatisfied_;
    void add(const DebControl& control, bool fixed = false) { universe_.add(control, fixed); }
    std::vector<std::string> depends(const std::string& field) {
        const DebControl tool = package("tool", "1", "Provides: own\nDepends: " + field + "\n");
        add(tool);
        return universe_.depends(tool, unsatisfied_);
    }
};

TEST_F(DebUniverseTest, OnePackageIsDependedOnDirectly) {
    add(package("liba", "2"));
    add(package("neovim", "1", "Provides: editor\n"));
    EXPECT_THAT(depends("absent | liba (>= 1), editor, own, liba (>= 1), debconf | debconf-2.0"),
                ElementsAre("liba>=" + alpm_version("1"), "editor", "debconf"));
    EXPECT_THAT(unsatisfied_, ElementsAre("tool: debconf"));
}

TEST_F(DebUniverseTest, AlternativesBecomeANameThatAllOfThemProvide) {
    const DebControl vim = package("vim", "2");
    const DebControl nano = package("nano", "7", "Provides: ed (= 3)\n");
    const DebControl old = package("old-ed", "1", "Provides: ed (= 1)\n");
    add(vim);
    add(nano);
    add(old);
    EXPECT_THAT(depends("vim | ed (>= 2) | absent"), ElementsAre("vim|ed(ge2)"));
    EXPECT_THAT(universe_.provides(vim), ElementsAre("vim|ed(ge2)"));
    EXPECT_THAT(universe_.provides(nano), ElementsAre("ed=" + alpm_version("3"), "vim|ed(ge2)"));
    EXPECT_THAT(universe_.provides(old), ElementsAre("ed=" + alpm_version("1")));
}

TEST_F(DebUniverseTest, APackageThatExistsAlreadyGetsNoNewNames) {
    add(package("vim", "2"), true);
    add(package("nano", "7"));
    EXPECT_THAT(depends("absent | vim | nano"), ElementsAre("vim"));
}

TEST_F(DebUniverseTest, NobodyConflictsWithItself) {
    const DebControl mta =
        package("mta", "1", "Provides: mail\nConflicts: mail, mta (<< 1)\nBreaks: old-mta (<< 2), mail\n");
    EXPECT_THAT(universe_.conflicts(mta), ElementsAre("mail", "old-mta<" + alpm_version("2")));
}

}  // namespace
}  // namespace pwstore
