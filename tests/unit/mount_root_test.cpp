// SPDX-License-Identifier: GPL-3.0-or-later
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/file.h>
#include <sys/stat.h>

#include <atomic>
#include <csignal>
#include <cstdlib>
#include <thread>

#include "mount/root.hpp"
#include "store/base/error.hpp"
#include "store/base/path_at.hpp"
#include "store/ingest.hpp"
#include "tests/support/package_builder.hpp"
#include "tests/support/rerun.hpp"
#include "tests/support/root_fixture.hpp"

namespace pwstore {
namespace {

using test::inode_of;
using test::links_of;
using test::listing;
using test::PackageSpec;
using test::RootFixture;
using testing::ElementsAre;
using testing::IsEmpty;
using testing::UnorderedElementsAre;

class RootTest : public testing::Test {
 protected:
    RootTest() {
        PackageSpec spec;
        spec.name = "tool";
        spec.files = {{"usr/bin/tool", {"program", 0755}},
                      {"usr/bin/empty", {""}},
                      {"etc/tool.conf", {"setting"}},
                      {"usr/lib/tool/data", {"data"}}};
        spec.symlinks = {{"usr/bin/alias", "tool"}};
        spec.hardlinks = {{"usr/lib/tool/same", "usr/lib/tool/data"}};
        spec.directories = {{"var/empty", 0700}};
        const std::string archive = build_package(fixture_.dir.path("packages"), spec);
        Ingestor ingestor(fixture_.store, sink_);
        ingestor.add_archives({{archive, {}}});
        ingestor.commit(nullptr, true);
        package_.manifest = ingestor.results().front().id;
        package_.name = "tool";
        package_.version = "1.0-1";
        package_.install_date = 1'700'000'100;
    }

    /// Record generations `numbers` of a container; `current` of them is the current one.
    void record(const std::string& name, const std::vector<uint64_t>& numbers, uint64_t current) {
        WriteTxn txn = fixture_.store.index().write();
        for (const uint64_t number : numbers) {
            Generation generation;
            generation.container = name;
            generation.number = number;
            generation.packages = {package_};
            txn.put_generation(generation);
        }
        ContainerRow row;
        row.current = current;
        row.last_number = numbers.empty() ? 0 : numbers.back();
        txn.put_container(ContainerName(name), row);
        txn.commit();
    }
    bool ensure(const std::string& name, uint64_t number) {
        return ensure_root(fixture_.store, ContainerName(name), number, sink_);
    }
    [[nodiscard]] std::string at(const std::string& path) const {
        return fixture_.dir.path("data/roots/" + path);
    }
    [[nodiscard]] std::vector<std::string> names_in(const std::string& path) const {
        std::vector<std::string> names;
        for (const DirectoryItem& item :
             list_directory(open_dir(AT_FDCWD, fixture_.dir.path("data/" + path)).get()))
            names.push_back(item.name);
        return names;
    }
    /// A run on NAME@N, as a sandbox holds it.
    [[nodiscard]] Fd run_on(const std::string& root) const {
        Fd lease = open_at(AT_FDCWD, at(root + ".lock"), O_RDONLY);
        EXPECT_EQ(::flock(lease.get(), LOCK_SH | LOCK_NB), 0);
        return lease;
    }

