// SPDX-License-Identifier: GPL-3.0-or-later
#include <fcntl.h>
#include <gmock/gmock.h>

#include <algorithm>

#include "store/base/error.hpp"
#include "store/base/path_at.hpp"
#include "store/store.hpp"
#include "tests/support/busybox_root.hpp"
#include "tests/support/deb_fleet.hpp"

namespace pwstore {
namespace {

using test::Deb;
using test::DebFleet;
using test::silent_scripts;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::UnorderedElementsAre;

class MaintainerScriptsTest : public ::testing::Test {
 protected:
    void SetUp() override {
        if (!exists_at(AT_FDCWD, "/bin/busybox")) PWSTORE_CANNOT_RUN("no static /bin/busybox");
    }
    [[nodiscard]] bool has(const std::string& container, const std::string& path) const {
        return exists_at(AT_FDCWD, fleet.root(container) + "/" + path);
    }
    /// A base with the shell and with `more`.
    void make_base(std::vector<Deb> offered, std::vector<std::string> more = {}) {
        offered.push_back(DebFleet::shell());
        fleet.repository(offered);
        more.insert(more.begin(), "base");
        fleet.run(fleet.create_base("base", more));
        (void)fleet.record("base");
    }
    void offer(std::vector<Deb> offered) {
        offered.push_back(DebFleet::shell());
        fleet.repository(offered);
    }
    /// `act` fails with an Error that says `what` and has `output` in its hint; all is as it was.
    template <class Act>
    void expect_refused(const Act& act, const std::string& what, const std::string& output) {
        const uint64_t before = fleet.current("base").number;
        const auto tree = test::describe_tree(fleet.root("base"));
        try {
            act();
            ADD_FAILURE() << "accepted";
        } catch (const Error& error) {
            EXPECT_THAT(error.what(), HasSubstr(what));
            EXPECT_THAT(error.hint(), HasSubstr(output));
        }
        EXPECT_EQ(fleet.current("base").number, before);
        EXPECT_EQ(test::describe_tree(fleet.root("base")), tree);
        EXPECT_THAT(list_directory(open_dir(AT_FDCWD, fleet.data("store/staging")).get()), IsEmpty());
        fleet.expect_sound();
    }

    static Deb tool(const std::string& version = "1.0-1") {
        return {.name = "tool",
                .version = version,
                .files = {{"usr/share/tool", "tool " + version}},
                .scripts = silent_scripts()};
    }

