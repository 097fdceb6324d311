// SPDX-License-Identifier: GPL-3.0-or-later
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <random>

#include "mount/root.hpp"
#include "mount/twin.hpp"
#include "store/base/error.hpp"
#include "store/base/path_at.hpp"
#include "store/replacements.hpp"
#include "tests/support/root_fixture.hpp"

namespace pwstore {
namespace {

using test::inode_of;
using test::links_of;
using test::listing;
using test::RootFixture;

// --- change_root ---

class ChangeRootTest : public testing::Test {
 protected:
    /// Changing the root of `before` gives what assembling `after` gives.
    void expect_change(const Tree& before, const Tree& after) {
        ++count_;
        const Fd changed = fixture_.make_root("changed" + std::to_string(count_));
        const Fd fresh = fixture_.make_root("fresh" + std::to_string(count_));
        assemble(fixture_.store, before, changed.get());
        stats_ = change_root(fixture_.store, before, after, changed.get());
        assemble(fixture_.store, after, fresh.get());
        EXPECT_EQ(listing(at("changed")), listing(at("fresh")));
    }
    [[nodiscard]] std::string at(const std::string& root, const std::string& path = "") const {
        return fixture_.dir.path(root + std::to_string(count_) + (path.empty() ? "" : "/" + path));
    }
    TreeEntry grouped(const std::string& path, const std::string& content, uint32_t group) {
        TreeEntry entry = fixture_.file(path, content);
        entry.entry.link_group = group;
        return entry;
    }
    TreeEntry timed(TreeEntry entry, int64_t mtime) {
        entry.entry.mtime = mtime;
        return entry;
    }

