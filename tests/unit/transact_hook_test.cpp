// SPDX-License-Identifier: GPL-3.0-or-later
#include <fcntl.h>
#include <gmock/gmock.h>
#include <unistd.h>

#include "store/base/error.hpp"
#include "store/base/path_at.hpp"
#include "tests/support/test_dir.hpp"
#include "transact/hook.hpp"
#include "transact/scriptlet.hpp"

namespace pwstore {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr const char* kHook = R"([Trigger]
Operation = Install
Operation = Upgrade
Type = Path
Target = usr/share/icons/*
Target = !usr/share/icons/private/*

# a comment
[Action]
Description = Icons "of the theme"
When = PostTransaction
Exec = /usr/bin/update 'two words' "three \"words\"" plain\ blank
Depends = gtk>=3
NeedsTargets
)";

HookEvents installing(std::initializer_list<const char*> paths) {
    HookEvents events;
    for (const char* path : paths)
        events.added_paths.insert(path);
    return events;
}

TEST(Hook, ReadsEveryOption) {
    const Hook hook = parse_hook(kHook, "icons.hook");
    EXPECT_EQ(hook.name, "icons");
    EXPECT_EQ(hook.description, "Icons \"of the theme\"");
    EXPECT_EQ(hook.when, Hook::When::post_transaction);
    EXPECT_THAT(hook.exec, ElementsAre("/usr/bin/update", "two words", "three \"words\"", "plain blank"));
    EXPECT_THAT(hook.depends, ElementsAre("gtk>=3"));
    EXPECT_TRUE(hook.needs_targets);
    EXPECT_FALSE(hook.abort_on_fail);
    ASSERT_EQ(hook.triggers.size(), 1U);
    EXPECT_TRUE(hook.triggers[0].install && hook.triggers[0].upgrade && !hook.triggers[0].remove);
}

TEST(Hook, RefusesWhatAlpmRefuses) {
    const std::vector<std::pair<const char*, const char*>> cases{
        {"[Trigger]\nOperation = Delete\n", "unknown Operation"},
        {"[Nothing]\n", "unknown section"},
        {"Exec = x\n", "outside a section"},
        {"[Trigger]\nType = Path\nTarget = x\n[Action]\nWhen = PostTransaction\nExec = x\n", "no Operation"},
        {"[Trigger]\nOperation = Install\nType = Path\n[Action]\nWhen = PostTransaction\nExec = x\n",
         "no Target"},
        {"[Trigger]\nOperation = Install\nType = Path\nTarget = x\n[Action]\nWhen = PostTransaction\n",
         "no Exec"},
        {"[Trigger]\nOperation = Install\nType = Path\nTarget = x\n[Action]\nExec = x\n", "no When"},
        {"[Trigger]\nOperation = Install\nTarget = x\n[Action]\nWhen = PostTransaction\nExec = x\n",
         "no Type"},
    };
    for (const auto& [text, cause] : cases) {
        try {
            (void)parse_hook(text, "bad.hook");
            ADD_FAILURE() << "accepted: " << text;
        } catch (const Error& error) {
            EXPECT_THAT(error.what(), HasSubstr(cause));
            EXPECT_THAT(error.what(), HasSubstr("bad.hook"));
        }
    }
}

TEST(Hook, TheLastMatchingPatternDecides) {
    EXPECT_EQ(match_patterns({"usr/*", "!usr/share/*"}, "usr/share/x"), 0);
    EXPECT_EQ(match_patterns({"!usr/share/*", "usr/*"}, "usr/share/x"), 1);
    EXPECT_EQ(match_patterns({"etc/*"}, "usr/share/x"), -1);
}

TEST(Hook, PathTriggersTellInstallUpgradeAndRemoveApart) {
    const Hook hook = parse_hook(kHook, "icons.hook");
    const HookMatch match =
        match_hook(hook, installing({"usr/share/icons/a", "usr/share/icons/private/b", "usr/bin/c"}));
    EXPECT_TRUE(match.triggered);
    EXPECT_THAT(match.targets, ElementsAre("usr/share/icons/a"));
    HookEvents removal;
    removal.removed_paths.insert("usr/share/icons/a");
    EXPECT_FALSE(match_hook(hook, removal).triggered);
    HookEvents upgrade = installing({"usr/share/icons/a"});
    upgrade.removed_paths.insert("usr/share/icons/a");
    EXPECT_TRUE(match_hook(hook, upgrade).triggered);
}

TEST(Hook, PackageTriggersMatchNames) {
    const Hook hook = parse_hook(
        "[Trigger]\nOperation = Remove\nType = Package\nTarget = linux*\n[Action]\nWhen = "
        "PreTransaction\nExec = /x\nAbortOnFail\n",
        "kernel.hook");
    EXPECT_TRUE(hook.abort_on_fail);
    HookEvents events;
    events.installed_packages.insert("linux");
    EXPECT_FALSE(match_hook(hook, events).triggered);
    events.removed_packages.insert("linux-lts");
    EXPECT_THAT(match_hook(hook, events).targets, ElementsAre("linux-lts"));
}

TEST(Hook, ALaterDirectoryReplacesAndANullLinkMasks) {
    const test::TestDir dir;
    dir.write("root/usr/share/libalpm/hooks/20-b.hook", kHook);
    dir.write("root/usr/share/libalpm/hooks/10-a.hook", kHook);
    dir.write("root/usr/share/libalpm/hooks/30-masked.hook", kHook);
    dir.write("root/usr/share/libalpm/hooks/readme.txt", "not a hook");
    std::string other = kHook;
    other.replace(other.find("PostTransaction"), 15, "PreTransaction");
    dir.write("root/etc/pacman.d/hooks/20-b.hook", other);
    ASSERT_EQ(::symlink("/dev/null", dir.path("root/etc/pacman.d/hooks/30-masked.hook").c_str()), 0);
    const std::vector<Hook> hooks =
        read_hooks(hook_directories(open_dir(AT_FDCWD, dir.path("root")).get())).hooks;
    ASSERT_EQ(hooks.size(), 2U);
    EXPECT_EQ(hooks[0].name, "10-a");
    EXPECT_EQ(hooks[1].name, "20-b");
    EXPECT_EQ(hooks[1].when, Hook::When::pre_transaction);
}

TEST(Hook, ALinkNeverLeavesTheRoot) {
    const test::TestDir dir;
    dir.write("outside.hook", kHook);
    dir.write("root/usr/share/libalpm/hooks/real.txt", kHook);
    ASSERT_EQ(::symlink(dir.path("outside.hook").c_str(),
                        dir.path("root/usr/share/libalpm/hooks/out.hook").c_str()),
              0);
    ASSERT_EQ(::symlink("/usr/share/libalpm/hooks/real.txt",
                        dir.path("root/usr/share/libalpm/hooks/in.hook").c_str()),
              0);
    const std::vector<Hook> hooks =
        read_hooks(hook_directories(open_dir(AT_FDCWD, dir.path("root")).get())).hooks;
    ASSERT_EQ(hooks.size(), 1U);
    EXPECT_EQ(hooks[0].name, "in");
}

TEST(Scriptlet, IsRunByTheShellThatSourcesIt) {
    const std::string text = "post_upgrade() { :; }\n";
    EXPECT_TRUE(has_scriptlet(text, ScriptletKind::post_upgrade));
    EXPECT_FALSE(has_scriptlet(text, ScriptletKind::pre_remove));
    const ScriptCommand command =
        scriptlet_command(text, ScriptletKind::post_upgrade, {"2-1", "1-1"}, "/bin/sh");
    ASSERT_EQ(command.argv.size(), 3U);
    ASSERT_EQ(command.files.size(), 1U);
    EXPECT_EQ(command.argv[2], ". " + command.files[0].path + "; post_upgrade 2-1 1-1");
    EXPECT_EQ(command.files[0].content, text);
}

}  // namespace
}  // namespace pwstore