    DebFleet fleet;
};

// --- Order and arguments ---

TEST_F(MaintainerScriptsTest, AreCalledAsPolicySays) {
    make_base({tool()});
    fleet.install("base", {"tool"});
    EXPECT_THAT(fleet.record("base"), ElementsAre("tool preinst[install]", "tool postinst[configure][]"));
    fleet.expect_sound();

    offer({tool("1:0.9~rc1-2")});
    fleet.run(fleet.upgrade_all());
    EXPECT_THAT(fleet.record("base"),
                ElementsAre("tool prerm[upgrade][1:0.9~rc1-2]", "tool preinst[upgrade][1.0-1][1:0.9~rc1-2]",
                            "tool postrm[upgrade][1:0.9~rc1-2]", "tool postinst[configure][1.0-1]"));
    EXPECT_EQ(fleet.read("base", "usr/share/tool"), "tool 1:0.9~rc1-2");
    fleet.expect_sound();

    fleet.install("base", {"tool"});  // the version that is there
    EXPECT_THAT(
        fleet.record("base"),
        ElementsAre("tool prerm[upgrade][1:0.9~rc1-2]", "tool preinst[upgrade][1:0.9~rc1-2][1:0.9~rc1-2]",
                    "tool postrm[upgrade][1:0.9~rc1-2]", "tool postinst[configure][1:0.9~rc1-2]"));

    fleet.remove("base", "tool");
    EXPECT_THAT(fleet.record("base"), ElementsAre("tool prerm[remove]", "tool postrm[remove]"));
    EXPECT_FALSE(has("base", "usr/share/tool"));
    EXPECT_FALSE(has("base", "var/lib/dpkg/info/tool.list"));
    fleet.expect_sound();

    fleet.install("base", {"tool"});
    (void)fleet.record("base");
    fleet.remove("base", "tool", true);
    EXPECT_THAT(fleet.record("base"),
                ElementsAre("tool prerm[remove]", "tool postrm[remove]", "tool postrm[purge]"));
    fleet.expect_sound();
}

// As with debconf, whose frontend executes, and then reads, the script that started it.
TEST_F(MaintainerScriptsTest, MayExecuteAndReadThemselves) {
    const std::string again =
        "grep -q AGAIN \"$0\" || exit 3\n[ -n \"$AGAIN\" ] || AGAIN=yes exec \"$0\" \"$@\"\n";
    Deb self = tool();
    for (auto& [script, text] : self.scripts)
        text = again;
    make_base({self}, {"tool"});
    self.version = "2.0-1";
    offer({self});
    fleet.run(fleet.upgrade_all());
    EXPECT_THAT(fleet.record("base"),
                ElementsAre("tool prerm[upgrade][2.0-1]", "tool prerm[upgrade][2.0-1]",
                            "tool preinst[upgrade][1.0-1][2.0-1]", "tool preinst[upgrade][1.0-1][2.0-1]",
                            "tool postrm[upgrade][2.0-1]", "tool postrm[upgrade][2.0-1]",
                            "tool postinst[configure][1.0-1]", "tool postinst[configure][1.0-1]"));
    fleet.remove("base", "tool");
    EXPECT_THAT(fleet.record("base"), ElementsAre("tool prerm[remove]", "tool prerm[remove]",
                                                  "tool postrm[remove]", "tool postrm[remove]"));
}

TEST_F(MaintainerScriptsTest, AllIsUnpackedBeforeAnythingIsConfigured) {
    Deb library{.name = "library", .files = {{"usr/lib/l", "l"}}, .scripts = silent_scripts()};
    Deb user{.name = "app", .fields = "Depends: library\n", .scripts = silent_scripts()};
    make_base({library, user});
    fleet.install("base", {"app"});
    EXPECT_THAT(fleet.record("base"),
                ElementsAre("library preinst[install]", "app preinst[install]",
                            "library postinst[configure][]", "app postinst[configure][]"));
}

TEST_F(MaintainerScriptsTest, WhereDpkgIsNotThereYetPreinstComesBeforePostinst) {
    offer({tool()});
    fleet.run(fleet.create_base("base", {"base", "tool"}));
    EXPECT_THAT(fleet.record("base"), ElementsAre("tool preinst[install]", "tool postinst[configure][]"));
    EXPECT_THAT(fleet.status("base"), UnorderedElementsAre("dpkg 1.21.22", "tool 1.0-1"));
    fleet.expect_sound();
}

TEST_F(MaintainerScriptsTest, WhatDpkgNeedsIsConfiguredBeforeTheRestComes) {
    Deb library{.name = "zlib", .scripts = silent_scripts()};
    Deb shell = DebFleet::shell();
    shell.fields += "Depends: zlib\n";
    shell.scripts = silent_scripts();
    fleet.repository({shell, library, tool()});
    fleet.run(fleet.create_base("base", {"base", "tool"}));
    EXPECT_THAT(fleet.record("base"), ElementsAre("dpkg preinst[install]", "dpkg postinst[configure][]",
                                                  "zlib preinst[install]", "zlib postinst[configure][]",
                                                  "tool preinst[install]", "tool postinst[configure][]"));
    fleet.expect_sound();
}

TEST_F(MaintainerScriptsTest, AFileThatWasOverwrittenOnceStaysSo) {
    Deb below = tool();
    Deb above{.name = "above", .files = {{"usr/share/tool", "above"}}};
    Deb other{.name = "other", .files = {{"usr/share/other", "other"}}};
    make_base({below, above, other}, {"tool"});
    fleet.run(fleet.create_aggregate("work", {"base"}, {}));
    TransactionRequest request = fleet.request("work");
    request.containers[0].packages.install = {"above"};
    EXPECT_THROW(fleet.run(request), Error);
    request.containers[0].packages.overwrite = {"usr/share/*"};
    fleet.run(request);
    EXPECT_EQ(fleet.read("work", "usr/share/tool"), "above");
    fleet.install("base", {"other"});
    EXPECT_EQ(fleet.read("work", "usr/share/tool"), "above");
    EXPECT_EQ(fleet.read("work", "usr/share/other"), "other");
    offer({tool("2.0-1"), above, other});
    fleet.run(fleet.upgrade_all());
    EXPECT_EQ(fleet.read("base", "usr/share/tool"), "tool 2.0-1");
    EXPECT_EQ(fleet.read("work", "usr/share/tool"), "above");
    fleet.expect_sound();
}

TEST_F(MaintainerScriptsTest, UndoRunsNothing) {
    make_base({tool()}, {"tool"});
    offer({tool("2.0-1")});
    fleet.run(fleet.upgrade_all());
    fleet.undo();
    EXPECT_THAT(fleet.record("base"), IsEmpty());
    EXPECT_EQ(fleet.read("base", "usr/share/tool"), "tool 1.0-1");
    EXPECT_THAT(fleet.status("base"), Contains("tool 1.0-1"));
    fleet.expect_sound();
}

// --- What they see ---

TEST_F(MaintainerScriptsTest, SeeWhatDpkgShowsThem) {
    Deb curious{.name = "curious",
                .version = "2:1.0-1",
                .fields = "Multi-Arch: same\n",
                .scripts = {{"postinst",
                             "env >/var/lib/seen; readlink /proc/self/fd/0 >>/var/lib/seen\n"
                             "tty >>/var/lib/seen 2>&1 || true; ls /var/lib/dpkg/info >>/var/lib/seen; echo "
                             "\"$0\" >>/var/lib/seen"}}};
    make_base({curious});
    fleet.install("base", {"curious"});
    const std::string seen = fleet.read("base", "var/lib/seen");
    for (const char* line :
         {"DEBIAN_FRONTEND=noninteractive\n", "DPKG_MAINTSCRIPT_PACKAGE=curious\n",
          "DPKG_MAINTSCRIPT_NAME=postinst\n", "DPKG_MAINTSCRIPT_ARCH=all\n",
          "DPKG_MAINTSCRIPT_PACKAGE_REFCOUNT=1\n", "DPKG_ADMINDIR=/var/lib/dpkg\n", "DPKG_ROOT=\n",
          "DPKG_RUNNING_VERSION=1.21.22\n", "HOME=/root\n", "/dev/null\n", "not a tty\n",
          "curious:all.list\n", "/var/lib/dpkg/info/curious:all.postinst\n"})
        EXPECT_THAT(seen, HasSubstr(line));
    EXPECT_THAT(seen, Not(HasSubstr("PWSTORE")));
    fleet.expect_sound();
}

// --- Failures ---

TEST_F(MaintainerScriptsTest, OneThatFailsEndsTheTransaction) {
    Deb old = tool();
    make_base({old}, {"tool"});
    const auto upgrade = [&] { fleet.run(fleet.upgrade_all()); };
    for (const char* kind : {"preinst", "postinst"}) {
        Deb bad = tool(kind == std::string("preinst") ? "2.0-1" : "3.0-1");
        bad.scripts[kind] = "echo this goes wrong >&2; exit 3";
        offer({bad});
        expect_refused(upgrade, std::string("tool ") + kind, "this goes wrong");
    }
}

TEST_F(MaintainerScriptsTest, OneThatFailsOnRemovalEndsTheTransaction) {
    for (const char* kind : {"prerm", "postrm"}) {
        Deb bad{.name = std::string("bad-") + kind, .scripts = silent_scripts()};
        bad.scripts[kind] = "echo this goes wrong; exit 3";
        if (!fleet.exists("base")) {
            make_base({bad}, {bad.name});
        } else {
            offer({bad});
            fleet.install("base", {bad.name});
        }
        expect_refused([&] { fleet.remove("base", bad.name); }, bad.name + " " + kind, "this goes wrong");
    }
}

TEST_F(MaintainerScriptsTest, TheNewVersionMayHelpTheOldOneToGo) {
    Deb old = tool();
    old.scripts["prerm"] = "exit 1";
    old.scripts["postrm"] = "exit 1";
    make_base({old}, {"tool"});
    Deb helpful = tool("2.0-1");
    offer({helpful});
    fleet.run(fleet.upgrade_all());
    EXPECT_THAT(fleet.record("base"),
                ElementsAre("tool prerm[upgrade][2.0-1]", "tool prerm[failed-upgrade][1.0-1][2.0-1]",
                            "tool preinst[upgrade][1.0-1][2.0-1]", "tool postrm[upgrade][2.0-1]",
                            "tool postrm[failed-upgrade][1.0-1][2.0-1]", "tool postinst[configure][1.0-1]"));
    fleet.expect_sound();
}

TEST_F(MaintainerScriptsTest, TheNewVersionMayFailToHelp) {
    Deb old = tool();
    old.scripts["prerm"] = "exit 1";
    make_base({old}, {"tool"});
    Deb other = tool("2.0-1");
    other.scripts["prerm"] = "echo no help; exit 1";
    offer({other});
    expect_refused([&] { fleet.run(fleet.upgrade_all()); }, "tool prerm upgrade", "no help");
}

TEST_F(MaintainerScriptsTest, OneThatCannotStartIsNamed) {
    make_base({});
    Deb nowhere{.name = "nowhere", .raw_scripts = {{"postinst", "#!/usr/bin/no-such-shell\n"}}};
    offer({nowhere});
    expect_refused([&] { fleet.install("base", {"nowhere"}); }, "nowhere postinst configure", "");
    Deb nothing{.name = "nothing", .raw_scripts = {{"postinst", "no interpreter\n"}}};
    offer({nothing});
    expect_refused([&] { fleet.install("base", {"nothing"}); }, "nothing postinst configure", "");
}

#ifdef __x86_64__
/// A program that needs nothing and ends with `status`.
std::string program_that_exits(char status) {
    std::string elf(
        "\x7f"
        "ELF\2\1\1\0\0\0\0\0\0\0\0\0"
        "\2\0\x3e\0\1\0\0\0"
        "\x78\0\x40\0\0\0\0\0"  // entry: right after the headers
        "\x40\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"
        "\0\0\0\0\x40\0\x38\0\1\0\0\0\0\0\0\0"
        "\1\0\0\0\5\0\0\0\0\0\0\0\0\0\0\0"
        "\0\0\x40\0\0\0\0\0\0\0\x40\0\0\0\0\0"
        "\x84\0\0\0\0\0\0\0\x84\0\0\0\0\0\0\0"
        "\0\x10\0\0\0\0\0\0",
        120);
    elf += std::string("\xbf", 1) + status + std::string("\0\0\0\xb8\x3c\0\0\0\x0f\x05", 11);
    return elf;
}

TEST_F(MaintainerScriptsTest, EachMayBeAProgramOrATextWithoutInterpreter) {
    const std::string good = program_that_exits(0);
    const std::string text = "echo \"plain $1\" >>/var/lib/record\n";
    make_base({});
    Deb tool{.name = "tool", .raw_scripts = {{"preinst", good}, {"postrm", text}, {"prerm", text}}};
    offer({tool});
    fleet.install("base", {"tool"});
    tool.version = "2.0-1";
    offer({tool});
    fleet.run(fleet.upgrade_all());
    EXPECT_THAT(fleet.record("base"), ElementsAre("plain upgrade", "plain upgrade"));
    Deb bad{.name = "bad", .raw_scripts = {{"preinst", program_that_exits(7)}}};
    offer({tool, bad});
    expect_refused([&] { fleet.install("base", {"bad"}); }, "bad preinst install", "");
    EXPECT_THAT([&] { fleet.install("base", {"bad"}); },
                ::testing::Throws<Error>(::testing::Property(&Error::what, HasSubstr("status 7"))));
}
#endif

// --- What is essential ---

std::vector<std::string> names_of(const Generation& generation) {
    std::vector<std::string> names;
    for (const InstalledPackage& package : generation.packages)
        names.push_back(package.name);
    return names;
}

TEST_F(MaintainerScriptsTest, WhatIsEssentialComesWhateverIsNamed) {
    offer({tool(), {.name = "man-db"}, {.name = "other"}});
    fleet.run(fleet.create_base("slim", {"tool"}));
    EXPECT_THAT(names_of(fleet.current("slim")), UnorderedElementsAre("dpkg", "filesystem", "tool"));
    for (const InstalledPackage& package : fleet.current("slim").packages) {
        if (package.name != "dpkg") continue;
        EXPECT_EQ(package.reason, InstallReason::explicitly);
    }
    EXPECT_THAT(fleet.record("slim"), ElementsAre("tool preinst[install]", "tool postinst[configure][]"));
    fleet.run(fleet.create_aggregate("app", {"slim"}, {"other"}));
    EXPECT_THAT(names_of(fleet.current("app")), ElementsAre("other"));

    fleet.run(fleet.create_base("bare", {}));
    EXPECT_THAT(names_of(fleet.current("bare")), IsEmpty());
    fleet.run(fleet.create_aggregate("first", {"bare"}, {"tool"}));
    EXPECT_THAT(names_of(fleet.current("first")), UnorderedElementsAre("dpkg", "filesystem", "tool"));
    fleet.install("bare", {"other"});
    EXPECT_THAT(names_of(fleet.current("bare")), UnorderedElementsAre("dpkg", "filesystem", "other"));
    EXPECT_THAT(fleet.dialogue.questions, IsEmpty());
    fleet.expect_sound();
}

TEST_F(MaintainerScriptsTest, WhatIsEssentialAndNowhereIsNamed) {
    fleet.repository({tool()});
    try {
        fleet.run(fleet.create_base("slim", {"tool"}));
        ADD_FAILURE() << "accepted";
    } catch (const Error& error) {
        EXPECT_THAT(error.what(), HasSubstr("tool preinst install"));
        EXPECT_THAT(error.hint(), HasSubstr("base-files, base-passwd, bash, "));
    }
    EXPECT_FALSE(fleet.exists("slim"));
}

// --- Triggers ---

TEST_F(MaintainerScriptsTest, TriggersRunOnceForAllThatActivatesThem) {
    Deb index{.name = "index",
              .scripts = {{"postinst", ""}},
              .triggers = "# what we look at\ninterest /usr/share/icons\ninterest-noawait update-index\n"};
    Deb one{.name = "one", .files = {{"usr/share/icons/one", "1"}}};
    Deb two{.name = "two", .files = {{"usr/share/icons/two", "2"}}, .triggers = "activate update-index\n"};
    Deb caller{.name = "caller",
               .scripts = {{"postinst", "dpkg-trigger update-index; dpkg-trigger unknown"}}};
    Deb other{.name = "other", .files = {{"usr/share/icons-other", "x"}}};
    make_base({index, one, two, caller, other}, {"index"});
    fleet.install("base", {"one", "two"});
    EXPECT_THAT(fleet.record("base"),
                ElementsAre("index postinst[triggered][/usr/share/icons update-index]"));
    fleet.expect_sound();
    fleet.install("base", {"caller"});
    EXPECT_THAT(fleet.record("base"),
                ElementsAre("caller postinst[configure][]", "index postinst[triggered][update-index]"));
    EXPECT_FALSE(has("base", "var/lib/dpkg/triggers/Unincorp"));
    fleet.install("base", {"other"});
    EXPECT_THAT(fleet.record("base"), IsEmpty());
    fleet.remove("base", "one");
    EXPECT_THAT(fleet.record("base"), ElementsAre("index postinst[triggered][/usr/share/icons]"));
    fleet.remove("base", "two");
    EXPECT_THAT(fleet.record("base"),
                ElementsAre("index postinst[triggered][/usr/share/icons update-index]"));
    fleet.expect_sound();
}

TEST_F(MaintainerScriptsTest, WhoIsConfiguredHasSeenWhatWasThere) {
    Deb index{.name = "index",
              .scripts = {{"postinst", ""}},
              .triggers = "interest /usr/share/icons\ninterest update-index\n"};
    Deb before{.name = "a-before",
               .files = {{"usr/share/icons/one", "1"}},
               .scripts = {{"postinst", "dpkg-trigger update-index"}},
               .triggers = "activate update-index\n"};
    index.fields = "Depends: a-before\n";
    make_base({index, before});
    fleet.install("base", {"index"});
    EXPECT_THAT(fleet.record("base"),
                ElementsAre("a-before postinst[configure][]", "index postinst[configure][]"));
    // Activated after its configuration, it runs.
    Deb after = before;
    after.name = "z-after";
    after.fields = "Depends: watch\n";
    after.files = {{"usr/share/icons/z", "z"}};
    Deb watch{.name = "watch", .scripts = {{"postinst", ""}}, .triggers = "interest update-index\n"};
    offer({after, watch, before, index});
    fleet.install("base", {"z-after"});
    EXPECT_THAT(fleet.record("base"),
                ElementsAre("watch postinst[configure][]", "z-after postinst[configure][]",
                            "index postinst[triggered][/usr/share/icons update-index]",
                            "watch postinst[triggered][update-index]"));
}

TEST_F(MaintainerScriptsTest, ATriggerMayActivateAnother) {
    Deb first{.name = "first",
              .scripts = {{"postinst", "[ \"$1\" != triggered ] || dpkg-trigger second"}},
              .triggers = "interest first\n"};
    Deb second{.name = "second", .scripts = {{"postinst", ""}}, .triggers = "interest second\n"};
    Deb third{.name = "third", .scripts = {{"postinst", ""}}, .triggers = "activate first\n"};
    make_base({first, second, third}, {"first", "second"});
    fleet.install("base", {"third"});
    EXPECT_THAT(fleet.record("base"),
                ElementsAre("third postinst[configure][]", "first postinst[triggered][first]",
                            "second postinst[triggered][second]"));
}

TEST_F(MaintainerScriptsTest, TriggersWithoutEndAreRefused) {
    Deb round{
        .name = "round", .scripts = {{"postinst", "dpkg-trigger again"}}, .triggers = "interest again\n"};
    make_base({round});
    expect_refused([&] { fleet.install("base", {"round"}); }, "without an end", "");
}

TEST_F(MaintainerScriptsTest, WhatIsBuiltOnABaseHasTriggersOfItsOwn) {
    const auto cache = [](const char* name) {
        return Deb{.name = name,
                   .scripts = {{"postinst", "ls /usr/share/icons >/var/lib/icon-cache"}},
                   .triggers = "interest /usr/share/icons\ninterest update-index\n"};
    };
    const auto icons = [](const char* version) {
        return Deb{.name = "icons",
                   .version = version,
                   .files = {{std::string("usr/share/icons/") + version, ""}},
                   .scripts = {{"postinst", "dpkg-trigger update-index"}}};
    };
    make_base({cache("index"), icons("1")}, {"icons"});
    fleet.run(fleet.create_aggregate("work", {"base"}, {"index"}));
    EXPECT_EQ(fleet.read("work", "var/lib/icon-cache"), "1\n");
    (void)fleet.record("work");
    offer({cache("index"), icons("2")});
    fleet.run(fleet.upgrade_all());
    EXPECT_EQ(fleet.read("work", "var/lib/icon-cache"), "2\n");
    EXPECT_THAT(fleet.record("work"), Contains("index postinst[triggered][/usr/share/icons update-index]"));
    EXPECT_FALSE(has("base", "var/lib/icon-cache"));
    fleet.expect_sound();
}

TEST_F(MaintainerScriptsTest, SlicesThatMeetHaveTheirTriggersRunTogether) {
    Deb cache{.name = "index",
              .scripts = {{"postinst", "ls /usr/share/icons >/var/lib/icon-cache || true"}},
              .triggers = "interest /usr/share/icons\n"};
    Deb one{.name = "one", .files = {{"usr/share/icons/one", ""}}};
    Deb two{.name = "two", .files = {{"usr/share/icons/two", ""}}};
    make_base({cache, one, two}, {"index"});
    for (const char* name : {"one", "two"}) {
        TransactionRequest slice = fleet.create_aggregate(std::string("slice-") + name, {"base"}, {name});
        slice.containers[0].type = ContainerType::slice;
        fleet.run(slice);
    }
    fleet.run(fleet.create_aggregate("work", {"base", "slice-one", "slice-two"}, {}));
    EXPECT_EQ(fleet.read("slice-one", "var/lib/icon-cache"), "one\n");
    EXPECT_EQ(fleet.read("work", "var/lib/icon-cache"), "one\ntwo\n");
    fleet.expect_sound();
}

// --- Diversions ---

Deb diverter() {
    return {.name = "diverter",
            .files = {{"usr/share/data", "diverter's"}},
            .scripts = {{"preinst", "dpkg-divert diverter add /usr/share/data"},
                        {"postrm", "[ \"$1\" != remove ] || dpkg-divert diverter remove /usr/share/data"}}};
}
Deb owner(const char* version) {
    return {
        .name = "owner", .version = version, .files = {{"usr/share/data", std::string("owner ") + version}}};
}

TEST_F(MaintainerScriptsTest, DivertedFilesGoElsewhere) {
    make_base({diverter(), owner("1")}, {"owner"});
    const auto expect = [&](const std::string& here, const std::string& aside) {
        EXPECT_EQ(fleet.read("base", "usr/share/data"), here);
        if (aside.empty()) {
            EXPECT_FALSE(has("base", "usr/share/data.distrib"));
        } else {
            EXPECT_EQ(fleet.read("base", "usr/share/data.distrib"), aside);
        }
        fleet.expect_sound();
    };
    fleet.install("base", {"diverter"});
    expect("diverter's", "owner 1");
    offer({diverter(), owner("2")});
    fleet.run(fleet.upgrade_all());
    expect("diverter's", "owner 2");
    fleet.install("base", {"diverter"});
    expect("diverter's", "owner 2");
    fleet.remove("base", "diverter");
    expect("owner 2", "");
}

TEST_F(MaintainerScriptsTest, TheDivertedPackageComesLaterOrGoes) {
    make_base({diverter(), owner("1")}, {"diverter"});
    fleet.install("base", {"owner"});
    EXPECT_EQ(fleet.read("base", "usr/share/data"), "diverter's");
    EXPECT_EQ(fleet.read("base", "usr/share/data.distrib"), "owner 1");
    fleet.expect_sound();
    fleet.remove("base", "owner");
    EXPECT_EQ(fleet.read("base", "usr/share/data"), "diverter's");
    EXPECT_FALSE(has("base", "usr/share/data.distrib"));
    fleet.expect_sound();
}

TEST_F(MaintainerScriptsTest, WhatIsDivertedInAnAggregateFollowsTheBase) {
    make_base({diverter(), owner("1")}, {"owner"});
    fleet.run(fleet.create_aggregate("work", {"base"}, {"diverter"}));
    EXPECT_EQ(fleet.read("work", "usr/share/data.distrib"), "owner 1");
    offer({diverter(), owner("2")});
    fleet.run(fleet.upgrade_all());
    EXPECT_EQ(fleet.read("base", "usr/share/data"), "owner 2");
    EXPECT_EQ(fleet.read("work", "usr/share/data"), "diverter's");
    EXPECT_EQ(fleet.read("work", "usr/share/data.distrib"), "owner 2");
    fleet.expect_sound();
}

// --- Replaces ---

Deb holder(const char* name, const char* version = "1", const char* fields = "") {
    return {.name = name,
            .version = version,
            .fields = fields,
            .files = {{"usr/share/shared", std::string(name) + " " + version}}};
}

TEST_F(MaintainerScriptsTest, AFileOfTwoPackagesIsRefused) {
    make_base({holder("one"), holder("two")}, {"one"});
    expect_refused([&] { fleet.install("base", {"two"}); }, "/usr/share/shared': it is in 'two' and in 'one'",
                   "");
    fleet.run(fleet.create_aggregate("work", {"base"}, {}));
    try {
        fleet.install("work", {"two"});
        ADD_FAILURE() << "accepted";
    } catch (const Error& error) {
        EXPECT_THAT(error.what(), HasSubstr("it is in 'two' and in 'one'"));
    }
}

TEST_F(MaintainerScriptsTest, APackageTakesOverFilesOfWhatItReplaces) {
    // One name before and one after the other's, so that either comes last in the merge of layers.
    for (const char* taker : {"a-taker", "z-taker"}) {
        DebFleet& here = fleet;
        const std::string name = std::string("base-") + taker;
        const char* replaces = "Replaces: middle (<< 9)\n";
        offer({holder("middle"), holder(taker, "1", replaces)});
        here.run(here.create_base(name, {"base", "middle"}));
        here.install(name, {taker});
        EXPECT_EQ(here.read(name, "usr/share/shared"), std::string(taker) + " 1");
        here.expect_sound();
        offer({holder("middle", "2"), holder(taker, "1", replaces)});
        here.install(name, {"middle"});
        EXPECT_EQ(here.read(name, "usr/share/shared"), std::string(taker) + " 1") << "it stays the taker's";
        here.expect_sound();
        Deb without = holder(taker, "2", replaces);
        without.files = {{"usr/share/elsewhere", "x"}};
        offer({holder("middle", "2"), without});
        here.install(name, {taker});
        EXPECT_EQ(here.read(name, "usr/share/shared"), "middle 2") << "nobody takes it any more";
        here.expect_sound();
        offer({holder("middle", "2"), holder(taker, "3", replaces)});
        here.install(name, {taker});
        here.remove(name, taker);
        EXPECT_EQ(here.read(name, "usr/share/shared"), "middle 2");
        here.expect_sound();
    }
}

// --- What two containers both add to ---

Deb with_user(const char* name, int id, const char* version = "1") {
    return {.name = name,
            .version = version,
            .scripts = {{"postinst", std::string("grep -q '^") + name + ":' /etc/passwd || echo '" + name +
                                         ":x:" + std::to_string(id) + ":1::/:/bin/false' >>/etc/passwd"}}};
}
Deb with_editor(const char* name, int priority) {
    return {
        .name = name,
        .scripts = {{"postinst",
                     std::string("f=/var/lib/dpkg/alternatives/editor\n"
                                 "[ -e $f ] && sed -i '$d' $f || printf 'auto\\n/usr/bin/editor\\n\\n' >$f\n"
                                 "printf '/usr/bin/") +
                         name + "\\n" + std::to_string(priority) + "\\n\\n' >>$f\nln -sfn /usr/bin/" + name +
                         " /etc/alternatives/editor"}}};
}

TEST_F(MaintainerScriptsTest, WhatABaseAddsLaterAndWhatIsAddedAboveBothHold) {
    make_base({with_user("mail", 8), with_user("news", 9), with_user("uucp", 10), with_editor("ed", 1),
               with_editor("vim", 30), with_editor("nano", 40)},
              {"mail", "ed"});
    fleet.run(fleet.create_aggregate("work", {"base"}, {"news", "vim"}));
    EXPECT_EQ(read_link_at(AT_FDCWD, fleet.root("work") + "/etc/alternatives/editor"), "/usr/bin/vim");
    fleet.install("base", {"uucp", "nano"});
    EXPECT_EQ(fleet.read("work", "etc/passwd"),
              "mail:x:8:1::/:/bin/false\nuucp:x:10:1::/:/bin/false\nnews:x:9:1::/:/bin/false\n");
    EXPECT_EQ(fleet.read("work", "var/lib/dpkg/alternatives/editor"),
              "auto\n/usr/bin/editor\n\n/usr/bin/ed\n1\n/usr/bin/nano\n40\n/usr/bin/vim\n30\n\n");
    EXPECT_EQ(read_link_at(AT_FDCWD, fleet.root("work") + "/etc/alternatives/editor"), "/usr/bin/nano");
    EXPECT_FALSE(has("work", "etc/passwd.pacnew"));
    fleet.expect_sound();
    fleet.install("base", {"uucp"});
    fleet.expect_sound();
}

TEST_F(MaintainerScriptsTest, SlicesKeepEachOthersUsers) {
    make_base({with_user("mail", 8), with_user("news", 9), with_user("uucp", 10), with_user("games", 9),
               with_user("late", 11), with_editor("vim", 30), with_editor("nano", 40)},
              {"mail"});
    const auto slice = [&](const char* name, const std::vector<std::string>& packages) {
        TransactionRequest request = fleet.create_aggregate(name, {"base"}, packages);
        request.containers[0].type = ContainerType::slice;
        fleet.run(request);
    };
    slice("one", {"news", "nano"});
    slice("two", {"uucp", "vim"});
    slice("three", {"games"});
    fleet.run(fleet.create_aggregate("work", {"base", "one", "two"}, {}));
    const std::string both =
        "mail:x:8:1::/:/bin/false\nnews:x:9:1::/:/bin/false\nuucp:x:10:1::/:/bin/false\n";
    EXPECT_EQ(fleet.read("work", "etc/passwd"), both);
    EXPECT_EQ(read_link_at(AT_FDCWD, fleet.root("work") + "/etc/alternatives/editor"), "/usr/bin/nano");
    fleet.expect_sound();
    fleet.install("work", {"late"});
    EXPECT_EQ(fleet.read("work", "etc/passwd"), both + "late:x:11:1::/:/bin/false\n");
    fleet.expect_sound();
    try {
        fleet.run(fleet.create_aggregate("clash", {"base", "one", "three"}, {}));
        ADD_FAILURE() << "accepted";
    } catch (const Error& error) {
        EXPECT_THAT(error.what(), HasSubstr("'news' of 'one' and 'games' of 'three' have the same id 9"));
    }
    EXPECT_FALSE(fleet.exists("clash") && fleet.current("clash").number != 0);
}

// --- Libraries ---

TEST_F(MaintainerScriptsTest, ALibraryThatNobodyHasIsReported) {
    // A program of this machine, which needs what that has.
    const std::string program = read_file(AT_FDCWD, "/bin/true");
    Deb lacking{.name = "lacking", .files = {{"usr/bin/program", program}, {"usr/share/no-elf", "text"}}};
    Deb library{.name = "library"};
    make_base({lacking, library});
    fleet.dialogue.messages.clear();
    fleet.install("base", {"lacking"});
    EXPECT_THAT(
        fleet.dialogue.messages,
        Contains(HasSubstr("/usr/bin/program of 'lacking' needs libc.so.6, which no package here has")));
    for (const char* damage : {"short", "claims"}) {
        Deb damaged = lacking;
        damaged.version = std::string("2-") + (damage == std::string("short") ? "1" : "2");
        std::string& bytes = damaged.files["usr/bin/program"];
        if (damage == std::string("short")) {
            bytes.resize(100);
        } else {
            bytes.replace(0x20, 8, 8, '\xff');
        }
        offer({damaged});
        fleet.dialogue.messages.clear();
        fleet.install("base", {"lacking"});
        EXPECT_THAT(fleet.dialogue.messages, Not(Contains(HasSubstr("which no package here has"))));
    }
    library.files["usr/lib/x86_64-linux-gnu/private/libc.so.6"] = "x";
    offer({lacking, library});
    fleet.install("base", {"library"});
    lacking.version = "3-1";
    offer({lacking, library});
    fleet.dialogue.messages.clear();
    fleet.install("base", {"lacking"});
    EXPECT_THAT(fleet.dialogue.messages, Not(Contains(HasSubstr("needs libc.so.6"))));
}

// --- Conffiles and the status file ---

TEST_F(MaintainerScriptsTest, ConffilesFollowTheThreeWayRule) {
    const auto configured = [](const char* version) {
        return Deb{.name = "configured",
                   .version = version,
                   .files = {{"etc/mine", std::string("mine ") + version},
                             {"etc/theirs", std::string("theirs ") + version}},
                   .conffiles = {"/etc/mine", "/etc/theirs"}};
    };
    make_base({configured("1")}, {"configured"});
    fleet.user_edit("base", "etc/mine", "edited");
    offer({configured("2")});
    fleet.run(fleet.upgrade_all());
    EXPECT_EQ(fleet.read("base", "etc/mine"), "edited");
    EXPECT_EQ(fleet.read("base", "etc/mine.pacnew"), "mine 2");
    EXPECT_EQ(fleet.read("base", "etc/theirs"), "theirs 2");
    EXPECT_THAT(fleet.read("base", "var/lib/dpkg/status"), HasSubstr("Conffiles:\n /etc/mine "));
    fleet.expect_sound();
}

TEST_F(MaintainerScriptsTest, TheStatusFileSaysWhatIsInstalled) {
    Deb app{.name = "app", .version = "1:2~3-4", .files = {{"usr/share/app", "a"}}};
    make_base({tool(), app}, {"tool"});
    EXPECT_THAT(fleet.status("base"), UnorderedElementsAre("dpkg 1.21.22", "tool 1.0-1"));
    fleet.run(fleet.create_aggregate("work", {"base"}, {"app"}));
    EXPECT_THAT(fleet.status("work"), UnorderedElementsAre("app 1:2~3-4", "dpkg 1.21.22", "tool 1.0-1"));
    offer({tool("2.0-1"), app});
    fleet.run(fleet.upgrade_all());
    EXPECT_THAT(fleet.status("work"), UnorderedElementsAre("app 1:2~3-4", "dpkg 1.21.22", "tool 2.0-1"));
    fleet.remove("base", "tool");
    EXPECT_THAT(fleet.status("base"), UnorderedElementsAre("dpkg 1.21.22"));
    EXPECT_THAT(fleet.status("work"), UnorderedElementsAre("app 1:2~3-4", "dpkg 1.21.22"));
    fleet.expect_sound();
}

TEST_F(MaintainerScriptsTest, ScriptsDoNotWriteTheStatusFile) {
    Deb writer{.name = "writer", .scripts = {{"postinst", "echo 'Package: nobody' >>/var/lib/dpkg/status"}}};
    make_base({writer, tool()});
    fleet.install("base", {"writer"});
    {
        const Store store = Store::open(fleet.directories());
        const Delta delta = store.index().read().delta(fleet.current("base").delta);
        EXPECT_EQ(delta.find("var/lib/dpkg/status"), nullptr);
    }
    EXPECT_THAT(fleet.status("base"), UnorderedElementsAre("dpkg 1.21.22", "writer 1.0-1"));
    fleet.install("base", {"tool"});
    EXPECT_THAT(fleet.status("base"), UnorderedElementsAre("dpkg 1.21.22", "writer 1.0-1", "tool 1.0-1"));
    fleet.expect_sound();
}

// --- From one release to the next ---

/// "lib 1", or what it is called in the next release.
Deb library(bool renamed) {
    Deb deb{.name = "lib", .files = {{"usr/share/lib.so.1", "old"}}, .scripts = silent_scripts()};
    if (!renamed) return deb;
    deb.name = "libt64";
    deb.version = "2.0-1";
    deb.fields = "Provides: lib (= 2.0-1)\nBreaks: lib (<< 2.0-1)\nReplaces: lib (<< 2.0-1)\n";
    deb.files = {{"usr/share/lib.so.1", "new"}};
    return deb;
}
Deb user_of(const char* depends, const char* version, const char* name = "app") {
    return {.name = name,
            .version = version,
            .fields = std::string("Depends: ") + depends + "\n",
            .files = {{std::string("usr/share/") + name, version}},
            .scripts = silent_scripts()};
}

TEST_F(MaintainerScriptsTest, ARenamedPackageMakesWayRightBeforeItsSuccessorComes) {
    make_base({library(false), user_of("lib", "1.0-1"), tool()}, {"app", "tool"});
    offer({library(true), user_of("libt64", "2.0-1"), tool("2.0-1")});
    fleet.run(fleet.upgrade_all());
    EXPECT_THAT(fleet.status("base"),
                UnorderedElementsAre("app 2.0-1", "dpkg 1.21.22", "libt64 2.0-1", "tool 2.0-1"));
    EXPECT_EQ(fleet.read("base", "usr/share/lib.so.1"), "new");
    const std::vector<std::string> record = fleet.record("base");
    const auto gone = std::find(record.begin(), record.end(), "lib postrm[remove]");
    ASSERT_NE(gone, record.end());
    ASSERT_NE(gone + 1, record.end());
    EXPECT_EQ(*(gone + 1), "libt64 preinst[install]");
    EXPECT_THAT(fleet.dialogue.questions, IsEmpty());
    fleet.expect_sound();
    fleet.undo();
    EXPECT_THAT(fleet.status("base"),
                UnorderedElementsAre("app 1.0-1", "dpkg 1.21.22", "lib 1.0-1", "tool 1.0-1"));
    EXPECT_EQ(fleet.read("base", "usr/share/lib.so.1"), "old");
    fleet.expect_sound();
}

// The base comes to need what an aggregate has had alone, under its old name.
TEST_F(MaintainerScriptsTest, WhatIsRenamedBelowMakesWayAbove) {
    make_base({library(false), user_of("lib", "1.0-1"), tool()}, {"tool"});
    fleet.run(fleet.create_aggregate("work", {"base"}, {"app"}));
    Deb needs = tool("2.0-1");
    needs.fields = "Depends: libt64\n";
    offer({library(true), user_of("libt64", "2.0-1"), needs});
    fleet.run(fleet.upgrade_all());
    EXPECT_THAT(fleet.status("base"), UnorderedElementsAre("dpkg 1.21.22", "libt64 2.0-1", "tool 2.0-1"));
    EXPECT_THAT(fleet.status("work"),
                UnorderedElementsAre("app 2.0-1", "dpkg 1.21.22", "libt64 2.0-1", "tool 2.0-1"));
    EXPECT_EQ(fleet.read("work", "usr/share/lib.so.1"), "new");
    EXPECT_EQ(fleet.current("work").packages.size(), 1U);
    fleet.expect_sound();
    fleet.undo();
    EXPECT_EQ(fleet.read("work", "usr/share/lib.so.1"), "old");
    fleet.expect_sound();
}

TEST_F(MaintainerScriptsTest, WhatHasComeBelowIsUpgradedAboveAsWell) {
    Deb common = user_of("dpkg", "1.0-1", "common");
    make_base({common, tool()}, {"tool"});
    fleet.run(fleet.create_aggregate("work", {"base"}, {"common"}));
    common = user_of("dpkg", "2.0-1", "common");
    Deb needs = tool("2.0-1");
    needs.fields = "Depends: common\n";
    offer({common, needs});
    fleet.run(fleet.upgrade_all());
    EXPECT_THAT(fleet.status("base"), UnorderedElementsAre("common 2.0-1", "dpkg 1.21.22", "tool 2.0-1"));
    EXPECT_THAT(fleet.status("work"), UnorderedElementsAre("common 2.0-1", "dpkg 1.21.22", "tool 2.0-1"));
    EXPECT_EQ(fleet.read("work", "usr/share/common"), "2.0-1");
    fleet.expect_sound();
}

// As with a configuration file that gets a package of its own: who had it asks dpkg whether it still has.
TEST_F(MaintainerScriptsTest, AConffileThatChangesHandsIsComparedWithWhatItWas) {
    const auto holding = [](const char* name, const char* version, std::string fields = "") {
        const std::string text = std::string("v") + version;
        return Deb{.name = name,
                   .version = version,
                   .fields = std::move(fields),
                   .files = {{"etc/mine", "mine " + text}, {"etc/theirs", "theirs " + text}},
                   .conffiles = {"/etc/mine", "/etc/theirs"}};
    };
    Deb bare{.name = "login",
             .version = "2",
             .fields = "Depends: login.defs\n",
             .scripts = {{"preinst", "grep /etc/ /var/lib/dpkg/info/login.list >>/var/lib/record || true"}}};
    make_base({holding("login", "1")}, {"login"});
    fleet.user_edit("base", "etc/mine", "edited");
    offer({bare, holding("login.defs", "2", "Replaces: login (<< 2)\nBreaks: login (<< 2)\n")});
    fleet.run(fleet.upgrade_all());
    EXPECT_THAT(fleet.record("base"), ElementsAre("login preinst[upgrade][1][2]"))
        << "the list names nothing that login.defs has taken over";
    EXPECT_EQ(fleet.read("base", "etc/theirs"), "theirs v2");
    EXPECT_FALSE(has("base", "etc/theirs.pacnew"));
    EXPECT_EQ(fleet.read("base", "etc/mine"), "edited");
    EXPECT_EQ(fleet.read("base", "etc/mine.pacnew"), "mine v2");
    fleet.expect_sound();
}

TEST_F(MaintainerScriptsTest, AConffileOfARenamedPackageKeepsWhatWasWritten) {
    const auto holding = [](const char* name, const char* version, std::string fields = "") {
        return Deb{.name = name,
                   .version = version,
                   .fields = std::move(fields),
                   .files = {{"etc/mine", std::string("mine ") + version},
                             {"etc/theirs", std::string("theirs ") + version}},
                   .conffiles = {"/etc/mine", "/etc/theirs"}};
    };
    make_base({holding("lib", "1"), user_of("lib", "1.0-1")}, {"app"});
    fleet.user_edit("base", "etc/mine", "edited");
    offer({holding("libt64", "2", "Provides: lib (= 2)\nBreaks: lib (<< 2)\nReplaces: lib (<< 2)\n"),
           user_of("libt64", "2.0-1")});
    fleet.run(fleet.upgrade_all());
    EXPECT_EQ(fleet.read("base", "etc/theirs"), "theirs 2");
    EXPECT_EQ(fleet.read("base", "etc/mine"), "edited");
    EXPECT_EQ(fleet.read("base", "etc/mine.pacnew"), "mine 2");
    fleet.expect_sound();
}

}  // namespace
}  // namespace pwstore
