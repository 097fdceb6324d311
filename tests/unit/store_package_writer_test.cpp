// SPDX-License-Identifier: GPL-3.0-or-later
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "store/base/error.hpp"
#include "store/base/path_at.hpp"
#include "store/package/tar_io.hpp"
#include "store/package/writer.hpp"
#include "tests/support/deb_builder.hpp"
#include "tests/support/test_dir.hpp"

namespace pwstore {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

PackageDescription tool() {
    PackageDescription description;
    description.name = "tool";
    description.version = "1.0-1";
    description.arch = "any";
    description.description = "a tool";
    description.build_date = test::kBuildDate;
    return description;
}

class PackageWriterTest : public ::testing::Test {
 protected:
    test::TestDir scratch_;
    Fd dir_ = open_dir(AT_FDCWD, scratch_.path());
    PackageWriter writer_{dir_.get()};

    std::vector<TarEntry> entries(const RepositoryPackage& package) {
        std::vector<TarEntry> found;
        const Fd file = open_at(dir_.get(), package.filename, O_RDONLY);
        TarReader reader(file.get(), package.filename);
        while (auto entry = reader.next())
            found.push_back(*entry);
        return found;
    }
    std::string member(const RepositoryPackage& package, const std::string& path) {
        const Fd file = open_at(dir_.get(), package.filename, O_RDONLY);
        TarReader reader(file.get(), package.filename);
        while (auto entry = reader.next()) {
            if (entry->path == path) return reader.read_whole(1 << 20);
        }
        return "(absent)";
    }
};

TEST_F(PackageWriterTest, WritesMetadataFirstThenThePayloadInOrderWithMissingParents) {
    writer_.add_file("usr/bin/tool", "#!/bin/sh\n", {0755, 0, 0, 11});
    writer_.add_symlink("usr/bin/alias", "tool", {0777, 0, 0, 12});
    const auto package = writer_.write(tool(), "made for a test");
    EXPECT_EQ(package.filename, "tool-1.0-1-any.pkg.tar.zst");
    std::vector<std::string> names;
    for (const TarEntry& entry : entries(package))
        names.push_back(entry.path);
    EXPECT_THAT(names,
                ElementsAre(".PKGINFO", ".MTREE", "usr/", "usr/bin/", "usr/bin/alias", "usr/bin/tool"));
    EXPECT_EQ(package.description.installed_size, 10U);
}

TEST_F(PackageWriterTest, KeepsModesOwnersAndTimes) {
    writer_.add_directory("var", {02775, 0, 50, 33});
    writer_.add_file("var/shadowed", "x", {04755, 7, 42, 44});
    const auto found = entries(writer_.write(tool(), ""));
    ASSERT_EQ(found.size(), 4U);
    EXPECT_EQ(found[2].mode, 02775U);
    EXPECT_EQ(found[2].gid, 50U);
    EXPECT_EQ(found[2].mtime, 33);
    EXPECT_EQ(found[3].mode, 04755U);
    EXPECT_EQ(found[3].uid, 7U);
    EXPECT_EQ(found[3].gid, 42U);
    EXPECT_EQ(found[3].mtime, 44);
}

TEST_F(PackageWriterTest, DigestsDescribeTheArchive) {
    std::string noise;
    for (uint32_t i = 0, state = 1; i < 600'000; ++i, state = state * 1664525 + 1013904223) {
        noise += static_cast<char>(state >> 24);
    }
    writer_.add_file("a", noise, {});
    const auto package = writer_.write(tool(), "");
    const std::string bytes = scratch_.read(package.filename);
    EXPECT_EQ(package.packed_size, bytes.size());
    EXPECT_EQ(package.md5, test::reference_md5(bytes));
    EXPECT_EQ(package.sha256.hex(), test::reference_sha256(bytes));
}

TEST_F(PackageWriterTest, MtreeHasBothDigestsAndQuotedNames) {
    writer_.add_file("a b#c=d\\\n\xff", "content", {0600, 1, 2, 3});
    writer_.add_symlink("link", "to a b", {0777, 0, 0, 4});
    const auto package = writer_.write(tool(), "");
    const std::string packed = member(package, ".MTREE");
    const std::string text = test::run_shell("gzip -dc " + scratch_.write("mtree.gz", packed)).output;
    EXPECT_EQ(packed.substr(0, 2), "\x1f\x8b");
    EXPECT_THAT(
        text,
        HasSubstr("./a\\040b\\043c\\075d\\134\\012\\377 time=3.0 uid=1 gid=2 mode=600 size=7 md5digest=" +
                  test::reference_md5("content") + " sha256digest=" + test::reference_sha256("content") +
                  "\n"));
    EXPECT_THAT(text, HasSubstr("./link time=4.0 mode=777 type=link link=to\\040a\\040b\n"));
    EXPECT_THAT(text, HasSubstr("./.PKGINFO time="));
}

TEST_F(PackageWriterTest, HardLinksCarryTheirContentWithTheFirstName) {
    writer_.add_file("z", "content", {0644, 0, 0, 1});
    writer_.add_hard_link("m", "z");
    writer_.add_hard_link("a", "m");
    const auto package = writer_.write(tool(), "");
    const auto found = entries(package);
    ASSERT_EQ(found.size(), 5U);
    EXPECT_EQ(found[2].path, "a");
    EXPECT_EQ(found[2].kind, TarEntry::Kind::file);
    EXPECT_EQ(found[3].kind, TarEntry::Kind::hard_link);
    EXPECT_EQ(found[3].target, "a");
    EXPECT_EQ(found[4].target, "a");
    EXPECT_EQ(member(package, "a"), "content");
    EXPECT_EQ(package.description.installed_size, 7U);
}

TEST_F(PackageWriterTest, AnotherContentOfOnePathReplacesIt) {
    writer_.add_file("a", "first", {0755, 0, 0, 1});
    writer_.add_hard_link("b", "a");
    writer_.add_hard_link("c", "a");
    writer_.add_file("a", "second", {0600, 0, 0, 2});
    writer_.add_directory("d", {0700, 0, 0, 3});
    writer_.add_directory("d", {0755, 0, 0, 4});
    const auto package = writer_.write(tool(), "");
    const auto found = entries(package);
    ASSERT_EQ(found.size(), 6U);
    EXPECT_EQ(member(package, "a"), "second");
    EXPECT_EQ(found[2].mode, 0600U);
    EXPECT_EQ(member(package, "b"), "first");
    EXPECT_EQ(found[3].mode, 0755U);
    EXPECT_EQ(found[4].target, "b");
    EXPECT_EQ(found[5].mode, 0700U);
}

TEST_F(PackageWriterTest, TheSameInputGivesTheSameBytes) {
    test::TestDir other;
    const Fd dir = open_dir(AT_FDCWD, other.path());
    PackageWriter second(dir.get());
    for (PackageWriter* writer : {&writer_, &second}) {
        writer->add_file("usr/share/x", std::string(100'000, 'x'), {0644, 0, 0, 5});
    }
    const auto first = writer_.write(tool(), "r");
    EXPECT_EQ(first.sha256, second.write(tool(), "r").sha256);
}

TEST_F(PackageWriterTest, RefusesWhatNoPackageMayHold) {
    EXPECT_THROW(writer_.add_file("../x", "", {}), Error);
    EXPECT_THROW(writer_.add_file("/x", "", {}), Error);
    writer_.add_directory("twice", {});
    EXPECT_THROW(writer_.add_file("twice", "", {}), Error);
    EXPECT_THROW(writer_.add_hard_link("y", "absent"), Error);
    EXPECT_THROW(writer_.add_hard_link("z", "twice"), Error);
    writer_.add_symlink("dir", "/etc", {});
    writer_.add_file("dir/passwd", "", {});
    EXPECT_THROW((void)writer_.write(tool(), ""), Error);
    EXPECT_TRUE(list_directory(dir_.get()).empty()) << "nothing of a refused package stays";
}

TEST_F(PackageWriterTest, PkginfoReadsBackAndKeepsValuesOnOneLine) {
    PackageDescription description = tool();
    description.description = "first\nbackup = etc/shadow";
    description.depends = {"liba", "libb"};
    description.backup = {"etc/tool.conf"};
    const std::string text = format_pkginfo(description, "two\nlines");
    EXPECT_EQ(text.substr(0, text.find('\n')), "# two lines");
    const PackageDescription back = parse_pkginfo(text);
    EXPECT_EQ(back.description, "first backup = etc/shadow");
    EXPECT_EQ(back.depends, description.depends);
    EXPECT_EQ(back.backup, description.backup);
    EXPECT_EQ(back.build_date, test::kBuildDate);
}

}  // namespace
}  // namespace pwstore
