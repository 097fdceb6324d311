// SPDX-License-Identifier: GPL-3.0-or-later
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "store/base/error.hpp"
#include "store/base/path_at.hpp"
#include "store/index/index.hpp"
#include "store/layout.hpp"
#include "store/local_database.hpp"
#include "store/object_store.hpp"
#include "store/tree.hpp"
#include "tests/support/test_dir.hpp"

namespace pwstore {
namespace {

using test::TestDir;
using testing::ElementsAre;

/// A store whose records are put by hand.
class GenerationTree : public testing::Test {
 protected:
    GenerationTree()
        : layout_(Layout::create(dir_.directories())),
          index_(Index::open(layout_.data(), Index::Mode::read_write)),
          objects_(open_dir(layout_.data(), names::kObjects)),
          txn_(index_.write()) {}

    ObjectId object(const std::string& content, uint32_t mode = 0644) {
        ObjectKey key;
        key.digest = DigestFunction()(content);
        key.size = content.size();
        key.mode = inode_mode(mode);
        if (const auto known = txn_.find_object(key)) return known->id;
        objects_.create(key, 0, content);
        const ObjectId id = txn_.next_object_id();
        txn_.put_object(key, {.id = id, .copies = 1, .sha256 = sha256_of(content), .unsynced = 0});
        return id;
    }

    Entry file(const std::string& path, const std::string& content) {
        Entry entry;
        entry.path = path;
        entry.mode = 0644;
        entry.mtime = 100;
        entry.size = content.size();
        entry.object = object(content);
        return entry;
    }

    static Entry other(const std::string& path, EntryKind kind, const std::string& target = "") {
        Entry entry;
        entry.path = path;
        entry.kind = kind;
        entry.mode = 0755;
        entry.mtime = 100;
        entry.target = target;
        return entry;
    }

    InstalledPackage package(const std::string& name, const std::string& version,
                             std::vector<Entry> entries) {
        Manifest manifest;
        manifest.name = name;
        manifest.version = version;
        manifest.arch = "any";
        manifest.entries = sorted(std::move(entries));
        manifest.pkginfo = object("pkgname = " + name + "\npkgver = " + version + "\n");
        manifest.mtree = object("mtree of " + name + version);
        InstalledPackage installed;
        installed.manifest = txn_.add_manifest(manifest, false);
        installed.name = name;
        installed.version = version;
        installed.install_date = 5000;
        return installed;
    }

    uint32_t delta(std::vector<Entry> entries) {
        Delta made;
        for (Entry& entry : sorted(std::move(entries)))
            made.entries.push_back({std::move(entry), Cause::user, "", {}});
        return txn_.add_delta(made);
    }

    Generation generation(const std::string& container, std::vector<InstalledPackage> packages,
                          uint32_t delta_id = 0, std::vector<GenerationRef> upstream = {}) {
        Generation made;
        made.container = container;
        made.number = 1;
        made.packages = std::move(packages);
        made.delta = delta_id;
        made.upstream = std::move(upstream);
        txn_.put_generation(made);
        return made;
    }

    [[nodiscard]] std::string content(const TreeEntry* entry) const {
        if (entry == nullptr) return "(none)";
        if (entry->entry.object == 0) return entry->inlined;
        return read_all(objects_.open(txn_.object(entry->entry.object).first).get(), entry->entry.path);
    }

    static std::vector<Entry> sorted(std::vector<Entry> entries) {
        std::sort(entries.begin(), entries.end(),
                  [](const Entry& a, const Entry& b) { return a.path < b.path; });
        return entries;
    }

