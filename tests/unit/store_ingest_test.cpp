// SPDX-License-Identifier: GPL-3.0-or-later
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/xattr.h>

#include <set>

#include "store/base/error.hpp"
#include "store/base/path_at.hpp"
#include "store/ingest.hpp"
#include "store/lease.hpp"
#include "tests/support/ingest_fixture.hpp"

namespace pwstore::test {

namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;

class StoreIngest : public IngestFixture {};

// --- What a manifest keeps ------------------------------------------------------------------------

TEST_F(StoreIngest, KeepsWhatAPackageHolds) {
    PackageSpec spec{.name = "alpha"};
    spec.files = {
        {"usr/bin/a", {.content = "#!/bin/sh\n", .mode = 04755, .mtime = 77, .mtime_ns = 123'456'789}},
        {"etc/a.conf", {"x=1\n", 0640, 5, 0, 33, 44}}};
    spec.directories = {{"var/empty", 01777}};
    spec.symlinks = {{"usr/bin/b", "../anywhere/at/all"}};
    spec.fifos = {{"run/f", 0600}};
    spec.backup = {"etc/a.conf", "etc/not-there", "usr/bin/b"};
    spec.install = "post_install() { :; }\n";
    spec.changelog = "first\n";
    const IngestedArchive done = ingest(build(spec));
    EXPECT_EQ(done.name, "alpha");
    EXPECT_EQ(done.version, "1.0-1");
    EXPECT_FALSE(done.was_known);

    const Manifest read = manifest(done.id);
    EXPECT_EQ(read.arch, "any");
    EXPECT_EQ(read.origin, Origin::archive);
    EXPECT_EQ(read.archive_sha256->hex(), reference_sha256(dir_.read("packages/" + spec.file_name())));
    const Entry program = entry(done.id, "usr/bin/a");
    EXPECT_EQ(program.mode, 04755U);
    EXPECT_EQ(program.mtime, 77);
    EXPECT_EQ(program.mtime_ns, 123'456'789U);
    EXPECT_EQ(program.size, 10U);
    EXPECT_EQ(content(program.object), "#!/bin/sh\n");
    const Entry conf = entry(done.id, "etc/a.conf");
    EXPECT_EQ(conf.uid, 33U);
    EXPECT_EQ(conf.gid, 44U);
    EXPECT_EQ(conf.backup_md5, reference_md5("x=1\n"));
    EXPECT_EQ(entry(done.id, "var/empty").mode, 01777U);
    EXPECT_EQ(entry(done.id, "usr/bin/b").target, "../anywhere/at/all");
    EXPECT_EQ(entry(done.id, "usr/bin/b").backup_md5, "");
    EXPECT_EQ(entry(done.id, "run/f").kind, EntryKind::fifo);
    EXPECT_EQ(content(read.pkginfo), pkginfo_text(spec));
    EXPECT_EQ(content(read.install), spec.install);
    EXPECT_EQ(content(read.changelog), spec.changelog);
    EXPECT_NE(read.mtree, 0U);
    EXPECT_EQ(read.find(".PKGINFO"), nullptr);
    expect_consistent();
}

TEST_F(StoreIngest, ReducesTheInodeAndRecordsTheTruth) {
    PackageSpec spec{.name = "modes"};
    spec.files = {{"a", {"same", 06777}}, {"b", {"same", 0755}}, {"c", {"same", 0000}}};
    const IngestedArchive done = ingest(build(spec));
    EXPECT_EQ(entry(done.id, "a").object, entry(done.id, "b").object) << "one inode mode, one object";
    EXPECT_NE(entry(done.id, "a").object, entry(done.id, "c").object);
    const struct stat info = stat_at(AT_FDCWD, object_path(entry(done.id, "a").object));
    EXPECT_EQ(info.st_mode & 07777U, 0755U);
    EXPECT_EQ(info.st_mtim.tv_sec, kObjectTime);
    EXPECT_EQ(stat_at(AT_FDCWD, object_path(entry(done.id, "c").object)).st_mode & 07777U, 0400U);
    EXPECT_EQ(entry(done.id, "c").mode, 0U);
}

TEST_F(StoreIngest, StoresEqualContentOnce) {
    PackageSpec one{.name = "one"};
    one.files = {{"a", {"shared"}}, {"b", {"shared"}}, {"c", {"own"}}};
    PackageSpec two{.name = "two"};
    two.files = {{"x", {.content = "shared", .mtime = 99}}};
    const auto done = ingest_all({build(one), build(two)});
    EXPECT_EQ(entry(done[0].id, "a").object, entry(done[0].id, "b").object);
    EXPECT_EQ(entry(done[0].id, "a").object, entry(done[1].id, "x").object);
    EXPECT_EQ(stats_.files, 4U + 4U);  // two .PKGINFO, two .MTREE
    EXPECT_EQ(stats_.new_objects, 2U + 4U);
    EXPECT_EQ(object_files().size(), 6U);
    PackageSpec again{.name = "again"};
    again.files = {{"z", {"shared"}}};
    const IngestedArchive third = ingest(build(again));
    EXPECT_EQ(entry(third.id, "z").object, entry(done[0].id, "a").object);
    EXPECT_EQ(stats_.new_objects, 2U);
}

TEST_F(StoreIngest, PythonSourcesKeepTheirTime) {
    PackageSpec spec{.name = "py"};
    spec.files = {{"a.py", {.content = "p", .mtime = 10}},
                  {"b.py", {.content = "p", .mtime = 20}},
                  {"c.txt", {.content = "p", .mtime = 30}},
                  {"d.py", {.content = "p", .mtime = 10, .mtime_ns = 5}}};
    const IngestedArchive done = ingest(build(spec));
    const std::set<ObjectId> objects{entry(done.id, "a.py").object, entry(done.id, "b.py").object,
                                     entry(done.id, "c.txt").object};
    EXPECT_EQ(objects.size(), 3U);
    EXPECT_EQ(entry(done.id, "a.py").object, entry(done.id, "d.py").object);
    EXPECT_EQ(stat_at(AT_FDCWD, object_path(entry(done.id, "b.py").object)).st_mtim.tv_sec, 20);
    EXPECT_TRUE(keeps_time("usr/lib/x.py"));
    EXPECT_FALSE(keeps_time("usr/lib/x.pyc"));
}

TEST_F(StoreIngest, AFurtherNameOfALinkOrFifoIsOneMore) {
    RawTar tar;
    tar.pkginfo("links").symlink("s", "target").add({.path = "p", .type = '6', .mode = 0600, .uid = 5});
    tar.hardlink("s2", "s").hardlink("p2", "./p").hardlink("s3", "s2");
    const ManifestId id = ingest(tar.write(dir_.path("links.pkg.tar.zst"))).id;
    EXPECT_EQ(entry(id, "s3").kind, EntryKind::symlink);
    EXPECT_EQ(entry(id, "s3").target, "target");
    EXPECT_EQ(entry(id, "p2").kind, EntryKind::fifo);
    EXPECT_EQ(entry(id, "p2").mode, 0600U);
    EXPECT_EQ(entry(id, "p2").uid, 5U);
}

TEST_F(StoreIngest, WhatIsThereTwiceIsWhatExtractionLeaves) {
    RawTar tar;
    tar.pkginfo("twice").add({.path = "etc", .type = '5', .mode = 0700}).file("etc/a", "first");
    tar.hardlink("etc/b", "etc/a").file("./etc/a", "the second", 0600);
    tar.directory("etc/").symlink("c", "x").file("c", "a file").file("d", "1").symlink("d", "y");
    const ManifestId id = ingest(tar.write(dir_.path("twice.pkg.tar.zst"))).id;
    EXPECT_EQ(entry(id, "etc").mode, 0700U);
    EXPECT_EQ(content(entry(id, "etc/a").object), "the second");
    EXPECT_EQ(entry(id, "etc/a").mode, 0600U);
    EXPECT_EQ(entry(id, "etc/a").link_group, 0U);
    EXPECT_EQ(content(entry(id, "etc/b").object), "first");
    EXPECT_EQ(content(entry(id, "c").object), "a file");
    EXPECT_EQ(entry(id, "d").target, "y");
    EXPECT_EQ(manifest(id).entries.size(), 5U);
}

TEST_F(StoreIngest, AHardLinkWithAContentRenewsAllItsNames) {
    RawTar tar;
    tar.pkginfo("renewed").file("a", "").hardlink("b", "a");
    tar.add({.path = "c", .type = '1', .link = "a", .mode = 0755, .mtime = 9, .pax = {{"mtime", "9"}}},
            "body");
    const ManifestId id = ingest(tar.write(dir_.path("renewed.pkg.tar.zst"))).id;
    for (const char* name : {"a", "b", "c"}) {
        EXPECT_EQ(content(entry(id, name).object), "body") << name;
        EXPECT_EQ(entry(id, name).mode, 0755U) << name;
        EXPECT_EQ(entry(id, name).size, 4U) << name;
        EXPECT_EQ(entry(id, name).link_group, entry(id, "a").link_group) << name;
    }
}

TEST_F(StoreIngest, FilesWithADotAtTheRootAreFiles) {
    RawTar tar;
    tar.pkginfo("dots").file("/.field", "1").directory("/.d/").file("/.d/x", "2").file(".BUILDINFO", "no");
    const ManifestId id = ingest(tar.write(dir_.path("dots.pkg.tar.zst"))).id;
    EXPECT_EQ(manifest(id).entries.size(), 3U);
    EXPECT_EQ(content(entry(id, ".field").object), "1");
    EXPECT_EQ(content(entry(id, ".d/x").object), "2");
}

TEST_F(StoreIngest, HardLinksShareOneGroup) {
    RawTar tar;
    tar.pkginfo("links").add({.path = "a", .mode = 0755, .uid = 7, .mtime = 9}, "one").hardlink("b", "a");
    tar.hardlink("c", "b").file("d", "one", 0755).file("e", "two").hardlink("f", "e");
    const IngestedArchive done = ingest(tar.write(dir_.path("links.pkg.tar.zst")));
    const Entry a = entry(done.id, "a");
    EXPECT_NE(a.link_group, 0U);
    for (const char* path : {"b", "c"}) {
        Entry linked = entry(done.id, path);
        linked.path = a.path;
        EXPECT_EQ(linked, a) << path << " has all of the first name's metadata";
    }
    EXPECT_EQ(entry(done.id, "d").link_group, 0U);
    EXPECT_EQ(entry(done.id, "e").link_group, entry(done.id, "f").link_group);
    EXPECT_NE(entry(done.id, "e").link_group, a.link_group);
}

TEST_F(StoreIngest, KeptAttributesAreOnTheInode) {
    PackageSpec spec{.name = "xattrs"};
    spec.files = {{"a", {.content = "x", .xattrs = {{"user.k", "1"}, {"security.capability", "cap"}}}},
                  {"b", {.content = "x", .xattrs = {{"user.k", "2"}}}},
                  {"c", {.content = "x"}},
                  {"d", {.content = "x", .xattrs = {{"user.k", "1"}}}}};
    if (::setxattr(dir_.path().c_str(), "user.probe", "1", 1, 0) != 0)
        PWSTORE_CANNOT_RUN("no attributes on this file system");
    const IngestedArchive done = ingest(build(spec));
    const std::set<ObjectId> objects{entry(done.id, "a").object, entry(done.id, "b").object,
                                     entry(done.id, "c").object};
    EXPECT_EQ(objects.size(), 3U);
    EXPECT_EQ(entry(done.id, "a").object, entry(done.id, "d").object);
    char value = 0;
    const std::string path = object_path(entry(done.id, "b").object);
    ASSERT_EQ(::getxattr(path.c_str(), "user.k", &value, 1), 1);
    EXPECT_EQ(value, '2');
    EXPECT_LT(::getxattr(object_path(entry(done.id, "a").object).c_str(), "security.capability", nullptr, 0),
              0);
    EXPECT_EQ(entry(done.id, "a").xattrs.at("security.capability"), "cap");
    expect_consistent();
    // Equal content with its attribute lost is damage.
    ASSERT_EQ(::removexattr(path.c_str(), "user.k"), 0);
    spec.version = "2";
    const IngestedArchive again = ingest(build(spec));
    EXPECT_EQ(stats_.healed, 1U);
    EXPECT_EQ(entry(again.id, "b").object, entry(done.id, "b").object);
    EXPECT_EQ(::getxattr(path.c_str(), "user.k", &value, 1), 1);
}

TEST_F(StoreIngest, LargeFilesThatLostAnAttributeAreHealed) {
    if (::setxattr(dir_.path().c_str(), "user.probe", "1", 1, 0) != 0)
        PWSTORE_CANNOT_RUN("no attributes on this file system");
    PackageSpec spec{.name = "large"};
    spec.files = {{"usr/big", {.content = std::string((9U << 20U) + 5, 'L'), .xattrs = {{"user.k", "1"}}}}};
    const ObjectId object = entry(ingest(build(spec)).id, "usr/big").object;
    const std::string path = object_path(object);
    ASSERT_EQ(::removexattr(path.c_str(), "user.k"), 0);
    spec.version = "2";
    EXPECT_EQ(entry(ingest(build(spec)).id, "usr/big").object, object);
    EXPECT_EQ(stats_.healed, 1U);
    EXPECT_EQ(::getxattr(path.c_str(), "user.k", nullptr, 0), 1);
}

TEST_F(StoreIngest, LargeFilesGoThroughStaging) {
    std::string large((9U << 20U) + 123, '\0');
    for (size_t i = 0; i < large.size(); ++i)
        large[i] = static_cast<char>(i % 251 + i / 4096);
    PackageSpec spec{.name = "large"};
    spec.files = {{"usr/big", {large, 0755}}, {"usr/again", {large, 0755}}};
    spec.backup = {"usr/big"};
    const IngestedArchive done = ingest(build(spec));
    const Entry big = entry(done.id, "usr/big");
    EXPECT_TRUE(content(big.object) == large);
    EXPECT_EQ(big.object, entry(done.id, "usr/again").object);
    EXPECT_EQ(big.backup_md5, reference_md5(large));
    EXPECT_EQ(stat_at(AT_FDCWD, object_path(big.object)).st_mode & 07777U, 0755U);
    expect_consistent();
    spec.version = "2";
    const IngestedArchive second = ingest(build(spec));
    EXPECT_EQ(entry(second.id, "usr/big").object, big.object);
    EXPECT_EQ(stats_.new_objects, 2U) << "only .PKGINFO and .MTREE are new";
    expect_consistent();
}

/// A large file in the next version of its package is compared with the one before while it arrives.
TEST_F(StoreIngest, LargeFilesOfTheNextVersionAreWhatTheyAre) {
    const std::string large((9U << 20U) + 5, 'L');
    const auto version = [&](int number, const PackageFile& file) {
        PackageSpec spec{.name = "grows", .version = std::to_string(number), .compression = ""};
        spec.files = {{"usr/big.py", file}};
        return entry(ingest(build(spec)).id, "usr/big.py").object;
    };
    const ObjectId first = version(1, {large});
    EXPECT_EQ(version(2, {large}), first);
    EXPECT_EQ(stats_.new_objects, 2U);
    EXPECT_EQ(stats_.bytes, large.size() + stats_.new_bytes);
    std::string last_byte = large;
    last_byte.back() = '!';
    std::string first_byte = large;
    first_byte.front() = '!';
    std::string middle = large;
    middle[5U << 20U] = '!';
    std::set<ObjectId> objects{first};
    int number = 3;
    for (const std::string& other : {last_byte, first_byte, middle, large + "x", large.substr(1)}) {
        const ObjectId object = version(number++, {other});
        EXPECT_TRUE(content(object) == other) << number;
        EXPECT_TRUE(objects.insert(object).second) << "another content, another object";
        EXPECT_EQ(version(number++, {large}), first) << "what the newest version has is only a guess";
    }
    EXPECT_TRUE(objects.insert(version(number++, {.content = large, .mode = 0755})).second);
    EXPECT_EQ(version(number++, {large}), first);
    EXPECT_TRUE(objects.insert(version(number++, {.content = large, .mtime = 99})).second)
        << "a Python source";
    EXPECT_EQ(version(number++, {large}), first);
    EXPECT_THAT(stats_.findings, IsEmpty());
    expect_consistent();
}

TEST_F(StoreIngest, SparseFilesStaySparse) {
    RawTar tar;
    std::string body = "1\n40000000\n3\n";
    body.resize(512, '\0');
    body += "end";
    tar.pkginfo("sparse").add({.path = "x",
                               .pax = {{"GNU.sparse.major", "1"},
                                       {"GNU.sparse.minor", "0"},
                                       {"GNU.sparse.name", "usr/s"},
                                       {"GNU.sparse.realsize", "50000000"}}},
                              body);
    const IngestedArchive done = ingest(tar.write(dir_.path("sparse.pkg.tar.zst")));
    std::string wanted;
    wanted.resize(50'000'000);
    wanted.replace(40'000'000, 3, "end");
    EXPECT_TRUE(content(entry(done.id, "usr/s").object) == wanted);
    EXPECT_LT(stat_at(AT_FDCWD, object_path(entry(done.id, "usr/s").object)).st_blocks, 1000);
    expect_consistent();
}

TEST_F(StoreIngest, LeavesOutOtherNamesWithADot) {
    RawTar tar;
    tar.file(".BUILDINFO", "builder").file(".hidden/x", "1").pkginfo("dots").file("usr/.kept", "2");
    const IngestedArchive done = ingest(tar.write(dir_.path("dots.pkg.tar.zst")));
    ASSERT_EQ(manifest(done.id).entries.size(), 1U);
    EXPECT_EQ(manifest(done.id).entries[0].path, "usr/.kept");
    EXPECT_EQ(object_rows(), 2U);
}

TEST_F(StoreIngest, DescriptionMayComeLast) {
    RawTar tar;
    tar.file("etc/c", "conf")
        .file("usr/a", "1")
        .file(".PKGINFO", "pkgname = late\npkgver = 1:2-3\nbackup = etc/c\n");
    const IngestedArchive done = ingest(tar.write(dir_.path("late.pkg.tar.gz"), "gz"));
    EXPECT_EQ(done.version, "1:2-3");
    EXPECT_EQ(entry(done.id, "etc/c").backup_md5, reference_md5("conf"));
}

// --- Known archives -------------------------------------------------------------------------------

TEST_F(StoreIngest, AKnownArchiveIsNotUnpacked) {
    PackageSpec spec{.name = "known"};
    spec.files = {{"a", {"1"}}};
    const std::string path = build(spec);
    const IngestedArchive first = ingest(path);
    const std::string moved = dir_.write("other-name.pkg.tar.zst", dir_.read("packages/" + spec.file_name()));
    const IngestedArchive second = ingest(moved);
    EXPECT_TRUE(second.was_known);
    EXPECT_EQ(second.id, first.id);
    EXPECT_EQ(second.name, "known");
    EXPECT_EQ(second.version, "1.0-1");
    EXPECT_EQ(stats_.files, 0U);
}

TEST_F(StoreIngest, AKnownArchiveIsFoundByItsDigest) {
    PackageSpec spec{.name = "known"};
    spec.files = {{"a", {"1"}}};
    const std::string path = build(spec);
    const Sha256 digest = sha256_of(dir_.read("packages/" + spec.file_name()));
    const IngestedArchive first = ingest(path);
    Ingestor ingestor(store_, sink_);
    EXPECT_FALSE(ingestor.add_known(sha256_of("something else")));
    const auto known = ingestor.add_known(digest);
    ASSERT_TRUE(known);
    EXPECT_EQ(known->id, first.id);
    EXPECT_EQ(known->name, "known");
    // What is in the file is not looked at.
    dir_.write("packages/" + spec.file_name(), "damaged");
    const auto again = ingestor.add_archives({{path, digest}});
    EXPECT_EQ(again.front().id, first.id);
    EXPECT_TRUE(again.front().was_known);
    EXPECT_EQ(ingestor.results().size(), 2U);
    ingestor.commit(nullptr, false);
    EXPECT_EQ(store_.index().read().manifest_ids().size(), 1U);
}

TEST_F(StoreIngest, OneArchiveTwiceInOneCallIsReadOnce) {
    PackageSpec spec{.name = "twice"};
    spec.files = {{"a", {"1"}}};
    const std::string path = build(spec);
    const auto done = ingest_all({path, path, path});
    EXPECT_EQ(done[0].id, done[1].id);
    EXPECT_EQ(done[0].id, done[2].id);
    EXPECT_EQ(done[2].name, "twice");
    EXPECT_EQ(stats_.files, 3U);
    EXPECT_EQ(store_.index().read().manifest_ids().size(), 1U);
}

TEST_F(StoreIngest, AnUnexpectedArchiveIsAnError) {
    PackageSpec spec{.name = "expected"};
    const std::string path = build(spec);
    Ingestor ingestor(store_, sink_);
    try {
        ingestor.add_archives({{path, sha256_of("something else")}});
        FAIL() << "no error";
    } catch (const Error& error) {
        EXPECT_EQ(error.fault(), Fault::corrupt);
        EXPECT_THAT(error.what(), HasSubstr(path));
    }
}

// --- Commit ---------------------------------------------------------------------------------------

TEST_F(StoreIngest, ResultsAreInTheOrderOfTheSources) {
    std::vector<std::string> paths;
    for (int i = 0; i < 12; ++i) {
        PackageSpec spec{.name = "p" + std::to_string(i)};
        spec.files = {
            {"f", {std::string(static_cast<size_t>((i * 7) % 12) * 1000, 'x') + std::to_string(i)}}};
        paths.push_back(build(spec));
    }
    const auto done = ingest_all(paths);
    for (size_t i = 0; i < done.size(); ++i) {
        EXPECT_EQ(done[i].name, "p" + std::to_string(i));
        EXPECT_EQ(manifest(done[i].id).name, done[i].name);
    }
}

TEST_F(StoreIngest, WithoutCommitNothingRemains) {
    PackageSpec spec{.name = "gone"};
    spec.files = {{"a", {"1"}}, {"big", {std::string(9U << 20U, 'b')}}};
    const std::string path = build(spec);
    {
        Ingestor ingestor(store_, sink_);
        const auto added = ingestor.add_archives({{path, std::nullopt}});
        EXPECT_EQ(added[0].id, 0U);
        EXPECT_FALSE(object_files().empty());
    }
    EXPECT_THAT(object_files(), IsEmpty());
    expect_consistent();
    EXPECT_EQ(entry(ingest(path).id, "a").size, 1U);
}

TEST_F(StoreIngest, AFailedCommitRecordsNothing) {
    PackageSpec spec{.name = "fails"};
    spec.files = {{"a", {"1"}}};
    {
        Ingestor ingestor(store_, sink_);
        ingestor.add_archives({{build(spec), std::nullopt}});
        EXPECT_THROW(ingestor.commit(nullptr, false, [](WriteTxn&) { throw Error("test", "", "no"); }),
                     Error);
        EXPECT_THROW(ingestor.commit(nullptr, false), Error);
    }
    EXPECT_EQ(object_rows(), 0U);
    EXPECT_THAT(object_files(), IsEmpty());
}

TEST_F(StoreIngest, AfterAnErrorNothingCanBeCommitted) {
    PackageSpec good{.name = "good"};
    good.files = {{"a", {"1"}}};
    {
        Ingestor ingestor(store_, sink_);
        ingestor.add_archives({{build(good), std::nullopt}});
        const std::string bad = dir_.write("bad.pkg.tar", "nothing");
        EXPECT_THROW(ingestor.add_archives({{bad, std::nullopt}}), Error);
        EXPECT_THROW(ingestor.commit(nullptr, false), Error);
        EXPECT_THROW((void)ingestor.add_content("x", 0644, std::nullopt), Error);
    }
    EXPECT_THAT(object_files(), IsEmpty());
}

TEST_F(StoreIngest, RowsAreUnsyncedUntilASyncCoversThem) {
    PackageSpec spec{.name = "sync"};
    spec.files = {{"a", {"1"}}};
    const IngestedArchive done = ingest(build(spec));
    const ObjectId id = entry(done.id, "a").object;
    EXPECT_EQ(store_.index().read().object(id).second.unsynced, Store::boot_mark());
    Ingestor ingestor(store_, sink_);
    const ObjectId harvested = ingestor.add_content("harvested", 0644, std::nullopt);
    ingestor.commit(nullptr, true);
    EXPECT_EQ(store_.index().read().object(id).second.unsynced, 0U) << "the sync covered it too";
    EXPECT_EQ(store_.index().read().object(harvested).second.unsynced, 0U);
}

TEST_F(StoreIngest, TheLeaseNamesWhatWasAdded) {
    PackageSpec spec{.name = "leased"};
    spec.files = {{"a", {"1"}}};
    const Lease lease = Lease::create(store_.index(), store_.layout().data(), "test");
    Ingestor ingestor(store_, sink_);
    ingestor.add_archives({{build(spec), std::nullopt}});
    const ObjectId loose = ingestor.add_content("loose", 0600, std::nullopt);
    bool seen = false;
    ingestor.commit(&lease, false, [&](WriteTxn&) { seen = ingestor.results().at(0).id != 0; });
    EXPECT_TRUE(seen) << "ids are known to what is committed along";
    const auto leases = store_.index().read().leases();
    ASSERT_EQ(leases.size(), 1U);
    const LeaseRow row = LeaseRow::decode(leases[0].second);
    EXPECT_THAT(row.manifests, ::testing::ElementsAre(ingestor.results()[0].id));
    EXPECT_THAT(row.objects, ::testing::ElementsAre(loose));
}

// --- Files from elsewhere -------------------------------------------------------------------------

TEST_F(StoreIngest, AddsFilesOfAnySize) {
    const std::string large((9U << 20U) + 7, 'l');
    Ingestor ingestor(store_, sink_);
    const auto add = [&](const std::string& bytes, std::optional<int64_t> time) {
        const std::string path = dir_.write("harvest", bytes);
        return ingestor.add_file(open_at(AT_FDCWD, path, O_RDONLY).get(), path, 0755, time);
    };
    const ObjectId small = add("small", std::nullopt);
    const ObjectId empty = add("", std::nullopt);
    const ObjectId big = add(large, std::nullopt);
    const ObjectId limit = add(std::string(8U << 20U, 'm'), std::nullopt);
    const ObjectId timed = add("small", 1234);
    EXPECT_EQ(add("small", std::nullopt), small);
    EXPECT_EQ(ingestor.add_content("small", 0755, std::nullopt), small);
    EXPECT_NE(timed, small);
    ingestor.commit(nullptr, false);
    EXPECT_EQ(content(small), "small");
    EXPECT_EQ(content(empty), "");
    EXPECT_TRUE(content(big) == large);
    EXPECT_TRUE(content(limit) == std::string(8U << 20U, 'm'));
    EXPECT_EQ(stat_at(AT_FDCWD, object_path(timed)).st_mtim.tv_sec, 1234);
    expect_consistent();
}

TEST_F(StoreIngest, AddedFilesHaveALimit) {
    options_.limits.file_bytes = 10U << 20U;
    const std::string path = dir_.write("harvest", std::string(11U << 20U, 'x'));
    Ingestor ingestor(store_, sink_, options_);
    try {
        (void)ingestor.add_file(open_at(AT_FDCWD, path, O_RDONLY).get(), path, 0644, std::nullopt);
        FAIL() << "no error";
    } catch (const Error& error) {
        EXPECT_EQ(error.fault(), Fault::refused);
        EXPECT_THAT(error.what(), HasSubstr("larger than the limit"));
    }
}

}  // namespace

}  // namespace pwstore::test
