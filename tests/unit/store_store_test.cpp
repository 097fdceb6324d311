// SPDX-License-Identifier: GPL-3.0-or-later
#include "store/store.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <csignal>

#include "store/base/error.hpp"
#include "store/base/path_at.hpp"
#include "store/boot_mark.hpp"
#include "store/lease.hpp"
#include "tests/support/child_process.hpp"
#include "tests/support/reboot.hpp"
#include "tests/support/test_dir.hpp"

namespace pwstore {
namespace {

using namespace std::chrono_literals;

class StoreTest : public ::testing::Test {
 protected:
    [[nodiscard]] Store open() const { return Store::open(dir_.directories()); }

    static ObjectKey key_of(const Store& store, std::string_view content) {
        ObjectKey key;
        key.digest = store.digest()(content);
        key.size = content.size();
        key.mode = 0644;
        return key;
    }
    /// One object with two copies and a manifest of it, as a recording commit leaves them.
    static ManifestId record(const Store& store, std::string_view content) {
        const FileLock lock = store.lock_ingest(1s);
        const ObjectKey key = key_of(store, content);
        store.objects().create(key, 0, content);
        store.objects().add_copy(key, 0, 1);
        WriteTxn txn = store.index().write();
        ObjectRow row;
        row.id = txn.next_object_id();
        row.copies = 2;
        row.unsynced = Store::boot_mark();
        txn.put_object(key, row);
        Manifest manifest;
        manifest.name = content;
        manifest.archive_sha256 = sha256_of(content);
        manifest.pkginfo = row.id;
        const ManifestId id = txn.add_manifest(manifest, true);
        txn.commit();
        return id;
    }
    static void sync(const Store& store) {
        WriteTxn txn = store.index().write();
        txn.mark_all_synced(Store::boot_mark());
        txn.commit();
    }
    static bool has(const Store& store, std::string_view content) {
        const ObjectKey key = key_of(store, content);
        const bool row = store.index().read().find_object(key).has_value();
        const bool first = store.objects().is_intact(key, 0, store.digest());
        const bool second = store.objects().is_intact(key, 1, store.digest());
        const bool archive = store.index().read().manifest_of_archive(sha256_of(content)).has_value();
        EXPECT_TRUE(row == first && first == second && second == archive)
            << row << first << second << archive;
        return row;
    }
    [[nodiscard]] size_t items_in(const char* name) const {
        return list_directory(open_dir(AT_FDCWD, dir_.path(std::string("data/") + name)).get()).size();
    }

