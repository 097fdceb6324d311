// SPDX-License-Identifier: GPL-3.0-or-later
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/xattr.h>

#include <cstdlib>
#include <filesystem>
#include <functional>
#include <set>

#include "mount/assembler.hpp"
#include "store/base/error.hpp"
#include "store/base/path_at.hpp"
#include "store/spill.hpp"
#include "tests/support/root_fixture.hpp"

namespace pwstore {
namespace {

using test::content_of;
using test::inode_of;
using test::links_of;
using test::listing;
using test::RootFixture;
using testing::HasSubstr;

class AssemblerTest : public testing::Test {
 protected:
    AssembleStats build(const Tree& tree, const std::string& name, const AssembleOptions& options = {}) {
        return assemble(fixture_.store, tree, fixture_.make_root(name).get(), options);
    }
    [[nodiscard]] std::string at(const std::string& path) const { return fixture_.dir.path(path); }
    /// One of every kind of entry.
    Tree varied_tree() {
        TreeEntry old = fixture_.file("usr/bin/tool", "tool", 04755);
        old.entry.mtime = -5;
        return RootFixture::tree({
            RootFixture::directory("etc", 0755),
            fixture_.file("etc/conf", "conf", 0666),
            RootFixture::directory("tmp", 01777, 77),
            RootFixture::directory("usr", 02555, 1234567),
            old,
            fixture_.file("usr/bin/tool-2", "tool", 0755),
            fixture_.file("usr/empty", ""),
            RootFixture::generated("var/lib/pacman/local/ALPM_DB_VERSION", "9\n"),
            RootFixture::symlink("lib", "usr/lib"),
            RootFixture::symlink("usr/absolute", "/etc/conf"),
            RootFixture::fifo("run/pipe", 0622),
            fixture_.file(std::string("odd/a\nb\xff") + std::string(200, 'x'), "odd"),
            // "a-b" sorts between "a" and "a/c".
            fixture_.file("a-b", "dash"),
            fixture_.file("a/c", "slash"),
        });
    }
    RootFixture fixture_;
};

TEST_F(AssemblerTest, BuildsEveryKindWithModesAndTimes) {
    const AssembleStats stats = build(varied_tree(), "root");
    EXPECT_EQ(stats.linked, 5U);
    EXPECT_EQ(stats.copied, 3U);
    EXPECT_EQ(stats.copied_bytes, 6U);
    EXPECT_EQ(stats.symlinks, 2U);
    EXPECT_EQ(stats.directories, 11U);
    EXPECT_EQ(stats.fallback_copies, 0U);

    const struct stat tool = stat_at(AT_FDCWD, at("root/usr/bin/tool"));
    EXPECT_EQ(tool.st_mode, S_IFREG | 0755U) << "never set-id";
    EXPECT_EQ(tool.st_ino, inode_of(at("root/usr/bin/tool-2"))) << "one object";
    EXPECT_EQ(tool.st_mtim.tv_sec, kObjectTime);
    const struct stat conf = stat_at(AT_FDCWD, at("root/etc/conf"));
    EXPECT_EQ(conf.st_mode, S_IFREG | 0644U);
    EXPECT_EQ(conf.st_nlink, 1U);
    EXPECT_EQ(conf.st_mtim.tv_sec, 1'000'008);
    EXPECT_EQ(conf.st_mtim.tv_nsec, 123);
    EXPECT_EQ(links_of(at("root/usr/empty")), 1U);
    EXPECT_EQ(stat_at(AT_FDCWD, at("root/tmp")).st_mode, S_IFDIR | 01777U);
    EXPECT_EQ(stat_at(AT_FDCWD, at("root/tmp")).st_mtim.tv_sec, 77);
    const struct stat usr = stat_at(AT_FDCWD, at("root/usr"));
    EXPECT_EQ(usr.st_mode, S_IFDIR | 0755U) << "the owner can always write";
    EXPECT_EQ(usr.st_mtim.tv_sec, 1234567) << "children came later than the directory";
    EXPECT_EQ(read_link_at(AT_FDCWD, at("root/usr/absolute")), "/etc/conf");
    EXPECT_EQ(stat_at(AT_FDCWD, at("root/usr/absolute")).st_mtim.tv_sec, 1'000'012);
    EXPECT_EQ(stat_at(AT_FDCWD, at("root/run/pipe")).st_mode, S_IFIFO | 0622U);
    EXPECT_EQ(content_of(at("root/var/lib/pacman/local/ALPM_DB_VERSION")), "9\n");
    EXPECT_EQ(content_of(at("root/a/c")), "slash");
    EXPECT_EQ(content_of(at("root/a-b")), "dash");
    EXPECT_EQ(stat_at(AT_FDCWD, at("root")).st_mode, S_IFDIR | 0755U);
}

TEST_F(AssemblerTest, TwoBuildsAreEqualWhateverUmaskAndThreads) {
    const Tree tree = varied_tree();
    build(tree, "one", {.threads = 1});
    const mode_t before = ::umask(0077);
    build(tree, "two", {.threads = 8});
    ::umask(0);
    build(tree, "three", {.threads = 3});
    ::umask(before);
    EXPECT_EQ(listing(at("one")), listing(at("two")));
    EXPECT_EQ(listing(at("one")), listing(at("three")));
}

TEST_F(AssemblerTest, PrivateCopiesShareNothingWithTheStore) {
    const Tree tree = varied_tree();
    const AssembleStats stats = build(tree, "root", {.policy = LinkPolicy::private_copies});
    EXPECT_EQ(stats.linked, 0U);
    EXPECT_EQ(stats.copied, 8U);
    EXPECT_EQ(stats.fallback_copies, 0U);
    EXPECT_NE(inode_of(at("root/usr/bin/tool")), inode_of(at("root/usr/bin/tool-2")));
    for (const TreeEntry& entry : tree.entries) {
        if (entry.entry.kind != EntryKind::file) continue;
        EXPECT_EQ(links_of(at("root/" + entry.entry.path)), 1U) << entry.entry.path;
        EXPECT_EQ(stat_at(AT_FDCWD, at("root/" + entry.entry.path)).st_mtim.tv_sec, entry.entry.mtime);
    }
    EXPECT_EQ(content_of(at("root/usr/bin/tool")), "tool");
}

TEST_F(AssemblerTest, CopiesLargeFilesWhole) {
    std::string large(3'000'001, 'x');
    for (size_t i = 0; i < large.size(); i += 7)
        large[i] = static_cast<char>('a' + i % 26);
    build(RootFixture::tree({fixture_.file("etc/large", large)}), "root");
    EXPECT_EQ(content_of(at("root/etc/large")), large);
}

TEST_F(AssemblerTest, ManyDirectoriesOnManyThreads) {
    std::vector<TreeEntry> entries;
    for (int i = 0; i < 400; ++i) {
        for (int j = 0; j < 5; ++j) {
            entries.push_back(fixture_.file(
                "d/" + std::to_string(i % 20) + "/" + std::to_string(i) + "/" + std::to_string(j),
                "content " + std::to_string((i * 5 + j) % 37)));
        }
    }
    const Tree tree = RootFixture::tree(std::move(entries));
    const AssembleStats stats = build(tree, "root", {.threads = 16});
    EXPECT_EQ(stats.linked, 2000U);
    for (const TreeEntry& entry : tree.entries) {
        if (entry.entry.kind != EntryKind::file) continue;
        EXPECT_EQ(inode_of(at("root/" + entry.entry.path)),
                  inode_of(fixture_.object_path(entry.entry.object)));
    }
}

TEST_F(AssemblerTest, LongPathsUpToTheLimit) {
    std::string path;
    while (path.size() < 3800)
        path += std::string(200, 'd') + "/";
    path += std::string(4095 - path.size() > 255 ? 255 : 4095 - path.size(), 'f');
    build(RootFixture::tree({fixture_.file(path, "deep")}), "root");
    const Fd root = open_dir(AT_FDCWD, at("root"));
    EXPECT_EQ(read_file(root.get(), path), "deep");
}

TEST_F(AssemblerTest, CopiesCarryTheObjectsXattrs) {
    ObjectId id = 0;
    try {
        id = fixture_.object("x", 0444, {{"user.test", "value"}});
    } catch (const Error& error) {
        PWSTORE_CANNOT_RUN(error.what());
    }
    TreeEntry entry = fixture_.file("etc/with-xattr", "y", 0444);
    entry.entry.object = id;
    build(RootFixture::tree({entry}), "root");
    char value[16] = {};
    EXPECT_EQ(::getxattr(at("root/etc/with-xattr").c_str(), "user.test", value, sizeof value), 5);
    EXPECT_STREQ(value, "value");
    EXPECT_EQ(stat_at(AT_FDCWD, at("root/etc/with-xattr")).st_mode & 07777U, 0444U);
}

TEST_F(AssemblerTest, CopiesWhereTheFileSystemDoesNotLink) {
    const Tree tree = varied_tree();
    std::string elsewhere;
    const auto here = stat_at(AT_FDCWD, fixture_.dir.path()).st_dev;
    for (const char* candidate : {"/run", "/tmp", "/var/tmp"}) {
        struct stat info {};
        if (::stat(candidate, &info) == 0 && info.st_dev != here && ::access(candidate, W_OK) == 0)
            elsewhere = candidate;
    }
    if (elsewhere.empty()) PWSTORE_CANNOT_RUN("no second writable file system");
    elsewhere += "/pwstore-test.XXXXXX";
    ASSERT_NE(::mkdtemp(elsewhere.data()), nullptr);
    const AssembleStats stats = assemble(fixture_.store, tree, open_dir(AT_FDCWD, elsewhere).get());
    EXPECT_EQ(stats.linked, 0U);
    EXPECT_EQ(stats.fallback_copies, 5U);
    EXPECT_EQ(stats.copied, 8U);
    EXPECT_EQ(content_of(elsewhere + "/usr/bin/tool"), "tool");
    remove_root_tree(AT_FDCWD, elsewhere);
    EXPECT_FALSE(exists_at(AT_FDCWD, elsewhere));
}

// --- Link limit ---

class LinkLimitTest : public testing::Test {
 protected:
    [[nodiscard]] std::string at(const std::string& path) const { return fixture_.dir.path(path); }
    RootFixture fixture_{StoreOptions{.link_limit = 5}};
};

TEST_F(LinkLimitTest, TwentyRootsSpillIntoCopies) {
    const Tree tree = RootFixture::tree({
        fixture_.file("usr/a", "same"),
        fixture_.file("usr/b", "same"),
        fixture_.file("usr/c", "same"),
        fixture_.file("usr/once", "once"),
    });
    std::map<uint64_t, uint64_t> names;  // inode → names in roots
    uint64_t spilled = 0;
    for (int i = 0; i < 20; ++i) {
        const std::string name = "root" + std::to_string(i);
        const AssembleStats stats =
            assemble(fixture_.store, tree, fixture_.make_root(name).get(), {.threads = 4});
        EXPECT_EQ(stats.linked, 4U);
        EXPECT_EQ(stats.copied, 0U);
        spilled += stats.spilled;
        for (const char* file : {"a", "b", "c"}) {
            EXPECT_EQ(content_of(at(name + "/usr/" + file)), "same");
            ++names[inode_of(at(name + "/usr/" + file))];
        }
        EXPECT_EQ(content_of(at(name + "/usr/once")), "once");
    }
    const ObjectId same = tree.find("usr/a")->entry.object;
    // 60 links, 4 for each inode.
    EXPECT_EQ(names.size(), 15U);
    EXPECT_EQ(fixture_.copies(same), 15U);
    EXPECT_EQ(spilled, 14U + 4U) << "and 20 links of the other at 4 an inode";
    for (const auto& [inode, count] : names)
        EXPECT_LE(count, 4U) << inode;
    for (uint16_t copy = 0; copy < 15; ++copy)
        EXPECT_TRUE(fixture_.store.objects().is_intact(fixture_.key(same), copy, fixture_.store.digest()));
}

TEST_F(LinkLimitTest, RoomThatAnotherRootLeftIsUsedAgain) {
    const Tree tree = RootFixture::tree({fixture_.file("a", "same"), fixture_.file("b", "same")});
    for (const char* name : {"one", "two", "three"})
        assemble(fixture_.store, tree, fixture_.make_root(name).get());
    const ObjectId same = tree.find("a")->entry.object;
    EXPECT_EQ(fixture_.copies(same), 2U);
    remove_root_tree(AT_FDCWD, at("one"));
    assemble(fixture_.store, tree, fixture_.make_root("four").get());
    assemble(fixture_.store, tree, fixture_.make_root("five").get());
    EXPECT_EQ(fixture_.copies(same), 2U);
}

TEST_F(LinkLimitTest, SpillingFromADamagedObjectIsAnError) {
    const Tree tree = RootFixture::tree({fixture_.file("a", "same"), fixture_.file("b", "same")});
    for (const char* name : {"one", "two"})
        assemble(fixture_.store, tree, fixture_.make_root(name).get());
    const std::string object = fixture_.object_path(tree.find("a")->entry.object);
    write_all(open_at(AT_FDCWD, object, O_WRONLY | O_TRUNC).get(), "evil", object);
    try {
        assemble(fixture_.store, tree, fixture_.make_root("three").get());
        FAIL();
    } catch (const Error& error) {
        EXPECT_EQ(error.fault(), Fault::corrupt);
        EXPECT_THAT(error.hint(), HasSubstr("verify"));
    }
}

TEST_F(LinkLimitTest, AddObjectCopyIsIdempotentForOneCaller) {
    const ObjectId id = fixture_.object("x");
    EXPECT_EQ(add_object_copy(fixture_.store, id, 1), 2U);
    EXPECT_EQ(add_object_copy(fixture_.store, id, 1), 2U) << "someone else made it";
    EXPECT_EQ(add_object_copy(fixture_.store, id, 2), 3U);
    EXPECT_EQ(fixture_.copies(id), 3U);
}

// --- Hard link groups ---

TreeEntry in_group(TreeEntry entry, uint32_t group, uint32_t layer = 0) {
    entry.entry.link_group = group;
    entry.layer = layer;
    return entry;
}

TEST_F(AssemblerTest, HardLinkGroupsShareAnInode) {
    const Tree tree = RootFixture::tree({
        in_group(fixture_.file("usr/bin/a", "linked"), 1),
        in_group(fixture_.file("usr/lib/b", "linked"), 1),
        in_group(fixture_.file("etc/c", "copied"), 2),
        in_group(fixture_.file("etc/sub/d", "copied"), 2),
        in_group(fixture_.file("etc/e", "mixed"), 3),
        in_group(fixture_.file("usr/f", "mixed"), 3),
        in_group(fixture_.file("etc/other-layer", "copied"), 2, 1),
        in_group(fixture_.file("etc/alone", "copied"), 9),
        fixture_.file("etc/none", "copied"),
    });
    const AssembleStats stats = build(tree, "root", {.threads = 4});
    EXPECT_EQ(inode_of(at("root/usr/bin/a")), inode_of(at("root/usr/lib/b")));
    EXPECT_EQ(inode_of(at("root/etc/c")), inode_of(at("root/etc/sub/d")));
    EXPECT_EQ(links_of(at("root/etc/c")), 2U) << "a private inode with two names";
    EXPECT_EQ(inode_of(at("root/etc/e")), inode_of(at("root/usr/f")));
    EXPECT_EQ(links_of(at("root/usr/f")), 2U) << "one of them must be a copy, so both are";
    for (const char* single : {"etc/other-layer", "etc/alone", "etc/none"})
        EXPECT_EQ(links_of(at(std::string("root/") + single)), 1U) << single;
    EXPECT_EQ(stats.linked + stats.copied, 9U);
    EXPECT_FALSE(exists_at(AT_FDCWD, at("root/.pwstore-links")));

    build(tree, "again");
    EXPECT_EQ(listing(at("root")), listing(at("again")));
}

TEST_F(AssemblerTest, PrivateCopiesKeepHardLinkGroups) {
    const Tree tree = RootFixture::tree({
        in_group(fixture_.file("a", "linked"), 1),
        in_group(fixture_.file("b", "linked"), 1),
    });
    build(tree, "root", {.policy = LinkPolicy::private_copies});
    EXPECT_EQ(inode_of(at("root/a")), inode_of(at("root/b")));
    EXPECT_EQ(links_of(at("root/a")), 2U);
}

TEST_F(LinkLimitTest, GroupMovesToACopyWithRoomForAllOfIt) {
    std::vector<TreeEntry> entries{fixture_.file("x", "same"), fixture_.file("y", "same")};
    assemble(fixture_.store, RootFixture::tree(entries), fixture_.make_root("first").get());
    // Two more fit on copy 0, the group has three.
    const Tree tree = RootFixture::tree({
        in_group(fixture_.file("a", "same"), 1),
        in_group(fixture_.file("d/b", "same"), 1),
        in_group(fixture_.file("e/c", "same"), 1),
    });
    const AssembleStats stats = assemble(fixture_.store, tree, fixture_.make_root("second").get());
    EXPECT_EQ(stats.linked, 3U);
    EXPECT_EQ(stats.copied, 0U);
    EXPECT_EQ(inode_of(at("second/a")), inode_of(at("second/d/b")));
    EXPECT_EQ(inode_of(at("second/a")), inode_of(at("second/e/c")));
    const ObjectId same = tree.find("a")->entry.object;
    EXPECT_EQ(inode_of(at("second/a")), inode_of(fixture_.object_path(same, 1)));
    EXPECT_EQ(links_of(fixture_.object_path(same, 0)), 3U);
}

TEST_F(LinkLimitTest, GroupLargerThanTheLimitIsAPrivateInode) {
    std::vector<TreeEntry> entries;
    for (int i = 0; i < 6; ++i)
        entries.push_back(in_group(fixture_.file("f" + std::to_string(i), "same"), 1));
    assemble(fixture_.store, RootFixture::tree(entries), fixture_.make_root("root").get());
    EXPECT_EQ(links_of(at("root/f0")), 6U);
    EXPECT_EQ(inode_of(at("root/f0")), inode_of(at("root/f5")));
}

// --- Trees that no merge would make ---

struct BadTree {
    const char* name;
    std::function<std::vector<TreeEntry>(RootFixture&)> entries;
};

class BadTreeTest : public testing::TestWithParam<BadTree> {};

TEST_P(BadTreeTest, IsRefusedAndNothingLeavesTheRoot) {
    RootFixture fixture;
    fixture.dir.write("canary", "alive");
    Tree tree;
    tree.entries = GetParam().entries(fixture);
    const Fd root = fixture.make_root("root");
    EXPECT_THROW(assemble(fixture.store, tree, root.get()), Error);
    EXPECT_EQ(fixture.dir.read("canary"), "alive");
    EXPECT_FALSE(exists_at(AT_FDCWD, fixture.dir.path("escaped")));
}

INSTANTIATE_TEST_SUITE_P(
    Assembler, BadTreeTest,
    testing::Values(
        BadTree{"DotDot",
                [](RootFixture& f) {
                    return std::vector{f.directory(".."), f.file("../escaped", "x")};
                }},
        BadTree{"Absolute", [](RootFixture& f) { return std::vector{f.file(f.dir.path("escaped"), "x")}; }},
        BadTree{"NoParent", [](RootFixture& f) { return std::vector{f.file("a/b", "x")}; }},
        BadTree{"BelowSymlink",
                [](RootFixture& f) {
                    return std::vector{f.symlink("a", ".."), f.file("a/escaped", "x")};
                }},
        BadTree{"BelowFile",
                [](RootFixture& f) {
                    return std::vector{f.file("a", "x"), f.file("a/b", "x")};
                }},
        BadTree{"Twice",
                [](RootFixture& f) {
                    return std::vector{f.file("a", "x"), f.file("a", "y")};
                }},
        BadTree{"DirectoryTwice",
                [](RootFixture& f) {
                    return std::vector{f.directory("a"), f.directory("a")};
                }},
        BadTree{"EmptyName",
                [](RootFixture& f) {
                    return std::vector{f.directory("a"), f.file("a/", "x")};
                }},
        BadTree{"Nul", [](RootFixture& f) { return std::vector{f.file(std::string("a\0b", 3), "x")}; }},
        BadTree{"UnknownObject",
                [](RootFixture& f) {
                    TreeEntry entry = f.file("a", "x");
                    entry.entry.object = 4711;
                    return std::vector{entry};
                }},
        BadTree{"MissingObject",
                [](RootFixture& f) {
                    TreeEntry entry = f.file("a", "x");
                    remove_file(AT_FDCWD, f.object_path(entry.entry.object));
                    return std::vector{entry};
                }},
        BadTree{"Whiteout",
                [](RootFixture& f) {
                    TreeEntry entry = f.file("a", "x");
                    entry.entry.kind = EntryKind::whiteout;
                    return std::vector{entry};
                }}),
    [](const auto& parameter) { return parameter.param.name; });

TEST_F(AssemblerTest, ShortObjectIsNotCopiedInSilence) {
    const Tree tree = RootFixture::tree({fixture_.file("etc/conf", "content")});
    const std::string object = fixture_.object_path(tree.find("etc/conf")->entry.object);
    write_all(open_at(AT_FDCWD, object, O_WRONLY | O_TRUNC).get(), "con", object);
    EXPECT_THROW(build(tree, "root"), Error);
}

TEST_F(AssemblerTest, ADamagedObjectIsNotLinked) {
    const Tree tree = RootFixture::tree({fixture_.file("usr/bin/tool", "content")});
    const std::string object = fixture_.object_path(tree.find("usr/bin/tool")->entry.object);
    write_all(open_at(AT_FDCWD, object, O_WRONLY | O_TRUNC).get(), "CONTENT", object);
    try {
        build(tree, "root");
        FAIL();
    } catch (const Error& error) {
        EXPECT_EQ(error.fault(), Fault::corrupt);
        EXPECT_THAT(error.what(), AllOf(HasSubstr("'usr/bin/tool'"), HasSubstr("other bytes")));
        EXPECT_EQ(error.hint(), "pwstore verify --heal");
    }
    remove_file(AT_FDCWD, object);
    EXPECT_THROW(build(tree, "another"), Error);
}

TEST_F(AssemblerTest, AnObjectThatWasOnlyTouchedIsPutRight) {
    const Tree tree = RootFixture::tree({fixture_.file("usr/bin/tool", "content", 0755)});
    const std::string object = fixture_.object_path(tree.find("usr/bin/tool")->entry.object);
    const uint64_t inode = test::inode_of(object);
    ASSERT_EQ(::chmod(object.c_str(), 0600), 0);
    ASSERT_EQ(::utimensat(AT_FDCWD, object.c_str(), nullptr, 0), 0);
    build(tree, "root");
    EXPECT_EQ(test::inode_of(at("root/usr/bin/tool")), inode);
    const struct stat info = stat_at(AT_FDCWD, object);
    EXPECT_EQ(info.st_mode & 07777U, 0755U);
    EXPECT_EQ(info.st_mtim.tv_sec, kObjectTime);
}

// --- Removal ---

TEST_F(AssemblerTest, RemovesATreeWithoutFollowingSymlinks) {
    fixture_.dir.write("canary/file", "alive");
    build(varied_tree(), "root");
    const Fd root = open_dir(AT_FDCWD, at("root"));
    ASSERT_EQ(::symlinkat(at("canary").c_str(), root.get(), "out"), 0);
    const Fd parent = open_dir(AT_FDCWD, fixture_.dir.path());
    remove_root_tree(parent.get(), "root", 4);
    EXPECT_FALSE(exists_at(parent.get(), "root"));
    EXPECT_EQ(fixture_.dir.read("canary/file"), "alive");
    remove_root_tree(parent.get(), "root");
}

TEST_F(AssemblerTest, RemovesClosedDirectories) {
    fixture_.dir.write("root/a/b/c/file", "x");
    fixture_.dir.write("root/a/empty/gone", "x");
    for (const char* path : {"root/a/b/c", "root/a/b", "root/a/empty", "root"})
        ASSERT_EQ(::chmod(at(path).c_str(), 0), 0);
    remove_root_tree(AT_FDCWD, at("root"), 2);
    EXPECT_FALSE(exists_at(AT_FDCWD, at("root")));
}

/// A chain of 3000 directories, some without permissions; with `sides` also directories beside the chain,
/// made before and after it, so that whichever way a file system lists them some come before and some after.
void make_deep_tree(Fd dir, bool sides) {
    for (int i = 0; i < 3000; ++i) {
        if (sides && i % 10 == 0) {
            ASSERT_EQ(::mkdirat(dir.get(), "before", 0700), 0);
        }
        ASSERT_EQ(::mkdirat(dir.get(), "deeper-than-that", 0700), 0);
        if (i % (sides ? 10 : 100) == 0) {
            ASSERT_EQ(::mkdirat(dir.get(), "side", 0), 0);
        }
        Fd below = open_dir(dir.get(), "deeper-than-that");
        if (i % 50 == 0) {
            ASSERT_EQ(::fchmod(dir.get(), 0500), 0);
        }
        dir = std::move(below);
    }
}

TEST_F(AssemblerTest, RemovesTreesDeeperThanDescriptorsAndPathsReach) {
    const Fd parent = open_dir(AT_FDCWD, fixture_.dir.path());
    for (const auto& [sides, threads] : {std::pair(false, 4U), std::pair(true, 1U), std::pair(true, 4U)}) {
        SCOPED_TRACE(std::to_string(threads) + (sides ? " threads, sides" : " threads"));
        make_deep_tree(fixture_.make_root("root"), sides);
        rlimit before{};
        ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &before), 0);
        const rlimit few{128, before.rlim_max};
        ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &few), 0);
        EXPECT_NO_THROW(remove_root_tree(parent.get(), "root", threads));
        ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &before), 0);
        for (const DirectoryItem& item : list_directory(parent.get()))
            EXPECT_THAT(item.name, testing::Not(HasSubstr("root")));
    }
}

TEST_F(AssemblerTest, RemovesAWideDirectory) {
    const Fd root = fixture_.make_root("root");
    for (int i = 0; i < 5000; ++i)
        (void)open_at(root.get(), "file-with-a-rather-long-name-" + std::to_string(i), O_CREAT | O_WRONLY,
                      0600);
    remove_root_tree(AT_FDCWD, at("root"), 2);
    EXPECT_FALSE(exists_at(AT_FDCWD, at("root")));
}

}  // namespace
}  // namespace pwstore
