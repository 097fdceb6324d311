// SPDX-License-Identifier: GPL-3.0-or-later
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <deque>
#include <string>
#include <vector>

#include "store/base/error.hpp"
#include "store/tree.hpp"

namespace pwstore {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

Entry directory(std::string path, uint32_t mode = 0755, int64_t mtime = 100) {
    Entry entry;
    entry.path = std::move(path);
    entry.kind = EntryKind::directory;
    entry.mode = mode;
    entry.mtime = mtime;
    return entry;
}

Entry file(std::string path, ObjectId object, int64_t mtime = 100) {
    Entry entry;
    entry.path = std::move(path);
    entry.mode = 0644;
    entry.object = object;
    entry.size = 10;
    entry.mtime = mtime;
    return entry;
}

Entry symlink(std::string path, std::string target) {
    Entry entry;
    entry.path = std::move(path);
    entry.kind = EntryKind::symlink;
    entry.mode = 0777;
    entry.target = std::move(target);
    return entry;
}

Entry whiteout(std::string path) {
    Entry entry;
    entry.path = std::move(path);
    entry.kind = EntryKind::whiteout;
    return entry;
}

/// Layers that own their entries, sorted as manifests are.
class Stack {
 public:
    Stack& package(std::vector<Entry> entries) {
        return add(std::move(entries), LayerKind::package, "package p");
    }
    Stack& delta(std::vector<Entry> entries) {
        return add(std::move(entries), LayerKind::delta, "delta of d");
    }
    Stack& generated(std::vector<Entry> entries) {
        return add(std::move(entries), LayerKind::generated, kMountPointLayer);
    }
    [[nodiscard]] Tree merge() const { return merge_layers(layers_); }

