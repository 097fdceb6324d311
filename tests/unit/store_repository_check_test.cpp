// SPDX-License-Identifier: GPL-3.0-or-later
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "store/base/error.hpp"
#include "store/base/path_at.hpp"
#include "store/elf_needs.hpp"
#include "store/repository/check.hpp"
#include "tests/support/deb_builder.hpp"
#include "tests/support/elf_builder.hpp"
#include "tests/support/test_dir.hpp"

namespace pwstore {
namespace {

using test::elf_bytes;
using test::PackageSpec;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using Kind = RepositoryFinding::Kind;

// --- ELF
// ------------------------------------------------------------------------------------------------------

TEST(ElfNeeds, AreReadOfEveryClassAndByteOrder) {
    for (const bool wide : {true, false}) {
        for (const bool big : {true, false}) {
            const auto needs = elf_needs(elf_bytes({{"liba.so.1", "libb.so"}, "$ORIGIN/../x:/y", wide, big}));
            ASSERT_TRUE(needs) << wide << big;
            EXPECT_THAT(needs->libraries, ElementsAre("liba.so.1", "libb.so"));
            EXPECT_THAT(needs->directories, ElementsAre("$ORIGIN/../x", "/y"));
        }
    }
    EXPECT_FALSE(elf_needs("#!/bin/sh\n"));
    EXPECT_FALSE(elf_needs(""));
    const std::string own = test::run_shell("cat /proc/self/exe").output;
    EXPECT_THAT(elf_needs(own).value_or(ElfNeeds{}).libraries, ::testing::Contains("libc.so.6"));
}

/// Cut anywhere, and with any byte changed, it is never read beyond its end (seen by the sanitizers).
TEST(ElfNeeds, OfDamagedFilesAreHarmless) {
    const std::string whole = elf_bytes({{"liba.so.1"}, "/x"});
    for (size_t size = 0; size < whole.size(); ++size)
        (void)elf_needs(whole.substr(0, size));
    for (size_t at = 0; at < whole.size(); ++at) {
        for (const char byte : {'\0', '\x7f', '\xff'}) {
            std::string changed = whole;
            changed[at] = byte;
            (void)elf_needs(changed);
        }
    }
}

// --- Repositories
// ----------------------------------------------------------------------------------------------

class RepositoryCheckTest : public ::testing::Test {
 protected:
    test::TestDir scratch_;

