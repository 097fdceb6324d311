// SPDX-License-Identifier: GPL-3.0-or-later
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "store/base/error.hpp"
#include "store/keyed_file.hpp"

namespace pwstore {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Pair;

std::string merge(const char* path, const std::string& ancestor, const std::string& below,
                  const std::string& above) {
    return merge_keyed_file(path, {ancestor, below, above, "base", "work"});
}

std::string refusal(const char* path, const std::string& ancestor, const std::string& below,
                    const std::string& above) {
    try {
        return "accepted: " + merge(path, ancestor, below, above);
    } catch (const Error& error) {
        return error.what();
    }
}

TEST(KeyedFile, WhatBothAddedChangedAndRemovedHolds) {
    const std::string before = "root:x:0:0:::/bin/sh\nold:x:5:5:::\ngone:x:6:6:::\n";
    EXPECT_EQ(merge("etc/passwd", before, "root:x:0:0:::/bin/bash\nold:x:5:5:::\ngone:x:6:6:::\nb:x:7:7:::\n",
                    "root:x:0:0:::/bin/sh\nold:x:5:5::/new:\na:x:8:8:::\n"),
              "root:x:0:0:::/bin/bash\nold:x:5:5::/new:\nb:x:7:7:::\na:x:8:8:::\n");
    EXPECT_EQ(merge("etc/passwd", before, "root:x:0:0:::/bin/sh\n", before), "root:x:0:0:::/bin/sh\n");
    EXPECT_EQ(merge("etc/shells", "", "/bin/sh\n/bin/b\n", "/bin/sh\n/bin/a\n"), "/bin/sh\n/bin/b\n/bin/a\n");
}

TEST(KeyedFile, IdsThatContradictAreRefused) {
    EXPECT_THAT(refusal("etc/passwd", "", "b:x:7:7:::\n", "a:x:7:7:::\n"),
                HasSubstr("'b' of 'base' and 'a' of 'work' have the same id 7"));
    EXPECT_THAT(refusal("etc/group", "", "b:x:7:\n", "b:x:8:\n"),
                HasSubstr("'b' has the id 7 in 'base' and 8 in 'work'"));
    EXPECT_THAT(refusal("etc/passwd", "", "a:x:0:0:::\ntoor:x:0:0:::\n", "b:x:1:1:::\n"),
                HasSubstr("accepted"))
        << "one of the two has both";
}

TEST(KeyedFile, MembersOfAGroupAreUnited) {
    EXPECT_EQ(merge("etc/group", "video:x:44:\n", "video:x:44:one\n", "video:x:44:two,one\n"),
              "video:x:44:one,two\n");
    EXPECT_EQ(merge("etc/gshadow", "video:*::\n", "video:*::one\n", "video:*::two\n"), "video:*::one,two\n");
}

TEST(KeyedFile, RecordsOfSeveralLines) {
    EXPECT_EQ(merge("var/lib/dpkg/diversions", "", "/a\n/a.distrib\none\n", "/b\n/b.distrib\ntwo\n"),
              "/a\n/a.distrib\none\n/b\n/b.distrib\ntwo\n");
    EXPECT_EQ(merge("var/lib/dpkg/statoverride", "root root 755 /x\n", "root root 700 /x\n",
                    "root root 755 /x\nroot root 4755 /y\n"),
              "root root 700 /x\nroot root 4755 /y\n");
    EXPECT_EQ(merge("var/cache/debconf/config.dat", "", "Name: a\nValue: 1\n\n", "Name: b\nValue: 2\n\n"),
              "Name: a\nValue: 1\n\nName: b\nValue: 2\n\n");
}

TEST(KeyedFile, Alternatives) {
    const std::string path = "var/lib/dpkg/alternatives/editor";
    const std::string before = "auto\n/usr/bin/editor\neditor.1\n/usr/man/editor.1\n\n/bin/ed\n-100\n\n\n";
    const std::string nano =
        "auto\n/usr/bin/editor\neditor.1\n/usr/man/editor.1\n\n/bin/ed\n-100\n\n/bin/nano\n40\n/man/"
        "nano.1\n\n";
    const std::string vim =
        "auto\n/usr/bin/editor\neditor.1\n/usr/man/editor.1\neditor.fr.1\n/usr/man/fr/editor.1\n\n"
        "/bin/ed\n-100\n\n\n/bin/vim\n30\n/man/vim.1\n/man/vim.fr.1\n\n";
    const std::string merged = merge_keyed_file(path, {before, nano, vim, "base", "work"});
    EXPECT_EQ(merged,
              "auto\n/usr/bin/editor\neditor.1\n/usr/man/editor.1\neditor.fr.1\n/usr/man/fr/editor.1\n\n"
              "/bin/ed\n-100\n\n\n/bin/nano\n40\n/man/nano.1\n\n/bin/vim\n30\n/man/vim.1\n/man/vim.fr.1\n\n");
    EXPECT_THAT(alternative_links(path, merged),
                ElementsAre(Pair("etc/alternatives/editor", "/bin/nano"),
                            Pair("etc/alternatives/editor.1", "/man/nano.1")));
    EXPECT_THAT(alternative_links(path, "manual" + merged.substr(4)), IsEmpty());
    // What was removed below is gone, though it was there when the upper one was made.
    EXPECT_EQ(merge_keyed_file(path, {nano, before, merged, "base", "work"}).find("nano"), std::string::npos);
    EXPECT_EQ(merge_keyed_file(path, {before, before, vim, "base", "work"}), vim);
}

TEST(KeyedFile, NothingElseIsOne) {
    for (const char* path :
         {"etc/passwd2", "var/lib/dpkg/status", "var/lib/dpkg/alternatives/a/b", "etc/hosts"})
        EXPECT_FALSE(is_keyed_file(path)) << path;
    EXPECT_TRUE(is_keyed_file("var/lib/dpkg/alternatives/vi"));
}

}  // namespace
}  // namespace pwstore
