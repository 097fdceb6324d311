// SPDX-License-Identifier: GPL-3.0-or-later
#include <fcntl.h>
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <mutex>

#include "store/base/error.hpp"
#include "store/base/path_at.hpp"
#include "store/debian/database.hpp"
#include "store/debian/generated.hpp"
#include "store/debian/release.hpp"
#include "store/debian/repository.hpp"
#include "store/debian/version.hpp"
#include "store/download.hpp"
#include "store/package/tar_io.hpp"
#include "store/repository/database.hpp"
#include "tests/support/deb_archive.hpp"
#include "tests/support/test_dir.hpp"

namespace pwstore {
namespace {

using test::DebArchiveTree;
using test::LoopbackServer;
using test::SigningKey;
using ::testing::Contains;
using ::testing::HasSubstr;

constexpr int64_t kNow = 1'700'000'000;  // November 2023

std::string control(const std::string& name, const std::string& version, const std::string& more = {}) {
    return fmt::format("Package: {}\nVersion: {}\nArchitecture: all\nDescription: a {}\n{}", name, version,
                       name, more);
}

class Messages final : public ProgressSink {
 public:
    void progress(const std::string&, const std::string&, uint64_t, uint64_t) override {}
    void message(Severity, const std::string& text) override {
        const std::lock_guard lock(mutex_);
        texts.push_back(text);
    }
    std::vector<std::string> texts;

 private:
    std::mutex mutex_;
};

class DebRepositoryTest : public ::testing::Test {
 protected:
    /// The keys of all tests: making one takes a while.
    static void SetUpTestSuite() {
        keys_dir_ = new test::TestDir;                     // NOLINT(cppcoreguidelines-owning-memory)
        key_ = new SigningKey(keys_dir_->path("k"));       // NOLINT(cppcoreguidelines-owning-memory)
        stranger_ = new SigningKey(keys_dir_->path("s"));  // NOLINT(cppcoreguidelines-owning-memory)
    }
    static void TearDownTestSuite() {
        delete stranger_;  // NOLINT(cppcoreguidelines-owning-memory)
        delete key_;       // NOLINT(cppcoreguidelines-owning-memory)
        delete keys_dir_;  // NOLINT(cppcoreguidelines-owning-memory)
    }

    [[nodiscard]] DebSource source(const std::string& suite = "stable") const {
        return {{archive.url()}, suite, {"main"}, {key_->keyring()}};
    }
    bool refresh(const std::vector<DebSource>& sources, bool force = false) {
        return refresh_deb_repository(places, "debian", sources, force, kNow, sink);
    }
    /// What refreshing says when it fails, and that the database is untouched.
    std::string refusal(const std::vector<DebSource>& sources, Fault fault = Fault::corrupt,
                        bool force = false) {
        const std::string before = dir.read("sync/debian.db");
        try {
            refresh(sources, force);
        } catch (const Error& error) {
            EXPECT_EQ(error.fault(), fault) << error.what();
            EXPECT_EQ(dir.read("sync/debian.db"), before);
            return std::string(error.what()) + "\n" + error.hint();
        }
        ADD_FAILURE() << "no Error was thrown";
        return {};
    }
    [[nodiscard]] std::map<std::string, RepositoryPackage> packages() const {
        std::map<std::string, RepositoryPackage> found;
        const Fd file = open_at(AT_FDCWD, dir.path("sync/debian.db"), O_RDONLY);
        TarReader reader(file.get(), "debian.db");
        while (const auto entry = reader.next()) {
            RepositoryPackage package = parse_sync_desc(reader.read_whole(1 << 20));
            std::string name = package.description.name;
            found.emplace(std::move(name), std::move(package));
        }
        return found;
    }
    void fetch(const std::string& name) {
        const RepositoryPackage package = packages().at(name);
        const PackageDescription& about = package.description;
        fetch_deb_packages(
            places,
            {{"debian",
              package.filename,
              {about.depends, about.provides, about.conflicts, about.groups, about.installed_size}}},
            sink);
    }
    std::string fetch_refusal(const std::string& name, Fault fault = Fault::corrupt) {
        try {
            fetch(name);
        } catch (const Error& error) {
            EXPECT_EQ(error.fault(), fault) << error.what();
            EXPECT_FALSE(exists_at(AT_FDCWD, dir.path("pkg/" + packages().at(name).filename)));
            return error.what();
        }
        ADD_FAILURE() << "no Error was thrown";
        return {};
    }
    void publish(const DebArchiveTree::Suite& suite) const { archive.publish(suite, *key_); }

