// SPDX-License-Identifier: GPL-3.0-or-later
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <map>
#include <sstream>

#include "cli/apt_closure.hpp"
#include "cli/backend.hpp"
#include "cli/context.hpp"
#include "cli/io.hpp"
#include "cli/run.hpp"
#include "store/base/error.hpp"
#include "store/base/path_at.hpp"
#include "tests/support/deb_builder.hpp"
#include "tests/support/test_dir.hpp"

namespace pwstore::cli {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

struct DebFields {
    std::string name, version = "1.0-1", more = {};
};

/// An archive of Debian packages in a directory, and the settings that have apt see nothing else.
class AptArchiveTest : public ::testing::Test {
 protected:
    AptArchiveTest() {
        if (test::run_shell("command -v apt-get").status != 0) return;
        has_apt_ = true;
        ::setenv("PWSTORE_CACHE_DIR", cache().c_str(), 1);
        scratch_.write("apt/preferences", "");
        for (const char* suite : {"stable", "stable-security"})
            publish(suite, {});
        sources("copy");
        environment_["APT_CONFIG"] = scratch_.write(
            "apt.conf", "Dir::Etc \"" + scratch_.path("apt") +
                            "\";\nDir::Etc::sourceparts \"-\";\nDir::Etc::parts \"-\";\n"
                            "APT::Architecture \"amd64\";\nAPT::Architectures { \"amd64\"; };\n"
                            "Dir::State::lists \"" +
                            scratch_.path("host lists") + "/\";\n");
        scratch_.write("host lists/partial/x", "");
    }
    ~AptArchiveTest() override { ::unsetenv("PWSTORE_CACHE_DIR"); }
    void SetUp() override {
        if (!has_apt_) PWSTORE_CANNOT_RUN("no apt-get");
    }

    /// Another way to the archive: apt reads file: in place, and downloads from copy:.
    void sources(const std::string& method,
                 const std::vector<std::string>& suites = {"stable", "stable-security"}) {
        std::string text;
        for (const std::string& suite : suites)
            text += "deb [trusted=yes] " + method + ":" + scratch_.path("archive") + " " + suite + " main\n";
        scratch_.write("apt/sources.list", text);
    }
    /// What `suite` has from now on, beside what every system needs.
    void publish(const std::string& suite, std::vector<DebFields> debs) {
        if (suite == "stable") {
            debs.push_back({"shell", "5.0-1", "Essential: yes\n"});
            debs.push_back({"usr-is-merged", "35", ""});
        }
        std::string packages;
        for (const DebFields& fields : debs) {
            test::DebSpec spec;
            spec.control = "Package: " + fields.name + "\nVersion: " + fields.version +
                           "\nArchitecture: all\nMaintainer: m\nDescription: about it\n" + fields.more;
            spec.data.file("./usr/bin/" + fields.name, fields.version, 0755);
            const std::string bytes = test::deb_bytes(spec);
            const std::string file = "pool/" + fields.name + "_" + fields.version + "_all.deb";
            scratch_.write("archive/" + file, bytes);
            packages += spec.control + "Filename: " + file + "\nSize: " + std::to_string(bytes.size()) +
                        "\nSHA256: " + sha256_of(bytes).hex() + "\n\n";
        }
        const std::string index = "main/binary-amd64/Packages";
        scratch_.write("archive/dists/" + suite + "/" + index, packages);
        scratch_.write("archive/dists/" + suite + "/Release",
                       "Suite: " + suite + "\nCodename: " + suite +
                           "\nDate: Sat, 01 Jan 2022 00:00:00 UTC\nArchitectures: amd64 all\n"
                           "Components: main\nSHA256:\n " +
                           sha256_of(packages).hex() + " " + std::to_string(packages.size()) + " " + index +
                           "\n");
    }
    int type(std::vector<std::string> words) {
        out_.str("");
        err_.str("");
        words.insert(words.end(), {"--into", scratch_.path("a repo")});
        Io io{out_, err_, [] { return std::optional<std::string>(); },
              [this](const std::string& name) {
                  const auto at = environment_.find(name);
                  return at == environment_.end() ? std::nullopt : std::optional(at->second);
              },
              [] { return 80U; }};
        const std::unique_ptr<Backend> backend = make_backend();
        return run(words, io, *backend);
    }
    std::string listed() {
        EXPECT_EQ(type({"repo", "ls"}), kDone) << err_.str();
        return out_.str();
    }
    std::string cache() { return scratch_.path("a cache"); }

