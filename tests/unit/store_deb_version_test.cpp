// SPDX-License-Identifier: GPL-3.0-or-later
#include <gtest/gtest.h>

#include <random>
#include <string>
#include <vector>

#include "store/debian/version.hpp"
#include "tests/support/deb_builder.hpp"
#include "tests/support/test_dir.hpp"

namespace pwstore {
namespace {

TEST(DebVersion, ReadsAlmostAsTheOriginal) {
    EXPECT_EQ(alpm_version("3.11.2-6+deb12u1"), "3.11.2e-6pdeb.12lu.1e");
    EXPECT_EQ(alpm_version("1:2.36-9"), "1:2.36e-9e");
    EXPECT_EQ(alpm_version("0:2.36-9"), "0:2.36e-9e") << "equal to none for both";
    EXPECT_EQ(alpm_version("1.0~rc1"), "1.0alrc.1e-00e");
}

TEST(DebVersion, GivesTheOriginalBack) {
    for (const char* version : {"1.0", "1.0-1", "1.0-0", "1.0-1-1", "2:1.0~~a-1", "1.0.-1",
                                "1.0.a~b+c-d.e-1~bpo11+1", "1:1:2-3", "1.zoo-zz", "1.00-00", "20220914cvs-1",
                                "0~20100511-1", "1.0+-1", "1.0~", "1.", "1-a1", "1-~", "1.0-rc1-1.2"}) {
        EXPECT_EQ(deb_version(alpm_version(version)), version);
        EXPECT_TRUE(is_deb_version(alpm_version(version))) << version;
    }
}

TEST(DebVersion, OthersAreLeftAlone) {
    for (const char* version :
         {"5.2.015-1", "1:1.0-2", "1.0rc1-1", "r12.abcdef-1", "", "1", "e-e", "1e-", "-", "1.0e-1"}) {
        EXPECT_EQ(deb_version(version), version);
        EXPECT_FALSE(is_deb_version(version)) << version;
    }
}

TEST(DebVersion, TextsForPeopleHaveTheOriginals) {
    const std::string version = "2:3.11.2-6+deb12u1";
    const std::string made = alpm_version(version);
    EXPECT_EQ(with_deb_versions("foo>=" + made + ": needed by bar (" + made + "), " + made + "."),
              "foo>=" + version + ": needed by bar (" + version + "), " + version + ".");
    EXPECT_EQ(with_deb_versions(made), version);
    const std::string file = "var/lib/pacman/local/foo-" + made + "/desc";
    EXPECT_EQ(with_deb_versions(file), file) << "a path is what it is";
    EXPECT_EQ(with_deb_versions("python3-foo-" + made + " is up to date"),
              "python3-foo-" + version + " is up to date");
    EXPECT_EQ(with_deb_versions("foo-" + made + "-x86_64.pkg.tar.zst: 8 kB"),
              "foo-" + version + "-x86_64.pkg.tar.zst: 8 kB");
    EXPECT_EQ(with_deb_versions("foo-1:2.0-1 foo-2-any.pkg.tar.zst"), "foo-1:2.0-1 foo-2-any.pkg.tar.zst");
    EXPECT_EQ(with_deb_versions("caf\xc3\xa9 1.0-1 \n::"), "caf\xc3\xa9 1.0-1 \n::");
    EXPECT_EQ(with_deb_versions(""), "");
}

TEST(DebVersion, ComparesAsTheirManualSays) {
    const std::vector<std::string> ascending{"~~",        "~~a",      "~",       "1.0~beta1~svn1245",
                                             "1.0~beta1", "1.0",      "1.0-1~1", "1.0-1",
                                             "1.0-1a",    "1.0-1+b1", "1.0-1.1", "1.0+1",
                                             "1.0.1",     "1.00.2",   "1.1",     "1:0"};
    for (size_t a = 0; a < ascending.size(); ++a) {
        for (size_t b = 0; b < ascending.size(); ++b) {
            const int order = compare_deb_versions(ascending[a], ascending[b]);
            EXPECT_EQ(a < b, order < 0) << ascending[a] << " " << ascending[b];
            EXPECT_EQ(a == b, order == 0) << ascending[a] << " " << ascending[b];
        }
    }
    EXPECT_EQ(compare_deb_versions("1.0", "1.0-0"), 0);
    EXPECT_EQ(compare_deb_versions("0:1.00", "1.0"), 0);
}

/// Versions of few characters, so that many of them begin alike.
std::vector<std::string> random_versions(size_t count) {
    constexpr std::string_view kCharacters = "00199.~+-azZb.~";
    std::mt19937 random(7);  // NOLINT(cert-msc51-cpp): the same ones each time
    std::vector<std::string> versions;
    while (versions.size() < count) {
        std::string version = "1";
        for (size_t left = random() % 8; left > 0; --left)
            version += kCharacters[random() % kCharacters.size()];
        if (version.back() == '-') continue;  // dpkg takes an empty revision for a mistake
        if (random() % 3 == 0) version.insert(0, std::to_string(random() % 3) + ":");
        versions.push_back(std::move(version));
    }
    return versions;
}

TEST(DebVersion, OurOrderIsDpkgs) {
    if (test::run_shell("command -v dpkg").status != 0) PWSTORE_CANNOT_RUN("no dpkg");
    const std::vector<std::string> versions = random_versions(400);
    std::string script;
    for (size_t i = 1; i < versions.size(); ++i) {
        const int order = compare_deb_versions(versions[i - 1], versions[i]);
        script += "dpkg --compare-versions '" + versions[i - 1] + "' " +
                  (order < 0    ? "lt"
                   : order == 0 ? "eq"
                                : "gt") +
                  " '" + versions[i] + "' 2>/dev/null || echo '" + versions[i - 1] + " " + versions[i] +
                  "'\n";
    }
    EXPECT_EQ(test::run_shell(script).output, "");
}

}  // namespace
}  // namespace pwstore