    static test::TestDir* keys_dir_;
    static SigningKey* key_;
    static SigningKey* stranger_;
    test::TestDir dir;
    DebArchiveTree archive{dir.path("archive")};
    DebPlaces places{.sync = dir.path("sync"), .cache = dir.path("deb"), .packages = dir.path("pkg")};
    Messages sink;
};

test::TestDir* DebRepositoryTest::keys_dir_ = nullptr;
SigningKey* DebRepositoryTest::key_ = nullptr;
SigningKey* DebRepositoryTest::stranger_ = nullptr;

TEST_F(DebRepositoryTest, MakesADatabaseAndPackages) {
    publish({.controls = {control("tool", "1.0-1", "Depends: lib (>= 2), vi | ed\nPriority: standard\n"),
                          control("lib", "2.1"), control("ed", "1"), control("vim", "9", "Provides: vi\n"),
                          control("dash", "1", "Essential: yes\n"), control("usrmerge", "1"),
                          "Package: other\nVersion: 1\nArchitecture: sparc\nDescription: x\n"}});
    EXPECT_TRUE(refresh({source()}));
    const auto found = packages();
    EXPECT_EQ(found.count("usrmerge"), 0U);
    EXPECT_EQ(found.count("other"), 0U);
    const PackageDescription& tool = found.at("tool").description;
    EXPECT_EQ(tool.version, alpm_version("1.0-1"));
    EXPECT_EQ(tool.groups, std::vector<std::string>{"standard"});
    EXPECT_EQ(tool.depends, (std::vector<std::string>{"filesystem", "lib>=" + alpm_version("2"), "vi|ed"}));
    EXPECT_THAT(found.at("vim").description.provides, Contains("vi|ed"));
    EXPECT_THAT(found.at("ed").description.provides, Contains("vi|ed"));
    EXPECT_EQ(found.at("base").description.depends, (std::vector<std::string>{"dash", "filesystem"}));

    for (const char* name : {"tool", "base", "filesystem"}) {
        fetch(name);
        const Fd pkg = open_at(AT_FDCWD, dir.path("pkg"), O_RDONLY | O_DIRECTORY);
        const RepositoryPackage made = describe_archive(pkg.get(), found.at(name).filename);
        EXPECT_EQ(made.description.version, found.at(name).description.version);
        EXPECT_EQ(made.description.depends, found.at(name).description.depends);
    }
}

/// All that libalpm 14 and newer compare; they delete what differs, and ask the server for it.
TEST_F(DebRepositoryTest, APackageIsWhatItsEntryInTheDatabaseSays) {
    publish({.controls = {control("tool", "1",
                                  "Priority: required\nInstalled-Size: 4711\nProvides: x (= 2)\n"
                                  "Conflicts: y\nDepends: vim\n"),
                          control("vim", "9"), control("dash", "1", "Essential: yes\n")}});
    refresh({source()});
    for (const auto& [name, entry] : packages()) {
        fetch(name);
        const PackageDescription& said = entry.description;
        const PackageDescription made = parse_pkginfo(
            try_read_pkginfo(open_dir(AT_FDCWD, places.packages).get(), entry.filename).value());
        EXPECT_EQ(made.name, said.name);
        EXPECT_EQ(made.version, said.version);
        EXPECT_EQ(made.installed_size, said.installed_size) << name;
        EXPECT_EQ(made.groups, said.groups) << name;
        EXPECT_EQ(made.depends, said.depends) << name;
        EXPECT_EQ(made.conflicts, said.conflicts) << name;
        EXPECT_EQ(made.provides, said.provides) << name;
        EXPECT_EQ(made.replaces, said.replaces) << name;
    }
    EXPECT_EQ(packages().at("tool").description.installed_size, 4711U * 1024);
    EXPECT_EQ(packages().at("tool").description.groups, std::vector<std::string>{"required"});
}

TEST_F(DebRepositoryTest, APackageIsMadeAnewWhenItsEntryIsAnother) {
    publish({.controls = {control("tool", "1", "Priority: required\nInstalled-Size: 4711\n")}});
    refresh({source()});
    const RepositoryPackage entry = packages().at("tool");
    const auto made = [&](std::vector<std::string> groups, uint64_t size) {
        fetch_deb_packages(
            places,
            {{"debian", entry.filename, {entry.description.depends, {}, {}, std::move(groups), size}}}, sink);
        return stat_at(AT_FDCWD, dir.path("pkg/" + entry.filename)).st_ino;
    };
    const ino_t first = made({"required"}, 4711 * 1024);
    EXPECT_EQ(made({"required"}, 4711 * 1024), first);
    const ino_t second = made({"standard"}, 4711 * 1024);
    EXPECT_NE(second, first);
    EXPECT_NE(made({"standard"}, 4712 * 1024), second);
}

TEST_F(DebRepositoryTest, ASecondTimeThereIsNothingToDo) {
    publish({.controls = {control("tool", "1")}});
    EXPECT_TRUE(refresh({source()}));
    const auto before = stat_at(AT_FDCWD, dir.path("sync/debian.db"));
    EXPECT_FALSE(refresh({source()}));
    EXPECT_EQ(stat_at(AT_FDCWD, dir.path("sync/debian.db")).st_ino, before.st_ino);
    EXPECT_THAT(sink.texts, Contains("debian is up to date"));
    EXPECT_TRUE(refresh({source()}, true));
    remove_file(AT_FDCWD, dir.path("sync/debian.db"));
    EXPECT_TRUE(refresh({source()}));
}

TEST_F(DebRepositoryTest, ANewerVersionOfAnyoneWins) {
    publish({.controls = {control("tool", "1.0-1"), control("both", "2~rc1")}});
    publish({.name = "security", .controls = {control("tool", "1.0-1+deb12u1"), control("both", "1.9")}});
    EXPECT_TRUE(refresh({source("security"), source()}));
    EXPECT_EQ(packages().at("tool").description.version, alpm_version("1.0-1+deb12u1"));
    EXPECT_EQ(packages().at("both").description.version, alpm_version("2~rc1"));
    fetch("tool");
    fetch("both");
}

TEST_F(DebRepositoryTest, BaseGetsANewVersionWhenItIsAnotherSet) {
    const std::string dash = control("dash", "1", "Essential: yes\n");
    publish({.controls = {dash}});
    refresh({source()});
    const std::string first = packages().at("base").description.version;
    publish({.date = "Sun, 22 Nov 2020 00:00:00 UTC", .controls = {dash, control("tool", "1")}});
    EXPECT_TRUE(refresh({source()}));
    EXPECT_EQ(packages().at("base").description.version, first);
    publish({.date = "Mon, 23 Nov 2020 00:00:00 UTC",
             .controls = {dash, control("sed", "1", "Essential: yes\n")}});
    EXPECT_TRUE(refresh({source()}));
    const std::string second = packages().at("base").description.version;
    EXPECT_GT(second, first);
    // Another suite may be dated earlier.
    for (const char* essential : {"tar", "grep"}) {
        const std::string before = packages().at("base").description.version;
        const std::string suite = std::string("with-") + essential;
        publish({.name = suite,
                 .date = "Sat, 21 Nov 2020 00:00:00 UTC",
                 .controls = {dash, control(essential, "1", "Essential: yes\n")}});
        EXPECT_TRUE(refresh({source(suite)}));
        EXPECT_GT(packages().at("base").description.version, before);
    }
}

TEST_F(DebRepositoryTest, TheSignatureHasToBeGood) {
    publish({.controls = {control("tool", "1")}});
    refresh({source()});
    archive.publish({.date = "Sun, 22 Nov 2020 00:00:00 UTC", .controls = {control("tool", "2")}},
                    *stranger_);
    EXPECT_THAT(refusal({source()}), AllOf(HasSubstr("verify signature"), HasSubstr("in no keyring")));

    publish({.date = "Sun, 22 Nov 2020 00:00:00 UTC", .controls = {control("tool", "2")}});
    const std::string path = archive.path("dists/stable/InRelease");
    std::string text = read_file(AT_FDCWD, path);
    text.replace(text.find("Components: main"), 16, "Components: evil");
    dir.write("archive/dists/stable/InRelease", text);
    EXPECT_THAT(refusal({source()}), HasSubstr("is wrong"));

    dir.write("archive/dists/stable/InRelease", read_file(AT_FDCWD, archive.path("dists/stable/Release")));
    EXPECT_THAT(refusal({source()}), HasSubstr("no signed message"));
}

TEST_F(DebRepositoryTest, ReleaseAndItsSignatureApart) {
    publish({.controls = {control("tool", "1")}, .has_inrelease = false});
    DebSource armoured = source();
    armoured.keyrings = {key_->armoured_keyring()};
    EXPECT_TRUE(refresh({armoured}));
    archive.publish({.controls = {control("tool", "2")}, .has_inrelease = false}, *stranger_);
    EXPECT_THAT(refusal({armoured}), HasSubstr("verify signature"));
    remove_file(AT_FDCWD, archive.path("dists/stable/Release.gpg"));
    EXPECT_THAT(refusal({armoured}), HasSubstr("nobody has signed it"));
}

TEST_F(DebRepositoryTest, AKeyringThatIsMissingIsNamed) {
    publish({.controls = {control("tool", "1")}});
    refresh({source()});
    DebSource other = source();
    other.keyrings = {dir.path("absent.gpg")};
    EXPECT_THAT(refusal({other}, Fault::usage), AllOf(HasSubstr("absent.gpg"), HasSubstr("SignedBy")));
}

TEST_F(DebRepositoryTest, WhatHasExpiredOrIsOfTheFutureIsRefused) {
    publish({.controls = {control("tool", "1")}});
    refresh({source()});
    publish(
        {.more_fields = "Valid-Until: Sun, 29 Nov 2020 00:00:00 UTC\n", .controls = {control("tool", "2")}});
    EXPECT_THAT(refusal({source()}), HasSubstr("it has expired at 2020-11-29 00:00 UTC"));
    publish({.date = "Sat, 21 Nov 2043 00:00:00 UTC", .controls = {control("tool", "2")}});
    EXPECT_THAT(refusal({source()}), HasSubstr("it is of the future"));
    publish({.name = "oldest", .controls = {control("tool", "0")}});
    make_directories(AT_FDCWD, archive.path("dists/stable"));
    dir.write("archive/dists/stable/InRelease", read_file(AT_FDCWD, archive.path("dists/oldest/InRelease")));
    EXPECT_THAT(refusal({source()}), HasSubstr("it is the Release of 'oldest'"));
}

TEST_F(DebRepositoryTest, AnOlderReleaseThanTheOneHereChangesNothing) {
    publish({.date = "Sun, 22 Nov 2020 00:00:00 UTC", .controls = {control("tool", "2")}});
    refresh({source()});
    publish({.controls = {control("tool", "1")}});
    EXPECT_FALSE(refresh({source()}));
    EXPECT_EQ(packages().at("tool").description.version, alpm_version("2"));
    EXPECT_THAT(sink.texts, Contains(HasSubstr("older")));
}

TEST_F(DebRepositoryTest, AnIndexThatIsNotTheSignedOneIsRefused) {
    publish({.controls = {control("tool", "1")}});
    refresh({source()});
    publish({.date = "Sun, 22 Nov 2020 00:00:00 UTC", .controls = {control("tool", "2")}});
    const std::string index =
        fmt::format("archive/dists/stable/main/binary-{}/Packages.xz", native_deb_architecture());
    std::string bytes = dir.read(index);
    bytes[bytes.size() / 2] = static_cast<char>(~bytes[bytes.size() / 2]);
    dir.write(index, bytes);
    EXPECT_THAT(refusal({source()}), HasSubstr("SHA-256"));
    dir.write(index, bytes.substr(0, bytes.size() - 4));
    EXPECT_THAT(refusal({source()}), HasSubstr("bytes came"));
    dir.write(index, bytes + "more");
    EXPECT_THAT(refusal({source()}), HasSubstr("longer"));
}

TEST_F(DebRepositoryTest, AServerThatClosesEarlyIsAnError) {
    publish({.controls = {control("tool", "1")}});
    LoopbackServer server(dir.path("archive"));
    DebSource http = source();
    http.servers = {server.url()};
    EXPECT_TRUE(refresh({http}));
    server.cut_short(".deb");
    EXPECT_THAT(fetch_refusal("tool", Fault::failure), HasSubstr("download"));
    server.cut_short("Packages.xz");
    publish({.date = "Sun, 22 Nov 2020 00:00:00 UTC", .controls = {control("tool", "2")}});
    refusal({http}, Fault::failure);
    server.cut_short("");
    EXPECT_TRUE(refresh({http}));
    fetch("tool");
}

TEST_F(DebRepositoryTest, AnotherServerIsTriedWhenOneFails) {
    publish({.controls = {control("tool", "1")}});
    LoopbackServer empty(dir.path("nothing"));
    DebSource both = source();
    both.servers = {empty.url(), archive.url()};
    EXPECT_TRUE(refresh({both}));
    EXPECT_THAT(sink.texts, Contains(HasSubstr(empty.url())));
    fetch("tool");
}

TEST_F(DebRepositoryTest, ADebThatIsNotTheSignedOneIsRefused) {
    publish({.controls = {control("tool", "1")}});
    refresh({source()});
    const std::string deb = "archive/pool/main/tool_1.deb";
    const std::string bytes = dir.read(deb);
    std::string other = bytes;
    other[other.size() / 2] = static_cast<char>(~other[other.size() / 2]);
    dir.write(deb, other);
    EXPECT_THAT(fetch_refusal("tool"), HasSubstr("SHA-256"));
    dir.write(deb, bytes.substr(0, bytes.size() - 1));
    EXPECT_THAT(fetch_refusal("tool"), HasSubstr("bytes came"));
    remove_file(AT_FDCWD, dir.path(deb));
    EXPECT_THAT(fetch_refusal("tool", Fault::failure), HasSubstr("no such file"));
    dir.write(deb, bytes);
    fetch("tool");
}

TEST_F(DebRepositoryTest, WhatWasConvertedIsUsedAgain) {
    publish({.controls = {control("tool", "1", "Depends: lib\n"), control("lib", "1")}});
    refresh({source()});
    fetch("tool");
    const std::string file = dir.path("pkg/" + packages().at("tool").filename);
    const auto before = stat_at(AT_FDCWD, file);
    remove_file(AT_FDCWD, archive.path("pool/main/tool_1.deb"));
    fetch("tool");
    EXPECT_EQ(stat_at(AT_FDCWD, file).st_ino, before.st_ino);
    // The same .deb, but alternatives have become possible: another name to depend on.
    publish({.date = "Sun, 22 Nov 2020 00:00:00 UTC",
             .controls = {control("tool", "1", "Depends: lib\n"), control("lib", "1"),
                          control("user", "1", "Depends: tool | lib\n")}});
    refresh({source()});
    EXPECT_THAT(packages().at("tool").description.provides, Contains("tool|lib"));
    fetch("tool");
    EXPECT_NE(stat_at(AT_FDCWD, file).st_ino, before.st_ino);
}

TEST(DebIndexTest, APackageThatCannotBeUsedIsNoEntry) {
    EXPECT_THROW(
        (void)parse_deb_index_entry("Package: a\nVersion: 1\nArchitecture: all\nFilename: ../x\n", "x"),
        Error);
    EXPECT_THROW(
        (void)parse_deb_index_entry(
            control("ab", "1", "Filename: ../x\nSize: 1\nSHA256: " + std::string(64, '0') + "\n"), "x"),
        Error);
    EXPECT_THROW((void)parse_deb_index_entry(control("ab", "1", "Filename: x\nSize: 1\n"), "x"), Error);
}

TEST(DebIndexTest, TheFileMayBeNamedInAnyWay) {
    const auto path_of = [](const std::string& filename) {
        return parse_deb_index_entry(
                   control("ab", "1",
                           "Filename: " + filename + "\nSize: 1\nSHA256: " + std::string(64, '0') + "\n"),
                   "x")
            .path;
    };
    EXPECT_EQ(path_of("./pool/a/ab_1.deb"), "pool/a/ab_1.deb");
    EXPECT_EQ(path_of("./ab_1.deb"), "ab_1.deb");
    EXPECT_EQ(path_of("pool//a/./ab 1.deb"), "pool/a/ab 1.deb");
    EXPECT_EQ(path_of("/pool/\xc3\xa4.deb"), "pool/\xc3\xa4.deb");
    EXPECT_THROW((void)path_of("./pool/../../x.deb"), Error);
    EXPECT_THROW((void)path_of("./"), Error);
}

TEST(UrlTest, PathsAreWrittenAsAptWritesThem) {
    EXPECT_EQ(url_below("https://mirror.example/debian/", "pool/g++_1:2~rc1+deb12u1_all.deb"),
              "https://mirror.example/debian/pool/g%2b%2b_1:2%7erc1%2bdeb12u1_all.deb");
    EXPECT_EQ(url_below("https://mirror.example/~me/a%2bb+c", "x y"),
              "https://mirror.example/%7eme/a%2bb%2bc/x%20y");
    EXPECT_EQ(url_below("https://me:p+w@mirror.example", "x"), "https://me:p+w@mirror.example/x");
    EXPECT_EQ(url_below("file:///srv/a+b", ""), "file:///srv/a%2bb/");
}

TEST_F(DebRepositoryTest, NamesThatServersReadDifferentlyArrive) {
    publish({.controls = {control("g++", "1:2~rc1+deb12u1")}});
    const LoopbackServer server(archive.path(""));  // reads "+" as a blank
    refresh({source()});
    fetch("g++");
    DebSource other = source();
    other.servers = {server.url()};
    refresh({other}, true);
    remove_file(AT_FDCWD, dir.path("pkg/" + packages().at("g++").filename));
    fetch("g++");
    EXPECT_TRUE(exists_at(AT_FDCWD, dir.path("pkg/" + packages().at("g++").filename)));
}

TEST_F(DebRepositoryTest, AFlatArchiveHasItsFilesBesideTheRelease) {
    for (const char* directory : {"./", "/", "binary/", "./binary//"}) {
        archive.publish_flat(directory, {control("tool", "1.0-1")}, {"bz2"}, *key_);
        DebSource flat{{archive.url()}, directory, {}, {key_->keyring()}};
        EXPECT_TRUE(refresh({flat}, true)) << directory;
        EXPECT_TRUE(packages().contains("tool")) << directory;
        fetch("tool");
        remove_file(AT_FDCWD, dir.path("pkg/" + packages().at("tool").filename));
    }
    DebSource absent{{archive.url()}, "absent/", {}, {key_->keyring()}};
    EXPECT_THAT(refusal({absent}, Fault::failure, true), HasSubstr("with the Packages file"));
}

TEST_F(DebRepositoryTest, AnIndexIsReadInEachFormThatTheReleaseLists) {
    const DebSource flat{{archive.url()}, "./", {}, {key_->keyring()}};
    unsigned version = 0;
    for (const char* form : {"", "gz", "xz", "bz2", "zst", "lzma", "lz4"}) {
        archive.publish_flat("./", {control("tool", std::to_string(++version))}, {form}, *key_);
        refresh({flat}, true);
        EXPECT_EQ(deb_version(packages().at("tool").description.version), std::to_string(version)) << form;
    }
    archive.publish_flat("./", {control("tool", "50")}, {"xz", "gz"}, *key_);
    remove_file(AT_FDCWD, archive.path("Packages.xz"));
    refresh({flat}, true);
    EXPECT_EQ(deb_version(packages().at("tool").description.version), "50") << "a form that is not there";
}

TEST_F(DebRepositoryTest, AComponentThatIsMissingIsNamed) {
    publish({.controls = {control("tool", "1")}});
    refresh({source()});
    DebSource other = source();
    other.components = {"contrib"};
    EXPECT_THAT(refusal({other}, Fault::usage), AllOf(HasSubstr("contrib"), HasSubstr("it has: main")));
    EXPECT_THAT(refusal({source("absent")}, Fault::failure), HasSubstr("no InRelease"));
}

TEST(DebDateTest, Reads) {
    EXPECT_EQ(parse_deb_date("Thu, 01 Jan 1970 00:00:10 UTC"), 10);
    EXPECT_EQ(parse_deb_date("Sat, 21 Nov 2026 00:53:02 UTC"), 1795222382);
    EXPECT_EQ(parse_deb_date("Sat, 21 Nov 2026  0:53:02 GMT"), 1795222382);
    EXPECT_EQ(parse_deb_date("Sat, 21 Nov 2026 13:53:02 UTC"), 1795222382 + 13 * 3600);
    for (const char* bad : {"", "yesterday", "Sat, 32 Nov 2026 00:53:02 UTC", "Sat, 21 Nov 2026 00:53:02 CET",
                            "Sat, 21 Nov 2026 25:53:02 UTC"})
        EXPECT_EQ(parse_deb_date(bad), std::nullopt) << bad;
}

TEST(DebIndexTest, CutsParagraphsOfAnySize) {
    const test::TestDir dir;
    std::string text;
    for (int i = 0; i < 2000; ++i)
        text += fmt::format("Package: p{}\nX: {}\n\n", i, std::string(static_cast<size_t>(i), 'x'));
    text += "Package: last\n";
    for (const char* how : {"", "xz", "gzip"}) {
        const std::string path = dir.write("Packages", test::compressed(text, how));
        const Fd file = open_at(AT_FDCWD, path, O_RDONLY);
        size_t count = 0;
        std::string last;
        read_deb_index(file.get(), path, [&](std::string_view paragraph) {
            EXPECT_TRUE(paragraph.starts_with("Package: "));
            last = paragraph;
            ++count;
        });
        EXPECT_EQ(count, 2001U);
        EXPECT_EQ(last, "Package: last\n");
    }
}

}  // namespace
}  // namespace pwstore
