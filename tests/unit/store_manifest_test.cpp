// SPDX-License-Identifier: GPL-3.0-or-later
#include <gtest/gtest.h>

#include <functional>

#include "store/base/error.hpp"
#include "store/entry_codec.hpp"
#include "store/manifest.hpp"
#include "tests/support/corruption.hpp"

namespace pwstore {
namespace {

Entry entry(const std::string& path, EntryKind kind) {
    Entry made;
    made.path = path;
    made.kind = kind;
    made.mode = 0755;
    made.uid = 7;
    made.gid = 4'000'000'000U;
    made.mtime = -12345678901;
    made.mtime_ns = 999'999'999;
    return made;
}

Manifest sample() {
    Manifest manifest;
    manifest.name = "bash";
    manifest.version = "1:5.2-1";
    manifest.arch = "x86_64";
    manifest.archive_sha256 = sha256_of("archive");
    manifest.pkginfo = 11;
    manifest.mtree = 13;
    Entry file = entry("etc/bash.bashrc", EntryKind::file);
    file.size = 3;
    file.object = 20;
    file.link_group = 2;
    file.backup_md5 = md5_hex("abc");
    file.xattrs = {{"security.capability", std::string("\x01\0\0\x02", 4)}, {"user.x", ""}};
    Entry empty = entry("etc/empty", EntryKind::file);
    Entry link = entry("etc/link\xff\n", EntryKind::symlink);
    link.target = "../bash";
    manifest.entries = {entry("etc", EntryKind::directory), file, empty, link, entry("run", EntryKind::fifo)};
    return manifest;
}

void expect_equal(const Manifest& a, const Manifest& b) {
    EXPECT_EQ(a.name, b.name);
    EXPECT_EQ(a.version, b.version);
    EXPECT_EQ(a.arch, b.arch);
    EXPECT_EQ(a.origin, b.origin);
    EXPECT_EQ(a.archive_sha256, b.archive_sha256);
    EXPECT_EQ(a.entries, b.entries);
    EXPECT_EQ(a.pkginfo, b.pkginfo);
    EXPECT_EQ(a.install, b.install);
    EXPECT_EQ(a.mtree, b.mtree);
    EXPECT_EQ(a.changelog, b.changelog);
}

std::vector<ObjectId> visited(std::string_view bytes) {
    std::vector<ObjectId> ids;
    Manifest::for_each_object(
        bytes,
        [](void* context, ObjectId id) { static_cast<std::vector<ObjectId>*>(context)->push_back(id); },
        &ids);
    return ids;
}

TEST(Manifest, IsReadAsItWasWritten) {
    expect_equal(Manifest::decode(sample().encode()), sample());
    Manifest imported = sample();
    imported.origin = Origin::import;
    imported.archive_sha256.reset();
    imported.entries.clear();
    expect_equal(Manifest::decode(imported.encode()), imported);
}

TEST(Manifest, IsReadFromAnyAlignment) {
    const std::string shifted = "x" + sample().encode();
    expect_equal(Manifest::decode(std::string_view(shifted).substr(1)), sample());
}

TEST(Manifest, NamesItsObjectsWithoutDecoding) {
    EXPECT_EQ(visited(sample().encode()), (std::vector<ObjectId>{11, 13, 20}));
    EXPECT_THROW(visited(sample().encode().substr(0, 30)), Error);
    std::string bytes = sample().encode();
    bytes[24] = static_cast<char>(bytes[24] ^ 1);  // an id: marking the wrong object would lose the right one
    EXPECT_THROW(visited(bytes), Error);
}

TEST(Manifest, FindsByPath) {
    const Manifest manifest = sample();
    ASSERT_NE(manifest.find("etc/empty"), nullptr);
    EXPECT_EQ(manifest.find("etc/empty")->path, "etc/empty");
    EXPECT_EQ(manifest.find("etc/emptx"), nullptr);
    EXPECT_EQ(manifest.find("zzz"), nullptr);
}

TEST(Manifest, SurvivesCorruption) {
    const auto decode = [](std::string_view bytes) { return Manifest::decode(bytes); };
    const auto encode = [](const Manifest& manifest) { return manifest.encode(); };
    test::expect_survives_corruption(sample().encode(), decode, encode);
    Manifest imported;
    imported.origin = Origin::import;
    imported.name = "n";
    test::expect_survives_corruption(imported.encode(), decode, encode);
}

TEST(Manifest, SurvivesCorruptionWhenOnlyMarked) {
    const std::string good = sample().encode();
    for (size_t at = 0; at < good.size(); ++at) {
        std::string bytes = good;
        bytes[at] = static_cast<char>(~bytes[at]);
        try {
            EXPECT_EQ(visited(bytes).size(), 3U);
        } catch (const Error& error) {
            EXPECT_EQ(error.fault(), Fault::corrupt);
        }
    }
}

TEST(Manifest, RefusesAttributesOutOfOrder) {
    Manifest manifest = sample();
    manifest.entries[1].xattrs = {{"user.a", "1"}, {"user.b", "2"}};
    const std::string good = manifest.encode();
    for (const char* other : {"user.a", "user.0"}) {
        std::string bytes = good;
        bytes.replace(bytes.find("user.b"), 6, other);
        EXPECT_THROW((void)Manifest::decode(bytes), Error) << other;
    }
}

TEST(Manifest, RefusesAnotherNumberOfObjectsThanOfEntries) {
    ByteWriter out;
    codec::put_entries(out, sample().entries, codec::Whiteouts::refused);
    for (const size_t ids : {0UL, 4UL, 6UL}) {
        const std::vector<ObjectId> objects(ids);
        ByteReader in(out.bytes(), "entries");
        EXPECT_THROW((void)codec::get_entries(in, objects, codec::Whiteouts::refused), Error) << ids;
    }
}

TEST(Manifest, RefusesCountsLargerThanTheDataBeforeItAllocates) {
    std::string bytes = sample().encode();
    const std::string huge("\xff\xff\xff\x7f", 4);
    std::string front = bytes;
    front.replace(16, 4, huge);
    EXPECT_THROW((void)Manifest::decode(front), Error);
    EXPECT_THROW(visited(front), Error);
}

TEST(Manifest, RefusesEntriesThatBreakARule) {
    const std::function<void(Manifest&)> breakages[] = {
        [](Manifest& m) { std::swap(m.entries[0], m.entries[1]); },
        [](Manifest& m) { m.entries[1].path = m.entries[0].path; },
        [](Manifest& m) { m.entries[0].path = "../etc"; },
        [](Manifest& m) { m.entries[0].path = "/etc"; },
        [](Manifest& m) { m.entries[0].path = ""; },
        [](Manifest& m) { m.entries[0].kind = EntryKind::whiteout; },
        [](Manifest& m) { m.entries[0].kind = static_cast<EntryKind>(0); },
        [](Manifest& m) { m.entries[0].kind = static_cast<EntryKind>(99); },
        [](Manifest& m) { m.entries[0].mode = 010000; },
        [](Manifest& m) { m.entries[0].mtime_ns = 1'000'000'000; },
        [](Manifest& m) { m.entries[0].object = 1; },
        [](Manifest& m) { m.entries[0].size = 1; },
        [](Manifest& m) { m.entries[0].link_group = 1; },
        [](Manifest& m) { m.entries[0].target = "x"; },
        [](Manifest& m) { m.entries[0].backup_md5 = md5_hex(""); },
        [](Manifest& m) { m.entries[1].object = 0; },
        [](Manifest& m) { m.entries[1].target = "x"; },
        [](Manifest& m) { m.entries[1].backup_md5 = "ABC"; },
        [](Manifest& m) { m.entries[1].backup_md5 = std::string(32, 'A'); },
        [](Manifest& m) { m.entries[1].xattrs[""] = "x"; },
        [](Manifest& m) { m.entries[1].xattrs[std::string(256, 'x')] = "x"; },
        [](Manifest& m) { m.entries[3].target = ""; },
        [](Manifest& m) { m.entries[3].target = std::string(4096, 't'); },
        [](Manifest& m) { m.entries[3].target = std::string("a\0b", 3); },
        [](Manifest& m) { m.name = "a/b"; },
        [](Manifest& m) { m.version = "1\n2"; },
        [](Manifest& m) { m.arch = std::string(2000, 'a'); },
    };
    size_t number = 0;
    for (const auto& breakage : breakages) {
        Manifest manifest = sample();
        breakage(manifest);
        EXPECT_THROW((void)manifest.encode(), Error) << "breakage " << number;
        ++number;
    }
}

}  // namespace
}  // namespace pwstore