    test::TestDir dir_;
};

TEST_F(StoreTest, OpensTwiceAndReadOnly) {
    EXPECT_FALSE(Store::open_read_only(dir_.directories()));
    EXPECT_FALSE(exists_at(AT_FDCWD, dir_.path("data")));
    {
        const Store store = open();
        record(store, "content");
        sync(store);
    }
    EXPECT_TRUE(has(open(), "content"));
    const auto reader = Store::open_read_only(dir_.directories());
    ASSERT_TRUE(reader);
    EXPECT_TRUE(has(*reader, "content"));
    EXPECT_THROW((void)reader->index().write(), Error);
}

TEST_F(StoreTest, ReadOnlyFindsNoStoreWhereItsMakingWasCutShort) {
    make_directories(AT_FDCWD, dir_.path("data/store/index"), 0700);
    EXPECT_FALSE(Store::open_read_only(dir_.directories()));
    dir_.write("data/store/index/data.mdb", "");
    EXPECT_FALSE(Store::open_read_only(dir_.directories()));
    EXPECT_NO_THROW((void)open());
    EXPECT_TRUE(Store::open_read_only(dir_.directories()));
}

TEST_F(StoreTest, PassesItsOptionsOn) {
    StoreOptions options;
    options.digest_bits = 8;
    options.link_limit = 1;
    const Store store = Store::open(dir_.directories(), options);
    EXPECT_EQ(store.digest().bits(), 8U);
    const ObjectKey key = key_of(store, "x");
    store.objects().create(key, 0, "x");
    EXPECT_EQ(store.objects().link(key, 0, store.layout().data(), "x"), LinkOutcome::too_many_links);
}

TEST_F(StoreTest, BootMarkIsOneNumberPerBoot) {
    EXPECT_NE(Store::boot_mark(), 0U);
    EXPECT_EQ(Store::boot_mark(), boot_mark());
    EXPECT_EQ(test::run_in_child([mark = boot_mark()] {
                  if (boot_mark() != mark) throw Error("compare", "boot marks", "they differ");
              }),
              0);
}

TEST_F(StoreTest, LeavesNoDescriptorToProgramsThatAreStarted) {
    const Store store = open();
    const ReadTxn read = store.index().read();
    const Staging staging = Staging::create(store, "a test");
    const Lease lease = Lease::create(store.index(), store.layout().data(), "a test");
    const FileLock lock = store.lock_ingest(1s);
    size_t seen = 0;
    for (const DirectoryItem& item :
         list_directory(open_at(AT_FDCWD, "/proc/self/fd", O_RDONLY | O_DIRECTORY).get())) {
        const int fd = std::stoi(item.name);
        const int flags = ::fcntl(fd, F_GETFD);
        if (flags < 0) continue;  // that of the listing
        const std::string target = read_link_at(AT_FDCWD, "/proc/self/fd/" + item.name);
        if (!target.starts_with(dir_.path())) continue;
        EXPECT_NE(flags & FD_CLOEXEC, 0) << target;
        ++seen;
    }
    EXPECT_GE(seen, 7U);
}

// --- Recovery ------------------------------------------------------------------------------------

TEST_F(StoreTest, WhatThisBootRecordedStays) {
    { record(open(), "content"); }
    EXPECT_TRUE(has(open(), "content"));
}

TEST_F(StoreTest, WhatAnotherBootDidNotSyncIsRemoved) {
    {
        const Store store = open();
        record(store, "durable");
        sync(store);
        record(store, "lost");
    }
    test::pretend_reboot(dir_.directories().data);
    const Store store = open();
    EXPECT_FALSE(has(store, "lost"));
    EXPECT_TRUE(has(store, "durable"));
    EXPECT_EQ(store.index().read().manifest_ids().size(), 1U);
    EXPECT_TRUE(store.index().read().unsynced_of_other_boots().empty());
    record(store, "lost");  // it can come again
    EXPECT_TRUE(has(store, "lost"));
}

TEST_F(StoreTest, LossIsNotedAlthoughTheFilesAreGoneToo) {
    ObjectKey key;
    {
        const Store store = open();
        record(store, "lost");
        key = key_of(store, "lost");
        store.objects().remove(key, 0);
        store.objects().remove(key, 1);
    }
    test::pretend_reboot(dir_.directories().data);
    EXPECT_FALSE(has(open(), "lost"));
}

TEST_F(StoreTest, RecoveryWaitsForNobodyButTheIngestLockDoesIt) {
    const Store store = open();
    record(store, "lost");
    auto lock = std::make_unique<FileLock>(store.lock_ingest(1s));
    test::pretend_reboot(dir_.directories().data);
    store.recover();  // another holds the lock and may be using what is there
    EXPECT_TRUE(has(store, "lost"));
    lock.reset();
    (void)store.lock_ingest(1s);
    EXPECT_FALSE(has(store, "lost"));
}

TEST_F(StoreTest, RecoveryThatIsKilledBetweenRowsAndFilesIsHarmless) {
    const Store store = open();
    const ManifestId manifest = record(store, "lost");
    WriteTxn txn = store.index().write();  // what recovery commits before it unlinks
    txn.remove_manifest(manifest);
    txn.remove_object(key_of(store, "lost"));
    txn.commit();
    store.recover();
    EXPECT_FALSE(store.index().read().find_object(key_of(store, "lost")));
    EXPECT_TRUE(store.objects().is_intact(key_of(store, "lost"), 0, store.digest()));
    record(store, "lost");  // the file without a record is replaced
    EXPECT_TRUE(has(store, "lost"));
}

// --- Locks ---------------------------------------------------------------------------------------

TEST_F(StoreTest, LocksOfContainersAreApart) {
    const Store store = open();
    const FileLock base = store.lock_container(ContainerName("base"), 0ms, "first");
    EXPECT_NO_THROW((void)store.lock_container(ContainerName("editor"), 0ms, "second"));
    try {
        (void)store.lock_container(ContainerName("base"), 0ms, "second");
        FAIL() << "locked twice";
    } catch (const Error& error) {
        EXPECT_EQ(error.fault(), Fault::busy);
        EXPECT_NE(std::string(error.what()).find("first"), std::string::npos) << error.what();
    }
}

TEST_F(StoreTest, TheIngestLockHasOneHolder) {
    const Store store = open();
    const FileLock held = store.lock_ingest(0ms);
    EXPECT_THROW((void)store.lock_ingest(0ms), Error);
}

// --- Staging -------------------------------------------------------------------------------------

TEST_F(StoreTest, StagingLivesAsLongAsItsObject) {
    const Store store = open();
    {
        const Staging staging = Staging::create(store, "a test");
        make_directories(staging.fd(), "a/b", 0700);
        EXPECT_TRUE(exists_at(store.layout().data(), staging.name() + "/a/b"));
        EXPECT_EQ(staging.name(), "store/staging/" + staging.id());
        store.recover();
        EXPECT_TRUE(exists_at(staging.fd(), "a/b"));
    }
    EXPECT_EQ(items_in(names::kStaging), 0U);
}

TEST_F(StoreTest, StagingOfTheDeadIsRemoved) {
    const Store store = open();
    test::ChildProcess child([&] {
        const Store own = open();
        const Staging staging = Staging::create(own, "a test");
        make_directories(staging.fd(), "a/b", 0700);
        (void)::raise(SIGKILL);
    });
    EXPECT_EQ(child.wait(), 128 + SIGKILL);
    EXPECT_EQ(items_in(names::kStaging), 2U);
    dir_.write("data/store/staging/stray-file", "");
    dir_.write("data/store/staging/without-lock/file", "");
    dir_.write("data/store/staging/lock-alone.lock", "");
    store.recover();
    EXPECT_EQ(items_in(names::kStaging), 0U);
}

TEST_F(StoreTest, StagingWithForbiddingDirectoriesIsRemovedByAnOrdinaryUser) {
    ASSERT_EQ(::chmod(dir_.path().c_str(), 0777), 0);
    const auto act = [&] {
        if (::geteuid() == 0 &&
            (::setresgid(12345, 12345, 12345) != 0 || ::setresuid(12345, 12345, 12345) != 0)) {
            throw Error::from_errno("become an ordinary user", "");
        }
        const Store store = open();
        make_directories(store.layout().data(), "store/staging/dead/work/work", 0700);
        if (::chmod(dir_.path("data/store/staging/dead/work/work").c_str(), 0) != 0)
            throw Error::from_errno("chmod", "work");
        store.recover();
        if (exists_at(store.layout().data(), "store/staging/dead"))
            throw Error("recover", "dead", "it is still there");
    };
    EXPECT_EQ(test::run_in_child(act), 0);
}

TEST_F(StoreTest, StagingThatWasMovedAwayIsNotMissed) {
    const Store store = open();
    {
        const Staging staging = Staging::create(store, "a test");
        rename_at(store.layout().data(), staging.name(), store.layout().data(), "roots/base@1");
    }
    EXPECT_EQ(items_in(names::kStaging), 0U);
    EXPECT_TRUE(exists_at(store.layout().data(), "roots/base@1"));
}

TEST_F(StoreTest, DeadLeasesAreSweptAtOpen) {
    test::ChildProcess child([&] {
        const Store store = open();
        const Lease lease = Lease::create(store.index(), store.layout().data(), "a test");
        (void)::raise(SIGKILL);
    });
    EXPECT_EQ(child.wait(), 128 + SIGKILL);
    EXPECT_EQ(items_in(names::kLeases), 1U);
    const Store store = open();
    EXPECT_EQ(items_in(names::kLeases), 0U);
    EXPECT_TRUE(store.index().read().leases().empty());
}

// --- An index that is gone --------------------------------------------------------------------------

class LostIndexTest : public StoreTest {
 protected:
    void SetUp() override { record(open(), "content"); }
    [[nodiscard]] std::string index(const char* name) const {
        return dir_.path(std::string("data/store/index/") + name);
    }
    /// What opening says, in both ways; empty when one of them opens.
    [[nodiscard]] std::string refusal() const {
        std::string said;
        for (const bool read_only : {true, false}) {
            try {
                if (read_only) {
                    (void)Store::open_read_only(dir_.directories());
                } else {
                    (void)open();
                }
                return "";
            } catch (const Error& error) {
                EXPECT_EQ(error.fault(), Fault::corrupt);
                EXPECT_NE(error.hint().find("store/index"), std::string::npos) << error.hint();
                said = error.what();
            }
        }
        return said;
    }
};

TEST_F(LostIndexTest, IsNoNewStore) {
    for (const DirectoryItem& item : list_directory(open_dir(AT_FDCWD, index("")).get()))
        remove_file(AT_FDCWD, index(item.name.c_str()));
    EXPECT_NE(refusal().find("its index is lost"), std::string::npos);
    EXPECT_EQ(items_in("store/index"), 0U) << "nothing was made";
    ASSERT_EQ(::rmdir(index("").c_str()), 0);
    EXPECT_NE(refusal().find("its index is lost"), std::string::npos);
}

TEST_F(LostIndexTest, AnEmptyFileIsNoIndex) {
    ASSERT_EQ(::truncate(index("data.mdb").c_str(), 0), 0);
    EXPECT_NE(refusal().find("its index is lost"), std::string::npos);
    EXPECT_EQ(stat_at(AT_FDCWD, index("data.mdb")).st_size, 0);
}

TEST_F(LostIndexTest, AnIndexWithoutTablesIsNone) {
    // The tree of tables, as both meta pages of LMDB have it: none.
    const Fd file = open_at(AT_FDCWD, index("data.mdb"), O_WRONLY);
    const std::string nothing(34, '\0'), no_root(8, '\xff');
    for (const off_t page : {0, 4096}) {
        ASSERT_EQ(::pwrite(file.get(), nothing.data(), nothing.size(), page + 94), 34);
        ASSERT_EQ(::pwrite(file.get(), no_root.data(), no_root.size(), page + 128), 8);
    }
    EXPECT_NE(refusal().find("its index is lost"), std::string::npos);
}

TEST_F(LostIndexTest, RootsAloneAreEnough) {
    remove_tree(AT_FDCWD, dir_.path("data/store/objects"));
    remove_file(AT_FDCWD, index("data.mdb"));
    dir_.write("data/roots/base@1/etc/own", "mine");
    EXPECT_NE(refusal().find("'roots'"), std::string::npos);
    EXPECT_TRUE(exists_at(AT_FDCWD, dir_.path("data/roots/base@1/etc/own")));
}

TEST_F(LostIndexTest, ADirectoryWithoutFilesIsANewStore) {
    remove_tree(AT_FDCWD, dir_.path("data/store"));
    EXPECT_FALSE(Store::open_read_only(dir_.directories()));
    (void)open();
    EXPECT_TRUE(Store::open_read_only(dir_.directories()));
}

TEST_F(LostIndexTest, ADamagedIndexSaysWhatCanBeDone) {
    // Both meta pages: LMDB reads the newer one.
    const Fd file = open_at(AT_FDCWD, index("data.mdb"), O_WRONLY);
    const std::string noise(8192, 'x');
    ASSERT_EQ(::pwrite(file.get(), noise.data(), noise.size(), 0), 8192);
    EXPECT_NE(refusal(), "");
}

}  // namespace
}  // namespace pwstore
