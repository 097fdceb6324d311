// SPDX-License-Identifier: GPL-3.0-or-later
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <clocale>
#include <vector>

#include "store/base/bytes.hpp"
#include "store/base/error.hpp"
#include "store/base/path_at.hpp"
#include "store/package/archive.hpp"
#include "tests/support/package_builder.hpp"
#include "tests/support/test_dir.hpp"

namespace pwstore::test {

namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Pair;

struct Read {
    ArchiveMember member;
    std::string content;
};

class StoreArchive : public ::testing::Test {
 protected:
    std::vector<Read> read(const std::string& path) {
        const Fd fd = open_at(AT_FDCWD, path, O_RDONLY);
        const PackedFile file(fd.get(), path, buffer_);
        ArchiveReader reader(file, limits_);
        std::vector<Read> all;
        ArchiveMember member;
        while (reader.next(member)) {
            std::string content;
            for (std::string_view piece = reader.read_piece(); !piece.empty(); piece = reader.read_piece())
                content += piece;
            all.push_back({member, content});
        }
        EXPECT_TRUE(reader.was(fingerprint(file)));
        return all;
    }
    std::vector<Read> read(const RawTar& tar, const std::string& compression = "zst") {
        return read(tar.write(dir_.path("a.pkg.tar"), compression));
    }
    /// Text and fault of the Error that reading ends with.
    std::string error_of(const std::string& path, Fault fault) {
        try {
            (void)read(path);
        } catch (const Error& error) {
            EXPECT_EQ(error.fault(), fault) << error.what();
            EXPECT_THAT(error.what(), HasSubstr(path));
            return error.what();
        }
        ADD_FAILURE() << "no error";
        return {};
    }
    std::string error_of(const RawTar& tar, Fault fault) {
        return error_of(tar.write(dir_.path("hostile.pkg.tar.zst")), fault);
    }

