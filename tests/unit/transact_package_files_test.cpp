// SPDX-License-Identifier: GPL-3.0-or-later
// What becomes of a root's files over several transactions, where it is easy to differ from pacman. The rules
// in full are compared with the real one in tests/differential.
#include <fcntl.h>
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <sys/stat.h>
#include <unistd.h>

#include "store/base/error.hpp"
#include "store/base/path_at.hpp"
#include "tests/support/fleet.hpp"
#include "transact/transaction.hpp"

namespace pwstore {
namespace {

using test::Fleet;
using test::PackageSpec;

PackageSpec package(const std::string& name, const std::string& version) {
    PackageSpec spec;
    spec.name = name;
    spec.version = version;
    spec.files[fmt::format("usr/share/{}/data", name)] = {name + " " + version};
    return spec;
}

PackageSpec configured(const std::string& version, const std::string& content) {
    PackageSpec spec = package("tool", version);
    spec.files["etc/tool.conf"] = {content, 0664};
    spec.backup = {"etc/tool.conf"};
    return spec;
}

void install(Fleet& fleet, const std::string& container, const std::string& name) {
    TransactionRequest request = fleet.request(container);
    request.containers[0].packages.install = {name};
    request.refresh = 2;
    fleet.run(request);
}

void remove(Fleet& fleet, const std::string& container, const std::string& name) {
    TransactionRequest request = fleet.request(container);
    request.containers[0].packages.remove = {name};
    fleet.run(request);
}

bool exists(const Fleet& fleet, const std::string& path) {
    return exists_at(AT_FDCWD, fleet.root("base") + "/" + path);
}

mode_t mode_of(const Fleet& fleet, const std::string& container, const std::string& path) {
    struct stat info {};
    EXPECT_EQ(::lstat((fleet.root(container) + "/" + path).c_str(), &info), 0) << path;
    return info.st_mode & 07777;
}

TEST(PackageFiles, ADirectoryKeepsTheModeItWasMadeWith) {
    Fleet fleet;
    PackageSpec first = package("first", "1-1");
    first.directories["usr/share/common"] = 0700;
    PackageSpec second = package("second", "1-1");
    second.directories["usr/share/common"] = 0755;
    fleet.repository({first, second});
    fleet.run(fleet.create_base("base", {"first"}));
    install(fleet, "base", "second");
    EXPECT_EQ(mode_of(fleet, "base", "usr/share/common"), 0700U);
    remove(fleet, "base", "first");
    EXPECT_EQ(mode_of(fleet, "base", "usr/share/common"), 0700U);
    fleet.expect_sound();
    remove(fleet, "base", "second");
    EXPECT_FALSE(exists(fleet, "usr/share/common"));
    install(fleet, "base", "second");
    EXPECT_EQ(mode_of(fleet, "base", "usr/share/common"), 0755U);
    fleet.expect_sound();
}

TEST(PackageFiles, AnAcceptedOfferIsGone) {
    Fleet fleet;
    fleet.repository({configured("1-1", "one\n")});
    fleet.run(fleet.create_base("base", {"tool"}));
    fleet.user_edit("base", "etc/tool.conf", "mine\n");
    fleet.repository({configured("2-1", "two\n")});
    fleet.run(fleet.upgrade_all());
    EXPECT_EQ(fleet.read("base", "etc/tool.conf.pacnew"), "two\n");
    fleet.user_edit("base", "etc/tool.conf", "two\n");
    install(fleet, "base", "tool");
    EXPECT_FALSE(exists(fleet, "etc/tool.conf.pacnew"));
    fleet.expect_sound();
}

TEST(PackageFiles, WhatIsNoConfigurationAnyMoreIsSaved) {
    Fleet fleet;
    fleet.repository({configured("1-1", "one\n")});
    fleet.run(fleet.create_base("base", {"tool"}));
    fleet.user_edit("base", "etc/tool.conf", "mine\n");
    PackageSpec next = configured("2-1", "two\n");
    next.backup.clear();
    fleet.repository({next});
    fleet.run(fleet.upgrade_all());
    EXPECT_EQ(fleet.read("base", "etc/tool.conf"), "two\n");
    EXPECT_EQ(fleet.read("base", "etc/tool.conf.pacsave"), "mine\n");
    EXPECT_FALSE(exists(fleet, "etc/tool.conf.pacnew"));
    fleet.expect_sound();
}

TEST(PackageFiles, AConfigurationThatIsASymlinkIsReadThroughIt) {
    Fleet fleet;
    PackageSpec other = package("other", "1-1");
    other.files["etc/other"] = {"other\n"};
    fleet.repository({configured("1-1", "one\n"), other});
    fleet.run(fleet.create_base("base", {"other"}));
    PackageSpec link = package("link", "1-1");
    link.symlinks["etc/tool.conf"] = "other";
    fleet.repository({configured("1-1", "one\n"), other, link});
    install(fleet, "base", "link");
    TransactionRequest request = fleet.request("base");
    request.containers[0].packages.install = {"tool"};
    request.containers[0].packages.overwrite = {"etc/*"};
    fleet.run(request);
    EXPECT_EQ(fleet.read("base", "etc/tool.conf"), "other\n");
    EXPECT_EQ(fleet.read("base", "etc/tool.conf.pacnew"), "one\n");
    fleet.expect_sound();
}

TEST(PackageFiles, RemovalTakesWhatItOverwrote) {
    Fleet fleet;
    PackageSpec first = package("first", "1-1");
    PackageSpec second = package("second", "1-1");
    first.files["usr/share/both"] = {"first"};
    second.files["usr/share/both"] = {"second"};
    fleet.repository({first, second});
    fleet.run(fleet.create_base("base", {"second"}));
    TransactionRequest request = fleet.request("base");
    request.containers[0].packages.install = {"first"};
    request.containers[0].packages.overwrite = {"*"};
    fleet.run(request);
    EXPECT_EQ(fleet.read("base", "usr/share/both"), "first");
    request.containers[0].packages.install = {"second"};
    fleet.run(request);  // last, though its place among the packages is before the other's
    EXPECT_EQ(fleet.read("base", "usr/share/both"), "second");
    fleet.expect_sound();
    remove(fleet, "base", "first");
    EXPECT_FALSE(exists(fleet, "usr/share/both"));
    fleet.expect_sound();
}

TEST(PackageFiles, AnAggregateMeetsFilesThatNobodyOwns) {
    Fleet fleet;
    PackageSpec tool = package("tool", "1-1");
    tool.files["etc/mine"] = {"packaged"};
    PackageSpec core = package("core", "1-1");
    core.files["etc/core"] = {"core"};
    fleet.repository({core, tool});
    fleet.run(fleet.create_base("base", {"core"}));
    fleet.run(fleet.create_aggregate("app", {"base"}, {}));
    fleet.user_edit("app", "etc/mine", "mine");
    EXPECT_THROW(install(fleet, "app", "tool"), Error);
    EXPECT_EQ(fleet.read("app", "etc/mine"), "mine");
    fleet.expect_sound();
}

TEST(PackageFiles, ASavedFileHasTheTimeOfThePackageThatLaidItDown) {
    constexpr int64_t kFirst = 1'500'000'000;
    constexpr int64_t kSecond = 1'600'000'000;
    Fleet fleet;
    PackageSpec owner = package("owner", "1-1");
    owner.files["etc/both"] = {"of the owner\n", 0644, kFirst};
    PackageSpec other = package("other", "1-1");
    other.files["etc/both"] = {"of the other\n"};
    other.backup = {"etc/both"};
    other.depends = {"owner"};
    fleet.repository({owner, other});
    fleet.run(fleet.create_base("base", {"owner"}));
    TransactionRequest request = fleet.request("base");
    request.containers[0].packages.install = {"other"};
    request.containers[0].packages.overwrite = {"*"};
    fleet.run(request);
    owner.version = "2-1";
    owner.files["etc/both"].mtime = kSecond;
    PackageSpec without = package("other", "2-1");
    without.depends = {"owner"};
    fleet.repository({owner, without});
    fleet.run(fleet.upgrade_all());
    EXPECT_EQ(fleet.read("base", "etc/both.pacsave"), "of the owner\n");
    struct stat info {};
    ASSERT_EQ(::lstat((fleet.root("base") + "/etc/both.pacsave").c_str(), &info), 0);
    EXPECT_EQ(info.st_mtim.tv_sec, kSecond);
    fleet.expect_sound();
}

TEST(PackageFiles, ADirectoryOfADebianPackageLeavesASymlinkToOneAlone) {
    Fleet fleet;
    PackageSpec core = package("core", "1.0e-1e");
    core.directories["usr/lib"] = 0755;
    core.symlinks["lib"] = "usr/lib";
    PackageSpec tool = package("tool", "1.0e-1e");
    tool.files["lib/tool"] = {"tool"};
    fleet.repository({core, tool});
    fleet.run(fleet.create_base("base", {"core"}));
    TransactionRequest request = fleet.request("base");
    request.containers[0].packages.install = {"tool"};
    request.containers[0].packages.overwrite = {"*"};
    fleet.run(request);
    EXPECT_EQ(fleet.read("base", "usr/lib/tool"), "tool");
    struct stat info {};
    ASSERT_EQ(::lstat((fleet.root("base") + "/lib").c_str(), &info), 0);
    EXPECT_TRUE(S_ISLNK(info.st_mode));
    fleet.expect_sound();
}

TEST(PackageFiles, AnOverwrittenFileDoesNotStopLaterTransactions) {
    Fleet fleet;
    PackageSpec core = package("core", "1-1");
    PackageSpec tool = package("tool", "1-1");
    core.files["usr/share/both"] = {"core"};
    tool.files["usr/share/both"] = {"tool"};
    fleet.repository({core, tool});
    fleet.run(fleet.create_base("base", {"core"}));
    fleet.run(fleet.create_aggregate("app", {"base"}, {}));
    TransactionRequest request = fleet.request("app");
    request.containers[0].packages.install = {"tool"};
    request.containers[0].packages.overwrite = {"*"};
    fleet.run(request);
    fleet.repository({core, tool, package("late", "1-1")});
    install(fleet, "base", "late");
    install(fleet, "app", "tool");
    EXPECT_EQ(fleet.read("app", "usr/share/both"), "tool");
    fleet.expect_sound();
}

}  // namespace
}  // namespace pwstore