    RootFixture fixture_;
    AssembleStats stats_;
    unsigned count_ = 0;
};

TEST_F(ChangeRootTest, NothingChangesNothing) {
    const Tree tree =
        RootFixture::tree({fixture_.file("usr/bin/tool", "tool", 0755), fixture_.file("etc/conf", "x"),
                           RootFixture::symlink("bin", "usr/bin"), RootFixture::fifo("run/pipe"),
                           grouped("usr/a", "same", 1), grouped("usr/b", "same", 1)});
    expect_change(tree, tree);
    EXPECT_EQ(stats_.linked + stats_.copied + stats_.symlinks + stats_.directories, 0U);
}

TEST_F(ChangeRootTest, EveryKindBecomesEveryOther) {
    const auto one = [&](unsigned kind) -> std::vector<TreeEntry> {
        switch (kind) {
            case 0:
                return {};
            case 1:
                return {fixture_.file("usr/x", "content")};
            case 2:
                return {fixture_.file("usr/x", "other content", 0755)};
            case 3:
                return {fixture_.file("usr/x", "")};  // a copy
            case 4:
                return {RootFixture::symlink("usr/x", "somewhere")};
            case 5:
                return {RootFixture::fifo("usr/x")};
            case 6:
                return {RootFixture::directory("usr/x", 0700)};
            case 7:
                return {RootFixture::directory("usr/x"), fixture_.file("usr/x/below", "deep"),
                        RootFixture::directory("usr/x/more"), fixture_.file("usr/x/more/below", "deeper")};
            case 8:
                return {RootFixture::generated("usr/x", "made")};
            case 9:
                return {grouped("usr/x", "linked", 1), grouped("usr/y", "linked", 1)};
            default:
                return {grouped("usr/x", "linked", 1), grouped("usr/z", "linked", 1)};
        }
    };
    for (unsigned from = 0; from <= 10; ++from) {
        for (unsigned to = 0; to <= 10; ++to) {
            SCOPED_TRACE(testing::Message() << from << " to " << to);
            std::vector<TreeEntry> before = one(from), after = one(to);
            before.push_back(fixture_.file("usr/stays", "stays"));
            after.push_back(fixture_.file("usr/stays", "stays"));
            expect_change(RootFixture::tree(before), RootFixture::tree(after));
        }
    }
}

TEST_F(ChangeRootTest, TimesModesAndCopies) {
    const Tree before = RootFixture::tree(
        {timed(fixture_.file("etc/conf", "x"), 100), timed(RootFixture::symlink("usr/l", "t"), 100),
         RootFixture::directory("usr/d", 0755, 100), fixture_.file("usr/mode", "m", 0644),
         timed(fixture_.file("usr/link", "linked"), 100), RootFixture::generated("var/made", "one")});
    const Tree after = RootFixture::tree(
        {timed(fixture_.file("etc/conf", "x"), 200), timed(RootFixture::symlink("usr/l", "t"), 200),
         RootFixture::directory("usr/d", 0711, 200), fixture_.file("usr/mode", "m", 0755),
         timed(fixture_.file("usr/link", "linked"), 200), RootFixture::generated("var/made", "two")});
    expect_change(before, after);
    EXPECT_EQ(stats_.linked, 1U) << "a link has no time of its own";
}

TEST_F(ChangeRootTest, WhatIsCopiedAndWhatIsLinkedChangesPlaces) {
    TreeEntry linked = fixture_.file("usr/conf", "x"), copied = linked;
    copied.entry.backup_md5 = "0123";
    expect_change(RootFixture::tree({linked}), RootFixture::tree({copied}));
    EXPECT_EQ(links_of(at("changed", "usr/conf")), 1U);
    expect_change(RootFixture::tree({copied}), RootFixture::tree({linked}));
    EXPECT_GT(links_of(at("changed", "usr/conf")), 1U);
}

TEST_F(ChangeRootTest, HardLinksStayOneInode) {
    // A third name comes, in another directory; then the first goes; then they are copies with a new time.
    const Tree two = RootFixture::tree({grouped("etc/a", "same", 1), grouped("usr/b", "same", 1)});
    const Tree three = RootFixture::tree(
        {grouped("etc/a", "same", 1), grouped("opt/x", "same", 1), grouped("usr/b", "same", 1)});
    const Tree later =
        RootFixture::tree({timed(grouped("etc/a", "same", 1), 900), grouped("usr/b", "same", 1)});
    for (const auto& [before, after] : {std::pair(two, three), {three, two}, {two, later}, {later, three}}) {
        expect_change(before, after);
        EXPECT_EQ(inode_of(at("changed", "etc/a")), inode_of(at("changed", "usr/b")));
    }
}

TEST_F(ChangeRootTest, RandomTrees) {
    std::mt19937 chance(7);
    const auto pick = [&](unsigned limit) { return static_cast<unsigned>(chance() % limit); };
    const auto random_tree = [&] {
        std::vector<TreeEntry> entries;
        std::vector<std::string> directories{"", "etc/", "usr/", "usr/d/", "usr/d/e/"};
        std::set<std::string> used;
        for (unsigned i = 0; i < 14; ++i) {
            const std::string path = directories[pick(5)] + "abcdefg"[pick(7)];
            const bool below_a_file = std::any_of(used.begin(), used.end(), [&](const std::string& other) {
                return path.starts_with(other + "/") || other.starts_with(path + "/");
            });
            if (path == "usr/d" || path == "usr/d/e" || below_a_file || !used.insert(path).second) continue;
            const std::string content = std::string(1, static_cast<char>('p' + pick(3)));
            TreeEntry entry;
            switch (pick(7)) {
                case 0:
                    entry = RootFixture::symlink(path, content);
                    break;
                case 1:
                    entry = RootFixture::fifo(path);
                    break;
                case 2:
                    entry = RootFixture::directory(path, 0700 + pick(3), pick(3));
                    break;
                case 3:
                    entry = RootFixture::generated(path, content);
                    break;
                case 4:
                    entry = grouped(path, content, 1);
                    break;
                default:
                    entry = timed(fixture_.file(path, content, pick(2) != 0 ? 0755 : 0644), pick(3));
            }
            entries.push_back(entry);
        }
        return RootFixture::tree(entries);
    };
    for (unsigned i = 0; i < 150 && !HasFailure(); ++i)
        expect_change(random_tree(), random_tree());
}

// --- Twins ---

class TwinTest : public testing::Test {
 protected:
    TwinTest() {
        for (const auto& [number, content] : {std::pair(1, "one"), {2, "two"}, {3, "three"}})
            manifests_[number] = manifest("pkg", std::to_string(number), content);
        record(1);
        ensure_root(fixture_.store, name_, 1, sink_);
        record(2);
        ensure_root(fixture_.store, name_, 2, sink_);
    }

