// SPDX-License-Identifier: GPL-3.0-or-later
#include <fcntl.h>
#include <gmock/gmock.h>
#include <sys/stat.h>
#include <unistd.h>

#include <csignal>

#include "mount/container_config.hpp"
#include "mount/root.hpp"
#include "store/base/error.hpp"
#include "store/base/path_at.hpp"
#include "store/verify/verify.hpp"
#include "tests/support/child_process.hpp"
#include "tests/support/fleet.hpp"
#include "transact/interrupt.hpp"
#include "transact/transaction.hpp"

namespace pwstore {
namespace {

using test::Fleet;
using test::PackageSpec;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

PackageSpec tool(const std::string& version, const std::string& content) {
    PackageSpec spec;
    spec.name = "tool";
    spec.version = version;
    spec.files["usr/bin/tool"] = {content, 0755};
    spec.files["usr/share/tool/data"] = {"data " + version};
    spec.files["etc/tool.conf"] = {"default " + version + "\n"};
    spec.backup = {"etc/tool.conf"};
    return spec;
}

PackageSpec library() {
    PackageSpec spec;
    spec.name = "library";
    spec.files["usr/lib/liblibrary.so.1"] = {"code"};
    spec.symlinks["usr/lib/liblibrary.so"] = "liblibrary.so.1";
    return spec;
}

TEST(Transaction, CreatesABaseWithDependenciesAndReasons) {
    Fleet fleet;
    PackageSpec app = tool("1-1", "one");
    app.depends = {"library"};
    fleet.repository({app, library()});
    const TransactionReport report = fleet.run(fleet.create_base("base", {"tool"}));
    EXPECT_TRUE(report.changed);
    ASSERT_EQ(report.containers.size(), 1U);
    EXPECT_EQ(report.containers[0].installed, 2U);
    EXPECT_EQ(fleet.read("base", "usr/bin/tool"), "one");
    EXPECT_EQ(read_link_at(AT_FDCWD, fleet.root("base") + "/usr/lib/liblibrary.so"), "liblibrary.so.1");
    const Generation generation = fleet.current("base");
    EXPECT_EQ(generation.find_package("tool")->reason, InstallReason::explicitly);
    EXPECT_EQ(generation.find_package("library")->reason, InstallReason::dependency);
    EXPECT_TRUE(exists_at(AT_FDCWD, fleet.root("base") + "/var/lib/pacman/local/tool-1-1/desc"));
    fleet.expect_sound();
}

TEST(Transaction, PackagesBringNothingIntoTheDatabase) {
    Fleet fleet;
    fleet.repository({library()});
    fleet.run(fleet.create_base("base", {"library"}));
    PackageSpec evil = tool("1-1", "one");
    evil.files["var/lib/pacman/local/nobody-1-1/desc"] = {"%NAME%\nnobody\n"};
    fleet.repository({evil, library()});
    TransactionRequest install = fleet.request("base");
    install.containers[0].packages.install = {"tool"};
    install.refresh = 2;
    EXPECT_TRUE(fleet.run(install).changed);
    EXPECT_FALSE(exists_at(AT_FDCWD, fleet.root("base") + "/var/lib/pacman/local/nobody-1-1"));
    fleet.expect_sound();
    TransactionRequest removal = fleet.request("base");
    removal.containers[0].packages.remove = {"tool"};
    EXPECT_TRUE(fleet.run(removal).changed);
    fleet.expect_sound();
}

TEST(Transaction, APackageTakesThePlacesThatARootHasForGeneratedFiles) {
    Fleet fleet;
    PackageSpec hosts;
    hosts.name = "hosts";
    hosts.files["etc/hosts"] = {"127.0.0.1 localhost\n"};
    hosts.files["etc/hostname"] = {"name\n"};
    hosts.symlinks["etc/localtime"] = "../usr/share/zoneinfo/UTC";
    hosts.backup = {"etc/hosts"};
    fleet.repository({hosts, library()});
    fleet.run(fleet.create_base("base", {"library"}));
    const auto place = [&](const std::string& path) { return fleet.root("base") + "/" + path; };
    EXPECT_EQ(fleet.read("base", "etc/hosts"), "");
    EXPECT_EQ(fleet.read("base", "etc/resolv.conf"), "");
    TransactionRequest install = fleet.request("base");
    install.containers[0].packages.install = {"hosts"};
    EXPECT_TRUE(fleet.run(install).changed);
    EXPECT_EQ(fleet.read("base", "etc/hosts"), "127.0.0.1 localhost\n");
    EXPECT_EQ(fleet.read("base", "etc/hostname"), "name\n");
    EXPECT_EQ(read_link_at(AT_FDCWD, place("etc/localtime")), "../usr/share/zoneinfo/UTC");
    EXPECT_FALSE(exists_at(AT_FDCWD, place("etc/hosts.pacnew")));
    EXPECT_EQ(fleet.current("base").delta, 0U);
    fleet.expect_sound();
    TransactionRequest removal = fleet.request("base");
    removal.containers[0].packages.remove = {"hosts"};
    EXPECT_TRUE(fleet.run(removal).changed);
    EXPECT_EQ(fleet.read("base", "etc/hosts"), "");
    EXPECT_EQ(fleet.read("base", "etc/localtime"), "");
    EXPECT_EQ(fleet.current("base").delta, 0U);
    fleet.expect_sound();
    // What somebody wrote there is in the way, as everywhere.
    fleet.user_edit("base", "etc/hosts", "10.0.0.5 db\n");
    EXPECT_TRUE(fleet.run(install).changed);
    EXPECT_EQ(fleet.read("base", "etc/hosts"), "10.0.0.5 db\n");
    EXPECT_TRUE(exists_at(AT_FDCWD, place("etc/hosts.pacnew"))) << "it is a configuration file";
    EXPECT_TRUE(fleet.run(removal).changed);
    fleet.user_edit("base", "etc/hostname", "mine\n");
    EXPECT_THROW(fleet.run(install), Error);
    EXPECT_EQ(fleet.read("base", "etc/hostname"), "mine\n");
    fleet.expect_sound();
}

TEST(Transaction, ARootThatWasMadeBeforeThereWereSuchPlacesIsSound) {
    Fleet fleet;
    fleet.repository({library()});
    fleet.run(fleet.create_base("base", {"library"}));
    for (const char* name : names::kMountPointFiles)
        ASSERT_EQ(::unlink((fleet.root("base") + "/" + name).c_str()), 0);
    ASSERT_EQ(::rmdir((fleet.root("base") + "/etc").c_str()), 0);
    const timespec times[2] = {{kObjectTime, 0}, {kObjectTime, 0}};
    ASSERT_EQ(::utimensat(AT_FDCWD, fleet.root("base").c_str(), times, 0), 0);
    SilentSink silent;
    EXPECT_THAT(verify(Store::open(fleet.directories()), {}, silent).findings, ::testing::IsEmpty());
}

TEST(Transaction, ARootShellThatCannotStartSaysWhy) {
    Fleet fleet;
    fleet.repository({tool("1-1", "one")});
    fleet.run(fleet.create_base("base", {"tool"}));
    const Store store = Store::open(fleet.directories());
    const auto run = [&](const std::string& program) {
        return run_root_shell(store, {ContainerName("base"), {program}, false}, fleet.dialogue).status;
    };
    EXPECT_EQ(run("no-such-program"), 127);
    EXPECT_THAT(fleet.dialogue.messages,
                ::testing::Contains(HasSubstr("'no-such-program' is not in the root")));
    EXPECT_EQ(run("/usr/share/tool/data"), 126);
    EXPECT_THAT(fleet.dialogue.messages, ::testing::Contains(HasSubstr("is not executable")));
}

TEST(Transaction, UpgradeFollowsTheThreeWayRule) {
    Fleet fleet;
    fleet.repository({tool("1-1", "one")});
    fleet.run(fleet.create_base("kept", {"tool"}));
    fleet.run(fleet.create_base("edited", {"tool"}));
    fleet.user_edit("edited", "etc/tool.conf", "mine\n");
    fleet.repository({tool("2-1", "two")});
    const TransactionReport report = fleet.run(fleet.upgrade_all());
    EXPECT_EQ(report.containers.size(), 2U);
    EXPECT_EQ(fleet.read("kept", "etc/tool.conf"), "default 2-1\n");
    EXPECT_EQ(fleet.read("edited", "etc/tool.conf"), "mine\n");
    EXPECT_EQ(fleet.read("edited", "etc/tool.conf.pacnew"), "default 2-1\n");
    EXPECT_FALSE(exists_at(AT_FDCWD, fleet.root("kept") + "/etc/tool.conf.pacnew"));
    EXPECT_EQ(fleet.read("kept", "usr/bin/tool"), "two");
    fleet.expect_sound();
}

TEST(Transaction, AChangedFileThatIsNoLongerConfigurationIsSaved) {
    Fleet fleet;
    fleet.repository({tool("1-1", "one")});
    fleet.run(fleet.create_base("base", {"tool"}));
    fleet.user_edit("base", "etc/tool.conf", "mine\n");
    fleet.user_edit("base", "etc/tool.conf.pacsave.2", "older\n");
    PackageSpec plain = tool("2-1", "two");
    plain.backup.clear();
    fleet.repository({plain});
    fleet.run(fleet.upgrade_all());
    EXPECT_EQ(fleet.read("base", "etc/tool.conf"), "default 2-1\n");
    EXPECT_EQ(fleet.read("base", "etc/tool.conf.pacsave"), "mine\n");
    EXPECT_EQ(fleet.read("base", "etc/tool.conf.pacsave.3"), "older\n");
    fleet.expect_sound();
}

TEST(Transaction, NoUpgradeAndNoExtractAreRulesForRemovalAndDirectoriesToo) {
    Fleet fleet;
    fleet.repository({tool("1-1", "one"), library()});
    const std::string file = fleet.directories().config + "/repositories.conf";
    const Fd conf = open_at(AT_FDCWD, file, O_WRONLY | O_APPEND);
    write_all(conf.get(), "[options]\nNoUpgrade = usr/bin/tool\nNoExtract = usr/share/tool/*\n", file);
    fleet.run(fleet.create_base("base", {"tool", "library"}));
    EXPECT_FALSE(exists_at(AT_FDCWD, fleet.root("base") + "/usr/share/tool"));
    fleet.expect_sound();
    TransactionRequest removal = fleet.request("base");
    removal.containers[0].packages.remove = {"tool"};
    fleet.run(removal);
    EXPECT_EQ(fleet.read("base", "usr/bin/tool"), "one");
    fleet.expect_sound();
}

TEST(Transaction, RemovalKeepsAChangedConfigurationAsPacsave) {
    Fleet fleet;
    fleet.repository({tool("1-1", "one"), library()});
    fleet.run(fleet.create_base("base", {"tool", "library"}));
    fleet.user_edit("base", "etc/tool.conf", "mine\n");
    TransactionRequest removal = fleet.request("base");
    removal.containers[0].packages.remove = {"tool"};
    fleet.run(removal);
    EXPECT_EQ(fleet.read("base", "etc/tool.conf.pacsave"), "mine\n");
    EXPECT_FALSE(exists_at(AT_FDCWD, fleet.root("base") + "/usr/bin/tool"));
    EXPECT_FALSE(exists_at(AT_FDCWD, fleet.root("base") + "/usr/share/tool"));
    EXPECT_FALSE(exists_at(AT_FDCWD, fleet.root("base") + "/var/lib/pacman/local/tool-1-1"));
    EXPECT_EQ(fleet.current("base").packages.size(), 1U);
    fleet.expect_sound();
}

TEST(Transaction, AnAggregateStandsOnItsBaseAndSharesItsInodes) {
    Fleet fleet;
    PackageSpec app;
    app.name = "app";
    app.depends = {"library"};
    app.files["usr/bin/app"] = {"app", 0755};
    fleet.repository({library(), app});
    fleet.run(fleet.create_base("base", {"library"}));
    const TransactionReport report = fleet.run(fleet.create_aggregate("work", {"base"}, {"app"}));
    ASSERT_EQ(report.containers.size(), 1U);
    EXPECT_EQ(report.containers[0].installed, 1U) << "the library is there already";
    EXPECT_EQ(fleet.read("work", "usr/lib/liblibrary.so.1"), "code");
    const auto inode = [&](const char* container) {
        return stat_at(AT_FDCWD, fleet.root(container) + "/usr/lib/liblibrary.so.1").st_ino;
    };
    EXPECT_EQ(inode("base"), inode("work"));
    fleet.expect_sound();
}

TEST(Transaction, UpgradingABaseMovesWhatIsBuiltOnItInTheSameCommit) {
    Fleet fleet;
    PackageSpec app;
    app.name = "app";
    app.files["usr/bin/app"] = {"app", 0755};
    fleet.repository({tool("1-1", "one"), app});
    fleet.run(fleet.create_base("base", {"tool"}));
    fleet.run(fleet.create_aggregate("work", {"base"}, {"app"}));
    fleet.repository({tool("2-1", "two"), app});
    TransactionRequest upgrade = fleet.request("base");
    upgrade.refresh = 2;
    upgrade.containers[0].packages.upgrade = true;
    const TransactionReport report = fleet.run(upgrade);
    EXPECT_EQ(report.containers.size(), 2U);
    EXPECT_EQ(fleet.read("work", "usr/bin/tool"), "two");
    EXPECT_EQ(fleet.read("work", "usr/bin/app"), "app");
    fleet.expect_sound();
}

TEST(Transaction, ABaseUpgradeThatBreaksADependentIsRefused) {
    Fleet fleet;
    PackageSpec app;
    app.name = "app";
    app.depends = {"tool=1"};
    app.files["usr/bin/app"] = {"app", 0755};
    fleet.repository({tool("1-1", "one"), app});
    fleet.run(fleet.create_base("base", {"tool"}));
    fleet.run(fleet.create_aggregate("work", {"base"}, {"app"}));
    fleet.repository({tool("2-1", "two"), app});
    TransactionRequest upgrade = fleet.request("base");
    upgrade.refresh = 2;
    upgrade.containers[0].packages.upgrade = true;
    try {
        fleet.run(upgrade);
        FAIL() << "accepted";
    } catch (const Error& error) {
        EXPECT_THAT(error.what(), HasSubstr("work"));
        EXPECT_THAT(error.hint(), HasSubstr("tool=1"));
    }
    EXPECT_EQ(fleet.read("base", "usr/bin/tool"), "one");
    fleet.expect_sound();
}

TEST(Transaction, PackagesOfTwoLayersMayNotBringTheSameFile) {
    Fleet fleet;
    PackageSpec clash;
    clash.name = "clash";
    clash.files["usr/bin/tool"] = {"other", 0755};
    fleet.repository({tool("1-1", "one"), clash});
    fleet.run(fleet.create_base("base", {"tool"}));
    try {
        fleet.run(fleet.create_aggregate("work", {"base"}, {"clash"}));
        FAIL() << "accepted";
    } catch (const Error& error) {
        EXPECT_THAT(error.hint(), HasSubstr("clash: /usr/bin/tool is owned by tool"));
    }
    EXPECT_FALSE(fleet.exists("work"));
    fleet.expect_sound();
}

TEST(Transaction, UndoTurnsBackEveryContainerOfATransaction) {
    Fleet fleet;
    fleet.repository({tool("1-1", "one"), library()});
    fleet.run(fleet.create_base("base", {"tool"}));
    fleet.run(fleet.create_aggregate("work", {"base"}, {"library"}));
    const Sha256 before = fleet.current("work").tree_digest;
    fleet.repository({tool("2-1", "two"), library()});
    fleet.run(fleet.upgrade_all());
    EXPECT_NE(fleet.current("work").tree_digest, before);
    fleet.undo();
    EXPECT_EQ(fleet.current("work").tree_digest, before);
    EXPECT_EQ(fleet.read("base", "usr/bin/tool"), "one");
    EXPECT_EQ(fleet.read("work", "usr/bin/tool"), "one");
    fleet.expect_sound();
}

TEST(Transaction, UndoOfACreationRemovesTheContainer) {
    Fleet fleet;
    fleet.repository({library()});
    fleet.run(fleet.create_base("base", {"library"}));
    fleet.undo();
    EXPECT_FALSE(fleet.exists("base"));
    EXPECT_FALSE(exists_at(AT_FDCWD, fleet.data("roots/base")));
}

TEST(Transaction, ADeletedContainerLeavesNothingButItsHome) {
    Fleet fleet;
    fleet.repository({library()});
    fleet.run(fleet.create_base("base", {"library"}));
    fleet.run(fleet.create_aggregate("work", {"base"}, {}));
    const Store store = Store::open(fleet.directories());
    SilentSink sink;
    EXPECT_THROW(delete_containers(store, {ContainerName("base")}, false, false, false, sink), Error);
    delete_containers(store, {ContainerName("base"), ContainerName("work")}, false, false, false, sink);
    EXPECT_FALSE(fleet.exists("base"));
    EXPECT_TRUE(list_directory(open_dir(AT_FDCWD, fleet.data("roots")).get()).empty());
}

TEST(Transaction, PreviewAndNoChangeNothing) {
    Fleet fleet;
    fleet.repository({library()});
    TransactionRequest preview = fleet.create_base("base", {"library"});
    preview.preview = true;
    EXPECT_FALSE(fleet.run(preview).changed);
    EXPECT_FALSE(fleet.exists("base"));
    fleet.dialogue.agree = false;
    EXPECT_TRUE(fleet.run(fleet.create_base("base", {"library"})).declined);
    EXPECT_FALSE(fleet.exists("base"));
}

TEST(Transaction, ANameThatIsUsedAgainGetsItsOwnConfiguration) {
    Fleet fleet;
    fleet.repository({library()});
    fleet.run(fleet.create_base("base", {"library"}));
    fleet.run(fleet.create_aggregate("work", {"base"}, {}));
    fleet.undo();
    fleet.run(fleet.create_base("work", {"library"}));
    const auto config = load_config(fleet.directories().config, ContainerName("work"));
    ASSERT_TRUE(config);
    EXPECT_EQ(config->type, ContainerType::base);
    EXPECT_TRUE(config->dependencies.empty());
}

std::string failure_of(Fleet& fleet, const TransactionRequest& request) {
    try {
        fleet.run(request);
    } catch (const Error& error) {
        return std::string(error.what()) + "\n" + error.hint();
    }
    ADD_FAILURE() << "accepted";
    return {};
}

TEST(Transaction, AMistypedContainerIsGuessed) {
    Fleet fleet;
    fleet.repository({library()});
    fleet.run(fleet.create_base("base", {"library"}));
    EXPECT_THAT(failure_of(fleet, fleet.request("bsae")), HasSubstr("did you mean 'base'?"));
    EXPECT_THAT(failure_of(fleet, fleet.create_aggregate("work", {"bas"}, {})),
                HasSubstr("did you mean 'base'?"));
    EXPECT_THAT(failure_of(fleet, fleet.request("other")), HasSubstr("'pwstore ls'"));
}

TEST(Transaction, AConfigurationThatCannotBeWrittenIsFoundOutBeforeTheCommit) {
    if (::geteuid() == 0) GTEST_SKIP() << "root writes everywhere";
    Fleet fleet;
    fleet.repository({library(), tool("1-1", "one")});
    fleet.run(fleet.create_base("base", {"library"}));
    const std::string directory = fleet.directories().config + "/container";
    TransactionRequest more = fleet.request("base");
    more.containers[0].packages.install = {"tool"};
    ASSERT_EQ(::chmod(directory.c_str(), 0500), 0);
    EXPECT_THAT(failure_of(fleet, more),
                AllOf(HasSubstr("configuration of 'base'"), HasSubstr(fleet.directories().config)));
    EXPECT_THAT(failure_of(fleet, fleet.create_base("other", {"library"})),
                HasSubstr("configuration of 'other'"));
    ASSERT_EQ(::chmod(directory.c_str(), 0700), 0);
    EXPECT_EQ(fleet.current("base").number, 1U);
    EXPECT_FALSE(fleet.exists("other"));
    fleet.run(more);
    ASSERT_EQ(::chmod(directory.c_str(), 0500), 0);
    EXPECT_THROW(fleet.undo(), Error);
    EXPECT_EQ(fleet.current("base").packages.size(), 2U);
    ASSERT_EQ(::chmod(directory.c_str(), 0700), 0);
    fleet.undo();
    EXPECT_EQ(load_config(fleet.directories().config, ContainerName("base"))->explicit_packages,
              (std::vector<std::string>{"library"}));
    fleet.expect_sound();
}

TEST(Transaction, ARebuildingOfNobodyInParticularIsOfAll) {
    Fleet fleet;
    fleet.repository({library()});
    fleet.run(fleet.create_base("base", {"library"}));
    fleet.run(fleet.create_base("other", {"library"}));
    fleet.run(fleet.create_aggregate("work", {"base"}, {}));
    TransactionRequest rebuild;
    rebuild.command = "test rebuild";
    rebuild.no_confirm = rebuild.force_rebuild = true;
    for (const bool target_only : {false, true}) {
        rebuild.target_only = target_only;
        EXPECT_EQ(fleet.run(rebuild).containers.size(), 3U);
    }
    rebuild.containers = fleet.request("other").containers;
    EXPECT_EQ(fleet.run(rebuild).containers.size(), 1U);
    fleet.expect_sound();
}

TEST(Transaction, ADependencyIsNamedOnce) {
    Fleet fleet;
    fleet.repository({library()});
    fleet.run(fleet.create_base("base", {"library"}));
    EXPECT_THAT(failure_of(fleet, fleet.create_aggregate("work", {"base", "base"}, {})),
                HasSubstr("named twice"));
}

TEST(Transaction, AFailureInOneTargetLeavesTheOthersUndone) {
    Fleet fleet;
    fleet.repository({library()});
    fleet.run(fleet.create_base("base", {"library"}));
    TransactionRequest both = fleet.create_aggregate("good", {"base"}, {});
    both.containers.push_back(fleet.create_aggregate("bad", {"base"}, {"nowhere"}).containers[0]);
    EXPECT_THAT(failure_of(fleet, both), HasSubstr("nowhere"));
    EXPECT_FALSE(fleet.exists("good"));
    EXPECT_FALSE(load_config(fleet.directories().config, ContainerName("good")));
    for (const DirectoryItem& item : list_directory(open_dir(AT_FDCWD, fleet.data("roots")).get()))
        EXPECT_TRUE(item.name.starts_with("base")) << item.name;
    fleet.expect_sound();
}

TEST(Transaction, DeletionNamesAllThatWouldLoseItsGround) {
    Fleet fleet;
    fleet.repository({library()});
    fleet.run(fleet.create_base("base", {"library"}));
    fleet.run(fleet.create_aggregate("one", {"base"}, {}));
    fleet.run(fleet.create_aggregate("two", {"base"}, {}));
    SilentSink sink;
    try {
        delete_containers(Store::open(fleet.directories()), {ContainerName("base")}, false, false, false,
                          sink);
        FAIL() << "accepted";
    } catch (const Error& error) {
        EXPECT_THAT(error.what(), HasSubstr("'one', 'two' are built on it"));
    }
}

// --- Questions, notes, interrupts --------------------------------------------------------------------------

PackageSpec provider(const std::string& name) {
    PackageSpec spec;
    spec.name = name;
    spec.files["usr/bin/" + name] = {name, 0755};
    spec.provides = {"editor"};
    return spec;
}

TEST(Transaction, NobodyIsAskedTheSameThingTwice) {
    Fleet fleet;
    PackageSpec app = tool("1-1", "one");
    app.depends = {"editor"};
    fleet.repository({app, provider("nano"), provider("vi")});
    fleet.dialogue.answer = [](const Question& question) {
        return question.kind == Question::Kind::select_provider ? 1 : question.default_answer;
    };
    TransactionRequest create = fleet.create_base("base", {"tool"});
    create.no_confirm = false;
    fleet.run(create);
    EXPECT_THAT(fleet.dialogue.questions, ElementsAre(HasSubstr("editor")));
    EXPECT_NE(fleet.current("base").find_package("vi"), nullptr) << "the answer holds for the fetch as well";
}

TEST(Transaction, EachContainerHasItsOwnAnswers) {
    Fleet fleet;
    PackageSpec app = tool("1-1", "one");
    app.depends = {"editor"};
    fleet.repository({app, provider("nano"), provider("vi")});
    fleet.dialogue.answer = [&](const Question&) { return fleet.dialogue.questions.size() == 1 ? 0 : 1; };
    TransactionRequest create = fleet.create_base("one", {"tool"});
    create.no_confirm = false;
    create.containers.push_back(create.containers[0]);
    create.containers[1].name = "two";
    fleet.run(create);
    EXPECT_EQ(fleet.dialogue.questions.size(), 2U);
    EXPECT_NE(fleet.current("one").find_package("nano"), nullptr);
    EXPECT_NE(fleet.current("two").find_package("vi"), nullptr);
}

TEST(Transaction, NotesAreSaidAlsoWhenThereIsNothingToDo) {
    Fleet fleet;
    fleet.repository({tool("1-1", "one")});
    fleet.run(fleet.create_base("base", {"tool"}));
    TransactionRequest again = fleet.request("base");
    again.containers[0].packages.install = {"tool"};
    again.containers[0].packages.needed = true;
    EXPECT_FALSE(fleet.run(again).changed);
    EXPECT_THAT(fleet.dialogue.messages, ElementsAre(AllOf(HasSubstr("base: "), HasSubstr("up to date"))));
    fleet.repository({tool("2-1", "two")});
    TransactionRequest ignoring = fleet.upgrade_all();
    ignoring.containers = fleet.request("base").containers;
    ignoring.containers[0].packages.ignore = {"tool"};
    fleet.dialogue.messages.clear();
    EXPECT_FALSE(fleet.run(ignoring).changed);
    EXPECT_THAT(fleet.dialogue.messages, ElementsAre(HasSubstr("the upgrade from 1-1 to 2-1 is ignored")));
}

TEST(Transaction, AnUpgradeOfAllDoesWhatItsOptionsSayInEveryContainer) {
    Fleet fleet;
    fleet.repository({tool("2-1", "two"), library()});
    fleet.run(fleet.create_base("base", {"tool"}));
    fleet.run(fleet.create_base("other", {"tool"}));
    const auto version = [&](const std::string& name) { return fleet.current(name).packages.at(0).version; };
    fleet.repository({tool("3-1", "three"), library()});
    TransactionRequest ignoring = fleet.upgrade_all();
    ignoring.everyone.ignore = {"tool"};
    EXPECT_FALSE(fleet.run(ignoring).changed);
    EXPECT_EQ(version("base"), "2-1");
    fleet.repository({tool("1-1", "one"), library()});
    TransactionRequest down = fleet.upgrade_all();
    down.everyone.downgrade = true;
    fleet.run(down);
    EXPECT_EQ(version("base"), "1-1");
    EXPECT_EQ(version("other"), "1-1");
}

TEST(Transaction, MessagesNameTheContainerThatAPackageIsFrom) {
    Fleet fleet;
    fleet.repository({tool("1-1", "one"), library()});
    fleet.run(fleet.create_base("ground", {"tool"}));
    fleet.run(fleet.create_aggregate("work", {"ground"}, {"library"}));
    TransactionRequest removal = fleet.request("work");
    removal.containers[0].packages.remove = {"tool"};
    try {
        fleet.run(removal);
        FAIL() << "accepted";
    } catch (const Error& error) {
        EXPECT_THAT(std::string(error.what()) + error.hint(), HasSubstr("the container 'ground'"));
    }
}

/// Interrupts itself when asked to confirm; 0 when that ended the transaction as it should.
void expect_interrupted(const Directories& directories, const TransactionRequest& request) {
    watch_for_interrupts();
    test::TestDialogue dialogue;
    dialogue.on_confirm = [] { ::raise(SIGTERM); };
    try {
        run_transaction(directories, request, dialogue);
    } catch (const Error& error) {
        const bool clear =
            std::string(error.what()).find("interrupted; nothing was changed") != std::string::npos;
        if (error.fault() == Fault::interrupted && clear) ::_exit(0);
    }
    ::_exit(1);
}

TEST(Transaction, AnInterruptLeavesNothingBehind) {
    Fleet fleet;
    fleet.repository({tool("1-1", "one"), library()});
    const TransactionRequest create = fleet.create_base("base", {"tool"});
    EXPECT_EQ(test::run_in_child([&] { expect_interrupted(fleet.directories(), create); }), 0);
    EXPECT_FALSE(fleet.exists("base"));
    EXPECT_TRUE(list_directory(open_dir(AT_FDCWD, fleet.data("store/staging")).get()).empty());
    fleet.run(create);
    TransactionRequest more = fleet.request("base");
    more.containers[0].packages.install = {"library"};
    EXPECT_EQ(test::run_in_child([&] { expect_interrupted(fleet.directories(), more); }), 0);
    EXPECT_EQ(fleet.current("base").number, 1U);
    more.lock_patience_seconds = 0;
    EXPECT_TRUE(fleet.run(more).changed) << "its locks are free";
    fleet.expect_sound();
}

}  // namespace
}  // namespace pwstore