    test::TestDir scratch_;
    bool has_apt_ = false;
    std::map<std::string, std::string> environment_;
    std::ostringstream out_, err_;
};

TEST_F(AptArchiveTest, NamesAreImportedWithAllTheyNeed) {
    publish("stable", {{"editor", "2.0-1", "Depends: lib (>= 1)\nRecommends: extra\n"},
                       {"lib", "1.5-1", ""},
                       {"extra", "1.0-1", ""},
                       {"other", "1.0-1", ""}});
    ASSERT_EQ(type({"repo", "import-deb", "--name", "demo", "editor"}), kDone) << err_.str();
    EXPECT_THAT(out_.str(), HasSubstr("4 packages converted, 0 were there"));
    EXPECT_THAT(listed(), AllOf(HasSubstr("demo/editor"), HasSubstr("demo/lib"), HasSubstr("1.5-1"),
                                HasSubstr("demo/shell"), HasSubstr("demo/usr-is-merged"),
                                HasSubstr("demo/base"), Not(HasSubstr("extra")), Not(HasSubstr("other"))));
    ASSERT_EQ(type({"repo", "import-deb", "editor"}), kDone) << err_.str();
    EXPECT_THAT(out_.str(), HasSubstr("0 packages converted, 4 were there"));
    EXPECT_THAT(scratch_.read("a repo/demo.targets"), HasSubstr("\neditor\n"));
}

TEST_F(AptArchiveTest, FilesOfTheHostAreReadInPlace) {
    sources("file");
    publish("stable", {{"editor"}});
    ASSERT_EQ(type({"repo", "import-deb", "editor"}), kDone) << err_.str();
    EXPECT_FALSE(exists_at(AT_FDCWD, cache() + "/apt/archives/editor_1.0-1_all.deb"));
}

TEST_F(AptArchiveTest, ASuiteAndAVersionMayBeChosen) {
    publish("stable", {{"editor", "2.0-1", "Depends: lib\n"}, {"lib", "1.0-1", ""}});
    publish("stable-security", {{"editor", "2.0-1+sec1", "Depends: lib\n"}, {"lib", "1.0-1+sec1", ""}});
    ASSERT_EQ(type({"repo", "import-deb", "--suite", "stable", "editor"}), kDone) << err_.str();
    EXPECT_THAT(listed(), Not(HasSubstr("+sec1")));
    EXPECT_THAT(scratch_.read("a repo/own.targets"), HasSubstr("suite stable\n"));
    ASSERT_EQ(type({"repo", "import-deb", "editor=2.0-1+sec1", "lib/stable"}), kDone) << err_.str();
    EXPECT_THAT(out_.str(), AllOf(HasSubstr("2.0-1+sec1"), Not(HasSubstr("1.0-1+sec1"))));
    EXPECT_EQ(type({"repo", "import-deb", "--suite", "absent", "editor"}), kFailed);
    EXPECT_THAT(err_.str(), HasSubstr("absent"));
}

TEST_F(AptArchiveTest, WhatWasAskedForIsRemembered) {
    publish("stable", {{"editor"}, {"tool"}});
    publish("stable-security", {{"editor", "1.0-1+sec1", ""}, {"tool", "1.0-1+sec1", ""}});
    ASSERT_EQ(type({"repo", "import-deb", "--suite", "stable", "editor"}), kDone) << err_.str();
    ASSERT_EQ(type({"repo", "import-deb", "tool"}), kDone) << err_.str();
    EXPECT_THAT(listed(), Not(HasSubstr("+sec1"))) << "one repository, one suite";
    ASSERT_EQ(type({"repo", "update", "--suite", "all"}), kDone) << err_.str();
    EXPECT_THAT(out_.str(),
                AllOf(HasSubstr("editor 1.0-1 → 1.0-1+sec1"), HasSubstr("tool 1.0-1 → 1.0-1+sec1")));
    EXPECT_THAT(scratch_.read("a repo/own.targets"), Not(HasSubstr("suite ")));
    ASSERT_EQ(type({"repo", "rm", "tool"}), kDone) << err_.str();
    EXPECT_THAT(scratch_.read("a repo/own.targets"), AllOf(HasSubstr("editor"), Not(HasSubstr("tool"))));
    scratch_.write("a repo/own.targets", "editor\n-oDir=/x\n");
    EXPECT_EQ(type({"repo", "update"}), kCorrupt);
    EXPECT_THAT(err_.str(), AllOf(HasSubstr("own.targets"), HasSubstr("-oDir=/x")));
}

TEST_F(AptArchiveTest, UpdateTakesNewerVersionsOfWhatWasNamed) {
    publish("stable", {{"editor", "1.0-1", "Depends: lib\n"}, {"lib"}, {"tool"}});
    EXPECT_EQ(type({"repo", "update"}), kUsage);
    EXPECT_THAT(err_.str(), HasSubstr("nothing was imported into it by name"));
    ASSERT_EQ(type({"repo", "import-deb", "editor", "tool=1.0-1"}), kDone) << err_.str();
    publish("stable", {{"editor", "1.1~rc1-1", "Depends: lib, more\n"},
                       {"lib"},
                       {"more"},
                       {"tool", "9.0-1", ""},
                       {"tool", "1.0-1", ""}});
    ASSERT_EQ(type({"repo", "update", "--preview"}), kDone) << err_.str();
    EXPECT_THAT(out_.str(), AllOf(HasSubstr("1.1~rc1-1"), HasSubstr("2 packages would change")));
    EXPECT_THAT(listed(), Not(HasSubstr("1.1~rc1-1")));
    ASSERT_EQ(type({"repo", "update", "--json"}), kDone) << err_.str();
    EXPECT_THAT(out_.str(), AllOf(HasSubstr("\"schema\": \"pwstore.repo/1\""),
                                  HasSubstr("\"old_version\": \"1.0-1\""), HasSubstr("1.1~rc1-1")));
    EXPECT_THAT(listed(), AllOf(HasSubstr("1.1~rc1-1"), HasSubstr("own/more"), Not(HasSubstr("9.0-1"))));
    EXPECT_FALSE(exists_at(AT_FDCWD, cache() + "/apt/archives/editor_1.0-1_all.deb"));
    EXPECT_TRUE(exists_at(AT_FDCWD, cache() + "/apt/archives/editor_1.1~rc1-1_all.deb"));
    ASSERT_EQ(type({"repo", "update"}), kDone) << err_.str();
    EXPECT_THAT(out_.str(), HasSubstr("0 packages converted"));
}

TEST_F(AptArchiveTest, WhatTheTargetsNeedNoMoreGoes) {
    publish("stable", {{"editor", "1.0-1", "Depends: lib\n"}, {"lib"}, {"given"}, {"mine"}});
    ASSERT_EQ(type({"repo", "import-deb", "editor", scratch_.path("archive/pool/given_1.0-1_all.deb")}),
              kDone)
        << err_.str();
    publish("next", {{"editor", "2.0-1", "Depends: libt64\n"},
                     {"libt64", "2.0-1", "Provides: lib (= 2.0-1)\nBreaks: lib (<< 2.0-1)\n"},
                     {"shell", "6.0-1", ""},
                     {"tar", "1.0-1", "Essential: yes\n"},
                     {"usr-is-merged", "36", ""}});
    sources("copy", {"next"});
    ASSERT_EQ(type({"repo", "update", "--preview"}), kDone) << err_.str();
    EXPECT_THAT(out_.str(), AllOf(HasSubstr("lib "), HasSubstr("shell ")));
    EXPECT_THAT(listed(), HasSubstr("own/lib "));
    ASSERT_EQ(type({"repo", "update"}), kDone) << err_.str();
    EXPECT_THAT(listed(), AllOf(Not(HasSubstr("own/lib ")), HasSubstr("own/libt64"), HasSubstr("own/tar"),
                                Not(HasSubstr("own/shell")), HasSubstr("own/given")));
    ASSERT_EQ(type({"repo", "verify"}), kDone) << out_.str();
}

TEST_F(AptArchiveTest, AnOlderVersionThanTheRepositorysIsLeftAside) {
    publish("stable", {{"editor", "2.0-1", ""}});
    ASSERT_EQ(type({"repo", "import-deb", "editor"}), kDone) << err_.str();
    publish("stable", {{"editor", "1.0-1", ""}});
    ASSERT_EQ(type({"repo", "update"}), kDone) << err_.str();
    EXPECT_THAT(listed(), HasSubstr("2.0-1"));
}

TEST_F(AptArchiveTest, AFileThatIsNotWhatTheIndexSaysIsRefused) {
    sources("file");
    publish("stable", {{"editor"}});
    scratch_.write("archive/pool/editor_1.0-1_all.deb", "something else");
    EXPECT_EQ(type({"repo", "import-deb", "editor"}), kCorrupt) << out_.str();
    EXPECT_THAT(err_.str(), HasSubstr("Hash Sum mismatch"));
    EXPECT_FALSE(exists_at(AT_FDCWD, scratch_.path("a repo/own.db")));
    sources("copy");
    EXPECT_EQ(type({"repo", "import-deb", "editor"}), kCorrupt);
}

TEST_F(AptArchiveTest, ADamagedDownloadIsFetchedAnew) {
    publish("stable", {{"editor"}});
    scratch_.write("a cache/apt/archives/editor_1.0-1_all.deb", "left by a crash");
    ASSERT_EQ(type({"repo", "import-deb", "editor"}), kDone) << err_.str();
}

TEST_F(AptArchiveTest, WhatAptCannotDoIsToldInItsWords) {
    publish("stable", {{"editor", "1.0-1", "Depends: lib (>= 2)\nProvides: vi\n"}, {"lib"}});
    EXPECT_EQ(type({"repo", "import-deb", "absent"}), kFailed);
    EXPECT_THAT(err_.str(), HasSubstr("Unable to locate package absent"));
    EXPECT_EQ(type({"repo", "import-deb", "editor"}), kFailed);
    EXPECT_THAT(err_.str(), HasSubstr("lib (>= 2)"));
    EXPECT_FALSE(exists_at(AT_FDCWD, scratch_.path("a repo/own.targets")));
}

TEST_F(AptArchiveTest, OnlyVeryNamesAreTaken) {
    publish("stable", {{"editor", "1.0-1", "Provides: vi\n"}});
    for (const char* hostile : {"editor-", "../x", "a/../b", "?essential", "*", "a b", "a;b", "_upper",
                                "editor=", "editor/-o", "editor=-x", "$(x)", "editor:amd64"}) {
        EXPECT_EQ(type({"repo", "import-deb", hostile}), kUsage) << hostile;
    }
    EXPECT_EQ(type({"repo", "import-deb", "--", "-oDir=/x"}), kUsage);
    EXPECT_EQ(type({"repo", "import-deb", "--suite", "-x", "editor"}), kUsage);
    EXPECT_NE(type({"repo", "import-deb", "editor+"}), kDone) << "that is a wish to apt, not a name";
    EXPECT_NE(type({"repo", "import-deb", "vi"}), kDone);
    EXPECT_THAT(err_.str(), HasSubstr("vi"));
}

TEST_F(AptArchiveTest, WithoutAptFilesAreTheWayOut) {
    const char* before = std::getenv("PATH");
    const std::string path = before == nullptr ? "/usr/bin:/bin" : before;
    ::setenv("PATH", scratch_.path("nothing").c_str(), 1);
    const int code = type({"repo", "import-deb", "editor"});
    ::setenv("PATH", path.c_str(), 1);
    EXPECT_EQ(code, kFailed);
    EXPECT_THAT(err_.str(), AllOf(HasSubstr("this host has no apt-get"), HasSubstr("import-deb FILE.deb")));
}

}  // namespace
}  // namespace pwstore::cli
