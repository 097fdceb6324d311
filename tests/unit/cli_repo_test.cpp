// SPDX-License-Identifier: GPL-3.0-or-later
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <sstream>

#include "cli/backend.hpp"
#include "cli/context.hpp"
#include "cli/io.hpp"
#include "cli/run.hpp"
#include "store/base/path_at.hpp"
#include "tests/support/deb_builder.hpp"
#include "tests/support/test_dir.hpp"

namespace pwstore::cli {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

class RepoCommandTest : public ::testing::Test {
 protected:
    test::TestDir scratch_;
    std::ostringstream out_, err_;

    int type(const std::vector<std::string>& words) {
        out_.str("");
        err_.str("");
        Io io{out_, err_, [] { return std::optional<std::string>(); },
              [](const std::string&) { return std::optional<std::string>(); }, [] { return 80U; }};
        const std::unique_ptr<Backend> backend = make_backend();
        return run(words, io, *backend);
    }
    std::string deb(const std::string& name, const std::string& fields = {}) {
        test::DebSpec spec;
        spec.control =
            "Package: " + name + "\nVersion: 1.0-1\nArchitecture: all\nDescription: about it\n" + fields;
        spec.data.file("./usr/bin/" + name, "x", 0755);
        return scratch_.write(name + ".deb", test::deb_bytes(spec));
    }
    std::string repository() { return scratch_.path("repo"); }
};

TEST_F(RepoCommandTest, DebianPackagesAreImportedAndListed) {
    const std::string shell = deb("shell", "Essential: yes\n");
    const std::string tool = deb("tool", "Depends: shell, absent\n");
    ASSERT_EQ(type({"repo", "import-deb", "--into", repository(), "--name", "demo", shell, tool}), kDone)
        << err_.str();
    EXPECT_THAT(out_.str(),
                HasSubstr("repository demo in " + repository() + ": 2 packages converted, 0 were there"));
    EXPECT_THAT(err_.str(),
                HasSubstr("warning: nothing in the repository provides what is needed by tool: absent"));

    ASSERT_EQ(type({"repo", "import-deb", "--into", repository(), shell, tool, "--quiet"}), kDone)
        << err_.str();
    EXPECT_EQ(out_.str(), "") << "quiet, and the one repository that is there is taken";

    ASSERT_EQ(type({"repo", "ls", repository()}), kDone) << err_.str();
    for (const char* text :
         {"demo/base", "demo/filesystem", "demo/shell", "demo/tool", "1.0-1", "about it"}) {
        EXPECT_THAT(out_.str(), HasSubstr(text));
    }
}

TEST_F(RepoCommandTest, NoRepositoryIsNothingToList) {
    EXPECT_EQ(type({"repo", "ls", scratch_.path("nowhere")}), kDone);
    EXPECT_EQ(out_.str(), "");
    EXPECT_THAT(err_.str(), HasSubstr("no repository in"));
}

TEST_F(RepoCommandTest, PackageArchivesAreAdded) {
    const std::string file = test::build_package(scratch_.path("built"), {.name = "own", .version = "2.0-1"});
    ASSERT_EQ(type({"repo", "add", "--into", repository(), file}), kDone) << err_.str();
    EXPECT_THAT(out_.str(), HasSubstr("own: own 2.0-1"));
    EXPECT_TRUE(exists_at(AT_FDCWD, repository() + "/own.db"));
    ASSERT_EQ(type({"repo", "ls", "--into", repository(), "--name", "other"}), kDone);
    EXPECT_THAT(out_.str(), Not(HasSubstr("own")));
}

TEST_F(RepoCommandTest, BothKindsOfPackagesAreAddedVerifiedAndRemoved) {
    const std::string file = test::build_package(scratch_.path("built"), {.name = "own", .version = "2.0-1"});
    ASSERT_EQ(type({"repo", "add", "--into", repository(), file, deb("tool", "Depends: own, absent\n")}),
              kDone)
        << err_.str();
    EXPECT_THAT(out_.str(), AllOf(HasSubstr("own: own 2.0-1"), HasSubstr("own: tool 1.0-1")));

    EXPECT_EQ(type({"repo", "verify", repository()}), kFailed) << err_.str();
    EXPECT_THAT(out_.str(), HasSubstr("open: own/tool: nothing provides absent"));
    ASSERT_EQ(type({"repo", "rm", "--into", repository(), "tool"}), kDone) << err_.str();
    EXPECT_THAT(out_.str(), HasSubstr("own: tool 1.0-1 removed"));
    EXPECT_EQ(type({"repo", "verify", repository()}), kDone) << out_.str();
    EXPECT_EQ(out_.str(), "own: clean\n");

    scratch_.write("repo/own-2.0-1-any.pkg.tar.zst", "damaged");
    EXPECT_EQ(type({"repo", "verify", repository(), "--json"}), kCorrupt);
    EXPECT_THAT(out_.str(), AllOf(HasSubstr("\"schema\": \"pwstore.repo/1\""),
                                  HasSubstr("\"kind\": \"damaged-archive\"")));
    EXPECT_EQ(type({"repo", "ls", repository(), "--json"}), kDone);
    EXPECT_THAT(out_.str(), AllOf(HasSubstr("\"name\": \"own\""), HasSubstr("\"version\": \"2.0-1\"")));
    EXPECT_EQ(type({"repo", "rm", "--into", repository(), "absent"}), kUsage);
    EXPECT_EQ(type({"repo", "rm", "--into", repository(), "own", "--keep-files"}), kDone) << err_.str();
    EXPECT_TRUE(exists_at(AT_FDCWD, repository() + "/own-2.0-1-any.pkg.tar.zst"));
    EXPECT_EQ(type({"repo", "verify", scratch_.path("nothing")}), kUsage);
}

/// Whoever converts the same .deb has the same bytes, database included.
TEST_F(RepoCommandTest, ConvertingAgainGivesTheSameBytes) {
    const std::vector<std::string> debs{deb("shell", "Essential: yes\n"),
                                        deb("tool", "Depends: shell | x\n")};
    for (const std::string& place : {scratch_.path("one"), scratch_.path("other")})
        ASSERT_EQ(type({"repo", "import-deb", "--into", place, debs[0], debs[1]}), kDone) << err_.str();
    const Fd dir = open_dir(AT_FDCWD, scratch_.path("one"));
    size_t compared = 0;
    for (const DirectoryItem& item : list_directory(dir.get())) {
        if (item.name.front() == '.') continue;
        EXPECT_EQ(scratch_.read("one/" + item.name), scratch_.read("other/" + item.name)) << item.name;
        ++compared;
    }
    EXPECT_GE(compared, 5U);
}

TEST_F(RepoCommandTest, WhatMakesNoSenseIsAUsageError) {
    EXPECT_EQ(type({"repo", "add", "--name", "local", "x.pkg.tar.zst"}), kUsage);
    EXPECT_EQ(type({"repo", "destroy"}), kUsage);
    EXPECT_THAT(err_.str(), HasSubstr("repo has no 'destroy'"));
    EXPECT_EQ(type({"repo", "add", "--into", repository()}), kUsage);
    EXPECT_EQ(type({"repo", "add", "--into", repository(), "--name", "../x", deb("tool")}), kUsage);
    EXPECT_EQ(type({"repo", "import-deb", "--into", repository(), scratch_.write("x.deb", "nothing")}),
              kCorrupt);
    EXPECT_THAT(err_.str(), HasSubstr("x.deb"));
    scratch_.write("repo/a.db.tar.gz", "");
    scratch_.write("repo/b.db.tar.gz", "");
    EXPECT_EQ(type({"repo", "import-deb", "--into", repository(), deb("tool")}), kUsage);
    EXPECT_THAT(err_.str(), HasSubstr("name one with --name"));
}

}  // namespace
}  // namespace pwstore::cli