    TestDir dir_;
    Layout layout_;
    Index index_;
    ObjectStore objects_;
    WriteTxn txn_;
};

TEST_F(GenerationTree, LaysUpstreamPackagesAndDeltasBelowItsOwn) {
    const auto base =
        generation("base",
                   {package("b", "1-1",
                            {file("f/base", "b"), file("f/both", "from base"), file("f/gone", "g"),
                             file("f/changed", "package")})},
                   delta({file("f/changed", "delta of base"), other("f/gone", EntryKind::whiteout)}));
    generation("slice", {package("s", "1-1", {file("f/both", "from slice")})});
    const auto top = generation("top", {package("t", "1-1", {file("f/top", "t"), file("f/gone", "again")})},
                                delta({other("f/base", EntryKind::whiteout)}), {{"base", 1}, {"slice", 1}});

    const Tree tree = tree_of(txn_, objects_, top);
    EXPECT_EQ(content(tree.find("f/both")), "from slice");
    EXPECT_EQ(content(tree.find("f/changed")), "delta of base");
    EXPECT_EQ(content(tree.find("f/gone")), "again");
    EXPECT_EQ(content(tree.find("f/base")), "(none)");
    EXPECT_EQ(tree.layers.at(tree.find("f/both")->layer), "package s 1-1");
    EXPECT_EQ(tree.layers.at(tree.find("f/changed")->layer), "delta of base@1");

    const Tree without = tree_without_own_delta(txn_, objects_, top);
    EXPECT_EQ(content(without.find("f/base")), "b");
    EXPECT_EQ(content(without.find("f/changed")), "delta of base");
    EXPECT_EQ(content(tree_of(txn_, objects_, base).find("f/gone")), "(none)");
}

TEST_F(GenerationTree, ListsEachPackageOnceInTheDatabaseAndTheLastOneLaidDown) {
    generation("base", {package("x", "1-1", {file("x", "old")}), package("y", "1-1", {file("y", "y")})});
    generation("slice", {package("x", "2-1", {file("x", "new")})});
    const auto top =
        generation("top", {package("z", "1-1", {file("z", "z")})}, 0, {{"base", 1}, {"slice", 1}});

    std::vector<std::string> names;
    for (const InstalledPackage& one : visible_packages(txn_, top))
        names.push_back(database_entry_name(one));
    EXPECT_THAT(names, ElementsAre("y-1-1", "x-2-1", "z-1-1"));

    const Tree tree = tree_of(txn_, objects_, top);
    const std::string local = "var/lib/pacman/local/";
    EXPECT_EQ(content(tree.find(local + "ALPM_DB_VERSION")), "9\n");
    EXPECT_EQ(tree.find(local + "x-1-1"), nullptr);
    EXPECT_EQ(content(tree.find(local + "x-2-1/desc")),
              "%NAME%\nx\n\n%VERSION%\n2-1\n\n%INSTALLDATE%\n5000\n\n");
    EXPECT_EQ(content(tree.find(local + "x-2-1/files")), "%FILES%\nx\n\n");
    EXPECT_EQ(content(tree.find(local + "x-2-1/mtree")), "mtree of x2-1");
    EXPECT_EQ(tree.find(local + "x-2-1/install"), nullptr);
    for (const char* path : {"x-2-1", "x-2-1/desc", "x-2-1/mtree"}) {
        const TreeEntry* entry = tree.find(local + path);
        ASSERT_NE(entry, nullptr) << path;
        EXPECT_EQ(entry->entry.mtime, 5000) << path;
        EXPECT_EQ(entry->entry.mode, entry->entry.kind == EntryKind::directory ? 0755U : 0644U) << path;
        EXPECT_EQ(tree.layers.at(entry->layer), kDatabaseLayer);
    }
    EXPECT_EQ(tree.find(local + "x-2-1/desc")->entry.size, content(tree.find(local + "x-2-1/desc")).size());
    EXPECT_EQ(content(tree.find("x")), "new");
}

TEST_F(GenerationTree, DatabaseIsOnlyWhatWasGenerated) {
    const auto made = generation(
        "c",
        {package("evil", "1-1",
                 {file("var/lib/pacman/local/other-1-1/desc", "%NAME%\nother\n"), file("bin", "b")})},
        delta({file("var/lib/pacman/local/evil-1-1/desc", "changed")}));
    const Tree tree = tree_of(txn_, objects_, made);
    EXPECT_EQ(tree.find("var/lib/pacman/local/other-1-1"), nullptr);
    EXPECT_NE(content(tree.find("var/lib/pacman/local/evil-1-1/desc")), "changed");
}

TEST_F(GenerationTree, HasMountPointsWhateverWasRemoved) {
    const auto made =
        generation("c",
                   {package("p", "1-1",
                            {other("run", EntryKind::directory), file("var/run/x", "pid"),
                             other("var/run", EntryKind::symlink, "../run")})},
                   delta({other("proc", EntryKind::whiteout), other("home", EntryKind::whiteout)}));
    const Tree tree = tree_of(txn_, objects_, made);
    for (const Entry& point : mount_point_entries("c"))
        EXPECT_NE(tree.find(point.path), nullptr) << point.path;
    EXPECT_EQ(tree.layers.at(tree.find("run")->layer), "package p 1-1");
}

TEST_F(GenerationTree, WhatAPackageHasOfThemIsThePackages) {
    const auto made =
        generation("c",
                   {package("p", "1-1",
                            {file("etc/hosts", "127.0.0.1 localhost\n"),
                             other("etc/localtime", EntryKind::symlink, "../usr/share/zoneinfo/UTC")})},
                   delta({other("etc/hostname", EntryKind::whiteout)}));
    const Tree tree = tree_of(txn_, objects_, made);
    EXPECT_EQ(content(tree.find("etc/hosts")), "127.0.0.1 localhost\n");
    EXPECT_EQ(tree.find("etc/localtime")->entry.kind, EntryKind::symlink);
    ASSERT_NE(tree.find("etc/hostname"), nullptr);
    EXPECT_EQ(tree.find("etc/hostname")->inlined, "");
    EXPECT_EQ(tree.layers.at(tree.find("etc/resolv.conf")->layer), kMountPointLayer);
    // They do not count: a root with them is the root that it was.
    Tree without = tree;
    std::erase_if(without.entries,
                  [](const TreeEntry& entry) { return entry.entry.path == "etc/resolv.conf"; });
    EXPECT_EQ(tree_digest(txn_, tree), tree_digest(txn_, without));
}

TEST_F(GenerationTree, PathsBelowAMountPointLinkGoThere) {
    const auto made = generation("c", {package("a", "1-1", {other("var/run", EntryKind::symlink, "../run")}),
                                       package("b", "1-1", {file("var/run/x", "pid")})});
    EXPECT_EQ(content(tree_of(txn_, objects_, made).find("run/x")), "pid");
}

TEST_F(GenerationTree, MissingUpstreamIsCorrupt) {
    const auto made = generation("top", {}, 0, {{"gone", 7}});
    try {
        (void)tree_of(txn_, objects_, made);
        FAIL();
    } catch (const Error& error) {
        EXPECT_EQ(error.fault(), Fault::corrupt);
        EXPECT_THAT(error.what(), testing::HasSubstr("gone@7"));
    }
}

TEST_F(GenerationTree, DigestCoversEveryPropertyOfWhatPackagesAndDeltasSay) {
    const auto digest_of = [&](const std::string& container, Entry entry, int64_t date = 1,
                               uint32_t delta_id = 0) {
        InstalledPackage one = package("p", "1-1", {std::move(entry)});
        one.install_date = date;
        return tree_digest(txn_, tree_of(txn_, objects_, generation(container, {one}, delta_id)));
    };
    const Entry plain = file("a", "content");
    const Sha256 first = digest_of("c1", plain);
    EXPECT_EQ(first, digest_of("c2", plain, 99)) << "neither the container's name nor install dates count";

    std::vector<Entry> changed(8, plain);
    changed[0].path = "b";
    changed[1].mode = 04644;
    changed[2].uid = 5;
    changed[3].gid = 5;
    changed[4].mtime = 5;
    changed[5].xattrs["user.x"] = "y";
    changed[6] = file("a", "CONTENT");
    changed[7].mtime_ns = 5;
    for (size_t at = 0; at < changed.size(); ++at) {
        EXPECT_NE(first, digest_of("d" + std::to_string(at), changed[at])) << at;
    }
    EXPECT_NE(digest_of("l1", other("l", EntryKind::symlink, "x")),
              digest_of("l2", other("l", EntryKind::symlink, "y")));
    EXPECT_NE(first, digest_of("e", plain, 1, delta({file("x", "x")})));

    Entry later = file("x", "x");
    later.mtime = 7777;
    EXPECT_EQ(digest_of("f", plain, 1, delta({file("x", "x")})), digest_of("g", plain, 1, delta({later})))
        << "when a script ran does not count";
}

TEST_F(GenerationTree, DigestIsTheSameWithoutTheGeneratedLayers) {
    const auto made =
        generation("c", {package("p", "1-1", {file("var/lib/p/x", "x"), file("home/c/y", "y")})});
    EXPECT_EQ(tree_digest(txn_, tree_of(txn_, objects_, made)), tree_digest(txn_, content_tree(txn_, made)));
}

TEST_F(GenerationTree, EntryDigestLeavesTimesOut) {
    TreeEntry one{file("a", "content"), 0, ""};
    TreeEntry two = one;
    two.entry.mtime = 7;
    two.layer = 3;
    EXPECT_EQ(entry_digest(txn_, one), entry_digest(txn_, two));
    two.entry.mode = 0600;
    EXPECT_NE(entry_digest(txn_, one), entry_digest(txn_, two));
    const TreeEntry inlined{[] {
                                Entry entry;
                                entry.path = "a";
                                entry.mode = 0644;
                                return entry;
                            }(),
                            0, "content"};
    EXPECT_EQ(entry_digest(txn_, one), entry_digest(txn_, inlined)) << "the same content, however it is kept";
}

}  // namespace
}  // namespace pwstore
