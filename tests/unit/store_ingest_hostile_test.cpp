// SPDX-License-Identifier: GPL-3.0-or-later
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "store/base/error.hpp"
#include "store/ingest.hpp"
#include "tests/support/ingest_fixture.hpp"

namespace pwstore::test {

namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;

RawTar tar_of(const std::string& name) {
    RawTar tar;
    // Content before the offence: it has entered the store when the offence is met.
    tar.pkginfo(name)
        .directory("usr/")
        .file("usr/innocent", "innocent")
        .file("usr/large", std::string(9U << 20U, 'L'));
    return tar;
}

struct Hostile {
    std::string name;
    RawTar tar;
    std::string entry;  ///< that the error must name
    std::string rule;   ///< and a part of why
    Fault fault = Fault::refused;
};

std::vector<Hostile> hostile_archives() {
    const std::string overlay = "SCHILY.xattr.user.overlay.opaque";
    std::vector<Hostile> all;
    const auto add = [&](const std::string& name, const auto& fill, const std::string& entry,
                         const std::string& rule, Fault fault = Fault::refused) {
        RawTar tar = tar_of(name);
        fill(tar);
        all.push_back({name, std::move(tar), entry, rule, fault});
    };
    add(
        "parent", [](RawTar& t) { t.file("../x", "1"); }, "../x", "'..'");
    add(
        "absolute-parent", [](RawTar& t) { t.file("/../x", "1"); }, "/../x", "'..'");
    add(
        "below-symlink", [](RawTar& t) { t.symlink("lnk", "/etc").file("lnk/passwd", "1"); }, "lnk/passwd",
        "symbolic link");
    add(
        "below-inner-symlink", [](RawTar& t) { t.symlink("usr/l", "innocent").file("usr/l/deep/x", "1"); },
        "usr/l/deep/x", "symbolic link");
    add(
        "below-later-symlink", [](RawTar& t) { t.file("late/x", "1").symlink("late", "usr"); }, "late/x",
        "symbolic link");
    add(
        "below-file", [](RawTar& t) { t.file("usr/innocent/x", "1"); }, "usr/innocent/x", "not a directory");
    add(
        "below-fifo", [](RawTar& t) { t.add({.path = "p", .type = '6'}).directory("p/d/"); }, "p/d",
        "not a directory");
    add(
        "character-device", [](RawTar& t) { t.add({.path = "dev/null", .type = '3'}); }, "dev/null",
        "device node");
    add(
        "block-device", [](RawTar& t) { t.add({.path = "dev/sda", .type = '4'}); }, "dev/sda", "device node");
    add(
        "overlay-xattr",
        [&](RawTar& t) {
            t.add({.path = "usr/o", .pax = {{overlay, "y"}}}, "1");
        },
        "usr/o", "user.overlay.opaque");
    add(
        "trusted-xattr",
        [&](RawTar& t) {
            t.add({.path = "usr/o", .pax = {{"SCHILY.xattr.trusted.overlay.opaque", "y"}}}, "1");
        },
        "usr/o", "trusted.overlay.opaque");
    add(
        "huge-claim", [](RawTar& t) { t.add({.path = "usr/huge", .size = 1ULL << 40U}); }, "usr/huge",
        "larger than the limit");
    add(
        "file-and-directory", [](RawTar& t) { t.directory("usr/innocent/"); }, "usr/innocent", "twice");
    add(
        "directory-and-file", [](RawTar& t) { t.file("usr", "1"); }, "usr", "twice");
    add(
        "content-for-symlink",
        [](RawTar& t) {
            t.symlink("s", "t").add({.path = "h", .type = '1', .link = "s", .pax = {{"mtime", "1"}}}, "own");
        },
        "h", "to what is no file");
    add(
        "missing-link-target", [](RawTar& t) { t.hardlink("usr/h", "usr/nowhere"); }, "usr/h",
        "not before it");
    add(
        "later-link-target", [](RawTar& t) { t.hardlink("usr/h", "usr/later").file("usr/later", "1"); },
        "usr/h", "not before it");
    add(
        "link-to-itself", [](RawTar& t) { t.hardlink("usr/h", "usr/h"); }, "usr/h", "not before it");
    add(
        "link-to-directory", [](RawTar& t) { t.hardlink("usr/h", "usr"); }, "usr/h", "to a directory");
    add(
        "link-to-metadata", [](RawTar& t) { t.hardlink("usr/h", ".PKGINFO"); }, "usr/h", "not before it");
    add(
        "link-out", [](RawTar& t) { t.hardlink("usr/h", "../../etc/passwd"); }, "../../etc/passwd", "'..'");
    add(
        "second-pkginfo", [](RawTar& t) { t.pkginfo("other"); }, ".PKGINFO", "twice");
    add(
        "metadata-symlink", [](RawTar& t) { t.symlink(".INSTALL", "/etc/passwd"); }, ".INSTALL",
        "not a regular file");
    add(
        "truncated-inside", [](RawTar& t) { t.add({.path = "usr/t", .size = 5000}, "short"); }, "", "",
        Fault::corrupt);
    return all;
}

class StoreIngestHostile : public IngestFixture {};

TEST_F(StoreIngestHostile, EveryOffenceIsNamedAndLeavesNothing) {
    for (const Hostile& hostile : hostile_archives()) {
        SCOPED_TRACE(hostile.name);
        const std::string text =
            error_of(hostile.tar.write(dir_.path(hostile.name + ".pkg.tar.zst")), hostile.fault);
        EXPECT_THAT(text, HasSubstr(hostile.entry.empty() ? "" : "'" + hostile.entry + "'"));
        EXPECT_THAT(text, HasSubstr(hostile.rule));
        EXPECT_THAT(object_files(), IsEmpty());
        EXPECT_EQ(object_rows(), 0U);
        EXPECT_THAT(store_.index().read().manifest_ids(), IsEmpty());
        expect_consistent();
    }
}

TEST_F(StoreIngestHostile, GoodPackagesBesideABadOneAreNotRecorded) {
    PackageSpec good{.name = "good"};
    good.files = {{"a", {"1"}}};
    const std::string bad = tar_of("bad").file("../x", "1").write(dir_.path("bad.pkg.tar.zst"));
    EXPECT_THROW(ingest_all({build(good), bad}), Error);
    EXPECT_THAT(object_files(), IsEmpty());
    EXPECT_EQ(entry(ingest(build(good)).id, "a").size, 1U);
    expect_consistent();
}

TEST_F(StoreIngestHostile, WhatWasThereBeforeStays) {
    PackageSpec before{.name = "before"};
    before.files = {{"usr/innocent", {"innocent"}}};
    const IngestedArchive done = ingest(build(before));
    (void)error_of(tar_of("bad").file("../x", "1").write(dir_.path("bad.pkg.tar.zst")), Fault::refused);
    EXPECT_EQ(content(entry(done.id, "usr/innocent").object), "innocent");
    expect_consistent();
}

TEST_F(StoreIngestHostile, ABadDescriptionIsRefused) {
    const std::vector<std::pair<std::string, std::string>> cases = {
        {"", "no pkgname"},
        {"pkgver = 1-1\n", "no pkgname"},
        {"pkgname = a\n", "no pkgver"},
        {"pkgname = a/b\npkgver = 1-1\n", "pkgname"},
        {"pkgname = ../b\npkgver = 1-1\n", "pkgname"},
        {"pkgname = -b\npkgver = 1-1\n", "pkgname"},
        {"pkgname = .b\npkgver = 1-1\n", "pkgname"},
        {"pkgname = a b\npkgver = 1-1\n", "pkgname"},
        {"pkgname = a\npkgver = 1/../1\n", "pkgver"},
        {"pkgname = a\npkgver = 1 1\n", "pkgver"},
        {"pkgname = a\npkgver = 1-1\narch = x/y\n", "architecture"},
        {"pkgname = " + std::string(200, 'a') + "\npkgver = " + std::string(60, '1') + "\n", "too long"},
    };
    for (const auto& [text, rule] : cases) {
        RawTar tar;
        tar.file(".PKGINFO", text).file("a", "1");
        const std::string error = error_of(tar.write(dir_.path("description.pkg.tar.zst")), Fault::refused);
        EXPECT_THAT(error, HasSubstr(".PKGINFO"));
        EXPECT_THAT(error, HasSubstr(rule)) << text;
        EXPECT_THAT(object_files(), IsEmpty());
    }
    EXPECT_THAT(error_of(RawTar().file("a", "1").write(dir_.path("none.pkg.tar.zst")), Fault::refused),
                HasSubstr(".PKGINFO"));
    EXPECT_THAT(error_of(RawTar().write(dir_.path("nothing.pkg.tar.zst")), Fault::refused),
                HasSubstr(".PKGINFO"));
}

TEST_F(StoreIngestHostile, MetadataHasALimit) {
    options_.limits.side_object_bytes = 1000;
    const std::string path =
        RawTar().pkginfo("m").file(".MTREE", std::string(1001, 'm')).write(dir_.path("m.pkg.tar.zst"));
    EXPECT_THAT(error_of(path, Fault::refused), HasSubstr("'.MTREE': it is larger than the limit"));
    options_.limits.side_object_bytes = 1001;
    EXPECT_EQ(ingest(path).name, "m");
}

TEST_F(StoreIngestHostile, OtherFilesAreNotArchives) {
    EXPECT_THROW((void)ingest(dir_.path("missing.pkg.tar.zst")), Error);
    (void)error_of(dir_.path(), Fault::refused);  // a directory
    EXPECT_THROW((void)ingest("/dev/zero"), Error);
    EXPECT_THAT(object_files(), IsEmpty());
}

}  // namespace

}  // namespace pwstore::test
