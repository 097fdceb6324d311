// SPDX-License-Identifier: GPL-3.0-or-later
// What lies below a container: whether it goes together, and who a file or a package is from.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "store/base/error.hpp"
#include "tests/support/fleet.hpp"

namespace pwstore {
namespace {

using test::Fleet;
using test::PackageSpec;
using ::testing::AllOf;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

PackageSpec package(const std::string& name, const std::string& version = "1-1") {
    PackageSpec spec;
    spec.name = name;
    spec.version = version;
    spec.files["usr/share/" + name] = {name + " " + version};
    return spec;
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

TransactionRequest slice(const Fleet& fleet, const std::string& name,
                         const std::vector<std::string>& packages) {
    TransactionRequest wanted = fleet.create_aggregate(name, {"base"}, packages);
    wanted.containers[0].type = ContainerType::slice;
    return wanted;
}

TransactionRequest install(const Fleet& fleet, const std::string& container, const std::string& package) {
    TransactionRequest wanted = fleet.request(container);
    wanted.refresh = 2;
    wanted.containers[0].packages.install = {package};
    return wanted;
}

TransactionRequest remove(const Fleet& fleet, const std::string& container, const std::string& package) {
    TransactionRequest wanted = fleet.request(container);
    wanted.containers[0].packages.remove = {package};
    return wanted;
}

/// Every plan's notes, as they are shown.
std::vector<std::string> notes_of(Fleet& fleet, const TransactionRequest& request) {
    fleet.dialogue.shown.clear();
    fleet.run(request);
    std::vector<std::string> notes;
    for (const ContainerPlan& plan : fleet.dialogue.shown)
        notes.insert(notes.end(), plan.plan.notes.begin(), plan.plan.notes.end());
    return notes;
}

class GroundTest : public ::testing::Test {
 protected:
    void SetUp() override {
        enemy_.conflicts = {"one"};
        fleet_.repository({package("ground"), package("one"), enemy_, package("more")});
        fleet_.run(fleet_.create_base("base", {"ground"}));
        fleet_.run(slice(fleet_, "k1", {"one"}));
    }
    PackageSpec enemy_ = package("enemy");
    Fleet fleet_;
};

TEST_F(GroundTest, SlicesInConflictAreFoundWhenSomethingIsBuiltOnThem) {
    fleet_.run(slice(fleet_, "k2", {"enemy"}));
    for (const std::vector<std::string>& packages : {std::vector<std::string>{"more"}, {}}) {
        EXPECT_THAT(failure_of(fleet_, fleet_.create_aggregate("k3", {"base", "k1", "k2"}, packages)),
                    AllOf(HasSubstr("k3"), HasSubstr("one"), HasSubstr("enemy"), HasSubstr("'k1'"),
                          HasSubstr("'k2'")));
        EXPECT_FALSE(fleet_.exists("k3"));
    }
    fleet_.run(fleet_.create_aggregate("k3", {"base", "k1"}, {"more"}));
}

TEST_F(GroundTest, AStandingConflictDoesNotBlockWhatItDoesNotConcern) {
    PackageSpec peaceful = enemy_;
    peaceful.conflicts.clear();
    fleet_.repository({package("ground"), package("one"), peaceful, package("more")});
    fleet_.run(slice(fleet_, "k2", {"enemy"}));
    fleet_.run(fleet_.create_aggregate("k3", {"base", "k1", "k2"}, {"more"}));
    enemy_.version = "2-1";
    fleet_.repository({package("ground"), package("one"), enemy_, package("more"), package("less")});
    TransactionRequest upgrade = fleet_.upgrade_all();
    EXPECT_THAT(failure_of(fleet_, upgrade), AllOf(HasSubstr("k3"), HasSubstr("'k1'"), HasSubstr("'k2'")))
        << "a new one is no standing one, also where the container itself is upgraded";
    TransactionRequest forced = install(fleet_, "k2", "enemy");
    forced.containers.push_back({"k3", false, ContainerType::base, {}, {}});
    forced.containers[1].packages.no_conflicts = true;
    fleet_.run(forced);
    fleet_.run(install(fleet_, "base", "less"));
    EXPECT_EQ(fleet_.read("k3", "usr/share/less"), "less 1-1");
    fleet_.repository({package("ground", "2-1"), package("one"), enemy_, package("more")});
    fleet_.run(fleet_.upgrade_all());
    EXPECT_EQ(fleet_.read("k3", "usr/share/ground"), "ground 2-1");
    fleet_.expect_sound();
}

TEST_F(GroundTest, AnUpgradeOfAllThatBreaksADependentIsRefused) {
    PackageSpec app = package("app");
    app.depends = {"ground=1"};
    fleet_.repository({package("ground"), app});
    fleet_.run(fleet_.create_aggregate("work", {"base"}, {"app"}));
    fleet_.repository({package("ground", "2-1"), app});
    EXPECT_THAT(failure_of(fleet_, fleet_.upgrade_all()), AllOf(HasSubstr("work"), HasSubstr("ground=1")));
    EXPECT_EQ(fleet_.read("base", "usr/share/ground"), "ground 1-1");
    PackageSpec newer = package("app", "2-1");
    newer.depends = {"ground=2"};
    fleet_.repository({package("ground", "2-1"), newer});
    fleet_.run(fleet_.upgrade_all());
    EXPECT_EQ(fleet_.read("work", "usr/share/app"), "app 2-1");
}

// --- One path, several owners ---------------------------------------------------------------------------

PackageSpec with_shared(const std::string& name, const std::string& content) {
    PackageSpec spec = package(name);
    spec.files["usr/share/both"] = {content};
    spec.files["usr/share/same"] = {"same"};
    return spec;
}

TEST_F(GroundTest, AFileThatTwoSlicesHaveIsSaidWithBothOwners) {
    fleet_.repository({with_shared("pa", "a"), with_shared("pb", "b"), package("more")});
    fleet_.run(slice(fleet_, "sa", {"pa"}));
    fleet_.run(slice(fleet_, "sb", {"pb"}));
    const auto said = AllOf(HasSubstr("/usr/share/both"), HasSubstr("pa of 'sa'"), HasSubstr("pb of 'sb'"),
                            Not(HasSubstr("same")));
    EXPECT_THAT(notes_of(fleet_, fleet_.create_aggregate("c", {"base", "sa", "sb"}, {"more"})),
                Contains(said));
    EXPECT_EQ(fleet_.read("c", "usr/share/both"), "b");
    EXPECT_THAT(fleet_.dialogue.messages, IsEmpty()) << "once";
    EXPECT_THAT(notes_of(fleet_, install(fleet_, "base", "more")), IsEmpty()) << "it stood before";
    fleet_.expect_sound();
}

TEST_F(GroundTest, AFileThatComesToASecondSliceIsSaidToo) {
    fleet_.repository({with_shared("pa", "a"), package("pb"), package("more")});
    fleet_.run(slice(fleet_, "sa", {"pa"}));
    fleet_.run(slice(fleet_, "sb", {"pb"}));
    EXPECT_THAT(notes_of(fleet_, fleet_.create_aggregate("c", {"base", "sa", "sb"}, {"more"})), IsEmpty());
    PackageSpec newer = with_shared("pb", "b");
    newer.version = "2-1";
    fleet_.repository({with_shared("pa", "a"), newer, package("more")});
    TransactionRequest upgrade = fleet_.request("sb");
    upgrade.refresh = 2;
    upgrade.containers[0].packages.upgrade = true;
    fleet_.dialogue.messages.clear();
    fleet_.run(upgrade);
    EXPECT_THAT(fleet_.dialogue.messages,
                ElementsAre(AllOf(HasSubstr("c: "), HasSubstr("pa of 'sa'"), HasSubstr("pb of 'sb'"))));
}

// --- A copy of its own
// --------------------------------------------------------------------------------------

TEST_F(GroundTest, APackageThatCameToTheBaseLaterCanLeaveTheAggregate) {
    PackageSpec tool = package("tool");
    tool.files["usr/share/only-1"] = {"1"};
    tool.files["etc/tool.conf"] = {"1"};
    tool.backup = {"etc/tool.conf"};
    tool.provides = {"service"};
    tool.install = "pre_remove() { echo removing; }\npost_remove() { echo removed; }\n";
    PackageSpec app = package("app");
    app.depends = {"tool", "service"};
    fleet_.repository({tool, app});
    fleet_.run(fleet_.create_aggregate("work", {"base"}, {"app"}));
    fleet_.run(install(fleet_, "base", "tool"));
    fleet_.dialogue.output.clear();
    fleet_.run(remove(fleet_, "work", "tool"));
    EXPECT_EQ(fleet_.current("work").packages.size(), 1U);
    EXPECT_EQ(fleet_.read("work", "usr/share/tool"), "tool 1-1");
    EXPECT_EQ(fleet_.read("work", "etc/tool.conf"), "1");
    EXPECT_THAT(fleet_.dialogue.output, IsEmpty()) << "the package stays";
    EXPECT_THAT(failure_of(fleet_, remove(fleet_, "work", "tool")), HasSubstr("the container 'base'"));
    fleet_.expect_sound();
}

TEST_F(GroundTest, WhatLiesBelowIsThereWhenAnotherVersionOfItsOwnGoes) {
    PackageSpec tool = package("tool");
    tool.files["usr/share/only-1"] = {"1"};
    fleet_.repository({tool, package("app")});
    fleet_.run(fleet_.create_aggregate("work", {"base"}, {"tool", "app"}));
    PackageSpec newer = package("tool", "2-1");
    newer.files["usr/share/only-2"] = {"2"};
    fleet_.repository({newer, package("app")});
    fleet_.run(install(fleet_, "base", "tool"));
    EXPECT_EQ(fleet_.read("work", "usr/share/tool"), "tool 1-1") << "nearest wins";
    fleet_.run(remove(fleet_, "work", "tool"));
    EXPECT_EQ(fleet_.read("work", "usr/share/tool"), "tool 2-1");
    EXPECT_EQ(fleet_.read("work", "usr/share/only-2"), "2");
    EXPECT_EQ(fleet_.current("work").packages.size(), 1U);
    fleet_.expect_sound();
}

TEST_F(GroundTest, ACopyOfItsOwnIsUpgradedAsItsOwn) {
    fleet_.repository({package("tool")});
    fleet_.run(fleet_.create_aggregate("work", {"base"}, {"tool"}));
    fleet_.run(install(fleet_, "base", "tool"));
    fleet_.repository({package("tool", "2-1")});
    fleet_.run(fleet_.upgrade_all());
    EXPECT_EQ(fleet_.current("work").packages.at(0).version, "2-1");
    EXPECT_EQ(fleet_.read("work", "usr/share/tool"), "tool 2-1");
    fleet_.expect_sound();
}

// --- A creation that waits for others ---------------------------------------------------------------------

TEST_F(GroundTest, AnUpgradeThatKeepsANewContainerFromBeingMadeSaysHowToDoWithout) {
    PackageSpec broken = package("ground", "2-1");
    broken.depends = {"nowhere"};
    fleet_.repository({broken, package("more")});
    TransactionRequest wanted = fleet_.create_base("fresh", {"more"});
    wanted.upgrade_all = true;
    EXPECT_THAT(failure_of(fleet_, wanted), AllOf(HasSubstr("nowhere"), HasSubstr("--target-only")));
    wanted.containers[0].packages.install = {"absent"};
    wanted.upgrade_all = false;
    EXPECT_THAT(failure_of(fleet_, wanted), Not(HasSubstr("--target-only")));
    wanted.upgrade_all = true;
    fleet_.repository({package("more")});
    EXPECT_THAT(failure_of(fleet_, wanted), Not(HasSubstr("--target-only"))) << "its own fault";
}

TEST_F(GroundTest, WhatIsToBeMadeIsNotWhatWasMeant) {
    TransactionRequest wanted = fleet_.create_aggregate("k22", {"k21"}, {"more"});
    const std::string said = failure_of(fleet_, wanted);
    EXPECT_THAT(said,
                AllOf(HasSubstr("'k21'"), HasSubstr("there is no such container"), Not(HasSubstr("'k22'"))));
}

TEST_F(GroundTest, WhatIsOddInTheRepositoriesIsSaid) {
    fleet_.add_to_configuration("[odd]\nServer = file:///nowhere\nUsage = Search\nFoo = bar\n");
    fleet_.dialogue.messages.clear();
    fleet_.run(remove(fleet_, "k1", "one"));
    EXPECT_THAT(fleet_.dialogue.messages,
                Contains(AllOf(HasSubstr("repositories.conf:"), HasSubstr("'Foo'"))));
}

}  // namespace
}  // namespace pwstore
