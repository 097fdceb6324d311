// SPDX-License-Identifier: GPL-3.0-or-later
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "store/tree_diff.hpp"

namespace pwstore {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

TreeEntry file(const std::string& path, ObjectId object, uint32_t mode = 0644) {
    TreeEntry entry;
    entry.entry.path = path;
    entry.entry.mode = mode;
    entry.entry.size = 4;
    entry.entry.object = object;
    return entry;
}

std::vector<std::string> changes(const Tree& before, const Tree& after) {
    std::vector<std::string> texts;
    for (const TreeChange& change : compare_trees(before, after)) {
        std::string text = change.kind == TreeChange::Kind::added     ? "+"
                           : change.kind == TreeChange::Kind::removed ? "-"
                                                                      : "~";
        text += change.path;
        for (const std::string& what : change.what)
            text += " " + what;
        texts.push_back(text);
    }
    return texts;
}

TEST(TreeDiff, WalksBothTreesAtOnce) {
    const Tree before{{file("a", 1), file("b", 2), file("d", 4)}, {}};
    const Tree after{{file("b", 3), file("c", 5), file("d", 4), file("e", 6)}, {}};
    EXPECT_THAT(changes(before, after), ElementsAre("-a", "~b content", "+c", "+e"));
    EXPECT_THAT(changes(after, before), ElementsAre("+a", "~b content", "-c", "-e"));
    EXPECT_THAT(changes(before, before), IsEmpty());
    EXPECT_THAT(changes({}, {}), IsEmpty());
}

TEST(TreeDiff, SaysWhatIsAnother) {
    Tree before{{file("f", 1), file("g", 1), file("h", 1)}, {}};
    Tree after = before;
    after.entries[0].entry.mode = 0755;
    after.entries[0].entry.object = 7;  // content and mode make the object
    after.entries[1].entry.uid = 5;
    after.entries[1].entry.xattrs["security.capability"] = "x";
    after.entries[2].entry.kind = EntryKind::symlink;
    after.entries[2].entry.target = "f";
    EXPECT_THAT(changes(before, after), ElementsAre("~f mode", "~g owner attributes", "~h type"));
    before = after;
    after.entries[2].entry.target = "g";
    EXPECT_THAT(changes(before, after), ElementsAre("~h target"));
    before = after;
    after.entries[0].entry.mtime = 99;
    EXPECT_THAT(changes(before, after), IsEmpty());
    after.entries[0].inlined = "generated";
    EXPECT_THAT(changes(before, after), ElementsAre("~f content"));
}

TEST(PackageDiff, TellsVersionsReasonsAndRebuiltPackagesApart) {
    const InstalledPackage one{1, "one", "1-1", InstallReason::explicitly, 0, 0, {}};
    const InstalledPackage two{2, "two", "1-1", InstallReason::explicitly, 0, 0, {}};
    InstalledPackage newer = one;
    newer.version = "2-1";
    newer.manifest = 3;
    InstalledPackage rebuilt = one;
    rebuilt.manifest = 4;
    InstalledPackage dependency = one;
    dependency.reason = InstallReason::dependency;
    const auto only = [](const std::vector<PackageChange>& all) {
        EXPECT_EQ(all.size(), 1U);
        return all.empty() ? PackageChange{} : all[0];
    };
    EXPECT_THAT(compare_packages({one, two}, {two, one}), IsEmpty());
    EXPECT_EQ(only(compare_packages({one}, {})).before, "1-1");
    EXPECT_EQ(only(compare_packages({}, {one})).after, "1-1");
    EXPECT_EQ(only(compare_packages({one}, {newer})).after, "2-1");
    EXPECT_FALSE(only(compare_packages({one}, {newer})).rebuilt);
    EXPECT_TRUE(only(compare_packages({one}, {rebuilt})).rebuilt);
    EXPECT_TRUE(only(compare_packages({one}, {dependency})).reason_changed);
}

}  // namespace
}  // namespace pwstore
