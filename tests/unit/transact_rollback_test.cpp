// SPDX-License-Identifier: GPL-3.0-or-later
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>

#include "mount/container_config.hpp"
#include "mount/root.hpp"
#include "store/base/error.hpp"
#include "store/base/path_at.hpp"
#include "tests/support/fleet.hpp"
#include "transact/rollback.hpp"
#include "transact/transaction.hpp"

namespace pwstore {
namespace {

using test::Fleet;
using test::PackageSpec;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

PackageSpec package(const std::string& name, const std::string& version, const std::string& content) {
    PackageSpec spec;
    spec.name = name;
    spec.version = version;
    spec.files["usr/share/" + name] = {content};
    return spec;
}

/// base (1: tool 1, 2: tool 2, 3: tool 3), work on it since base@1, late on it since base@3.
class RollbackTest : public ::testing::Test {
 protected:
    void SetUp() override {
        at_version("1");
        fleet_.run(fleet_.create_base("base", {"tool"}));
        fleet_.run(fleet_.create_aggregate("work", {"base"}, {"app"}));
        at_version("2");
        fleet_.run(fleet_.upgrade_all());
        at_version("3");
        fleet_.run(fleet_.upgrade_all());
    }

    void at_version(const std::string& version) {
        fleet_.repository({package("tool", version + "-1", "tool " + version),
                           package("app", version + "-1", "app " + version),
                           package("extra", "1-1", "extra")});
    }

    [[nodiscard]] static RollbackRequest of_container(const std::string& name, uint64_t generation) {
        RollbackRequest request;
        request.kind = RollbackRequest::Kind::container;
        request.container = name;
        request.generation = generation;
        request.command = "rollback " + name;
        return request;
    }
    [[nodiscard]] static RollbackRequest of_transaction(uint64_t id) {
        RollbackRequest request;
        request.kind = RollbackRequest::Kind::transaction;
        request.transaction = id;
        return request;
    }

    [[nodiscard]] std::vector<ReadTxn::Switch> plan(const RollbackRequest& request) const {
        const Store store = Store::open(fleet_.directories());
        return plan_rollback(store.index().read(), request);
    }
    void roll_back_to(const RollbackRequest& request) {
        const Store store = Store::open(fleet_.directories());
        (void)roll_back(store, request, plan_rollback(store.index().read(), request), fleet_.dialogue);
    }
    [[nodiscard]] std::string refusal(const RollbackRequest& request) const {
        try {
            (void)plan(request);
        } catch (const Error& error) {
            return std::string(error.what()) + "\n" + error.hint();
        }
        return "accepted";
    }
    void drop_root(const std::string& name) {
        remove_tree(open_dir(AT_FDCWD, fleet_.data("roots")).get(), name);
    }

