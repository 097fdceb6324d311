// SPDX-License-Identifier: GPL-3.0-or-later
// What becomes of the changes that somebody made in one container, when what is below it is another: the
// rules of deltas. Sequences of them are compared with pacman in tests/differential.
#include <fcntl.h>
#include <fmt/format.h>
#include <gmock/gmock.h>

#include <utility>

#include "store/base/error.hpp"
#include "store/base/path_at.hpp"
#include "tests/support/fleet.hpp"
#include "tests/support/rerun.hpp"
#include "transact/transaction.hpp"

namespace pwstore {
namespace {

using test::Fleet;
using test::PackageSpec;
using ::testing::Contains;
using ::testing::HasSubstr;

constexpr const char* kBusybox = "/bin/busybox";

/// Enough of a root for scriptlets and hooks.
PackageSpec system_package() {
    PackageSpec spec;
    spec.name = "system";
    const Fd busybox = open_at(AT_FDCWD, kBusybox, O_RDONLY);
    spec.files["usr/bin/busybox"] = {read_all(busybox.get(), kBusybox), 0755};
    for (const char* applet : {"sh", "cat", "echo", "wc", "ls"})
        spec.symlinks[fmt::format("usr/bin/{}", applet)] = "busybox";
    spec.symlinks["bin"] = "usr/bin";
    spec.files["etc/passwd"] = {"root:x:0:0:root:/root:/bin/sh\n"};
    spec.files["etc/group"] = {"root:x:0:root\n"};
    spec.backup = {"etc/passwd", "etc/group"};
    spec.files["usr/share/icons/system.svg"] = {"system"};
    spec.files["usr/share/libalpm/hooks/icons.hook"] = {
        "[Trigger]\nOperation = Install\nOperation = Upgrade\nOperation = Remove\nType = Path\n"
        "Target = usr/share/icons/*\n[Action]\nWhen = PostTransaction\n"
        "Exec = /bin/sh -c 'cat /usr/share/icons/*.svg > /usr/share/icons/cache'\n"};
    return spec;
}

/// A service: a user and a group of its own, as useradd writes them, and an icon.
PackageSpec service(const std::string& name, int id) {
    PackageSpec spec;
    spec.name = name;
    spec.files[fmt::format("usr/share/icons/{}.svg", name)] = {name};
    spec.install = fmt::format(
        "post_install() {{\n  echo '{0}:x:{1}:{1}:{0}:/srv/{0}:/bin/false' >> /etc/passwd\n"
        "  echo '{0}:x:{1}:' >> /etc/group\n}}\n",
        name, id);
    return spec;
}

class LayeringTest : public ::testing::Test {
 protected:
    void SetUp() override {
        if (!exists_at(AT_FDCWD, kBusybox))
            PWSTORE_CANNOT_RUN("no static /bin/busybox (package busybox-static)");
    }

    void slice(const char* name, const std::string& package) {
        TransactionRequest request = fleet.create_aggregate(name, {"base"}, {package});
        request.containers[0].type = ContainerType::slice;
        fleet.run(request);
    }

    void upgrade(const std::vector<PackageSpec>& packages) {
        fleet.repository(packages);
        fleet.run(fleet.upgrade_all());
    }