    RootFixture fixture_;
    SilentSink sink_;
    InstalledPackage package_;
};

// --- Build and publish ---

TEST_F(RootTest, IsBuiltFromTheIndexOnce) {
    record("base", {1}, 1);
    EXPECT_TRUE(ensure("base", 1));
    EXPECT_FALSE(ensure("base", 1));
    EXPECT_EQ(test::content_of(at("base@1/usr/bin/tool")), "program");
    EXPECT_EQ(links_of(at("base@1/usr/bin/tool")), 2U);
    EXPECT_EQ(links_of(at("base@1/etc/tool.conf")), 1U);
    EXPECT_EQ(inode_of(at("base@1/usr/lib/tool/data")), inode_of(at("base@1/usr/lib/tool/same")));
    EXPECT_TRUE(exists_at(AT_FDCWD, at("base@1/var/lib/pacman/local/tool-1.0-1/desc")));
    EXPECT_TRUE(exists_at(AT_FDCWD, at("base@1/proc"))) << "mount points are there";
    EXPECT_EQ(stat_at(AT_FDCWD, at("base@1.lock")).st_mode, S_IFREG | 0600U);
    EXPECT_THAT(names_in("store/staging"), IsEmpty());
}

TEST_F(RootTest, LeaseFileThatWentMissingComesBack) {
    record("base", {1}, 1);
    ensure("base", 1);
    remove_file(AT_FDCWD, at("base@1.lock"));
    EXPECT_FALSE(ensure("base", 1));
    EXPECT_TRUE(exists_at(AT_FDCWD, at("base@1.lock")));
}

TEST_F(RootTest, IsDisposable) {
    record("base", {1}, 1);
    ensure("base", 1);
    const auto before = listing(at("base@1"));
    remove_root_tree(AT_FDCWD, fixture_.dir.path("data/roots"));
    make_directory(AT_FDCWD, fixture_.dir.path("data/roots"), 0700);
    EXPECT_TRUE(ensure("base", 1));
    EXPECT_EQ(listing(at("base@1")), before);
}

TEST_F(RootTest, UnknownGenerationIsAnError) {
    record("base", {1}, 1);
    EXPECT_THROW(ensure("base", 2), Error);
    EXPECT_THROW(ensure("other", 1), Error);
    EXPECT_THAT(names_in("roots"), IsEmpty());
}

TEST_F(RootTest, PublishingReplacesWhatADeadTransactionLeft) {
    fixture_.dir.write("data/roots/base@1/garbage/file", "x");
    ASSERT_EQ(::chmod(at("base@1/garbage").c_str(), 0), 0);
    const Staging staging = Staging::create(fixture_.store, "test");
    make_directory(staging.fd(), "tree");
    publish_root(fixture_.store, staging.fd(), "tree", ContainerName("base"), 1);
    EXPECT_THAT(list_directory(open_dir(AT_FDCWD, at("base@1")).get()), IsEmpty());
    EXPECT_THAT(names_in("store/staging"), testing::SizeIs(2)) << "this test's folder and its lock only";
}

// The part of the tests below that fails in a process of its own.
TEST(RootChild, DISABLED_EnsureRoot) {
    const std::string data = test::variable("PWSTORE_TEST_STORE");
    SilentSink sink;
    const Store store = Store::open({data + "/data", data + "/config", data + "/cache"});
    EXPECT_THROW(ensure_root(store, ContainerName("base"), 1, sink), Error);
}

class RootFailureTest : public RootTest, public testing::WithParamInterface<const char*> {};

TEST_P(RootFailureTest, LeavesNoRootAndNothingThatStays) {
    record("base", {1}, 1);
    const std::string failpoint = GetParam();
    test::Rerun child("RootChild.DISABLED_EnsureRoot",
                      {{"PWSTORE_TEST_STORE", fixture_.dir.path()}, {"PWSTORE_FAILPOINT", failpoint}});
    const test::ChildEnd end = child.wait();
    if (failpoint.find(":kill") != std::string::npos) {
        EXPECT_EQ(end.signal, SIGKILL) << end.output;
        fixture_.store.recover();
    } else {
        EXPECT_EQ(end.exit_code, 0) << end.output;
    }
    EXPECT_FALSE(exists_at(AT_FDCWD, at("base@1")));
    EXPECT_THAT(names_in("store/staging"), IsEmpty());
    EXPECT_TRUE(ensure("base", 1));
    EXPECT_TRUE(exists_at(AT_FDCWD, at("base@1/usr/bin/tool")));
}

INSTANTIATE_TEST_SUITE_P(At, RootFailureTest,
                         testing::Values("assemble.entry:error:1", "assemble.entry:error:7",
                                         "assemble.entry:errno=28:12", "assemble.entry:kill:1",
                                         "assemble.entry:kill:12"),
                         [](const auto& parameter) {
                             std::string name = parameter.param;
                             for (char& c : name)
                                 if (c == '.' || c == ':' || c == '=') c = '_';
                             return name;
                         });

// --- Links ---

TEST_F(RootTest, LinksNameTheCurrentRoots) {
    record("base", {1, 2}, 2);
    record("app", {7}, 7);
    record("fresh", {}, 0);
    repair_root_links(fixture_.store);
    EXPECT_EQ(read_link_at(AT_FDCWD, at("base")), "base@2");
    EXPECT_EQ(read_link_at(AT_FDCWD, at("app")), "app@7");
    EXPECT_FALSE(exists_at(AT_FDCWD, at("fresh")));

    record("base", {3}, 3);
    ASSERT_EQ(::symlink("gone@4", at("gone").c_str()), 0);
    ASSERT_EQ(::symlink("base@2", at("base.123.0.new").c_str()), 0);
    ASSERT_EQ(::symlink("/somewhere", at("of-the-user").c_str()), 0);
    const uint64_t untouched = inode_of(at("app"));
    repair_root_links(fixture_.store);
    EXPECT_EQ(read_link_at(AT_FDCWD, at("base")), "base@3");
    EXPECT_EQ(inode_of(at("app")), untouched);
    EXPECT_THAT(names_in("roots"), ElementsAre("app", "base", "of-the-user"));
}

/// A command that looks waits for nobody's lock: a link that it has seen may be gone when it reads it.
TEST_F(RootTest, LinksMayGoWhileTheyAreLookedAt) {
    record("base", {1}, 1);
    repair_root_links(fixture_.store);
    EXPECT_FALSE(are_root_links_behind(fixture_.store));
    std::atomic<bool> is_done = false;
    std::thread others([&] {
        for (int round = 0; round < 5000; ++round) {
            (void)::symlink("copy@1", at("copy").c_str());
            (void)::unlink(at("copy").c_str());
        }
        is_done = true;
    });
    while (!is_done)
        EXPECT_NO_THROW((void)are_root_links_behind(fixture_.store));
    others.join();
    EXPECT_FALSE(are_root_links_behind(fixture_.store));
}

// --- Remove ---

TEST_F(RootTest, RemovalWaitsForRuns) {
    record("base", {1}, 1);
    ensure("base", 1);
    const ContainerName base("base");
    {
        const Fd run = run_on("base@1");
        EXPECT_FALSE(remove_root(fixture_.store, base, 1));
        EXPECT_TRUE(exists_at(AT_FDCWD, at("base@1/usr/bin/tool")));
        EXPECT_TRUE(exists_at(AT_FDCWD, at("base@1.lock")));
    }
    EXPECT_TRUE(remove_root(fixture_.store, base, 1));
    EXPECT_THAT(names_in("roots"), IsEmpty());
    EXPECT_THAT(names_in("store/staging"), IsEmpty());
    EXPECT_TRUE(remove_root(fixture_.store, base, 1)) << "nothing there is nothing left";
    EXPECT_THAT(names_in("roots"), IsEmpty());
}

TEST_F(RootTest, RetiredRootsGoExceptTheTwinAndThoseInUse) {
    record("base", {1, 2, 3, 4, 5}, 4);  // 5 was undone
    for (uint64_t number = 1; number <= 5; ++number)
        ensure("base", number);
    const Fd run = run_on("base@1");
    remove_retired_roots(fixture_.store, true);
    EXPECT_THAT(names_in("roots"), UnorderedElementsAre("base@1", "base@1.lock", "base@4", "base@4.lock",
                                                        "base@5", "base@5.lock"));
    remove_retired_roots(fixture_.store, false);
    EXPECT_THAT(names_in("roots"), UnorderedElementsAre("base@1", "base@1.lock", "base@4", "base@4.lock"));
}

TEST_F(RootTest, RootsWithoutARecordGoUnlessTheirContainerIsBeingChanged) {
    record("base", {1}, 1);
    ensure("base", 1);
    for (const char* name : {"base@2/x", "gone@3/x", "not-a-root/x", "base@x/x", "base@01/x", "-bad@1/x"})
        fixture_.dir.write(std::string("data/roots/") + name, "x");
    fixture_.dir.write("data/roots/base@9.lock", "");
    {
        const FileLock lock =
            fixture_.store.lock_container(ContainerName("base"), std::chrono::seconds(1), "test");
        remove_retired_roots(fixture_.store, true);
        EXPECT_TRUE(exists_at(AT_FDCWD, at("base@2"))) << "it may be about to be committed";
        EXPECT_FALSE(exists_at(AT_FDCWD, at("gone@3")));
    }
    remove_retired_roots(fixture_.store, true);
    EXPECT_THAT(names_in("roots"),
                UnorderedElementsAre("base@1", "base@1.lock", "not-a-root", "base@x", "base@01", "-bad@1"));
}

// --- An index that is older than the roots ---

class OlderIndexTest : public RootTest {
 protected:
    [[nodiscard]] std::string refusal() const {
        try {
            refuse_older_index(fixture_.store);
        } catch (const Error& error) {
            EXPECT_EQ(error.fault(), Fault::corrupt);
            EXPECT_THAT(error.hint(), testing::HasSubstr("store/index"));
            return error.what();
        }
        return "";
    }
    void link_to(const std::string& name, const std::string& root) {
        fixture_.dir.write("data/roots/" + root + "/etc/own", "mine");
        ASSERT_EQ(::symlink(root.c_str(), at(name).c_str()), 0);
    }
};

TEST_F(OlderIndexTest, NoRootGoesOnItsWord) {
    record("base", {1}, 1);
    ensure("base", 1);
    link_to("base", "base@2");
    link_to("app", "app@1");
    EXPECT_THAT(refusal(), testing::HasSubstr("'roots/app@1' is there, and of 'app' it knows nothing"));
    EXPECT_THROW(repair_root_links(fixture_.store), Error);
    EXPECT_THROW(remove_retired_roots(fixture_.store, true), Error);
    EXPECT_THROW((void)are_root_links_behind(fixture_.store), Error);
    EXPECT_EQ(test::content_of(at("base/etc/own")), "mine");
    EXPECT_EQ(test::content_of(at("app/etc/own")), "mine");
    remove_tree(AT_FDCWD, at("app@1"));
    EXPECT_THAT(refusal(), testing::HasSubstr("of 'base' it knows no generation after 1"));
    record("base", {2}, 1);
    EXPECT_EQ(refusal(), "") << "it was undone";
}

TEST_F(OlderIndexTest, WhatItSawDeletedIsGarbage) {
    record("base", {1}, 1);
    link_to("gone", "gone@4");
    ASSERT_NE(refusal(), "");
    {
        WriteTxn txn = fixture_.store.index().write();
        txn.put_transaction(txn.next_transaction(), {1, "delete gone", {{"gone", 4, 0}}});
        txn.commit();
    }
    EXPECT_EQ(refusal(), "");
    remove_retired_roots(fixture_.store, true);
    EXPECT_FALSE(exists_at(AT_FDCWD, at("gone@4")));
}

TEST(EmptyIndex, TakesNoRoot) {
    RootFixture fixture;
    fixture.dir.write("data/roots/base@1/etc/own", "mine");
    EXPECT_THROW(remove_retired_roots(fixture.store, true), Error);
    EXPECT_TRUE(exists_at(AT_FDCWD, fixture.dir.path("data/roots/base@1/etc/own")));
}

}  // namespace
}  // namespace pwstore