 private:
    Stack& add(std::vector<Entry> entries, LayerKind kind, const std::string& label) {
        std::sort(entries.begin(), entries.end(),
                  [](const Entry& a, const Entry& b) { return a.path < b.path; });
        kept_.push_back(std::move(entries));
        layers_.push_back({label + std::to_string(layers_.size()), &kept_.back(), kind, nullptr});
        return *this;
    }
    std::deque<std::vector<Entry>> kept_;
    std::vector<TreeLayer> layers_;
};

/// "path kind object|target|mode" of each entry.
std::vector<std::string> lines(const Tree& tree) {
    std::vector<std::string> result;
    for (const TreeEntry& item : tree.entries) {
        const Entry& entry = item.entry;
        std::string line = entry.path;
        if (entry.kind == EntryKind::directory) line += "/";
        if (entry.kind == EntryKind::file) line += " " + std::to_string(entry.object);
        if (entry.kind == EntryKind::symlink) line += " -> " + entry.target;
        result.push_back(line);
    }
    return result;
}

TEST(MergeLayers, ComesOutSortedByWholePathBytes) {
    const Tree tree = Stack()
                          .package({directory("lib"), file("lib/a", 1), file("lib-x", 2), file("lib0", 3)})
                          .package({directory("lib"), file("lib/b", 4), directory("lib/c"), file("lib/c-", 5),
                                    file("lib/c/d", 6)})
                          .merge();
    EXPECT_THAT(lines(tree), ElementsAre("lib/", "lib-x 2", "lib/a 1", "lib/b 4", "lib/c/", "lib/c- 5",
                                         "lib/c/d 6", "lib0 3"));
    EXPECT_TRUE(std::is_sorted(tree.entries.begin(), tree.entries.end(),
                               [](const auto& a, const auto& b) { return a.entry.path < b.entry.path; }));
}

TEST(MergeLayers, LaterFileReplacesEarlierAndKeepsItsLayer) {
    const Tree tree = Stack().package({file("a", 1), file("b", 2)}).package({file("a", 3)}).merge();
    EXPECT_THAT(lines(tree), ElementsAre("a 3", "b 2"));
    EXPECT_EQ(tree.find("a")->layer, 1U);
    EXPECT_EQ(tree.find("b")->layer, 0U);
    EXPECT_EQ(tree.find("c"), nullptr);
}

TEST(MergeLayers, DirectoryKeepsTheMetadataOfTheFirstPackage) {
    const Tree tree =
        Stack().package({directory("d", 0700, 1)}).package({directory("d", 0755, 2), file("d/f", 1)}).merge();
    EXPECT_EQ(tree.find("d")->entry.mode, 0700U);
    EXPECT_EQ(tree.find("d")->entry.mtime, 1);
}

TEST(MergeLayers, DeltaChangesTheMetadataOfADirectory) {
    const Tree tree =
        Stack().package({directory("d", 0755), file("d/f", 1)}).delta({directory("d", 0700, 7)}).merge();
    EXPECT_EQ(tree.find("d")->entry.mode, 0700U);
    EXPECT_THAT(lines(tree), ElementsAre("d/", "d/f 1"));
}

TEST(MergeLayers, AddsMissingParents) {
    const Tree tree = Stack().package({file("a/b/c", 1, 42)}).merge();
    EXPECT_THAT(lines(tree), ElementsAre("a/", "a/b/", "a/b/c 1"));
    EXPECT_EQ(tree.find("a/b")->entry.mode, 0755U);
    EXPECT_EQ(tree.find("a/b")->entry.mtime, 42);
    EXPECT_EQ(tree.layers.at(tree.find("a/b")->layer), kParentLayer);
}

TEST(MergeLayers, NamingAMissingParentLaterGivesItsMetadata) {
    const Tree tree = Stack().package({file("a/f", 1)}).package({directory("a", 0711, 9)}).merge();
    EXPECT_EQ(tree.find("a")->entry.mode, 0711U);
    EXPECT_EQ(tree.find("a")->layer, 1U);
}

TEST(MergeLayers, PathBelowASymlinkToADirectoryLandsAtTheTarget) {
    const Tree tree =
        Stack()
            .package({symlink("lib", "usr/lib"), directory("usr"), directory("usr/lib", 0755, 5)})
            .package({directory("lib", 0700), directory("lib/m"), file("lib/m/x", 1), file("lib/y", 2)})
            .merge();
    EXPECT_THAT(lines(tree), ElementsAre("lib -> usr/lib", "usr/", "usr/lib/", "usr/lib/m/", "usr/lib/m/x 1",
                                         "usr/lib/y 2"));
    EXPECT_EQ(tree.find("usr/lib")->entry.mode, 0755U);
}

TEST(MergeLayers, PathBelowASymlinkThatLeadsNowhereYetIsMadeThere) {
    const Tree tree = Stack()
                          .package({symlink("a", "b"), symlink("b", "/gone/../c/d")})
                          .package({file("a/f", 1), directory("b/g")})
                          .merge();
    EXPECT_THAT(lines(tree),
                ElementsAre("a -> b", "b -> /gone/../c/d", "c/", "c/d/", "c/d/f 1", "c/d/g/", "gone/"));
}

TEST(MergeLayers, MountPointsAreMadeBehindSymlinks) {
    const Tree tree =
        Stack()
            .package({symlink("home", "var/home"), symlink("tmp", "sysroot/tmp"), directory("var"),
                      symlink("mnt", "mnt"), file("pipe", 1), symlink("run", "pipe")})
            .generated({directory("home", 0700), directory("home/box"), directory("mnt"), directory("run"),
                        directory("tmp", 01777)})
            .merge();
    EXPECT_THAT(lines(tree),
                ElementsAre("home -> var/home", "mnt -> mnt", "pipe 1", "run -> pipe", "sysroot/",
                            "sysroot/tmp/", "tmp -> sysroot/tmp", "var/", "var/home/", "var/home/box/"));
    EXPECT_EQ(tree.find("sysroot/tmp")->entry.mode, 01777U);
    EXPECT_EQ(tree.find("var/home")->entry.mode, 0700U);
}

TEST(MergeLayers, FollowsAbsoluteChainedAndParentTargets) {
    const Tree tree = Stack()
                          .package({directory("real/deep"), symlink("a", "/b"), symlink("b", "real/deep"),
                                    directory("x"), symlink("x/up", "../../../a")})
                          .package({file("x/up/f", 1)})
                          .merge();
    EXPECT_THAT(lines(tree), testing::Contains("real/deep/f 1"));
}

TEST(MergeLayers, SymlinkLoopIsNoDirectoryAndGivesWay) {
    const Tree tree =
        Stack().package({symlink("a", "b"), symlink("b", "a")}).package({file("a/f", 1)}).merge();
    EXPECT_THAT(lines(tree), ElementsAre("a/", "a/f 1", "b -> a"));
}

TEST(MergeLayers, DirectoryReplacesASymlinkThatLeadsNowhere) {
    const Tree tree = Stack().package({symlink("a", "gone")}).package({directory("a")}).merge();
    EXPECT_THAT(lines(tree), ElementsAre("a/"));
}

TEST(MergeLayers, LaterSymlinkOverADirectoryTakesItsContentAlong) {
    const Tree tree =
        Stack()
            .package({directory("lib"), directory("lib/m"), file("lib/m/x", 1), file("lib/both", 2)})
            .package(
                {directory("usr"), directory("usr/lib"), file("usr/lib/both", 3), symlink("lib", "usr/lib")})
            .merge();
    EXPECT_THAT(lines(tree), ElementsAre("lib -> usr/lib", "usr/", "usr/lib/", "usr/lib/both 3", "usr/lib/m/",
                                         "usr/lib/m/x 1"));
}

TEST(MergeLayers, PackageMayNotReplaceADirectoryThatHoldsSomething) {
    for (const Entry& over : {file("d", 2), symlink("d", "nowhere"), symlink("d", "d/inside")}) {
        Stack stack;
        stack.package({directory("d"), directory("d/inside"), file("d/inside/f", 1)}).package({over});
        try {
            (void)stack.merge();
            FAIL() << "merged " << over.target;
        } catch (const Error& error) {
            EXPECT_EQ(error.fault(), Fault::refused);
            EXPECT_THAT(error.what(),
                        testing::AllOf(HasSubstr("'d'"), HasSubstr("package p0"), HasSubstr("package p1")));
        }
    }
}

TEST(MergeLayers, PackageMayReplaceADirectoryThatHoldsNoFiles) {
    const Tree tree = Stack().package({directory("d"), directory("d/e")}).package({file("d", 2)}).merge();
    EXPECT_THAT(lines(tree), ElementsAre("d 2"));
}

TEST(MergeLayers, DeltaReplacesADirectoryWithAllBelow) {
    const Tree tree = Stack().package({directory("d"), file("d/f", 1)}).delta({file("d", 2)}).merge();
    EXPECT_THAT(lines(tree), ElementsAre("d 2"));
}

TEST(MergeLayers, WhiteoutRemovesAFileAndAWholeDirectory) {
    const Tree tree =
        Stack()
            .package({directory("d"), directory("d/e"), file("d/e/f", 1), file("g", 2), file("h", 3)})
            .delta({whiteout("d"), whiteout("g"), whiteout("never/was")})
            .merge();
    EXPECT_THAT(lines(tree), ElementsAre("h 3"));
}

TEST(MergeLayers, LayerAfterAWhiteoutPutsThePathBack) {
    const Tree tree =
        Stack().package({file("d/f", 1)}).delta({whiteout("d")}).package({file("d/g", 2)}).merge();
    EXPECT_THAT(lines(tree), ElementsAre("d/", "d/g 2"));
}

TEST(MergeLayers, WhiteoutsAreLookedUpBeforeTheDeltasOwnSymlinks) {
    // "z" was moved to "a" and linked: its whiteouts must not remove the new files behind the link.
    const Tree tree = Stack()
                          .package({directory("z"), file("z/f", 1)})
                          .delta({directory("a"), file("a/f", 1), symlink("z", "a"), whiteout("z/f")})
                          .merge();
    EXPECT_THAT(lines(tree), ElementsAre("a/", "a/f 1", "z -> a"));
}

TEST(MergeLayers, DeltaReplacesASymlinkByADirectory) {
    const Tree tree = Stack()
                          .package({directory("usr"), directory("usr/lib"), symlink("lib", "usr/lib")})
                          .delta({directory("lib", 0700), file("lib/x", 1)})
                          .merge();
    EXPECT_THAT(lines(tree), ElementsAre("lib/", "lib/x 1", "usr/", "usr/lib/"));
}

TEST(MergeLayers, GeneratedLayerFillsOnlyWhatIsAbsent) {
    const Tree tree =
        Stack()
            .generated({directory("run", 0700, 1), directory("tmp", 01777, 1)})
            .package(
                {symlink("var", "data"), symlink("lock", "run"), file("dev", 1), directory("tmp", 0755, 5)})
            .package({file("lock/pid", 2)})
            .generated({directory("dev"), directory("dev/shm"), directory("mnt"), directory("tmp", 0, 1)})
            .merge();
    EXPECT_THAT(lines(tree),
                ElementsAre("dev 1", "lock -> run", "mnt/", "run/", "run/pid 2", "tmp/", "var -> data"));
    EXPECT_EQ(tree.find("tmp")->entry.mode, 0755U);
    EXPECT_EQ(tree.find("run")->entry.mode, 0700U);
}

TEST(MergeLayers, GivesTheSameTreeTwice) {
    Stack stack;
    stack.package({directory("lib"), file("lib/x", 1)})
        .package({directory("usr"), directory("usr/lib"), symlink("lib", "usr/lib")})
        .delta({whiteout("usr/lib/x"), file("usr/lib/z", 4)});
    const Tree first = stack.merge();
    const Tree second = stack.merge();
    ASSERT_EQ(first.entries.size(), second.entries.size());
    for (size_t at = 0; at < first.entries.size(); ++at) {
        EXPECT_EQ(first.entries[at].entry, second.entries[at].entry);
        EXPECT_EQ(first.entries[at].layer, second.entries[at].layer);
    }
}

TEST(TreeResolve, FollowsSymlinksOfTheParentOnly) {
    const Tree tree =
        Stack()
            .package({directory("usr"), directory("usr/lib"), file("usr/lib/x", 1), symlink("lib", "usr/lib"),
                      symlink("loop", "loop"), symlink("usr/lib/self", ".")})
            .merge();
    ASSERT_NE(tree.resolve("lib/x"), nullptr);
    EXPECT_EQ(tree.resolve("lib/x")->entry.path, "usr/lib/x");
    EXPECT_EQ(tree.resolve("lib/self/self/x")->entry.path, "usr/lib/x");
    EXPECT_EQ(tree.resolve("lib")->entry.kind, EntryKind::symlink);
    EXPECT_EQ(tree.resolve("loop/x"), nullptr);
    EXPECT_EQ(tree.resolve("lib/y"), nullptr);
    EXPECT_EQ(tree.resolve("usr/lib/x/y"), nullptr);
}

TEST(MountPoints, AreSortedAndOwnedByRoot) {
    const std::vector<Entry> entries = mount_point_entries("editor");
    std::vector<std::string> paths;
    for (const Entry& entry : entries) {
        paths.push_back(entry.path);
        EXPECT_EQ(entry.mtime, kObjectTime);
        EXPECT_EQ(entry.size, 0U);
        const bool is_file = names::is_mount_point_file(entry.path);
        EXPECT_EQ(entry.kind, is_file ? EntryKind::file : EntryKind::directory) << entry.path;
        EXPECT_EQ(entry.mode, is_file                ? 0644U
                              : entry.path == "tmp"  ? 01777U
                              : entry.path == "root" ? 0700U
                                                     : 0755U);
    }
    EXPECT_THAT(paths, ElementsAre("dev", "etc", "etc/hostname", "etc/hosts", "etc/localtime",
                                   "etc/resolv.conf", "home", "home/editor", "mnt", "proc", "root", "run",
                                   "sys", "tmp", "var", "var/lib", "var/lib/pacman"));
}

TEST(IsCopied, SaysWhichFilesNeverShareAnInode) {
    const auto copied = [](const Entry& entry) { return is_copied({entry, 0, ""}); };
    EXPECT_FALSE(copied(file("usr/bin/x", 1)));
    EXPECT_TRUE(copied(file("etc/x", 1)));
    EXPECT_TRUE(copied(file("etc/deep/x", 1)));
    EXPECT_FALSE(copied(file("etcetera/x", 1)));
    EXPECT_TRUE(copied(file("var/lib/pacman/local/x-1/mtree", 1)));
    EXPECT_TRUE(copied(file("var/lib/dbus/machine-id", 1)));
    EXPECT_FALSE(copied(directory("etc")));
    EXPECT_FALSE(copied(symlink("etc/l", "x")));
    Entry empty = file("usr/empty", 1);
    empty.size = 0;
    EXPECT_TRUE(copied(empty));
    Entry backup = file("usr/conf", 1);
    backup.backup_md5 = "0123456789abcdef0123456789abcdef";
    EXPECT_TRUE(copied(backup));
    EXPECT_TRUE(copied(file("usr/generated", 0)));
}

}  // namespace
}  // namespace pwstore