    std::vector<std::string> found(const std::vector<PackageSpec>& packages) {
        test::make_repository(scratch_.path(), "repo", packages);
        return found();
    }
    std::vector<std::string> found() {
        SilentSink sink;
        const auto order = [](const std::string& a, const std::string& b) { return a.compare(b); };
        std::vector<std::string> texts;
        kinds_.clear();
        for (const RepositoryFinding& finding : check_repository(scratch_.path(), "repo", order, sink)) {
            texts.push_back(finding.package + ": " + finding.text);
            kinds_.push_back(finding.kind);
        }
        return texts;
    }
    std::vector<Kind> kinds_;
};

PackageSpec package(const std::string& name, const std::map<std::string, std::string>& files = {}) {
    PackageSpec spec{.name = name};
    for (const auto& [path, content] : files)
        spec.files[path] = {content, 0755};
    return spec;
}

TEST_F(RepositoryCheckTest, DependenciesAreLookedForInside) {
    PackageSpec app = package("app");
    app.depends = {"lib>=1", "lib<2", "virtual=3", "name", "lib>=2", "absent", "name=1"};
    PackageSpec lib = package("lib");
    lib.provides = {"virtual=3", "name"};
    EXPECT_THAT(found({app, lib}), ElementsAre("app: nothing provides lib>=2", "app: nothing provides absent",
                                               "app: nothing provides name=1"));
    EXPECT_THAT(kinds_, ElementsAre(Kind::unsatisfied, Kind::unsatisfied, Kind::unsatisfied));
}

TEST_F(RepositoryCheckTest, LibrariesAreLookedForWhereALoaderDoes) {
    const std::string app =
        elf_bytes({{"liba.so.1", "libown.so", "libtold.so", "libhidden.so"}, "$ORIGIN/../lib/app"});
    PackageSpec libs = package("libs", {{"usr/lib/x86_64-linux-gnu/liba.so.1.2", elf_bytes({})},
                                        {"usr/lib/app/libown.so", elf_bytes({})},
                                        {"opt/told/libtold.so", elf_bytes({})},
                                        {"usr/share/libhidden.so", elf_bytes({})},
                                        {"etc/ld.so.conf.d/told.conf", "# told\n/opt/told\n"}});
    libs.symlinks["usr/lib/x86_64-linux-gnu/liba.so.1"] = "liba.so.1.2";
    EXPECT_THAT(found({package("app", {{"usr/bin/app", app}}), libs}),
                ElementsAre("app: usr/bin/app needs libhidden.so"));
    EXPECT_THAT(kinds_, ElementsAre(Kind::missing_library));
}

TEST_F(RepositoryCheckTest, ArchivesAreComparedWithTheDatabase) {
    const std::vector<PackageSpec> packages{package("gone"), package("grown"), package("swapped"),
                                            package("whole")};
    EXPECT_THAT(found(packages), IsEmpty());
    const auto path = [](const PackageSpec& spec) { return spec.file_name(); };
    std::string bytes = scratch_.read(path(packages[2]));
    bytes[bytes.size() / 2] = static_cast<char>(bytes[bytes.size() / 2] ^ 1);
    scratch_.write(path(packages[2]), bytes);
    scratch_.write(path(packages[1]), scratch_.read(path(packages[1])) + "x");
    remove_file(AT_FDCWD, scratch_.path(path(packages[0])));
    EXPECT_THAT(found(), ElementsAre(HasSubstr("is not there"), HasSubstr("bytes, not"),
                                     HasSubstr("SHA-256 is not what the database says")));
    EXPECT_THAT(kinds_, ElementsAre(Kind::missing_archive, Kind::damaged_archive, Kind::damaged_archive));
}

TEST_F(RepositoryCheckTest, AnArchiveThatLeadsElsewhereIsNotOpened) {
    const std::string file = test::build_package(scratch_.path("out"), package("tool"));
    (void)add_to_repository(scratch_.path("out"), "repo", {file});
    {
        const Fd dir = open_dir(AT_FDCWD, scratch_.path());
        RepositoryDatabase database(dir.get(), "repo");
        const Fd out = open_dir(AT_FDCWD, scratch_.path("out"));
        RepositoryPackage evil = RepositoryDatabase::read(out.get(), "repo").front();
        evil.filename = "out/" + evil.filename;
        database.put(evil);
        database.save();
    }
    EXPECT_THAT(found(), ElementsAre(HasSubstr("is not a name that a repository may hold")));
    (void)remove_from_repository(scratch_.path(), "repo", {"tool"}, Archives::remove);
    EXPECT_TRUE(exists_at(AT_FDCWD, file)) << "it is not ours";
}

TEST_F(RepositoryCheckTest, PackagesAreTakenOutAgain) {
    (void)found({package("one"), package("two"), package("three")});
    scratch_.write(package("one").file_name() + ".sig", "x");
    EXPECT_THROW((void)remove_from_repository(scratch_.path(), "repo", {"two", "four"}, Archives::remove),
                 Error);
    EXPECT_THAT(found(), IsEmpty()) << "all or none";
    (void)remove_from_repository(scratch_.path(), "repo", {"one"}, Archives::remove);
    EXPECT_FALSE(exists_at(AT_FDCWD, scratch_.path(package("one").file_name())));
    EXPECT_FALSE(exists_at(AT_FDCWD, scratch_.path(package("one").file_name() + ".sig")));
    (void)remove_from_repository(scratch_.path(), "repo", {"two"}, Archives::keep);
    EXPECT_TRUE(exists_at(AT_FDCWD, scratch_.path(package("two").file_name())));
    const Fd dir = open_dir(AT_FDCWD, scratch_.path());
    EXPECT_EQ(RepositoryDatabase::read(dir.get(), "repo").size(), 1U);
}

}  // namespace
}  // namespace pwstore
