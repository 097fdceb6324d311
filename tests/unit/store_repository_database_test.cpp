// SPDX-License-Identifier: GPL-3.0-or-later
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "store/base/error.hpp"
#include "store/base/path_at.hpp"
#include "store/base/staged_file.hpp"
#include "store/package/tar_io.hpp"
#include "store/repository/database.hpp"
#include "tests/support/deb_builder.hpp"
#include "tests/support/test_dir.hpp"

namespace pwstore {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

test::PackageSpec tool(const std::string& version = "1.0-1") {
    test::PackageSpec spec;
    spec.name = "tool";
    spec.version = version;
    spec.files["usr/bin/tool"] = {"#!/bin/sh\n", 0755};
    spec.depends = {"liba>=1", "libb"};
    spec.provides = {"virtual=2"};
    spec.groups = {"tools"};
    spec.optdepends = {"extra: for more"};
    return spec;
}

class RepositoryDatabaseTest : public ::testing::Test {
 protected:
    test::TestDir scratch_;
    Fd dir_ = open_dir(AT_FDCWD, scratch_.path());

    std::string build(const test::PackageSpec& spec) {
        return std::string(split_path(test::build_package(scratch_.path(), spec)).second);
    }
};

TEST_F(RepositoryDatabaseTest, AnArchiveIsDescribedByItsPkginfoAndDigests) {
    const std::string file = build(tool());
    const RepositoryPackage package = describe_archive(dir_.get(), file);
    const std::string bytes = scratch_.read(file);
    EXPECT_EQ(package.description.name, "tool");
    EXPECT_EQ(package.description.version, "1.0-1");
    EXPECT_EQ(package.sha256.hex(), test::reference_sha256(bytes));
    EXPECT_EQ(package.md5, test::reference_md5(bytes));
    EXPECT_EQ(package.packed_size, bytes.size());
    EXPECT_EQ(package.signature, "");
}

TEST_F(RepositoryDatabaseTest, TheSignatureBesideTheArchiveIsTaken) {
    const std::string file = build(tool());
    scratch_.write(file + ".sig", "\x01\x02\x03\x04");
    EXPECT_EQ(describe_archive(dir_.get(), file).signature, "AQIDBA==");
    scratch_.write(file + ".sig", "-----BEGIN PGP SIGNATURE-----");
    EXPECT_THROW((void)describe_archive(dir_.get(), file), Error);
}

TEST_F(RepositoryDatabaseTest, NotAPackageIsAnError) {
    scratch_.write("a.pkg.tar.zst", "not an archive");
    EXPECT_THROW((void)describe_archive(dir_.get(), "a.pkg.tar.zst"), Error);
    test::RawTar().file("usr/x", "x").write(scratch_.path("b.pkg.tar.zst"));
    try {
        (void)describe_archive(dir_.get(), "b.pkg.tar.zst");
        ADD_FAILURE() << "accepted";
    } catch (const Error& error) {
        EXPECT_THAT(error.what(), HasSubstr("no .PKGINFO"));
    }
}

TEST_F(RepositoryDatabaseTest, WhatIsSavedReadsBack) {
    const RepositoryPackage package = describe_archive(dir_.get(), build(tool()));
    {
        RepositoryDatabase database(dir_.get(), "demo");
        database.put(package);
        database.save();
    }
    const auto found = RepositoryDatabase::read(dir_.get(), "demo");
    ASSERT_EQ(found.size(), 1U);
    EXPECT_EQ(format_sync_desc(found[0]), format_sync_desc(package));
    EXPECT_EQ(found[0].sha256, package.sha256);
    EXPECT_EQ(found[0].description.depends, package.description.depends);
    EXPECT_EQ(read_link_at(dir_.get(), "demo.db"), "demo.db.tar.gz");
}

TEST_F(RepositoryDatabaseTest, APackageReplacesItsOtherVersionAndCanBeRemoved) {
    RepositoryDatabase database(dir_.get(), "demo");
    database.put(describe_archive(dir_.get(), build(tool("1.0-1"))));
    database.put(describe_archive(dir_.get(), build(tool("2.0-1"))));
    ASSERT_EQ(database.packages().size(), 1U);
    EXPECT_EQ(database.packages().at("tool").description.version, "2.0-1");
    EXPECT_TRUE(database.remove("tool"));
    EXPECT_FALSE(database.remove("tool"));
}

TEST_F(RepositoryDatabaseTest, DamageIsAnErrorAndDoesNotReplaceAnything) {
    scratch_.write("demo.db.tar.gz", "garbage");
    EXPECT_THROW(RepositoryDatabase(dir_.get(), "demo"), Error);
    EXPECT_THROW((void)parse_sync_desc("%NAME%\ntool\n\n%VERSION%\n1\n"), Error);
    EXPECT_THROW((void)parse_sync_desc("%FILENAME%\nf\n\n%NAME%\ntool\n\n%VERSION%\n1\n\n%CSIZE%\nmany\n"),
                 Error);
    EXPECT_EQ(scratch_.read("demo.db.tar.gz"), "garbage");
}

constexpr const char* kForeignDesc =
    "%FILENAME%\nold-1-1-any.pkg.tar.zst\n\n%NAME%\nold\n\n%VERSION%\n1:1-1\n\n%MAKEDEPENDS%\nmake\n\n%"
    "NEWKEY%\nx\n\n";

void write_archive(int dir, const std::string& filename, TarCompression compression,
                   const std::map<std::string, std::string>& members) {
    const Fd file = open_at(dir, filename, O_WRONLY | O_CREAT | O_TRUNC, 0644);
    TarWriter tar(file.get(), filename, compression);
    for (const auto& [path, content] : members) {
        TarEntry entry;
        entry.path = path;
        tar.add_file(entry, content);
    }
    tar.finish();
}

std::map<std::string, std::string> members_of(int dir, const std::string& filename) {
    std::map<std::string, std::string> members;
    const Fd file = open_at(dir, filename, O_RDONLY);
    TarReader reader(file.get(), filename);
    while (const auto entry = reader.next())
        members[entry->path] = reader.read_whole(1 << 20);
    return members;
}

TEST_F(RepositoryDatabaseTest, AnotherProgramsDatabaseKeepsItsFormAndItsPackages) {
    const std::string file = scratch_.path(build(tool()));
    const std::map<std::string, TarCompression> forms{{".tar", TarCompression::none},
                                                      {".tar.gz", TarCompression::gzip},
                                                      {".tar.bz2", TarCompression::bzip2},
                                                      {".tar.xz", TarCompression::xz},
                                                      {".tar.zst", TarCompression::zstd}};
    for (const auto& [ending, compression] : forms) {
        for (const std::string link : {"", "linked", "copied"}) {
            SCOPED_TRACE(ending + " " + link);
            const std::string repository = "r" + ending + link;
            make_directory(dir_.get(), repository);
            const Fd dir = open_dir(dir_.get(), repository);
            const std::string archive = "demo.db" + ending;
            write_archive(dir.get(), archive, compression, {{"old-1:1-1/desc", kForeignDesc}});
            const std::string before = read_file(dir.get(), archive);
            if (link == "linked") replace_symlink(dir.get(), "demo.db", archive);
            if (link == "copied") write_file_atomically(dir.get(), "demo.db", before);
            const std::string path = scratch_.path(repository);
            EXPECT_THAT(repositories_in(path), ElementsAre("demo"));
            (void)add_to_repository(path, "demo", {file});
            EXPECT_EQ(read_file(dir.get(), archive).substr(0, 3), before.substr(0, 3))
                << "the same compression";
            EXPECT_EQ(read_link_at(dir.get(), "demo.db"), archive);
            const auto members = members_of(dir.get(), "demo.db");
            EXPECT_EQ(members.at("old-1:1-1/desc"), kForeignDesc) << "what is not known here stays";
            EXPECT_TRUE(members.contains("tool-1.0-1/desc"));
            EXPECT_EQ(RepositoryDatabase::read(dir.get(), "demo").size(), 2U);
        }
    }
}

TEST_F(RepositoryDatabaseTest, ADatabaseThatIsOnePlainFileStaysOne) {
    write_archive(dir_.get(), "demo.db", TarCompression::zstd, {{"old-1:1-1/desc", kForeignDesc}});
    (void)add_to_repository(scratch_.path(), "demo", {scratch_.path(build(tool()))});
    EXPECT_TRUE(S_ISREG(stat_at(dir_.get(), "demo.db").st_mode));
    EXPECT_FALSE(exists_at(dir_.get(), "demo.db.tar.gz"));
    EXPECT_EQ(scratch_.read("demo.db").substr(1, 3), "\xb5\x2f\xfd");
    EXPECT_EQ(RepositoryDatabase::read(dir_.get(), "demo").size(), 2U);
}

TEST_F(RepositoryDatabaseTest, WhatCannotBeKeptUpIsRefused) {
    const auto refusal = [&](const std::string& name) {
        try {
            (void)add_to_repository(scratch_.path(), name, {scratch_.path(build(tool()))});
        } catch (const Error& error) {
            EXPECT_EQ(error.fault(), Fault::refused);
            return std::string(error.what());
        }
        ADD_FAILURE() << "accepted";
        return std::string();
    };
    make_directory(dir_.get(), "other");
    write_archive(dir_.get(), "other/far.db.tar.gz", TarCompression::gzip,
                  {{"old-1:1-1/desc", kForeignDesc}});
    replace_symlink(dir_.get(), "far.db", "other/far.db.tar.gz");
    EXPECT_THAT(refusal("far"), HasSubstr("other/far.db.tar.gz"));
    EXPECT_EQ(RepositoryDatabase::read(dir_.get(), "far").size(), 1U) << "it can be looked at";
    scratch_.write("odd.db", "\x04\x22\x4d\x18 packed by something else");
    EXPECT_THAT(refusal("odd"), HasSubstr("odd.db"));
}

TEST_F(RepositoryDatabaseTest, TheListOfFilesIsKeptUp) {
    write_archive(dir_.get(), "demo.db.tar.zst", TarCompression::zstd, {{"old-1:1-1/desc", kForeignDesc}});
    write_archive(dir_.get(), "demo.files.tar.zst", TarCompression::zstd,
                  {{"old-1:1-1/desc", kForeignDesc}, {"old-1:1-1/files", "%FILES%\nusr/old\n"}});
    replace_symlink(dir_.get(), "demo.db", "demo.db.tar.zst");
    replace_symlink(dir_.get(), "demo.files", "demo.files.tar.zst");
    (void)add_to_repository(scratch_.path(), "demo", {scratch_.path(build(tool()))});
    auto members = members_of(dir_.get(), "demo.files");
    EXPECT_EQ(members["old-1:1-1/files"], "%FILES%\nusr/old\n");
    EXPECT_EQ(members["tool-1.0-1/files"], "%FILES%\nusr/\nusr/bin/\nusr/bin/tool\n");
    test::PackageSpec other = tool();
    other.files["usr/bin/another"] = {"", 0755};
    (void)add_to_repository(scratch_.path(), "demo", {scratch_.path(build(other))});
    EXPECT_THAT(members_of(dir_.get(), "demo.files")["tool-1.0-1/files"], HasSubstr("usr/bin/another\n"));
    (void)remove_from_repository(scratch_.path(), "demo", {"old"}, Archives::keep);
    EXPECT_FALSE(members_of(dir_.get(), "demo.files").contains("old-1:1-1/files"));
}

TEST_F(RepositoryDatabaseTest, ANewDatabaseIsYoungerAndNotSigned) {
    const std::string file = scratch_.path(build(tool()));
    (void)add_to_repository(scratch_.path(), "demo", {file});
    for (const char* signature : {"demo.db.sig", "demo.db.tar.gz.sig"})
        scratch_.write(signature, "of the old one");
    const auto time = [&] { return stat_at(dir_.get(), "demo.db.tar.gz").st_mtim.tv_sec; };
    for (int i = 0; i < 3; ++i) {
        const auto before = time();
        (void)add_to_repository(scratch_.path(), "demo", {file});
        EXPECT_GT(time(), before);
    }
    EXPECT_FALSE(exists_at(dir_.get(), "demo.db.sig"));
    EXPECT_FALSE(exists_at(dir_.get(), "demo.db.tar.gz.sig"));
}

TEST_F(RepositoryDatabaseTest, ADamagedEntryIsNamed) {
    write_archive(dir_.get(), "demo.db.tar.gz", TarCompression::gzip,
                  {{"good-1-1/desc", "%FILENAME%\nf\n\n%NAME%\ngood\n\n%VERSION%\n1-1\n"},
                   {"old-1-1/desc", "%FILENAME%\r\nf\r\n\r\n%NAME%\r\nold\r\n"}});
    try {
        (void)RepositoryDatabase::read(dir_.get(), "demo");
        ADD_FAILURE() << "accepted";
    } catch (const Error& error) {
        EXPECT_EQ(error.fault(), Fault::corrupt);
        EXPECT_THAT(error.what(),
                    ::testing::AllOf(HasSubstr("old-1-1/desc"), HasSubstr("demo.db"), HasSubstr("CR LF")));
    }
}

TEST_F(RepositoryDatabaseTest, OnlyOneWriterAtATime) {
    const RepositoryDatabase first(dir_.get(), "demo");
    EXPECT_FALSE(is_lock_free(dir_.get(), ".demo.lock"));
    EXPECT_TRUE(is_lock_free(dir_.get(), ".other.lock"));
}

TEST_F(RepositoryDatabaseTest, ArchivesAreCopiedInWithTheirSignatures) {
    const std::string file = scratch_.path(build(tool()));
    scratch_.write(std::string(split_path(file).second) + ".sig", "\x01\x02\x03");
    const std::string repository = scratch_.path("new/repo");
    EXPECT_THAT(repositories_in(repository), IsEmpty());
    ASSERT_EQ(add_to_repository(repository, "mine", {file}).size(), 1U);
    EXPECT_THAT(repositories_in(repository), ElementsAre("mine"));
    const std::string copy = repository + "/" + std::string(split_path(file).second);
    EXPECT_EQ(read_file(AT_FDCWD, copy), read_file(AT_FDCWD, file));
    const auto found = RepositoryDatabase::read(open_dir(AT_FDCWD, repository).get(), "mine");
    ASSERT_EQ(found.size(), 1U);
    EXPECT_EQ(found[0].signature, "AQID");
    EXPECT_EQ(add_to_repository(repository, "mine", {copy}).size(), 1U) << "a file that is there already";

    const std::string bad = scratch_.write("bad.pkg.tar.zst", "no archive");
    EXPECT_THROW((void)add_to_repository(repository, "mine", {file, bad}), Error);
    EXPECT_FALSE(exists_at(AT_FDCWD, repository + "/bad.pkg.tar.zst"));
}

/// The same package entered by repo-add and by us: one `desc`, to the byte.
TEST_F(RepositoryDatabaseTest, TheEntryIsWhatRepoAddWrites) {
    if (test::run_shell("command -v repo-add && command -v bsdtar").status != 0)
        PWSTORE_CANNOT_RUN("repo-add is not installed");
    const std::string file = build(tool());
    const auto added =
        test::run_shell("cd '" + scratch_.path() + "' && repo-add -q theirs.db.tar.gz " + file);
    ASSERT_EQ(added.status, 0) << added.output;
    const std::string theirs =
        test::run_shell("bsdtar -xOf '" + scratch_.path("theirs.db") + "' tool-1.0-1/desc").output;
    EXPECT_THAT(theirs, HasSubstr("%SHA256SUM%"));
    EXPECT_EQ(format_sync_desc(describe_archive(dir_.get(), file)), theirs);
}

TEST_F(RepositoryDatabaseTest, PacmanInstallsFromIt) {
    if (test::run_shell("command -v pacman && unshare -Ur true").status != 0)
        PWSTORE_CANNOT_RUN("no pacman or no user namespaces");
    test::PackageSpec spec = tool();
    spec.depends = {};
    {
        RepositoryDatabase database(dir_.get(), "demo");
        database.put(describe_archive(dir_.get(), build(spec)));
        database.save();
    }
    make_directories(dir_.get(), "root/var/lib/pacman");
    scratch_.write("pacman.conf",
                   "[options]\nArchitecture = auto\nSigLevel = Never\n[demo]\nServer = file://" +
                       scratch_.path() + "\n");
    const std::string pacman = "unshare -Ur pacman --config '" + scratch_.path("pacman.conf") + "' -r '" +
                               scratch_.path("root") + "' -b '" + scratch_.path("root/var/lib/pacman") +
                               "' --cachedir '" + scratch_.path("cache") + "' --noconfirm ";
    const auto installed = test::run_shell(pacman + "-Sy tools");
    EXPECT_EQ(installed.status, 0) << installed.output;
    EXPECT_TRUE(exists_at(dir_.get(), "root/usr/bin/tool"));
}

}  // namespace
}  // namespace pwstore
