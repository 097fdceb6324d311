// SPDX-License-Identifier: GPL-3.0-or-later
// What is laid down at once, and what is not because pacman's rules have something to decide about it.
#include <gmock/gmock.h>
#include <sys/stat.h>

#include "mount/assembler.hpp"
#include "mount/twin.hpp"
#include "store/base/path_at.hpp"
#include "tests/support/fleet.hpp"
#include "tests/support/root_fixture.hpp"
#include "transact/fresh_packages.hpp"

namespace pwstore {
namespace {

using test::Fleet;
using test::listing;
using test::PackageSpec;
using test::RootFixture;

Manifest package(const std::string& name, const std::vector<TreeEntry>& entries) {
    Manifest manifest;
    manifest.name = name;
    manifest.version = "1-1";
    for (const TreeEntry& entry : RootFixture::tree(entries).entries)
        manifest.entries.push_back(entry.entry);
    return manifest;
}

class FreshPackagesTest : public testing::Test {
 protected:
    /// The root has the files of `there`; then `packages` come. Which of them are taken?
    std::vector<bool> taken(const std::vector<TreeEntry>& there, const std::vector<Manifest>& packages) {
        const Manifest old = package("old", there);
        std::vector<TreeLayer> layers{{"package old 1-1", &old.entries}};
        for (const Manifest& manifest : packages)
            layers.push_back({"package " + manifest.name, &manifest.entries});
        layers_ = merge_layers(layers);
        name_ = "root" + std::to_string(++roots_);
        root_ = fixture_.make_root(name_);
        assemble(fixture_.store, merge_layers({layers.front()}), root_.get());
        fresh_.emplace(root_.get(), layers_, delta_, patterns_, log_);
        std::vector<bool> result;
        for (const Manifest& manifest : packages)
            result.push_back(fresh_->add(manifest));
        return result;
    }
    bool is_taken(const std::vector<TreeEntry>& there, const std::vector<TreeEntry>& entries) {
        return taken(there, {package("new", entries)}).front();
    }

    RootFixture fixture_;
    FilePatterns patterns_;
    Delta delta_;
    ActLog log_;
    Tree layers_;
    Fd root_;
    std::string name_;
    unsigned roots_ = 0;
    std::optional<FreshPackages> fresh_;
};

TEST_F(FreshPackagesTest, WhatMeetsNothingIsLaidDownAsAssembled) {
    const std::vector<TreeEntry> there{fixture_.file("usr/bin/old", "old"), RootFixture::directory("etc")};
    TreeEntry link = fixture_.file("usr/share/one/a", "linked");
    TreeEntry other = fixture_.file("usr/share/one/b", "linked");
    link.entry.link_group = other.entry.link_group = 1;
    const Manifest one = package(
        "one", {fixture_.file("usr/bin/one", "one", 04755), link, other, fixture_.file("etc/one.conf", "x"),
                RootFixture::symlink("usr/share/one/l", "a"), RootFixture::directory("usr/share/one", 0700)});
    const Manifest two = package(
        "two", {fixture_.file("usr/share/one/two", "two"), RootFixture::directory("usr/share/one", 0750),
                fixture_.file("usr/share/two/empty", "")});
    EXPECT_THAT(taken(there, {one, two}), testing::ElementsAre(true, true));
    add_to_root(fixture_.store, fresh_->tree(), root_.get());
    RootWriter(fixture_.store, root_.get(), LinkPolicy::link)
        .settle_directories(layers_, fresh_->directories());
    assemble(fixture_.store, layers_, fixture_.make_root("assembled").get());
    EXPECT_EQ(listing(fixture_.dir.path(name_)), listing(fixture_.dir.path("assembled")));
    EXPECT_EQ(fresh_->made_directories().at("usr/share/one"), 0700U);
    EXPECT_FALSE(fresh_->made_directories().contains("usr/bin"));
}

TEST_F(FreshPackagesTest, WhatMeetsSomethingIsNotTaken) {
    const TreeEntry file = fixture_.file("usr/bin/tool", "tool");
    EXPECT_FALSE(is_taken({fixture_.file("usr/bin/tool", "another")}, {file}));
    EXPECT_FALSE(is_taken({RootFixture::symlink("usr/bin/tool", "another")}, {file}));
    EXPECT_FALSE(
        is_taken({RootFixture::directory("usr/lib"), RootFixture::symlink("usr/bin", "lib")}, {file}));
    EXPECT_FALSE(is_taken({RootFixture::symlink("usr/bin", "nowhere")}, {RootFixture::directory("usr/bin")}));
    EXPECT_TRUE(is_taken({RootFixture::directory("usr/bin", 0700)}, {file}));
}

TEST_F(FreshPackagesTest, PackagesThatMeetEachOtherAreApart) {
    const TreeEntry file = fixture_.file("usr/bin/tool", "tool");
    const Manifest one = package("one", {file});
    EXPECT_THAT(taken({}, {one, package("two", {file})}), testing::ElementsAre(true, false));
    EXPECT_THAT(
        taken({},
              {package("links", {RootFixture::directory("usr/lib"), RootFixture::symlink("usr/bin", "lib")}),
               one}),
        testing::ElementsAre(true, false));
}

TEST_F(FreshPackagesTest, PatternsAndWhatIsKnownOfAPathDecide) {
    const TreeEntry file = fixture_.file("usr/bin/tool", "tool");
    patterns_.no_extract = {"usr/bin/*"};
    EXPECT_FALSE(is_taken({}, {file}));
    patterns_.no_extract = {"usr/share/*"};
    EXPECT_TRUE(is_taken({}, {file}));
    DeltaEntry whiteout;
    whiteout.entry.path = "usr/bin/tool";
    whiteout.entry.kind = EntryKind::whiteout;
    delta_.entries = {whiteout};
    EXPECT_FALSE(is_taken({}, {file}));
    delta_.entries.clear();
    log_.touched("usr/bin/tool", {});
    EXPECT_FALSE(is_taken({}, {file}));
}

TEST_F(FreshPackagesTest, TheDatabaseIsNotAPackages) {
    EXPECT_FALSE(is_taken({}, {fixture_.file("var/lib/pacman/local/x-1-1/desc", "x")}));
}

/// What scripts see of the files of others does not depend on what is laid down together.
TEST(FreshPackages, AScriptSeesWhatCameBeforeIt) {
    Fleet fleet;
    std::vector<PackageSpec> packages;
    for (const std::string name : {"a", "b", "c", "d"}) {
        PackageSpec spec;
        spec.name = name;
        spec.files["usr/share/all/" + name] = {name};
        if (name != "a") spec.depends = {std::string(1, static_cast<char>(name[0] - 1))};
        packages.push_back(spec);
    }
    packages[2].depends.emplace_back("shell");
    packages[2].install =
        "pre_install() { echo /usr/share/all/* > /var/before; }\npost_install() { echo /usr/share/all/* > "
        "/var/after; }\n";
    PackageSpec shell;
    shell.name = "shell";
    shell.files["bin/sh"] = {read_file(AT_FDCWD, "/bin/busybox"), 0755};
    packages.push_back(shell);
    fleet.repository(packages);
    fleet.run(fleet.create_base("base", {"d"}));
    EXPECT_EQ(fleet.read("base", "var/before"), "/usr/share/all/a /usr/share/all/b\n");
    EXPECT_EQ(fleet.read("base", "var/after"), "/usr/share/all/a /usr/share/all/b /usr/share/all/c\n");
    EXPECT_EQ(fleet.read("base", "usr/share/all/d"), "d");
    fleet.expect_sound();
}

}  // namespace
}  // namespace pwstore