    TestDir dir_;
    IngestLimits limits_;
    PackedBuffer buffer_;
};

// --- What is read ---------------------------------------------------------------------------------

TEST_F(StoreArchive, ReadsEveryKindAndAllMetadata) {
    RawTar tar;
    tar.add({.path = "usr", .type = '5', .mode = 01777, .uid = 5, .gid = 6, .mtime = 42});
    tar.add({.path = "usr/f", .mode = 06755, .uid = 70000, .gid = 3'000'000'000, .pax = {{"mtime", "12.5"}}},
            "text");
    tar.symlink("usr/s", "../anywhere")
        .hardlink("usr/h", "usr/f")
        .add({.path = "usr/p", .type = '6', .mode = 0600});
    const auto all = read(tar);
    ASSERT_EQ(all.size(), 5U);
    EXPECT_EQ(all[0].member.kind, MemberKind::directory);
    EXPECT_EQ(all[0].member.mode, 01777U);
    EXPECT_EQ(all[0].member.uid, 5U);
    EXPECT_EQ(all[0].member.gid, 6U);
    EXPECT_EQ(all[0].member.mtime, 42);
    EXPECT_EQ(all[1].member.kind, MemberKind::file);
    EXPECT_EQ(all[1].member.mode, 06755U);
    EXPECT_EQ(all[1].member.uid, 70000U);
    EXPECT_EQ(all[1].member.gid, 3'000'000'000U);
    EXPECT_EQ(all[1].member.mtime, 12);
    EXPECT_EQ(all[1].member.mtime_ns, 500'000'000U);
    EXPECT_EQ(all[1].content, "text");
    EXPECT_EQ(all[2].member.kind, MemberKind::symlink);
    EXPECT_EQ(all[2].member.target, "../anywhere");
    EXPECT_EQ(all[3].member.kind, MemberKind::hard_link);
    EXPECT_EQ(all[3].member.target, "usr/f");
    EXPECT_EQ(all[4].member.kind, MemberKind::fifo);
}

TEST_F(StoreArchive, ReadsEveryCompression) {
    const std::string big(3'000'000, 'x');
    for (const std::string compression : {"zst", "gz", "xz", "bz2", "lzma", "lz", "lz4", "Z", ""}) {
        const auto all =
            read(RawTar().file("usr/a", "small").file("usr/b", big).file("usr/c", "after"), compression);
        ASSERT_EQ(all.size(), 3U) << compression;
        EXPECT_EQ(all[1].content, big) << compression;
        EXPECT_EQ(all[2].content, "after") << compression;
    }
}

TEST_F(StoreArchive, WholeContentsAreTheSameAsPieces) {
    std::string big(5'000'000, '\0');
    for (size_t i = 0; i < big.size(); ++i)
        big[i] = static_cast<char>(i * i >> 7U);
    const std::string path =
        RawTar().file("a", "tiny").file("b", big).file("c", "").write(dir_.path("w.pkg.tar.zst"));
    const Fd fd = open_at(AT_FDCWD, path, O_RDONLY);
    const PackedFile file(fd.get(), path, buffer_);
    ArchiveReader reader(file, limits_);
    ArchiveMember member;
    std::string buffer;
    ASSERT_TRUE(reader.next(member));
    EXPECT_EQ(reader.read_whole(buffer), "tiny");
    ASSERT_TRUE(reader.next(member));
    EXPECT_TRUE(reader.read_whole(buffer) == big);
    ASSERT_TRUE(reader.next(member));
    EXPECT_EQ(reader.read_whole(buffer), "");
    EXPECT_FALSE(reader.next(member));
}

TEST_F(StoreArchive, NormalisesTheTarPrefix) {
    RawTar tar;
    tar.directory("./").directory("./usr/").file("./usr/a", "1").hardlink("./usr/b", "./usr/a");
    const auto all = read(tar);
    ASSERT_EQ(all.size(), 3U);
    EXPECT_EQ(all[0].member.path, "usr");
    EXPECT_EQ(all[1].member.path, "usr/a");
    EXPECT_EQ(all[2].member.target, "usr/a");
}

TEST_F(StoreArchive, NamesAreBelowTheRootHoweverTheyAreSpelled) {
    RawTar tar;
    tar.directory("/").directory("/opt/").file("/opt//tool", "1").file("usr/./a", "2").file("././b", "3");
    tar.hardlink("//c", "/usr//a").symlink("/l", "//t");
    const auto all = read(tar);
    ASSERT_EQ(all.size(), 6U);
    EXPECT_EQ(all[0].member.path, "opt");
    EXPECT_EQ(all[1].member.path, "opt/tool");
    EXPECT_EQ(all[2].member.path, "usr/a");
    EXPECT_EQ(all[3].member.path, "b");
    EXPECT_EQ(all[4].member.path, "c");
    EXPECT_EQ(all[4].member.target, "usr/a");
    EXPECT_EQ(all[5].member.target, "//t");
}

TEST_F(StoreArchive, OnlyWhatBeginsWithADotIsMetadata) {
    const std::vector<std::pair<std::string, bool>> names = {
        {".PKGINFO", true}, {"./.MTREE", true}, {".d/x", true},   {"/.field", false},
        {"/.d/x", false},   {"usr/.x", false},  {"./usr", false},
    };
    for (const auto& [name, is_metadata] : names) {
        const auto all = read(RawTar().file(name, "1"));
        ASSERT_EQ(all.size(), 1U);
        EXPECT_EQ(all[0].member.is_metadata, is_metadata) << name;
    }
}

TEST_F(StoreArchive, ReadsCpio) {
    const auto octal = [](uint64_t value, int digits) { return fmt::format("{:0{}o}", value, digits); };
    std::string stream;
    const auto add = [&](const std::string& name, uint32_t mode, const std::string& content) {
        stream += "070707" + octal(1, 6) + octal(7, 6) + octal(mode, 6) + octal(0, 6) + octal(0, 6) +
                  octal(1, 6) + octal(0, 6) + octal(1'700'000'000, 11) + octal(name.size() + 1, 6) +
                  octal(content.size(), 11) + name + std::string(1, '\0') + content;
    };
    add("usr/f", 0100644, "text");
    add("TRAILER!!!", 0, "");
    const auto all = read(dir_.write("c.pkg.tar.zst", compressed(stream, "zst")));
    ASSERT_EQ(all.size(), 1U);
    EXPECT_EQ(all[0].member.path, "usr/f");
    EXPECT_EQ(all[0].content, "text");
}

TEST_F(StoreArchive, TheEndMarkIsTheEnd) {
    const RawTar tar = RawTar().file("a", "1");
    const std::string whole = tar.bytes();
    for (const std::string& bytes : {whole + "what follows", whole.substr(0, 1024), whole.substr(0, 1536)}) {
        const auto all = read(dir_.write("end.pkg.tar.gz", compressed(bytes, "gz")));
        ASSERT_EQ(all.size(), 1U);
        EXPECT_EQ(all[0].content, "1");
    }
}

TEST_F(StoreArchive, OwnersAreWhatChownMakesOfThem) {
    const std::vector<std::pair<std::string, uint32_t>> owners = {
        {"-2", 4294967294U}, {"-1", 0}, {"4294967295", 0}, {"4294967297", 1}};
    for (const auto& [text, owner] : owners) {
        RawTar tar;
        tar.add({.path = "a", .pax = {{"uid", text}, {"gid", text}}}, "");
        const auto all = read(tar);
        ASSERT_EQ(all.size(), 1U);
        EXPECT_EQ(all[0].member.uid, owner) << text;
        EXPECT_EQ(all[0].member.gid, owner) << text;
    }
}

TEST_F(StoreArchive, AHardLinkMayBringAContent) {
    const auto all = read(
        RawTar().file("a", "1").add({.path = "b", .type = '1', .link = "a", .pax = {{"mtime", "1"}}}, "own"));
    ASSERT_EQ(all.size(), 2U);
    EXPECT_EQ(all[1].member.kind, MemberKind::hard_link);
    EXPECT_EQ(all[1].member.size, 3U);
    EXPECT_EQ(all[1].content, "own");
}

TEST_F(StoreArchive, OtherFormsAreNotSupportedRatherThanDamaged) {
    const std::string rest(4096, 'r');
    const std::vector<std::pair<std::string, std::string>> forms = {
        {std::string("\x89LZO\0\r\n\x1a\n", 9), "lzop"}, {"LRZI", "lrzip"},
        {std::string("PK\x03\x04"), "a zip archive"},    {"!<arch>\n", "as .deb files are"},
        {"\xED\xAB\xEE\xDB", "an RPM package"},
    };
    for (const auto& [magic, what] : forms)
        EXPECT_THAT(error_of(dir_.write("other.pkg.tar.x", magic + rest), Fault::unsupported),
                    AllOf(HasSubstr(what), HasSubstr("not supported")));
}

TEST_F(StoreArchive, NamesAreBytesInEveryLocale) {
    const std::string decomposed = "usr/e\xCC\x81";  // a UTF-8 locale would make one character of it
    const std::string invalid = "usr/\xFF\xFE";
    const std::string newline = "usr/two\nlines \xC3\xA4";
    const std::string longest = "usr/" + std::string(255, 'n');
    RawTar tar;
    for (const std::string& name : {decomposed, invalid, newline, longest})
        tar.add({.path = "short", .pax = {{"path", name}}}, name);
    tar.file("usr/raw\xFF", "no pax");
    tar.add(
        {.path = "h", .type = '1', .link = "x", .pax = {{"path", "usr/h\xFF"}, {"linkpath", decomposed}}});
    tar.add({.path = "s", .type = '2', .link = "x", .pax = {{"path", "usr/s"}, {"linkpath", invalid}}});
    for (const char* locale : {"C", "C.UTF-8"}) {
        const std::string before = std::setlocale(LC_ALL, nullptr);
        ASSERT_NE(std::setlocale(LC_ALL, locale), nullptr);
        const auto all = read(tar);
        std::setlocale(LC_ALL, before.c_str());
        ASSERT_EQ(all.size(), 7U) << locale;
        EXPECT_EQ(all[0].member.path, decomposed) << locale;
        EXPECT_EQ(all[1].member.path, invalid);
        EXPECT_EQ(all[2].member.path, newline);
        EXPECT_EQ(all[3].member.path, longest);
        EXPECT_EQ(all[3].content, longest);
        EXPECT_EQ(all[4].member.path, "usr/raw\xFF");
        EXPECT_EQ(all[5].member.path, "usr/h\xFF");
        EXPECT_EQ(all[5].member.target, decomposed);
        EXPECT_EQ(all[6].member.target, invalid);
    }
}

TEST_F(StoreArchive, KeepsAttributesAndAccessLists) {
    RawTar tar;
    const std::string binary("\0\x01\xFF", 3);
    tar.add({.path = "a",
             .pax = {{"SCHILY.xattr.user.k", binary},
                     {"SCHILY.xattr.security.capability", "cap"},
                     {"SCHILY.acl.access", "user::rwx,group::r-x,other::---,user:joe:rw-:1000,mask::rwx"}}});
    tar.file("b", "");
    const auto all = read(tar);
    ASSERT_EQ(all.size(), 2U);
    ByteWriter acl;
    acl.put(uint32_t{2});
    const auto put = [&](uint16_t tag, uint16_t bits, uint32_t id) {
        acl.put(tag);
        acl.put(bits);
        acl.put(id);
    };
    put(0x01, 7, UINT32_MAX);
    put(0x02, 6, 1000);
    put(0x04, 5, UINT32_MAX);
    put(0x10, 7, UINT32_MAX);
    put(0x20, 0, UINT32_MAX);
    EXPECT_THAT(all[0].member.xattrs,
                ElementsAre(Pair("security.capability", "cap"), Pair("system.posix_acl_access", acl.bytes()),
                            Pair("user.k", binary)));
    EXPECT_THAT(all[1].member.xattrs, IsEmpty());
}

TEST_F(StoreArchive, DeliversHolesOfSparseFilesAsZeros) {
    // GNU's format 1.0: the map (count, then offset and size of each piece) is padded to a block, then the
    // data.
    std::string body = "2\n0\n5\n1000000\n3\n";
    body.resize(512, '\0');
    body += "firstend";
    RawTar tar;
    tar.add({.path = "GNUSparseFile.0/s",
             .pax = {{"GNU.sparse.major", "1"},
                     {"GNU.sparse.minor", "0"},
                     {"GNU.sparse.name", "usr/s"},
                     {"GNU.sparse.realsize", "1500000"}}},
            body);
    tar.file("usr/after", "x");
    const auto all = read(tar);
    ASSERT_EQ(all.size(), 2U);
    EXPECT_EQ(all[0].member.path, "usr/s");
    EXPECT_EQ(all[0].member.size, 1'500'000U);
    std::string wanted(1'500'000, '\0');
    wanted.replace(0, 5, "first");
    wanted.replace(1'000'000, 3, "end");
    EXPECT_TRUE(all[0].content == wanted);
    EXPECT_EQ(all[1].content, "x");
}

TEST_F(StoreArchive, FingerprintIsThatOfTheFile) {
    for (const size_t size : {size_t{10}, size_t{33} << 20U}) {
        const std::string path = dir_.write("f", std::string(size, 'f'));
        const Fd fd = open_at(AT_FDCWD, path, O_RDONLY);
        const PackedFile file(fd.get(), path, buffer_);
        EXPECT_EQ(file.is_held(), size < PackedBuffer::kSize);
        EXPECT_EQ(fingerprint(file).sha256.hex(), reference_sha256(std::string(size, 'f')));
    }
}

TEST_F(StoreArchive, AChangeWhileItIsReadIsSeen) {
    // Too large to be held, so that it is read twice.
    const std::string bytes = RawTar().file("a", std::string(40U << 20U, 'x')).bytes();
    const std::string path = dir_.write("changing.pkg.tar", bytes);
    const Fd fd = open_at(AT_FDCWD, path, O_RDWR);
    const PackedFile file(fd.get(), path, buffer_);
    const Fingerprint before = fingerprint(file);
    ASSERT_EQ(::pwrite(fd.get(), "y", 1, 20U << 20U), 1);
    ArchiveReader reader(file, limits_);
    ArchiveMember member;
    while (reader.next(member)) {
    }
    EXPECT_FALSE(reader.was(before));
    EXPECT_TRUE(reader.was(fingerprint(file)));
}

TEST_F(StoreArchive, ReadsFilesThatAreNotHeld) {
    const std::string large(40U << 20U, 'x');
    const auto all = read(RawTar().file("a", large).file("b", "after"), "");
    ASSERT_EQ(all.size(), 2U);
    EXPECT_TRUE(all[0].content == large);
    EXPECT_EQ(all[1].content, "after");
}

// --- What is refused ------------------------------------------------------------------------------

TEST_F(StoreArchive, RefusesNamesThatLeadElsewhere) {
    const std::vector<std::pair<std::string, std::string>> cases = {
        {"../x", "'..'"},
        {"usr/../../x", "'..'"},
        {"usr/..", "'..'"},
        {"/../x", "'..'"},
        {".", "the root itself"},
        {"/", "the root itself"},
        {"usr/x/", "that of a directory"},
        {"usr/" + std::string(256, 'n'), "longer than 255"},
    };
    for (const auto& [name, rule] : cases) {
        // A symbolic link keeps its trailing slash; a file with one would be an old archive's directory.
        RawTar tar;
        tar.add({.path = "x", .type = '2', .link = "t", .pax = {{"path", name}}});
        EXPECT_THAT(error_of(tar, Fault::refused), AllOf(HasSubstr(name), HasSubstr(rule)));
    }
    std::string path;
    while (path.size() < 4096)
        path += "component/";
    RawTar tar;
    tar.add({.path = "x", .pax = {{"path", path + "x"}}}, "");
    EXPECT_THAT(error_of(tar, Fault::refused), HasSubstr("longer than 4095"));
    EXPECT_THAT(error_of(RawTar().file("usr/a", "1").hardlink("usr/b", "../a"), Fault::refused),
                HasSubstr("'..'"));
}

TEST_F(StoreArchive, RefusesKindsThatNoPackageMayHave) {
    EXPECT_THAT(error_of(RawTar().add({.path = "dev/c", .type = '3'}), Fault::refused),
                AllOf(HasSubstr("dev/c"), HasSubstr("device node")));
    EXPECT_THAT(error_of(RawTar().add({.path = "dev/b", .type = '4'}), Fault::refused),
                HasSubstr("device node"));
}

TEST_F(StoreArchive, RefusesAttributesThatOverlaysObey) {
    for (const std::string name :
         {"user.overlay.opaque", "trusted.overlay.opaque", "user.overlay.redirect"}) {
        for (const std::string form : {"SCHILY.xattr.", "LIBARCHIVE.xattr."}) {
            RawTar tar;
            tar.add({.path = "usr", .type = '5', .mode = 0755, .pax = {{form + name, "eQ=="}}});
            EXPECT_THAT(error_of(tar, Fault::refused), AllOf(HasSubstr("'usr'"), HasSubstr(name))) << form;
        }
    }
}

TEST_F(StoreArchive, RefusesSizesBeyondTheLimits) {
    EXPECT_THAT(error_of(RawTar().add({.path = "huge", .size = 1ULL << 40U}), Fault::refused),
                AllOf(HasSubstr("'huge'"), HasSubstr("larger than the limit")));
    RawTar sparse;
    std::string map = "1\n0\n0\n";
    map.resize(512, '\0');
    sparse.add({.path = "x",
                .pax = {{"GNU.sparse.major", "1"},
                        {"GNU.sparse.minor", "0"},
                        {"GNU.sparse.name", "sparse"},
                        {"GNU.sparse.realsize", std::to_string(1ULL << 40U)}}},
               map);
    EXPECT_THAT(error_of(sparse, Fault::refused),
                AllOf(HasSubstr("'sparse'"), HasSubstr("larger than the limit")));
    limits_.file_bytes = 5;
    EXPECT_THAT(error_of(RawTar().file("a", "12345").file("b", "123456"), Fault::refused),
                AllOf(HasSubstr("'b'"), HasSubstr("the file is larger than the limit")));
    limits_ = {};
    limits_.package_bytes = 10;
    EXPECT_THAT(error_of(RawTar().file("a", "123456").file("b", "123456"), Fault::refused),
                AllOf(HasSubstr("'b'"), HasSubstr("larger than the limit")));
    limits_ = {};
    limits_.entries = 2;
    EXPECT_THAT(error_of(RawTar().file("a", "").file("b", "").file("c", ""), Fault::refused),
                HasSubstr("too many"));
    limits_ = {};
    limits_.name_bytes = 10;
    EXPECT_THAT(error_of(RawTar().file("a", "").symlink("b", "0123456789"), Fault::refused),
                HasSubstr("names"));
    RawTar attribute;
    attribute.add({.path = "a", .pax = {{"SCHILY.xattr.user.k", "0123456789"}}}, "");
    EXPECT_THAT(error_of(attribute, Fault::refused), HasSubstr("names and attributes"));
}

TEST_F(StoreArchive, RefusesMetadataThatCannotBe) {
    RawTar attribute;
    attribute.add({.path = "a", .pax = {{"SCHILY.xattr.user." + std::string(251, 'k'), "1"}}}, "");
    EXPECT_THAT(error_of(attribute, Fault::refused), HasSubstr("without a usable name"));
}

TEST_F(StoreArchive, RefusesBombs) {
    const std::string zeros(100ULL << 20U, '\0');
    EXPECT_THAT(error_of(RawTar().file("bomb", zeros), Fault::refused),
                AllOf(HasSubstr("'bomb'"), HasSubstr("far more")));
    RawTar after_end;  // nobody would look there
    after_end.file("a", "1").raw(std::string(1024, '\0')).raw(zeros);
    EXPECT_THAT(error_of(after_end, Fault::refused), HasSubstr("far more"));
    const std::string twice =
        dir_.write("twice.pkg.tar.gz", compressed(compressed(RawTar().file("a", "1").bytes(), "zst"), "gz"));
    EXPECT_THAT(error_of(twice, Fault::refused), HasSubstr("compressed more than once"));
}

TEST_F(StoreArchive, RefusesWhatIsBroken) {
    std::string noise(200'000, '\0');
    uint32_t state = 1;
    for (char& byte : noise) {
        state = state * 1664525U + 1013904223U;
        byte = static_cast<char>(state >> 24U);
    }
    for (const std::string compression : {"zst", "gz", "xz", ""}) {
        const std::string whole = compressed(RawTar().file("a", noise).bytes(), compression);
        for (const size_t cut : {whole.size() / 2, whole.size() - 1500, size_t{600}}) {
            (void)error_of(dir_.write("cut.pkg.tar." + compression, whole.substr(0, cut)), Fault::corrupt);
        }
    }
    const std::string tail = compressed(RawTar().file("a", noise).bytes(), "zst");
    (void)error_of(dir_.write("tail.pkg.tar.zst", tail.substr(0, tail.size() - 2)), Fault::corrupt);
    EXPECT_THAT(error_of(dir_.write("empty.pkg.tar", ""), Fault::corrupt), HasSubstr("empty"));
    (void)error_of(dir_.write("text.pkg.tar", "<html>not found</html>\n"), Fault::corrupt);
    (void)error_of(dir_.write("long.pkg.tar", std::string(100'000, 'z')), Fault::corrupt);
}

TEST_F(StoreArchive, RefusesWhatLibarchiveOnlyWarnsOf) {
    RawTar tar;
    tar.add({.path = "pax", .type = 'x'}, "this is no record\n").file("a", "1");
    (void)error_of(tar, Fault::corrupt);
}

TEST_F(StoreArchive, RefusesSparseMapsThatGoBack) {
    std::string map = "2\n500\n5\n0\n5\n";
    map.resize(512, '\0');
    RawTar tar;
    tar.add({.path = "x",
             .pax = {{"GNU.sparse.major", "1"},
                     {"GNU.sparse.minor", "0"},
                     {"GNU.sparse.name", "sparse"},
                     {"GNU.sparse.realsize", "1005"}}},
            map + "0123456789");
    (void)error_of(tar, Fault::corrupt);
}

TEST_F(StoreArchive, RefusesLinksWithoutAPlaceToGo) {
    EXPECT_THAT(error_of(RawTar().symlink("usr/s", ""), Fault::refused), HasSubstr("without a target"));
    RawTar far;
    far.add({.path = "usr/s", .type = '2', .link = "t", .pax = {{"linkpath", std::string(4096, 't')}}});
    EXPECT_THAT(error_of(far, Fault::refused), HasSubstr("target longer than 4095"));
}

}  // namespace

}  // namespace pwstore::test