    ManifestId manifest(const std::string& name, const std::string& version, const std::string& content) {
        Manifest manifest;
        manifest.name = name;
        manifest.version = version;
        manifest.pkginfo = fixture_.object("pkgname = " + name + "\npkgver = " + version + "\n");
        for (TreeEntry& entry :
             RootFixture::tree(
                 {fixture_.file("usr/bin/tool", content, 0755),
                  fixture_.file("usr/share/stays", "the same in all"), fixture_.file("etc/conf", "setting"),
                  RootFixture::symlink("usr/link", "bin/tool"), fixture_.file("usr/share/empty", "")})
                 .entries)
            manifest.entries.push_back(entry.entry);
        WriteTxn txn = fixture_.store.index().write();
        const ManifestId id = txn.add_manifest(manifest, false);
        txn.mark_all_synced(Store::boot_mark());
        txn.commit();
        return id;
    }
    Generation generation(uint64_t number) {
        Generation generation;
        generation.container = name_.str();
        generation.number = number;
        InstalledPackage package;
        package.manifest = manifests_.at(static_cast<int>(number));
        package.name = "pkg";
        package.version = std::to_string(number);
        generation.packages = {package};
        return generation;
    }
    void record(uint64_t number) {
        WriteTxn txn = fixture_.store.index().write();
        txn.mark_all_synced(Store::boot_mark());
        txn.put_generation(generation(number));
        ContainerRow row;
        row.current = row.last_number = number;
        txn.put_container(name_, row);
        txn.commit();
    }
    /// Lay the root of generation 3; true when it was made of generation 1's. In either case it is right.
    bool is_made_of_the_twin() {
        const Tree tree = tree_of(fixture_.store.index().read(), fixture_.store.objects(), generation(3));
        const Fd dir = fixture_.make_root("staging");
        const LaidRoot laid = lay_root(fixture_.store, name_, tree, dir.get(), "root");
        const Fd fresh = fixture_.make_root("fresh");
        assemble(fixture_.store, tree, fresh.get());
        EXPECT_EQ(listing(fixture_.dir.path("staging/root")), listing(fixture_.dir.path("fresh")));
        if (laid.made_from) {
            EXPECT_EQ(laid.made_from, 1U);
            EXPECT_FALSE(exists_at(AT_FDCWD, twin("")));
            EXPECT_FALSE(exists_at(AT_FDCWD, at("roots/base@1.lock")));
            EXPECT_FALSE(exists_at(AT_FDCWD, at("store/seals/base@1")));
        }
        EXPECT_TRUE(exists_at(AT_FDCWD, at("roots/base@2/usr/bin/tool")));
        return laid.made_from.has_value();
    }
    [[nodiscard]] std::string at(const std::string& path) const { return fixture_.dir.path("data/" + path); }
    [[nodiscard]] std::string twin(const std::string& path) const {
        return at("roots/base@1") + (path.empty() ? "" : "/" + path);
    }
    /// The next change gets another time stamp.
    static void tick() { ::usleep(20'000); }

    RootFixture fixture_;
    SilentSink sink_;
    ContainerName name_{"base"};
    std::map<int, ManifestId> manifests_;
};

TEST_F(TwinTest, IsTaken) {
    EXPECT_EQ(newest_retired_root(fixture_.store, name_), 1U);
    EXPECT_TRUE(is_made_of_the_twin());
    EXPECT_EQ(newest_retired_root(fixture_.store, name_), std::nullopt);
}

TEST_F(TwinTest, WhatTouchesNothingLeavesItWhole) {
    (void)test::content_of(twin("etc/conf"));
    (void)listing(twin(""));
    repair_root_links(fixture_.store);
    ensure_root(fixture_.store, name_, 1, sink_);
    EXPECT_TRUE(is_made_of_the_twin());
}

TEST_F(TwinTest, IsNotTakenWhileSomebodyRunsOnIt) {
    const Fd lease = open_at(AT_FDCWD, at("roots/base@1.lock"), O_RDONLY);
    ASSERT_EQ(::flock(lease.get(), LOCK_SH | LOCK_NB), 0);
    EXPECT_FALSE(is_made_of_the_twin());
    EXPECT_TRUE(exists_at(AT_FDCWD, twin("usr/bin/tool")));
}

TEST_F(TwinTest, IsNotTakenWithoutItsSealOrItsRecord) {
    const std::string seal = at("store/seals/base@1");
    const std::string text = read_file(AT_FDCWD, seal);
    for (const std::string& other : {std::string(), text.substr(0, text.size() / 2), text + "x"}) {
        write_all(open_at(AT_FDCWD, seal, O_WRONLY | O_TRUNC).get(), other, seal);
        EXPECT_FALSE(is_made_of_the_twin());
        remove_tree(AT_FDCWD, fixture_.dir.path("staging"));
        remove_tree(AT_FDCWD, fixture_.dir.path("fresh"));
    }
    remove_file(AT_FDCWD, seal);
    EXPECT_FALSE(is_made_of_the_twin());
}

TEST_F(TwinTest, IsNotTakenAfterAnObjectWasReplaced) {
    count_replacement(fixture_.store);
    EXPECT_FALSE(is_made_of_the_twin());
}

TEST_F(TwinTest, AnyDamageIsNoticed) {
    const std::map<std::string, std::function<void()>> damages{
        {"a file more",
         [&] {
             write_all(open_at(AT_FDCWD, twin("usr/share/more"), O_CREAT | O_WRONLY, 0644).get(), "x", "");
         }},
        {"a file more at the top",
         [&] { write_all(open_at(AT_FDCWD, twin("more"), O_CREAT | O_WRONLY, 0644).get(), "x", ""); }},
        {"a link less", [&] { remove_file(AT_FDCWD, twin("usr/share/stays")); }},
        {"a directory less", [&] { remove_tree(AT_FDCWD, twin("usr/share")); }},
        {"a link replaced",
         [&] {
             remove_file(AT_FDCWD, twin("usr/share/stays"));
             write_all(open_at(AT_FDCWD, twin("usr/share/stays"), O_CREAT | O_WRONLY, 0644).get(),
                       "the same in ALL", "");
         }},
        {"a directory replaced",
         [&] {
             ASSERT_EQ(::rename(twin("usr/share").c_str(), twin("usr/old").c_str()), 0);
             make_directory(AT_FDCWD, twin("usr/share"));
             ASSERT_EQ(::rename(twin("usr/old/stays").c_str(), twin("usr/share/stays").c_str()), 0);
             ASSERT_EQ(::rename(twin("usr/old/empty").c_str(), twin("usr/share/empty").c_str()), 0);
             ASSERT_EQ(::rmdir(twin("usr/old").c_str()), 0);
             set_mtime_at(AT_FDCWD, twin("usr/share"), 400);
             set_mtime_at(AT_FDCWD, twin("usr"), 400);
         }},
        {"a copy written to",
         [&] {
             const auto info = stat_at(AT_FDCWD, twin("etc/conf"));
             ASSERT_EQ(::chmod(twin("etc/conf").c_str(), 0644), 0);
             write_all(open_at(AT_FDCWD, twin("etc/conf"), O_WRONLY).get(), "SETTING", "");
             set_mtime_at(AT_FDCWD, twin("etc/conf"), info.st_mtim.tv_sec);
         }},
        {"the mode of a directory", [&] { ASSERT_EQ(::chmod(twin("usr/share").c_str(), 0700), 0); }},
        {"the time of a symlink", [&] { set_mtime_at(AT_FDCWD, twin("usr/link"), 5); }},
        {"a symlink led elsewhere",
         [&] {
             remove_file(AT_FDCWD, twin("usr/link"));
             ASSERT_EQ(::symlink("bin/other", twin("usr/link").c_str()), 0);
         }},
        {"moved and copied back",
         [&] {
             ASSERT_EQ(::system(("cp -a " + twin("") + " " + twin("") + "-copy && rm -r " + twin("") +
                                 " && mv " + twin("") + "-copy " + twin(""))
                                    .c_str()),
                       0);
         }},
    };
    for (const auto& [what, damage] : damages) {
        SCOPED_TRACE(what);
        remove_root(fixture_.store, name_, 1);
        ensure_root(fixture_.store, name_, 1, sink_);
        tick();
        damage();
        EXPECT_FALSE(is_made_of_the_twin());
        remove_tree(AT_FDCWD, fixture_.dir.path("staging"));
        remove_tree(AT_FDCWD, fixture_.dir.path("fresh"));
    }
}

}  // namespace
}  // namespace pwstore