    Fleet fleet_;
};

TEST_F(RollbackTest, ABaseTakesAlongWhatIsBuiltOnIt) {
    const Sha256 base_then = [&] {
        const Store store = Store::open(fleet_.directories());
        return store.index().read().generation(ContainerName("base"), 1)->tree_digest;
    }();
    EXPECT_THAT(plan(of_container("base", 1)),
                ElementsAre(ReadTxn::Switch{"base", 3, 1}, ReadTxn::Switch{"work", 3, 1}));
    drop_root("base@1");
    drop_root("work@1");
    roll_back_to(of_container("base", 1));
    EXPECT_EQ(fleet_.current("base").tree_digest, base_then);
    EXPECT_EQ(fleet_.read("base", "usr/share/tool"), "tool 1");
    EXPECT_EQ(fleet_.read("work", "usr/share/app"), "app 1");
    EXPECT_EQ(fleet_.read("work", "usr/share/tool"), "tool 1");
    fleet_.expect_sound();
    // And on: the next generation has a number of its own.
    fleet_.run(fleet_.upgrade_all());
    EXPECT_EQ(fleet_.current("base").number, 4U);
    EXPECT_EQ(fleet_.current("base").parent, 1U);
    EXPECT_EQ(fleet_.read("work", "usr/share/tool"), "tool 3");
    fleet_.expect_sound();
}

TEST_F(RollbackTest, WithoutANumberItIsTheOneBefore) {
    EXPECT_THAT(plan(of_container("base", 0)),
                ElementsAre(ReadTxn::Switch{"base", 3, 2}, ReadTxn::Switch{"work", 3, 2}));
    EXPECT_THAT(plan(of_container("base", 3)), IsEmpty());
    roll_back_to(of_container("base", 1));
    EXPECT_THAT(refusal(of_container("base", 0)), HasSubstr("no generation before"));
}

TEST_F(RollbackTest, WhatLiesBelowIsTakenBackOnlyOnRequest) {
    EXPECT_THAT(refusal(of_container("work", 2)),
                AllOf(HasSubstr("built on base@2, which is at 3 now"), HasSubstr("--with-dependencies")));
    RollbackRequest request = of_container("work", 2);
    request.with_below = true;
    EXPECT_THAT(plan(request), ElementsAre(ReadTxn::Switch{"base", 3, 2}, ReadTxn::Switch{"work", 3, 2}));
}

TEST_F(RollbackTest, AContainerAloneGoesBackWhereItStandsOnTheSame) {
    TransactionRequest more = fleet_.request("work");
    more.containers[0].packages.install = {"extra"};
    fleet_.run(more);
    ASSERT_EQ(fleet_.read("work", "usr/share/extra"), "extra");
    EXPECT_THAT(plan(of_container("work", 0)), ElementsAre(ReadTxn::Switch{"work", 4, 3}));
    roll_back_to(of_container("work", 0));
    EXPECT_FALSE(exists_at(AT_FDCWD, fleet_.root("work") + "/usr/share/extra"));
    EXPECT_EQ(load_config(fleet_.directories().config, ContainerName("work"))->explicit_packages,
              std::vector<std::string>{"app"});
    // A rollback of base goes to the newest of work's states on it.
    EXPECT_THAT(plan(of_container("base", 2)),
                ElementsAre(ReadTxn::Switch{"base", 3, 2}, ReadTxn::Switch{"work", 3, 2}));
    fleet_.undo();
    EXPECT_EQ(fleet_.current("work").number, 4U);
    fleet_.expect_sound();
}

TEST_F(RollbackTest, WhatWasBuiltLaterStandsInTheWay) {
    fleet_.run(fleet_.create_aggregate("late", {"base"}, {}));
    EXPECT_THAT(refusal(of_container("base", 1)), AllOf(HasSubstr("'late'"), HasSubstr("was not there then"),
                                                        HasSubstr("pwstore delete late")));
    EXPECT_EQ(fleet_.current("base").number, 3U);
}

TEST_F(RollbackTest, ATransactionIsTakenBackWhateverCameSince) {
    TransactionRequest more = fleet_.request("work");
    more.containers[0].packages.install = {"extra"};
    fleet_.run(more);
    const auto second = fleet_.current("base").transaction - 1;  // 1 → 2
    RollbackRequest undo = of_transaction(second);
    undo.kind = RollbackRequest::Kind::undo;
    EXPECT_THAT(refusal(undo), AllOf(HasSubstr("changed again"), HasSubstr("rollback --txn")));
    EXPECT_THAT(plan(of_transaction(second)),
                ElementsAre(ReadTxn::Switch{"base", 3, 1}, ReadTxn::Switch{"work", 4, 1}));
    roll_back_to(of_transaction(second));
    EXPECT_EQ(fleet_.read("work", "usr/share/tool"), "tool 1");
    const Store store = Store::open(fleet_.directories());
    const auto last = store.index().read().transaction(store.index().read().last_transaction());
    ASSERT_TRUE(last);
    EXPECT_EQ(last->switches.size(), 2U);
    fleet_.expect_sound();
}

TEST_F(RollbackTest, ATransactionThatMadeAContainerDropsIt) {
    const uint64_t made = 2;  // work
    EXPECT_THAT(plan(of_transaction(made)), ElementsAre(ReadTxn::Switch{"work", 3, 0}));
    roll_back_to(of_transaction(made));
    EXPECT_FALSE(fleet_.exists("work"));
    EXPECT_THAT(refusal(of_transaction(made)), HasSubstr("'work'"));
    fleet_.expect_sound();
}

TEST_F(RollbackTest, ADeletionCannotBeUndone) {
    const Store store = Store::open(fleet_.directories());
    SilentSink sink;
    delete_containers(store, {ContainerName("work")}, false, false, false, sink);
    RollbackRequest undo;
    undo.transaction = store.index().read().last_transaction();
    EXPECT_THAT(refusal(undo), HasSubstr("deletion cannot be undone"));
    EXPECT_EQ(store.index().read().transaction(undo.transaction)->cause, "delete work");
    undo.kind = RollbackRequest::Kind::transaction;
    EXPECT_THAT(refusal(undo), HasSubstr("deletion cannot be undone"));
}

TEST_F(RollbackTest, WhatTookACreationBackSaysHowToMakeItAgain) {
    const uint64_t made = 2;  // work
    roll_back_to(of_transaction(made));
    RollbackRequest undo;
    std::string command;
    {
        const auto store = Store::open_read_only(fleet_.directories());
        undo.transaction = store->index().read().last_transaction();
        command = store->index().read().transaction(made)->cause;
    }
    EXPECT_THAT(refusal(undo), AllOf(HasSubstr("took back its creation"), Not(HasSubstr("deleted"))));
    EXPECT_THAT(refusal(undo), HasSubstr(command));
}

TEST_F(RollbackTest, WhatDoesNotExistIsSaid) {
    EXPECT_THAT(refusal(of_container("bsae", 1)), HasSubstr("did you mean 'base'?"));
    EXPECT_THAT(refusal(of_container("base", 9)),
                AllOf(HasSubstr("there is no generation 9"), HasSubstr("pwstore history base")));
    EXPECT_THAT(refusal(of_transaction(99)), HasSubstr("no transaction 99"));
}

TEST_F(RollbackTest, AnotherPlanByThenIsNotCarriedOut) {
    const Store store = Store::open(fleet_.directories());
    const RollbackRequest request = of_container("base", 2);
    const auto expected = plan_rollback(store.index().read(), request);
    roll_back_to(of_container("base", 1));
    try {
        (void)roll_back(store, request, expected, fleet_.dialogue);
        FAIL() << "carried out";
    } catch (const Error& error) {
        EXPECT_EQ(error.fault(), Fault::busy);
    }
    EXPECT_EQ(fleet_.current("base").number, 1U);
}

}  // namespace
}  // namespace pwstore
