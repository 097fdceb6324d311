// SPDX-License-Identifier: GPL-3.0-or-later
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "resolver/apt_sources.hpp"
#include "resolver/provider_choice.hpp"
#include "resolver/repositories.hpp"
#include "store/base/error.hpp"
#include "tests/support/test_dir.hpp"

namespace pwstore {
namespace {

using test::TestDir;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using Strings = std::vector<std::string>;

class DebSectionTest : public ::testing::Test {
 protected:
    [[nodiscard]] PacmanConfig parse(const std::string& section) const {
        return parse_pacman_config(dir.write("repositories.conf", section), dir.path("apt"));
    }
    [[nodiscard]] std::string refusal(const std::string& section) const {
        try {
            (void)parse(section);
        } catch (const Error& error) {
            EXPECT_EQ(error.fault(), Fault::usage);
            return error.what();
        }
        ADD_FAILURE() << "no Error was thrown";
        return {};
    }
    TestDir dir;
};

TEST_F(DebSectionTest, ServersAndSuites) {
    const PacmanConfig config = parse(
        "[debian]\nType = deb\nServer = https://one/debian/\nServer = http://two/debian\n"
        "Suite = bookworm bookworm-updates\nComponents = main contrib\nSignedBy = /k.gpg\n"
        "Source = https://three/debian-security bookworm-security main\n[arch]\nServer = https://a\n");
    ASSERT_EQ(config.repositories.size(), 2U);
    EXPECT_FALSE(config.repositories[1].is_deb());
    const Repository& debian = config.repositories[0];
    const Strings mirrors{"https://one/debian", "http://two/debian"};
    EXPECT_EQ(debian.deb_sources,
              (std::vector<DebSource>{
                  {{"https://three/debian-security"}, "bookworm-security", {"main"}, {"/k.gpg"}},
                  {mirrors, "bookworm", {"main", "contrib"}, {"/k.gpg"}},
                  {mirrors, "bookworm-updates", {"main", "contrib"}, {"/k.gpg"}}}));
    EXPECT_FALSE(debian.servers.empty());
    EXPECT_THAT(config.warnings, IsEmpty());
}

TEST_F(DebSectionTest, DefaultsAreMainAndTheDistributionsKeyring) {
    const PacmanConfig config = parse("[debian]\nType = deb\nServer = file:///srv\nSuite = stable\n");
    EXPECT_EQ(config.repositories[0].deb_sources,
              (std::vector<DebSource>{{{"file:///srv"}, "stable", {"main"}, distribution_keyrings()}}));
}

TEST_F(DebSectionTest, FlatArchivesHaveNoComponents) {
    const PacmanConfig config = parse(
        "[d]\nType = deb\nServer = http://x\nSuite = ./ stable\nComponents = contrib\nSource = http://y "
        "binary/\n"
        "[e]\nType = deb\nServer = http://z\nSuite = /\n");
    const std::vector<DebSource>& first = config.repositories.at(0).deb_sources;
    ASSERT_EQ(first.size(), 3U);
    for (const DebSource& source : first) {
        EXPECT_EQ(source.is_flat(), source.suite != "stable");
        EXPECT_EQ(source.components.empty(), source.is_flat());
    }
    EXPECT_EQ(config.repositories.at(1).deb_sources.at(0).suite, "/");
    EXPECT_TRUE(config.repositories.at(1).deb_sources.at(0).components.empty());
}

TEST_F(DebSectionTest, WhatMakesNoSenseIsNamed) {
    EXPECT_THAT(refusal("[d]\nType = rpm\n"), HasSubstr("line 2: Type is deb or alpm"));
    EXPECT_THAT(refusal("[d]\nServer = http://x\nSuite = stable\n"), HasSubstr("needs 'Type = deb'"));
    EXPECT_THAT(refusal("[d]\nType = deb\n"), HasSubstr("needs Server and Suite, or Source"));
    EXPECT_THAT(refusal("[d]\nType = deb\nSuite = stable\n"), HasSubstr("no Server"));
    EXPECT_THAT(refusal("[d]\nType = deb\nSource = http://x stable\n"), HasSubstr("line 3"));
    EXPECT_THAT(refusal("[d]\nType = deb\nServer = http://x\nSuite = flat/\nComponents = main\n"),
                AllOf(HasSubstr("'flat/'"), HasSubstr("no components")));
    EXPECT_THAT(refusal("[d]\nType = deb\nSource = http://x ./ main\n"), HasSubstr("no components"));
    EXPECT_THAT(refusal("[d]\nType = deb\nSource = http://x stable\n"), HasSubstr("its components"));
    EXPECT_THAT(refusal("[d]\nType = deb\nServer = http://x\nSuite = s\nSignedBy = k.gpg\n"),
                HasSubstr("absolute"));
    EXPECT_THAT(refusal("[d]\nType = deb\nSource = host\n"), HasSubstr("names no suite"));
    EXPECT_THAT(parse("[d]\nType = deb\nServer = http://x\nSuite = s\nSigLevel = Never\n").warnings,
                ElementsAre(HasSubstr("SigLevel means nothing")));
}

TEST_F(DebSectionTest, TheHostsOwnSources) {
    const std::string key = dir.write("debian.gpg", "");
    dir.write(
        "apt/sources.list",
        "# comment\ndeb [arch=alpha] http://x/debian a main\ndeb-src http://x/debian b main\n"
        "deb http://x/debian bookworm main contrib # why\ndeb cdrom:[x]/ c main\ndeb http://x/flat ./\n");
    dir.write("apt/sources.list.d/debian.sources",
              "Types: deb deb-src\nURIs: http://x/debian\nSuites: bookworm-updates\n bookworm-backports\n"
              "Components: main\nSigned-By: " +
                  key +
                  "\n\nEnabled: no\nTypes: deb\nURIs: http://x\nSuites: no\n"
                  "Components: main\n");
    dir.write(
        "apt/sources.list.d/stranger.list",
        "deb https://stranger/apt one main\ndeb [signed-by=/stranger.gpg] https://stranger/apt two main\n"
        "deb [signed-by=" +
            key + "] https://mirror/debian bookworm main\n");
    dir.write("apt/sources.list.d/ignored.save", "deb http://x ignored main\n");
    const PacmanConfig config = parse("[debian]\nType = deb\nSource = host\nSignedBy = " + key + "\n");
    const Strings keyrings{key};
    EXPECT_EQ(config.repositories[0].deb_sources,
              (std::vector<DebSource>{{{"http://x/debian"}, "bookworm", {"main", "contrib"}, keyrings},
                                      {{"http://x/debian"}, "bookworm-updates", {"main"}, keyrings},
                                      {{"http://x/debian"}, "bookworm-backports", {"main"}, keyrings},
                                      {{"https://mirror/debian"}, "bookworm", {"main"}, keyrings}}));
}

TEST_F(DebSectionTest, TheLastDefaultIsTheHostsApt) {
    HostFiles host{.pacman_conf = dir.path("absent"),
                   .mirrorlist = dir.path("absent"),
                   .arch_keyrings = {},
                   .apt_directory = dir.path("apt"),
                   .os_release = {},
                   .deb_keyrings = {dir.path("debian.gpg")},
                   .machine = "x86_64"};
    dir.write("apt/sources.list", "deb http://x/debian bookworm main\n");
    EXPECT_THROW((void)ensure_repositories(dir.path("config"), dir.path("repo"), host), Error)
        << "no keyring";
    dir.write("debian.gpg", "");
    const RepositoriesFile file = ensure_repositories(dir.path("config"), dir.path("repo"), host);
    EXPECT_THAT(file.origin, HasSubstr("the sources of apt in " + dir.path("apt")));
    EXPECT_THAT(dir.read("config/repositories.conf"), HasSubstr("\n[debian]\n"));
    EXPECT_TRUE(parse_pacman_config(file.path, dir.path("apt")).repositories.at(0).is_deb());
}

// --- Choosing providers ------------------------------------------------------------------------------------

Strings choices(const std::string& dependency, const std::vector<Provider>& providers) {
    Strings names;
    for (const size_t i : providers_to_choose_from(dependency, providers))
        names.push_back(providers.at(i).name);
    return names;
}
std::string preferred(const std::string& dependency, const std::vector<Provider>& providers) {
    return choices(dependency, providers).front();
}

TEST(ProviderChoiceTest, TheFirstAlternativeWins) {
    const std::vector<Provider> providers{{"ed", {"nano|vi(ge2)|ed"}, {"required"}, true},
                                          {"elvis", {"vi=3", "nano|vi(ge2)|ed"}, {}, true},
                                          {"nano", {"nano|vi(ge2)|ed"}, {}, true}};
    EXPECT_EQ(preferred("nano|vi(ge2)|ed", providers), "nano");
    EXPECT_EQ(preferred("nano|vi(ge2)|ed", {providers[0], providers[1]}), "elvis");
    EXPECT_EQ(preferred("zz|ed", providers), "ed");
}

TEST(ProviderChoiceTest, ThePackageItselfBeforeWhatProvidesIt) {
    EXPECT_EQ(preferred("awk|x", {{"gawk", {"awk"}, {"required"}, true}, {"awk", {}, {}, true}}), "awk");
}

TEST(ProviderChoiceTest, ThenThePriorityThenTheName) {
    const Provider exim{"exim4", {"mta"}, {"standard"}, true};
    const Provider postfix{"postfix", {"mta"}, {}, true};
    const Provider mail{"mail", {"mta"}, {}, true};
    const Provider mawk{"mawk", {"mta"}, {"required"}, true};
    EXPECT_EQ(preferred("mta", {postfix, exim, mawk}), "mawk");
    EXPECT_EQ(preferred("mta", {postfix, exim, mail}), "exim4");
    EXPECT_EQ(preferred("mta>=1", {postfix, mail}), "mail");
}

TEST(ProviderChoiceTest, ThereIsAChoiceOnlyWhereNobodyOrders) {
    const Provider exim{"exim4", {"mta", "exim4|mta"}, {"standard"}, true};
    const Provider postfix{"postfix", {"mta", "exim4|mta", "smtp|x"}, {}, true};
    const Provider mail{"mail", {"mta", "exim4|mta", "smtp|x", "smtp"}, {}, true};
    EXPECT_EQ(choices("exim4|mta", {postfix, mail, exim}), Strings{"exim4"});
    EXPECT_EQ(choices("mta", {postfix, mail, exim}), Strings{"exim4"}) << "the priority orders them";
    EXPECT_EQ(choices("mta", {postfix, mail}), (Strings{"mail", "postfix"}));
    EXPECT_EQ(choices("smtp|mta", {postfix, mail}), Strings{"mail"});
    const Provider imported{"exim4", {"exim4|mta"}, {}, false};
    const Provider other{"a", {"exim4|mta"}, {}, false};
    EXPECT_EQ(choices("exim4|mta", {other, imported}), Strings{"exim4"}) << "whatever repository they are in";
}

TEST(ProviderChoiceTest, AlternativesAreSpelledAsDebianDoes) {
    EXPECT_EQ(alternatives_text("debconf(ge0.5)|debconf-2.0"), "debconf (>= 0.5) | debconf-2.0");
    EXPECT_EQ(alternatives_text("a(lt1:2~b)|b(eq1-2)|c(gt3)|d(le4)"),
              "a (<< 1:2~b) | b (= 1-2) | c (>> 3) | d (<= 4)");
    EXPECT_EQ(alternatives_text("liba>=2"), "liba>=2");
}

TEST(ProviderChoiceTest, OtherRepositoriesKeepTheirOrder) {
    EXPECT_EQ(preferred("x", {{"b", {"x"}, {}, false}, {"a", {"x"}, {"required"}, true}}), "b");
}

}  // namespace
}  // namespace pwstore