    Fleet fleet;
};

TEST_F(LayeringTest, AFileThatWasOverwrittenOnceStaysSo) {
    PackageSpec below{.name = "below"};
    below.files["usr/share/x"] = {"below"};
    PackageSpec above{.name = "above"};
    above.files["usr/share/x"] = {"above"};
    fleet.repository({system_package(), below, above, service("mail", 8)});
    fleet.run(fleet.create_base("base", {"system"}));
    slice("one", "below");
    fleet.run(fleet.create_aggregate("work", {"base", "one"}, {}));
    TransactionRequest request = fleet.request("work");
    request.containers[0].packages.install = {"above"};
    EXPECT_THROW(fleet.run(request), Error);
    request.containers[0].packages.overwrite = {"usr/share/x"};
    fleet.run(request);
    EXPECT_EQ(fleet.read("work", "usr/share/x"), "above");

    TransactionRequest base = fleet.request("base");
    base.containers[0].packages.install = {"mail"};
    fleet.run(base);
    EXPECT_EQ(fleet.read("work", "usr/share/x"), "above");
    below.version = "2.0-1";
    upgrade({system_package(), below, above, service("mail", 8)});
    EXPECT_EQ(fleet.current("one").number, 3U);
    EXPECT_EQ(fleet.read("work", "usr/share/x"), "above");
    fleet.expect_sound();
}

TEST_F(LayeringTest, SlicesKeepEachOthersUsersAndIcons) {
    fleet.repository({system_package(), service("mail", 8), service("news", 9), service("uucp", 10)});
    fleet.run(fleet.create_base("base", {"system", "mail"}));
    slice("one", "news");
    slice("two", "uucp");
    fleet.run(fleet.create_aggregate("work", {"base", "one", "two"}, {}));
    EXPECT_EQ(fleet.read("work", "etc/passwd"),
              "root:x:0:0:root:/root:/bin/sh\nmail:x:8:8:mail:/srv/mail:/bin/false\n"
              "news:x:9:9:news:/srv/news:/bin/false\nuucp:x:10:10:uucp:/srv/uucp:/bin/false\n");
    EXPECT_EQ(fleet.read("work", "etc/group"), "root:x:0:root\nmail:x:8:\nnews:x:9:\nuucp:x:10:\n");
    EXPECT_EQ(fleet.read("work", "usr/share/icons/news.svg"), "news");
    EXPECT_EQ(fleet.read("work", "usr/share/icons/uucp.svg"), "uucp");
    // Neither slice's hook has seen the other one's icon.
    EXPECT_EQ(fleet.read("work", "usr/share/icons/cache"), "mailnewssystemuucp");
    fleet.expect_sound();
}

TEST_F(LayeringTest, TwoUsersWithOneIdAreAnErrorThatNamesBoth) {
    fleet.repository({system_package(), service("news", 9), service("games", 9)});
    fleet.run(fleet.create_base("base", {"system"}));
    slice("one", "news");
    slice("two", "games");
    try {
        fleet.run(fleet.create_aggregate("work", {"base", "one", "two"}, {}));
        ADD_FAILURE() << "accepted";
    } catch (const Error& error) {
        EXPECT_THAT(error.what(), HasSubstr("'news' of 'one' and 'games' of 'two' have the same id 9"));
    }
    EXPECT_FALSE(fleet.exists("work") && fleet.current("work").number != 0);
}

TEST_F(LayeringTest, AnEditedFileOfTheBaseSurvivesItsUpgrade) {
    const auto configured = [](const std::string& version, const std::string& text) {
        PackageSpec spec;
        spec.name = "tool";
        spec.version = version;
        spec.files["etc/tool.conf"] = {text};
        spec.files["etc/plain"] = {text};
        spec.files["usr/share/tool"] = {text};
        spec.backup = {"etc/tool.conf"};
        return spec;
    };
    fleet.repository({configured("1-1", "one\n")});
    fleet.run(fleet.create_base("base", {"tool"}));
    fleet.run(fleet.create_aggregate("work", {"base"}, {}));
    for (const char* path : {"etc/tool.conf", "etc/plain", "usr/share/tool"})
        fleet.user_edit("work", path, "mine\n");
    upgrade({configured("2-1", "two\n")});
    EXPECT_EQ(fleet.read("base", "etc/tool.conf"), "two\n");
    for (const char* path : {"etc/tool.conf", "etc/plain"}) {
        EXPECT_EQ(fleet.read("work", path), "mine\n");
        EXPECT_EQ(fleet.read("work", std::string(path) + ".pacnew"), "two\n");
    }
    EXPECT_EQ(fleet.read("work", "usr/share/tool"), "mine\n");
    EXPECT_THAT(fleet.dialogue.messages, Contains(HasSubstr("/usr/share/tool was changed here and is kept")));
    fleet.expect_sound();
    upgrade({configured("3-1", "mine\n")});
    EXPECT_EQ(fleet.read("work", "etc/tool.conf"), "mine\n");
    EXPECT_FALSE(exists_at(AT_FDCWD, fleet.root("work") + "/etc/tool.conf.pacnew"));  // as with pacman
    fleet.expect_sound();
}

TEST_F(LayeringTest, AnEditedFileIsSavedWhenItsPackageGoesBelow) {
    PackageSpec tool;
    tool.name = "tool";
    tool.files["etc/tool.conf"] = {"one\n"};
    tool.backup = {"etc/tool.conf"};
    PackageSpec rest;
    rest.name = "rest";
    fleet.repository({tool, rest});
    fleet.run(fleet.create_base("base", {"tool", "rest"}));
    fleet.run(fleet.create_aggregate("work", {"base"}, {}));
    fleet.user_edit("work", "etc/tool.conf", "mine\n");
    fleet.user_edit("work", "etc/tool.conf.pacsave", "earlier\n");
    TransactionRequest request = fleet.request("base");
    request.containers[0].packages.remove = {"tool"};
    fleet.run(request);
    EXPECT_FALSE(exists_at(AT_FDCWD, fleet.root("work") + "/etc/tool.conf"));
    EXPECT_EQ(fleet.read("work", "etc/tool.conf.pacsave"), "mine\n");
    EXPECT_EQ(fleet.read("work", "etc/tool.conf.pacsave.1"), "earlier\n");
    fleet.expect_sound();
}

TEST_F(LayeringTest, WhatAHookMadeIsMadeAgain) {
    PackageSpec icon;
    icon.name = "icon";
    icon.files["usr/share/icons/a.svg"] = {"one"};
    PackageSpec own = service("own", 20);
    fleet.repository({system_package(), icon, own});
    fleet.run(fleet.create_base("base", {"system", "icon"}));
    fleet.run(fleet.create_aggregate("work", {"base"}, {"own"}));
    EXPECT_EQ(fleet.read("work", "usr/share/icons/cache"), "oneownsystem");
    icon.version = "2.0-1";
    icon.files["usr/share/icons/a.svg"] = {"two"};
    upgrade({system_package(), icon, own});
    EXPECT_EQ(fleet.read("base", "usr/share/icons/cache"), "twosystem");
    EXPECT_EQ(fleet.read("work", "usr/share/icons/cache"), "twoownsystem");
    fleet.expect_sound();
}

PackageSpec system_with_hook(const std::string& command) {
    PackageSpec spec = system_package();
    spec.files["usr/share/libalpm/hooks/icons.hook"] = {fmt::format(
        "[Trigger]\nOperation = Install\nOperation = Upgrade\nType = Path\nTarget = usr/share/icons/*\n"
        "[Action]\nWhen = PostTransaction\nExec = /bin/sh -c '{}'\n",
        command)};
    return spec;
}

TEST_F(LayeringTest, AHookThatFailsLeavesWhatItMade) {
    const PackageSpec system =
        system_with_hook("test ! -e /etc/broken && cat /usr/share/icons/*.svg > /usr/share/icons/cache");
    PackageSpec icon;
    icon.name = "icon";
    icon.files["usr/share/icons/a.svg"] = {"one"};
    const PackageSpec own = service("own", 20);
    fleet.repository({system, icon, own});
    fleet.run(fleet.create_base("base", {"system", "icon"}));
    fleet.run(fleet.create_aggregate("work", {"base"}, {"own"}));
    fleet.user_edit("work", "etc/broken", "yes\n");
    icon.version = "2.0-1";
    icon.files["usr/share/icons/a.svg"] = {"two"};
    upgrade({system, icon, own});
    EXPECT_EQ(fleet.read("base", "usr/share/icons/cache"), "twosystem");
    EXPECT_EQ(fleet.read("work", "usr/share/icons/cache"), "oneownsystem");
    fleet.expect_sound();
}

TEST_F(LayeringTest, APackagesFileThatHooksChangeComesAnew) {
    const PackageSpec system = system_with_hook("echo changed >> /usr/share/list");
    PackageSpec list;
    list.name = "list";
    list.files["usr/share/list"] = {"one\n"};
    list.files["usr/share/icons/list.svg"] = {"list"};
    const PackageSpec own = service("own", 20);
    fleet.repository({system, list, own});
    fleet.run(fleet.create_base("base", {"system", "list"}));
    fleet.run(fleet.create_aggregate("work", {"base"}, {"own"}));
    EXPECT_EQ(fleet.read("base", "usr/share/list"), "one\nchanged\n");
    EXPECT_EQ(fleet.read("work", "usr/share/list"), "one\nchanged\nchanged\n");
    list.version = "2.0-1";
    list.files["usr/share/list"] = {"two\n"};
    upgrade({system, list, own});
    EXPECT_EQ(fleet.read("base", "usr/share/list"), "two\nchanged\n");
    EXPECT_EQ(fleet.read("work", "usr/share/list"), "two\nchanged\nchanged\n");
    fleet.expect_sound();
}

}  // namespace
}  // namespace pwstore
