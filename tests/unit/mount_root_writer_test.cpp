// SPDX-License-Identifier: GPL-3.0-or-later
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include "mount/assembler.hpp"
#include "store/base/error.hpp"
#include "store/base/path_at.hpp"
#include "tests/support/root_fixture.hpp"

namespace pwstore {
namespace {

using test::content_of;
using test::inode_of;
using test::links_of;
using test::listing;
using test::RootFixture;
using testing::HasSubstr;

class RootWriterTest : public testing::Test {
 protected:
    explicit RootWriterTest(const StoreOptions& options = {})
        : fixture_(options), root_(fixture_.make_root("root")) {
        fixture_.dir.write("canary/file", "alive");
    }
    void TearDown() override {
        EXPECT_EQ(fixture_.dir.read("canary/file"), "alive");
        EXPECT_EQ(list_directory(open_dir(AT_FDCWD, fixture_.dir.path("canary")).get()).size(), 1U)
            << "something was made outside the root";
    }
    [[nodiscard]] std::string at(const std::string& path) const { return fixture_.dir.path("root/" + path); }
    void make_link(const std::string& path, const std::string& target) const {
        ASSERT_EQ(::symlink(target.c_str(), at(path).c_str()), 0) << path;
    }
    void make_dir(const std::string& path) const { make_directories(AT_FDCWD, at(path)); }
    /// Nothing temporary is left in `path`.
    void expect_tidy(const std::string& path) const {
        for (const DirectoryItem& item :
             list_directory(open_dir(root_.get(), path.empty() ? "." : path).get()))
            EXPECT_THAT(item.name, testing::Not(HasSubstr(".pwstore"))) << path;
    }
    RootFixture fixture_;
    Fd root_;
};

// --- Place ---

TEST_F(RootWriterTest, PlacesAllKindsAndMakesParents) {
    RootWriter writer(fixture_.store, root_.get(), LinkPolicy::link);
    EXPECT_EQ(writer.place(fixture_.file("usr/bin/tool", "tool", 0755)), "usr/bin/tool");
    EXPECT_EQ(writer.place(fixture_.file("etc/conf", "conf")), "etc/conf");
    EXPECT_EQ(writer.place(RootFixture::symlink("lib", "usr/lib")), "lib");
    EXPECT_EQ(writer.place(RootFixture::fifo("run/pipe")), "run/pipe");
    EXPECT_EQ(writer.place(RootFixture::generated("var/x", "made")), "var/x");
    EXPECT_EQ(writer.place(RootFixture::directory("opt", 02701)), "opt");
    EXPECT_EQ(writer.place(fixture_.file("etc/conf", "other"), "etc/conf.pacnew"), "etc/conf.pacnew");
    EXPECT_EQ(writer.place(fixture_.file("usr/private", "tool", 0755), {}, false), "usr/private");

    EXPECT_EQ(links_of(at("usr/bin/tool")), 2U);
    EXPECT_EQ(links_of(at("etc/conf")), 1U);
    EXPECT_EQ(content_of(at("etc/conf.pacnew")), "other");
    EXPECT_EQ(links_of(at("usr/private")), 1U);
    EXPECT_EQ(stat_at(AT_FDCWD, at("opt")).st_mode, S_IFDIR | 0701U);
    EXPECT_EQ(stat_at(AT_FDCWD, at("usr")).st_mode, S_IFDIR | 0755U);
    EXPECT_EQ(writer.stats().linked, 1U);
    EXPECT_EQ(writer.stats().copied, 4U);
    EXPECT_EQ(writer.stats().directories, 6U);
}

TEST_F(RootWriterTest, ReplacesWithoutTouchingTheOldInode) {
    RootWriter writer(fixture_.store, root_.get(), LinkPolicy::link);
    const TreeEntry old = fixture_.file("usr/file", "old");
    writer.place(old);
    const TreeEntry fresh = fixture_.file("usr/file", "new");
    writer.place(fresh);
    EXPECT_EQ(content_of(at("usr/file")), "new");
    EXPECT_EQ(content_of(fixture_.object_path(old.entry.object)), "old");
    EXPECT_EQ(links_of(fixture_.object_path(old.entry.object)), 1U);

    // A link that a script made to something of the user's: a copy must not be written through it.
    ASSERT_EQ(::link(fixture_.dir.path("canary/file").c_str(), at("usr/linked").c_str()), 0);
    writer.place(fixture_.file("usr/linked", "evil"), {}, false);
    EXPECT_EQ(content_of(at("usr/linked")), "evil");
    expect_tidy("usr");
}

TEST_F(RootWriterTest, ReplacesSymlinksAndSpecialFilesThemselves) {
    make_link("to-canary", fixture_.dir.path("canary/file"));
    ASSERT_EQ(::mkfifo(at("pipe").c_str(), 0600), 0);
    make_link("dangling", "nowhere");
    RootWriter writer(fixture_.store, root_.get(), LinkPolicy::link);
    for (const char* path : {"to-canary", "pipe", "dangling"}) {
        writer.place(fixture_.file(path, "content"));
        EXPECT_EQ(content_of(at(path)), "content");
    }
    writer.place(RootFixture::symlink("pipe", "target"));
    EXPECT_EQ(read_link_at(AT_FDCWD, at("pipe")), "target");
    expect_tidy("");
}

TEST_F(RootWriterTest, PlacingTheSameInodeAgainLeavesNoTemporaryName) {
    RootWriter writer(fixture_.store, root_.get(), LinkPolicy::link);
    const TreeEntry entry = fixture_.file("usr/file", "same");
    writer.place(entry);
    writer.place(entry);
    EXPECT_EQ(links_of(at("usr/file")), 2U);
    expect_tidy("usr");
}

TEST_F(RootWriterTest, StandsNamesThatScriptsTookBefore) {
    for (int i = 0; i < 5; ++i)
        make_link(".pwstore-" + std::to_string(i), fixture_.dir.path("canary/new"));
    RootWriter writer(fixture_.store, root_.get(), LinkPolicy::link);
    writer.place(fixture_.file("file", "old"));
    writer.place(fixture_.file("file", "new"), {}, false);
    EXPECT_EQ(content_of(at("file")), "new");
    EXPECT_EQ(read_link_at(root_.get(), ".pwstore-0"), fixture_.dir.path("canary/new"));
}

TEST_F(RootWriterTest, FailureLeavesWhatWasThere) {
    RootWriter writer(fixture_.store, root_.get(), LinkPolicy::link);
    writer.place(fixture_.file("etc/conf", "old"));
    const TreeEntry broken = fixture_.file("etc/conf", "new content");
    const std::string object = fixture_.object_path(broken.entry.object);
    write_all(open_at(AT_FDCWD, object, O_WRONLY | O_TRUNC).get(), "new", object);
    EXPECT_THROW(writer.place(broken), Error);
    EXPECT_EQ(content_of(at("etc/conf")), "old");
    expect_tidy("etc");
}

TEST_F(RootWriterTest, DirectoriesInTheWay) {
    make_dir("empty");
    make_dir("full/below");
    RootWriter writer(fixture_.store, root_.get(), LinkPolicy::link);
    writer.place(fixture_.file("empty", "content"));
    EXPECT_EQ(content_of(at("empty")), "content");
    try {
        writer.place(fixture_.file("full", "content"));
        FAIL();
    } catch (const Error& error) {
        EXPECT_THAT(error.what(), HasSubstr("full"));
    }
    EXPECT_THROW(writer.place(RootFixture::symlink("full", "x")), Error);
    EXPECT_TRUE(exists_at(root_.get(), "full/below"));
    expect_tidy("");
}

TEST_F(RootWriterTest, DirectoryOverOtherThings) {
    make_dir("usr/lib");
    make_link("lib", "usr/lib");
    make_link("outside", fixture_.dir.path("canary"));
    make_link("dangling", "nowhere");
    fixture_.dir.write("root/file", "x");
    ASSERT_EQ(::chmod(at("usr/lib").c_str(), 0711), 0);
    RootWriter writer(fixture_.store, root_.get(), LinkPolicy::link);
    EXPECT_EQ(writer.place(RootFixture::directory("lib", 0700)), "usr/lib")
        << "a symlink to a directory stays";
    EXPECT_EQ(read_link_at(root_.get(), "lib"), "usr/lib");
    EXPECT_EQ(stat_at(root_.get(), "usr/lib").st_mode, S_IFDIR | 0711U)
        << "and the directory is left as it is";
    for (const char* path : {"outside", "dangling", "file"}) {
        EXPECT_EQ(writer.place(RootFixture::directory(path, 0750)), path);
        EXPECT_EQ(stat_at(root_.get(), path).st_mode, S_IFDIR | 0750U) << path;
    }
    EXPECT_EQ(writer.place(RootFixture::directory("usr/lib", 0700)), "usr/lib");
    EXPECT_EQ(stat_at(root_.get(), "usr/lib").st_mode, S_IFDIR | 0711U);
}

TEST_F(RootWriterTest, RefusesWhatIsNoPathOfARoot) {
    RootWriter writer(fixture_.store, root_.get(), LinkPolicy::link);
    for (const char* path : {"..", "../x", "/x", "a/../x", "a//b", "./x", "a/"}) {
        EXPECT_THROW(writer.place(fixture_.file("x", "x"), path), Error) << path;
        EXPECT_THROW(writer.remove(path), Error) << path;
        EXPECT_THROW(writer.rename(path, "x"), Error) << path;
        EXPECT_THROW(writer.rename("x", path), Error) << path;
        EXPECT_THROW((void)writer.resolve(path), Error) << path;
    }
}

// --- Hostile parents ---

TEST_F(RootWriterTest, ParentsThatAreSymlinksAreResolvedInsideTheRoot) {
    make_dir("usr/lib/deep");
    make_link("lib", "usr/lib");
    make_link("absolute", "/usr/lib");
    make_link("usr/up", "../../../../usr/lib");
    make_link("chain", "usr/up");
    RootWriter writer(fixture_.store, root_.get(), LinkPolicy::link);
    int i = 0;
    for (const char* parent : {"lib", "absolute", "usr/up", "chain", "lib/deep/..", "usr"}) {
        const std::string name = "file" + std::to_string(i++);
        if (std::string_view(parent).ends_with("..")) continue;
        const std::string expected = std::string(parent) == "usr" ? "usr/" : "usr/lib/";
        EXPECT_EQ(writer.place(fixture_.file(std::string(parent) + "/" + name, name)), expected + name);
        EXPECT_EQ(content_of(at(expected + name)), name);
        EXPECT_EQ(writer.resolve(std::string(parent) + "/" + name), expected + name);
    }
    EXPECT_EQ(writer.place(fixture_.file("lib/new/file", "x")), "usr/lib/new/file");
    // Also where the symlink is in the middle of a way that is there from end to end.
    EXPECT_EQ(writer.place(fixture_.file("lib/deep/file", "x")), "usr/lib/deep/file");
    EXPECT_EQ(writer.place(fixture_.file("absolute/deep/other", "x")), "usr/lib/deep/other");
    EXPECT_TRUE(writer.remove("chain/file0"));
    EXPECT_FALSE(exists_at(root_.get(), "usr/lib/file0"));
    EXPECT_EQ(writer.resolve("lib"), "lib") << "the last component is not followed";
}

TEST_F(RootWriterTest, NoSymlinkLeadsOut) {
    const std::string canary = fixture_.dir.path("canary");
    make_link("absolute", canary);
    make_link("relative", "../canary");
    make_link("root-link", "/proc/self/root" + canary);
    make_link("cwd", "/proc/self/cwd");
    make_link("chained", "absolute");
    make_dir("sub");
    make_link("sub/climb", "../../../../../../../../../.." + canary);
    RootWriter writer(fixture_.store, root_.get(), LinkPolicy::link);
    const std::string inside = canary.substr(1);
    EXPECT_EQ(writer.place(fixture_.file("absolute/escaped", "x")), inside + "/escaped");
    EXPECT_TRUE(exists_at(root_.get(), inside + "/escaped"));
    EXPECT_EQ(writer.place(fixture_.file("relative/escaped", "x")), "canary/escaped");
    EXPECT_EQ(writer.place(fixture_.file("root-link/escaped", "x")), "proc/self/root/" + inside + "/escaped");
    EXPECT_EQ(writer.place(fixture_.file("cwd/escaped", "x")), "proc/self/cwd/escaped");
    EXPECT_EQ(writer.place(fixture_.file("chained/escaped2", "x")), inside + "/escaped2");
    EXPECT_EQ(writer.place(fixture_.file("sub/climb/escaped3", "x")), inside + "/escaped3");
    // Symlinks in the middle of the way, too.
    make_directories(AT_FDCWD, fixture_.dir.path("canary/sub"));
    EXPECT_EQ(writer.place(fixture_.file("absolute/sub/escaped4", "x")), inside + "/sub/escaped4");
    EXPECT_EQ(writer.place(fixture_.file("relative/sub/escaped5", "x")), "canary/sub/escaped5");
    EXPECT_FALSE(writer.remove("absolute/sub/nothing"));
    EXPECT_EQ(::rmdir(fixture_.dir.path("canary/sub").c_str()), 0) << "something was made outside the root";
    EXPECT_FALSE(writer.remove("absolute/file"));
    EXPECT_FALSE(writer.remove("relative/file"));
    EXPECT_THROW(writer.rename("absolute/file", "stolen"), Error);
    writer.place(fixture_.file("mine", "x"));
    writer.rename("mine", "relative/moved");
    EXPECT_TRUE(exists_at(root_.get(), "canary/moved"));
    writer.settle_times(RootFixture::tree({}));
}

TEST_F(RootWriterTest, SymlinkLoopsAndFilesOnTheWayAreErrors) {
    make_link("a", "b");
    make_link("b", "a");
    make_link("self", "self/self");
    fixture_.dir.write("root/file", "x");
    RootWriter writer(fixture_.store, root_.get(), LinkPolicy::link);
    for (const char* path : {"a/x", "self/x"}) {
        try {
            writer.place(fixture_.file(path, "x"));
            FAIL() << path;
        } catch (const Error& error) {
            EXPECT_EQ(error.error_number(), ELOOP) << path;
        }
    }
    EXPECT_THROW(writer.place(fixture_.file("file/x", "x")), Error);
    EXPECT_FALSE(writer.remove("file/x"));
    EXPECT_FALSE(writer.remove("missing/x"));
    EXPECT_EQ(writer.resolve("missing/also/x"), "missing/also/x");
}

TEST_F(RootWriterTest, ClosedDirectoriesAreOpenedUp) {
    make_dir("closed/below");
    fixture_.dir.write("root/closed/below/old", "x");
    make_link("way", "closed/below");
    for (const char* path : {"closed/below", "closed"})
        ASSERT_EQ(::chmod(at(path).c_str(), 0), 0);
    RootWriter writer(fixture_.store, root_.get(), LinkPolicy::link);
    EXPECT_EQ(writer.place(fixture_.file("closed/below/new", "new")), "closed/below/new");
    EXPECT_EQ(writer.place(fixture_.file("way/deep/er", "new")), "closed/below/deep/er");
    EXPECT_TRUE(writer.remove("closed/below/old"));
    ASSERT_EQ(::chmod(at("closed/below").c_str(), 0500), 0);
    writer.place(fixture_.file("closed/below/new", "newer"));
    EXPECT_EQ(content_of(at("closed/below/new")), "newer");
    ASSERT_EQ(::chmod(at("closed/below").c_str(), 0500), 0);
    writer.rename("closed/below/new", "moved");
    ASSERT_EQ(::chmod(at("closed/below").c_str(), 0500), 0);
    writer.rename("moved", "closed/below/new");
    ASSERT_EQ(::chmod(at("closed/below").c_str(), 0500), 0);
    writer.place(RootFixture::directory("closed/below/dir"));
    EXPECT_EQ(content_of(at("closed/below/new")), "newer");
}

// --- Remove, rename ---

TEST_F(RootWriterTest, Removes) {
    make_dir("empty");
    make_dir("full/below");
    make_link("link", "full");
    RootWriter writer(fixture_.store, root_.get(), LinkPolicy::link);
    EXPECT_TRUE(writer.remove("empty"));
    EXPECT_FALSE(writer.remove("empty"));
    EXPECT_FALSE(writer.remove("full")) << "not empty";
    EXPECT_TRUE(writer.remove("link"));
    EXPECT_TRUE(exists_at(root_.get(), "full/below"));
}

TEST_F(RootWriterTest, RenamesAlsoBetweenLinksOfOneInode) {
    RootWriter writer(fixture_.store, root_.get(), LinkPolicy::link);
    writer.place(fixture_.file("a", "same"));
    writer.place(fixture_.file("b", "same"));
    writer.rename("a", "b");
    EXPECT_FALSE(exists_at(root_.get(), "a"));
    EXPECT_EQ(content_of(at("b")), "same");
    writer.place(fixture_.file("c", "other"));
    writer.rename("c", "b");
    EXPECT_EQ(content_of(at("b")), "other");
    writer.rename("b", "b");
    EXPECT_EQ(content_of(at("b")), "other");
    EXPECT_THROW(writer.rename("none", "x"), Error);
    EXPECT_THROW(writer.rename("b", "none/x"), Error);
}

// --- Equality with a root built anew ---

TEST_F(RootWriterTest, ChangedRootEqualsTheOneThatIsBuiltAnew) {
    const auto grouped = [](TreeEntry entry, uint32_t group) {
        entry.entry.link_group = group;
        return entry;
    };
    const Tree before = RootFixture::tree({
        RootFixture::directory("usr/lib", 0755, 11),
        fixture_.file("usr/lib/changed", "old"),
        fixture_.file("usr/lib/gone", "gone"),
        fixture_.file("usr/kept", "kept"),
        fixture_.file("etc/conf", "old"),
        RootFixture::directory("old-dir", 0755, 12),
        RootFixture::symlink("lib", "usr/lib"),
    });
    const Tree after = RootFixture::tree({
        RootFixture::directory("usr/lib", 0711, 21),
        fixture_.file("usr/lib/changed", "new"),
        fixture_.file("usr/kept", "kept"),
        fixture_.file("usr/lib/new/sub/file", "file"),
        fixture_.file("etc/conf", "new"),
        grouped(fixture_.file("etc/one", "group"), 1),
        grouped(fixture_.file("etc/two", "group"), 1),
        grouped(fixture_.file("usr/three", "linked group"), 2),
        grouped(fixture_.file("usr/z/four", "linked group"), 2),
        grouped(fixture_.file("usr/five", "mixed group"), 3),
        grouped(fixture_.file("etc/six", "mixed group"), 3),
        RootFixture::symlink("lib", "usr/lib"),
        RootFixture::symlink("usr/link", "kept"),
    });
    assemble(fixture_.store, before, root_.get());
    RootWriter writer(fixture_.store, root_.get(), LinkPolicy::link);
    EXPECT_TRUE(writer.remove("usr/lib/gone"));
    EXPECT_TRUE(writer.remove("old-dir"));
    for (auto entry = after.entries.rbegin(); entry != after.entries.rend(); ++entry)
        writer.place(*entry);
    writer.settle_times(after);

    assemble(fixture_.store, after, fixture_.make_root("anew").get());
    EXPECT_EQ(listing(fixture_.dir.path("root")), listing(fixture_.dir.path("anew")));
}

TEST_F(RootWriterTest, PrivateCopiesShareNothing) {
    RootWriter writer(fixture_.store, root_.get(), LinkPolicy::private_copies);
    writer.place(fixture_.file("usr/a", "same"));
    writer.place(fixture_.file("usr/b", "same"));
    EXPECT_EQ(links_of(at("usr/a")), 1U);
    EXPECT_EQ(links_of(at("usr/b")), 1U);
    EXPECT_EQ(stat_at(root_.get(), "usr/a").st_mtim.tv_sec, 1'000'005);
}

// --- Hard link groups ---

class RootWriterLimitTest : public RootWriterTest {
 protected:
    RootWriterLimitTest() : RootWriterTest(StoreOptions{.link_limit = 5}) {}
    TreeEntry grouped(const std::string& path, const std::string& content = "same") {
        TreeEntry entry = fixture_.file(path, content);
        entry.entry.link_group = 1;
        return entry;
    }
};

TEST_F(RootWriterLimitTest, SpillsOnTheWay) {
    RootWriter writer(fixture_.store, root_.get(), LinkPolicy::link);
    for (int i = 0; i < 10; ++i)
        writer.place(fixture_.file("f" + std::to_string(i), "same"));
    EXPECT_EQ(writer.stats().linked, 10U);
    EXPECT_EQ(fixture_.copies(fixture_.object("same")), 3U);
}

TEST_F(RootWriterLimitTest, AGroupStaysOneInode) {
    RootWriter writer(fixture_.store, root_.get(), LinkPolicy::link);
    for (const char* path : {"a", "d/b", "d/c", "e"})
        writer.place(grouped(path));
    for (const char* path : {"d/b", "d/c", "e"})
        EXPECT_EQ(inode_of(at(path)), inode_of(at("a"))) << path;
    writer.place(grouped("a"));
    EXPECT_EQ(inode_of(at("a")), inode_of(at("e")));
    expect_tidy("");
    expect_tidy("d");
}

TEST_F(RootWriterLimitTest, AGroupWhoseLeaderAScriptChangedStartsAnew) {
    RootWriter writer(fixture_.store, root_.get(), LinkPolicy::private_copies);
    writer.place(grouped("a"));
    writer.place(grouped("b"));
    EXPECT_EQ(inode_of(at("a")), inode_of(at("b")));
    write_all(open_at(AT_FDCWD, at("a"), O_WRONLY | O_TRUNC).get(), "evil", "a");
    writer.place(grouped("c"));
    EXPECT_EQ(content_of(at("c")), "same");
    writer.place(grouped("d"));
    EXPECT_EQ(inode_of(at("d")), inode_of(at("c")));

    ASSERT_EQ(::unlink(at("c").c_str()), 0);
    make_link("c", fixture_.dir.path("canary/file"));
    writer.place(grouped("e"));
    EXPECT_EQ(content_of(at("e")), "same");
}

}  // namespace
}  // namespace pwstore
