// SPDX-License-Identifier: GPL-3.0-or-later
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <csignal>
#include <set>

#include "store/base/error.hpp"
#include "store/base/path_at.hpp"
#include "store/boot_mark.hpp"
#include "store/index/index.hpp"
#include "store/index/lmdb_environment.hpp"
#include "store/index/state.hpp"
#include "store/layout.hpp"
#include "tests/support/child_process.hpp"
#include "tests/support/reboot.hpp"
#include "tests/support/test_dir.hpp"

namespace pwstore {
namespace {

ObjectKey key_of(std::string_view content) {
    ObjectKey key;
    key.digest = DigestFunction()(content);
    key.size = content.size();
    key.mode = 0644;
    return key;
}

Manifest manifest_of(const std::string& name, ObjectId object = 1) {
    Manifest manifest;
    manifest.name = name;
    manifest.version = "1-1";
    manifest.archive_sha256 = sha256_of(name);
    manifest.pkginfo = object;
    return manifest;
}

Delta delta_of(const std::string& path) {
    Delta delta;
    delta.entries.resize(1);
    delta.entries[0].entry.path = path;
    return delta;
}

Generation generation_of(const std::string& container, uint64_t number, uint32_t delta = 0) {
    Generation generation;
    generation.container = container;
    generation.number = number;
    generation.delta = delta;
    return generation;
}

class IndexTest : public ::testing::Test {
 protected:
    [[nodiscard]] Index open(Index::Mode mode = Index::Mode::read_write) const {
        return Index::open(layout_.data(), mode);
    }

    static ObjectId put(WriteTxn& txn, std::string_view content, uint64_t unsynced = 0) {
        ObjectRow row;
        row.id = txn.next_object_id();
        row.sha256 = sha256_of(content);
        row.unsynced = unsynced;
        txn.put_object(key_of(content), row);
        return row.id;
    }
    static ObjectId commit_object(const Index& index, std::string_view content, uint64_t unsynced = 0) {
        WriteTxn txn = index.write();
        const ObjectId id = put(txn, content, unsynced);
        txn.commit();
        return id;
    }

    test::TestDir dir_;
    Layout layout_ = Layout::create(dir_.directories());
    const ContainerName name_{"base"};
};

// --- Objects -------------------------------------------------------------------------------------

TEST_F(IndexTest, FindsObjectsByKeyAndById) {
    const Index index = open();
    WriteTxn write = index.write();
    const ObjectId first = put(write, "first");
    const ObjectId second = put(write, "second");
    EXPECT_TRUE(write.find_object(key_of("first")));
    write.commit();
    const ReadTxn read = index.read();
    const auto row = read.find_object(key_of("first"));
    ASSERT_TRUE(row);
    EXPECT_EQ(row->id, first);
    EXPECT_EQ(row->copies, 1);
    EXPECT_EQ(row->sha256, sha256_of("first"));
    EXPECT_EQ(row->unsynced, 0U);
    EXPECT_EQ(read.object_key(second), key_of("second"));
    EXPECT_EQ(read.object(second).second.sha256, sha256_of("second"));
    EXPECT_FALSE(read.find_object(key_of("third")));
    EXPECT_FALSE(read.object_key(99));
    EXPECT_THROW((void)read.object(99), Error);
    EXPECT_EQ(read.object_count(), 2U);
    EXPECT_EQ(read.last_object_id(), second);
    std::set<ObjectId> visited;
    read.for_each_object([&](const ObjectKey& key, const ObjectRow& one) {
        EXPECT_EQ(key, read.object(one.id).first);
        visited.insert(one.id);
    });
    EXPECT_EQ(visited, (std::set<ObjectId>{first, second}));
}

TEST_F(IndexTest, ChangesRowsOfTheSameIdOnly) {
    const Index index = open();
    WriteTxn txn = index.write();
    const ObjectId id = put(txn, "content");
    ObjectRow row = *txn.find_object(key_of("content"));
    row.copies = 3;
    txn.put_object(key_of("content"), row);
    EXPECT_EQ(txn.object(id).second.copies, 3);
    EXPECT_THROW(txn.put_object(key_of("other"), row), Error);  // the id is taken
    row.id = txn.next_object_id();
    EXPECT_THROW(txn.put_object(key_of("content"), row), Error);  // the key has another id
    row.id = 0;
    EXPECT_THROW(txn.put_object(key_of("third"), row), Error);
}

TEST_F(IndexTest, NeverReusesIds) {
    const Index index = open();
    const ObjectId first = commit_object(index, "first");
    {
        WriteTxn txn = index.write();
        EXPECT_TRUE(txn.remove_object(key_of("first")));
        EXPECT_FALSE(txn.remove_object(key_of("first")));
        EXPECT_FALSE(txn.object_key(first));
        txn.commit();
    }
    const ObjectId second = commit_object(index, "first");
    EXPECT_GT(second, first);
    {
        WriteTxn txn = index.write();
        ObjectRow row;
        row.id = 1000;
        txn.put_object(key_of("given"), row);
        txn.commit();
    }
    EXPECT_EQ(commit_object(index, "after"), 1001U);
    WriteTxn txn = index.write();
    const ManifestId manifest = txn.add_manifest(manifest_of("a"), false);
    txn.remove_manifest(manifest);
    EXPECT_GT(txn.add_manifest(manifest_of("a"), false), manifest);
    const uint64_t number = txn.next_transaction();
    EXPECT_EQ(txn.next_transaction(), number + 1);
}

TEST_F(IndexTest, AbortedTransactionsChangeNothing) {
    const Index index = open();
    {
        WriteTxn txn = index.write();
        put(txn, "content");
    }
    EXPECT_FALSE(index.read().find_object(key_of("content")));
    EXPECT_EQ(index.read().last_object_id(), 0U);
}

TEST_F(IndexTest, ReadersSeeOneState) {
    const Index index = open();
    const ReadTxn before = index.read();
    commit_object(index, "content");
    EXPECT_FALSE(before.find_object(key_of("content")));
    EXPECT_TRUE(index.read().find_object(key_of("content")));
}

// --- Manifests -----------------------------------------------------------------------------------

TEST_F(IndexTest, KeepsManifestsByIdAndByArchive) {
    const Index index = open();
    WriteTxn write = index.write();
    const ManifestId a = write.add_manifest(manifest_of("a"), true);
    const ManifestId b = write.add_manifest(manifest_of("b"), false);
    write.commit();
    {
        const ReadTxn read = index.read();
        EXPECT_EQ(read.manifest(a).name, "a");
        EXPECT_EQ(read.manifest(b).name, "b");
        EXPECT_EQ(read.manifest_ids(), (std::vector<ManifestId>{a, b}));
        EXPECT_EQ(read.manifest_of_archive(sha256_of("a")), a);
        EXPECT_FALSE(read.manifest_of_archive(sha256_of("b")));
        EXPECT_THROW((void)read.manifest(b + 1), Error);
    }
    WriteTxn again = index.write();
    EXPECT_TRUE(again.remove_manifest(a));
    EXPECT_FALSE(again.remove_manifest(a));
    EXPECT_FALSE(again.manifest_of_archive(sha256_of("a")));
    Manifest imported = manifest_of("c");
    imported.origin = Origin::import;
    EXPECT_THROW(again.add_manifest(imported, true), Error);
}

// --- Containers and generations ------------------------------------------------------------------

TEST_F(IndexTest, KeepsContainersAndTheirGenerations) {
    const Index index = open();
    WriteTxn txn = index.write();
    ContainerRow row;
    row.type = ContainerType::slice;
    row.current = 2;
    row.last_number = 300;
    txn.put_container(name_, row);
    txn.put_container(ContainerName("base2"), {});
    for (const uint64_t number : {2UL, 300UL, 255UL})
        txn.put_generation(generation_of("base", number));
    txn.put_generation(generation_of("base2", 7));
    txn.put_launch_record(name_, "record");
    EXPECT_THROW(txn.put_generation(generation_of("base", 2)), Error);
    txn.commit();
    {
        const ReadTxn read = index.read();
        EXPECT_EQ(read.containers(), (std::vector<ContainerName>{name_, ContainerName("base2")}));
        EXPECT_EQ(read.container(name_)->last_number, 300U);
        EXPECT_FALSE(read.container(ContainerName("none")));
        EXPECT_EQ(read.generation_numbers(name_), (std::vector<uint64_t>{2, 255, 300}));
        EXPECT_EQ(read.generation(name_, 300)->number, 300U);
        EXPECT_FALSE(read.generation(name_, 3));
        EXPECT_EQ(read.launch_record(name_), "record");
        EXPECT_FALSE(read.launch_record(ContainerName("base2")));
    }
    WriteTxn removal = index.write();
    removal.remove_container(name_);
    EXPECT_FALSE(removal.container(name_));
    EXPECT_TRUE(removal.generation_numbers(name_).empty());
    EXPECT_FALSE(removal.launch_record(name_));
    EXPECT_EQ(removal.generation_numbers(ContainerName("base2")), std::vector<uint64_t>{7});
}

TEST_F(IndexTest, ADeltaIsUnusedOnceItsLastGenerationIsGone) {
    const Index index = open();
    WriteTxn txn = index.write();
    EXPECT_EQ(txn.add_delta({}), 0U);
    const uint32_t shared = txn.add_delta(delta_of("a"));
    const uint32_t own = txn.add_delta(delta_of("b"));
    const auto unused = [&] {
        std::vector<uint32_t> ids;
        for (const auto& [id, since] : txn.unused().deltas)
            ids.push_back(id);
        return ids;
    };
    EXPECT_EQ(unused(), (std::vector<uint32_t>{shared, own}));
    txn.put_generation(generation_of("base", 1, shared));
    txn.put_generation(generation_of("base", 2, shared));
    txn.put_generation(generation_of("base", 3, own));
    txn.put_generation(generation_of("copy", 1, shared));
    EXPECT_THROW(txn.put_generation(generation_of("base", 4, own + 1)), Error);
    EXPECT_TRUE(unused().empty());
    txn.remove_generations({{{"base", 3}, 1000}});
    txn.remove_generations({{{"base", 3}, 2000}});
    EXPECT_EQ(unused(), std::vector<uint32_t>{own});
    EXPECT_EQ(txn.unused().deltas[0].second, 1000);
    EXPECT_EQ(txn.delta(own).entries[0].entry.path, "b");
    txn.remove_container(name_);
    EXPECT_EQ(unused(), std::vector<uint32_t>{own});
    txn.remove_generations({{{"copy", 1}, INT64_MAX}});
    EXPECT_EQ(unused(), (std::vector<uint32_t>{shared, own}));
    EXPECT_LE(txn.unused().deltas[0].second, ::time(nullptr));
    EXPECT_TRUE(txn.remove_delta(own));
    EXPECT_EQ(unused(), std::vector<uint32_t>{shared});
}

TEST_F(IndexTest, WhatSeveralGenerationsLeaveIsUnusedSinceTheLatestOfThem) {
    const Index index = open();
    WriteTxn txn = index.write();
    const uint32_t id = txn.add_delta(delta_of("a"));
    for (const uint64_t number : {1U, 2U, 3U})
        txn.put_generation(generation_of("base", number, id));
    txn.remove_generations({{{"base", 1}, 100}, {{"base", 3}, 300}, {{"base", 2}, 200}});
    ASSERT_EQ(txn.unused().deltas.size(), 1U);
    EXPECT_EQ(txn.unused().deltas[0].second, 300);
}

TEST_F(IndexTest, SnapshotsPinGenerationsByName) {
    const Index index = open();
    WriteTxn txn = index.write();
    txn.put_generation(generation_of("base", 1, 0));
    const ReadTxn::Snapshot snapshot{"base", 1, 77, "before the upgrade"};
    txn.add_snapshot("good", snapshot);
    EXPECT_THROW(txn.add_snapshot("good", snapshot), Error);
    EXPECT_THROW(txn.add_snapshot("other", {"base", 2, 0, ""}), Error);
    EXPECT_EQ(txn.snapshot("good"), snapshot);
    EXPECT_FALSE(txn.snapshot("other"));
    EXPECT_EQ(txn.snapshots().size(), 1U);
    EXPECT_TRUE(txn.remove_snapshot("good"));
    EXPECT_FALSE(txn.remove_snapshot("good"));
    EXPECT_TRUE(txn.snapshots().empty());
}

TEST_F(IndexTest, KeepsLeasesAndTransactions) {
    const Index index = open();
    WriteTxn txn = index.write();
    txn.put_lease("one", "row");
    txn.put_lease("two", "");
    txn.remove_lease("one");
    EXPECT_EQ(txn.leases(), (std::vector<std::pair<std::string, std::string>>{{"two", ""}}));
    const uint64_t id = txn.next_transaction();
    txn.put_transaction(id, {7, "upgrade", {{"base", 1, 2}, {"editor", 0, 0}}});
    const auto transaction = txn.transaction(id);
    ASSERT_TRUE(transaction);
    EXPECT_EQ(transaction->time, 7);
    EXPECT_EQ(transaction->cause, "upgrade");
    const auto& switches = transaction->switches;
    ASSERT_EQ(switches.size(), 2U);
    EXPECT_EQ(switches[0].container, "base");
    EXPECT_EQ(switches[0].from, 1U);
    EXPECT_EQ(switches[0].to, 2U);
    EXPECT_EQ(txn.last_transaction(), id);
    txn.put_transaction(id + 5, {});
    EXPECT_EQ(txn.next_transaction(), id + 6);
    txn.remove_transaction(id);
    EXPECT_FALSE(txn.transaction(id));
}

// --- Not yet synced ------------------------------------------------------------------------------

TEST_F(IndexTest, MarksObjectsAndTheManifestsAddedMeanwhile) {
    const Index index = open();
    commit_object(index, "durable");
    WriteTxn txn = index.write();
    const ManifestId before = txn.add_manifest(manifest_of("before"), false);
    txn.commit();
    WriteTxn second = index.write();
    put(second, "new", boot_mark());
    const ManifestId marked = second.add_manifest(manifest_of("marked"), false);
    second.commit();
    EXPECT_EQ(index.read().find_object(key_of("new"))->unsynced, boot_mark());
    EXPECT_EQ(index.read().find_object(key_of("durable"))->unsynced, 0U);
    EXPECT_TRUE(index.read().unsynced_of_other_boots().empty());  // the page cache has them

    test::pretend_reboot(dir_.directories().data);
    const auto lost = index.read().unsynced_of_other_boots();
    ASSERT_EQ(lost.objects.size(), 1U);
    EXPECT_EQ(lost.objects[0].first, key_of("new"));
    EXPECT_EQ(lost.manifests, std::vector<ManifestId>{marked});
    EXPECT_NE(before, marked);
}

TEST_F(IndexTest, SyncClearsTheMarksOfThisBoot) {
    const Index index = open();
    commit_object(index, "foreign", boot_mark() + 1);
    commit_object(index, "own", boot_mark());
    WriteTxn txn = index.write();
    txn.mark_all_synced(boot_mark());
    txn.commit();
    EXPECT_EQ(index.read().find_object(key_of("own"))->unsynced, 0U);
    EXPECT_NE(index.read().find_object(key_of("foreign"))->unsynced, 0U);
    WriteTxn second = index.write();
    second.mark_all_synced(boot_mark() + 1);
    second.commit();
    EXPECT_EQ(index.read().find_object(key_of("foreign"))->unsynced, 0U);
    EXPECT_TRUE(index.read().unsynced_of_other_boots().empty());
}

TEST_F(IndexTest, AGenerationRefersToSyncedDataOnly) {
    const Index index = open();
    commit_object(index, "recorded", boot_mark());
    {
        WriteTxn txn = index.write();
        txn.put_generation(generation_of("base", 1));
        EXPECT_THROW(txn.commit(), Error);
    }
    EXPECT_FALSE(index.read().generation(name_, 1));
    WriteTxn txn = index.write();
    txn.put_generation(generation_of("base", 1));
    txn.add_manifest(manifest_of("a"), false);
    txn.mark_all_synced(boot_mark());
    txn.commit();
    EXPECT_TRUE(index.read().generation(name_, 1));
    test::pretend_reboot(dir_.directories().data);
    EXPECT_TRUE(index.read().unsynced_of_other_boots().empty());
}

TEST_F(IndexTest, ADeltaRecordedBesideUnsyncedDataIsUnsyncedToo) {
    const Index index = open();
    commit_object(index, "recorded", boot_mark());
    uint32_t id = 0;
    {
        WriteTxn txn = index.write();
        id = txn.add_delta(delta_of("a"));
        txn.commit();
    }
    EXPECT_TRUE(index.read().unsynced_of_other_boots().empty());
    test::pretend_reboot(dir_.directories().data);
    EXPECT_EQ(index.read().unsynced_of_other_boots().deltas, std::vector<uint32_t>{id});
    WriteTxn txn = index.write();
    EXPECT_TRUE(txn.remove_delta(id));
    txn.commit();
    EXPECT_TRUE(index.read().unsynced_of_other_boots().deltas.empty());
    EXPECT_TRUE(index.read().delta_ids().empty());
}

TEST_F(IndexTest, ASyncedRowStaysSynced) {
    const Index index = open();
    const ObjectId id = commit_object(index, "content");
    WriteTxn txn = index.write();
    ObjectRow row = txn.object(id).second;
    row.copies = 2;
    row.unsynced = boot_mark();
    txn.put_object(key_of("content"), row);
    EXPECT_EQ(txn.object(id).second.unsynced, 0U);
    EXPECT_EQ(txn.object(id).second.copies, 2);
    put(txn, "new", boot_mark());
    row = *txn.find_object(key_of("new"));
    row.unsynced = 0;
    txn.put_object(key_of("new"), row);
    EXPECT_EQ(txn.find_object(key_of("new"))->unsynced, 0U);
}

// --- Open ----------------------------------------------------------------------------------------

TEST_F(IndexTest, ReadOnlyNeedsAnIndex) {
    try {
        (void)open(Index::Mode::read_only);
        FAIL() << "there is none";
    } catch (const Error& error) {
        EXPECT_EQ(error.error_number(), ENOENT);
    }
    (void)open();
    const Index index = open(Index::Mode::read_only);
    EXPECT_EQ(index.read().object_count(), 0U);
    EXPECT_THROW((void)index.write(), Error);
    EXPECT_THROW((void)open(), Error);  // a second environment would break the first one's locks
}

TEST_F(IndexTest, OpenTwiceIsTheSameEnvironment) {
    const Index first = open();
    const Index second = open();
    const Index third = open(Index::Mode::read_only);
    commit_object(first, "content");
    EXPECT_TRUE(second.read().find_object(key_of("content")));
    EXPECT_TRUE(third.read().find_object(key_of("content")));
}

TEST_F(IndexTest, WorksInAFolderThatNobodyCanWrite) {
    { commit_object(open(), "content"); }
    const std::string index = layout_.path(names::kIndex);
    for (const char* file : {"data.mdb", "lock.mdb", "ballast"}) {
        ASSERT_EQ(::chmod((index + "/" + file).c_str(), 0444), 0);
    }
    for (const std::string& folder : {index, layout_.path("store"), layout_.path(""), dir_.path()}) {
        ASSERT_EQ(::chmod(folder.c_str(), 0555), 0);
    }
    const auto act = [&] {
        if (::geteuid() == 0 && ::setresuid(12345, 12345, 12345) != 0)
            throw Error::from_errno("become a user", "");
        const Fd data = open_dir(AT_FDCWD, layout_.path(""));
        const Index opened = Index::open(data.get(), Index::Mode::read_only);
        if (!opened.read().find_object(key_of("content"))) throw Error("find", "content", "it is not there");
    };
    EXPECT_EQ(test::run_in_child(act), 0);
    ASSERT_EQ(::chmod(index.c_str(), 0755), 0);
    remove_file(AT_FDCWD, index + "/lock.mdb");
    ASSERT_EQ(::chmod(index.c_str(), 0555), 0);
    EXPECT_EQ(test::run_in_child(act), 0);
    ASSERT_EQ(::chmod(dir_.path().c_str(), 0755), 0);
}

TEST_F(IndexTest, RefusesAnotherFormat) {
    (void)open();
    {
        auto environment = lmdb::Environment::open(layout_.data(), lmdb::Access::read_write);
        lmdb::Transaction txn(environment, lmdb::Access::read_write);
        txn.put(lmdb::Table::meta, "format", index_records::encode_number(77));
        txn.commit();
    }
    for (const auto mode : {Index::Mode::read_write, Index::Mode::read_only}) {
        try {
            (void)open(mode);
            ADD_FAILURE() << "opened";
        } catch (const Error& error) {
            EXPECT_EQ(error.fault(), Fault::unsupported);
            EXPECT_NE(std::string(error.what()).find("77"), std::string::npos) << error.what();
        }
    }
}

TEST_F(IndexTest, NoticesADamagedValue) {
    {
        const Index index = open();
        WriteTxn txn = index.write();
        put(txn, "content");
        txn.add_manifest(manifest_of("some-unusual-name"), true);
        txn.commit();
    }
    const std::string file = layout_.path(std::string(names::kIndex) + "/data.mdb");
    std::string bytes = read_file(AT_FDCWD, file);
    size_t hits = 0;
    for (size_t at = bytes.find("some-unusual-name"); at != std::string::npos;
         at = bytes.find("some-unusual-name", at + 1)) {
        bytes[at] = 'S';
        ++hits;
    }
    ASSERT_GE(hits, 1U);
    write_all(open_at(AT_FDCWD, file, O_WRONLY | O_TRUNC).get(), bytes, file);
    const Index index = open();
    EXPECT_TRUE(index.read().find_object(key_of("content")));
    try {
        (void)index.read().manifest(1);
        FAIL() << "read a damaged value";
    } catch (const Error& error) {
        EXPECT_EQ(error.fault(), Fault::corrupt);
        EXPECT_NE(std::string(error.what()).find("manifests"), std::string::npos) << error.what();
    }
    WriteTxn txn = index.write();
    EXPECT_TRUE(txn.remove_manifest(1));  // what cannot be read can be removed
}

TEST_F(IndexTest, RefusesAFileThatIsNoIndex) {
    { (void)open(); }
    const std::string file = layout_.path(std::string(names::kIndex) + "/data.mdb");
    write_all(open_at(AT_FDCWD, file, O_WRONLY).get(), std::string(8192, 'x'), file);
    try {
        (void)open();
        FAIL() << "opened";
    } catch (const Error& error) {
        EXPECT_EQ(error.fault(), Fault::corrupt) << error.what();
    }
}

TEST_F(IndexTest, AFileThatWasCutShortIsAnErrorAndNoCrash) {
    {
        const Index index = open();
        WriteTxn txn = index.write();
        for (int i = 0; i < 2000; ++i)
            put(txn, std::to_string(i));
        txn.commit();
    }
    const std::string file = layout_.path(std::string(names::kIndex) + "/data.mdb");
    const std::string whole = read_file(AT_FDCWD, file);
    size_t noticed = 0;
    for (size_t pages = 2; pages * 4096 < whole.size(); pages += 7) {
        write_all(open_at(AT_FDCWD, file, O_WRONLY | O_TRUNC).get(),
                  std::string_view(whole).substr(0, pages * 4096), file);
        const int result = test::run_in_child([&] {
            try {
                const Index index = open();
                uint64_t seen = 0;
                const ReadTxn txn = index.read();
                txn.for_each_object(
                    [&](const ObjectKey& key, const ObjectRow&) { seen += txn.find_object(key) ? 1U : 0U; });
                if (seen == 2000) ::_exit(1);
            } catch (const Error& error) {
                ::_exit(error.fault() == Fault::corrupt ? 2 : 3);
            }
        });
        EXPECT_TRUE(result == 1 || result == 2) << "cut to " << pages << " pages: " << result;
        noticed += result == 2 ? 1 : 0;
    }
    EXPECT_GT(noticed, 5U);
}

/// A file system of `size` bytes at `where`, in a mount namespace of this process. False where that is not
/// allowed.
bool mount_small_disk(const std::string& where, const char* size) {
    const uid_t uid = ::geteuid();
    const gid_t gid = ::getegid();
    if (::unshare(CLONE_NEWNS | (uid == 0 ? 0 : CLONE_NEWUSER)) != 0) return false;
    if (uid != 0) {
        const auto put = [](const char* file, const std::string& text) {
            write_all(open_at(AT_FDCWD, file, O_WRONLY).get(), text, file);
        };
        const auto same = [](unsigned id) { return std::to_string(id) + " " + std::to_string(id) + " 1"; };
        put("/proc/self/uid_map", same(uid));
        put("/proc/self/setgroups", "deny");
        put("/proc/self/gid_map", same(gid));
    }
    (void)::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr);
    return ::mount("none", where.c_str(), "tmpfs", 0, size) == 0;
}

TEST_F(IndexTest, BallastLetsAFullDiskBeEmptied) {
    constexpr int kCannot = 77;
    make_directory(AT_FDCWD, dir_.path("disk"), 0777);
    const int result = test::run_in_child([&] {
        if (!mount_small_disk(dir_.path("disk"), "size=16m")) ::_exit(kCannot);
        const Layout layout = Layout::create({dir_.path("disk/data"), "", ""});
        const Index index = Index::open(layout.data(), Index::Mode::read_write);
        const ObjectId id = commit_object(index, "content");
        const Fd junk = open_at(AT_FDCWD, dir_.path("disk/junk"), O_WRONLY | O_CREAT, 0600);
        try {
            for (;;)
                write_all(junk.get(), std::string(4096, 'j'), "junk");
        } catch (const Error& error) {
            if (error.error_number() != ENOSPC) throw;
        }
        try {
            for (int i = 0; i < 1000; ++i)
                commit_object(index, std::to_string(i));
            throw Error("fill", "disk", "there is space left");
        } catch (const Error& error) {
            if (error.error_number() != ENOSPC) throw;
        }
        if (index.restore_ballast() != true) throw Error("keep", "ballast", "it is gone");
        index.release_ballast();
        WriteTxn txn = index.write();
        if (!txn.remove_object(key_of("content"))) throw Error("remove", "content", "it is not there");
        txn.commit();
        if (index.read().object_key(id)) throw Error("remove", "content", "it is still there");
        write_all(junk.get(), std::string(3 << 20, 'j'), "junk");
        if (index.restore_ballast()) throw Error("restore", "ballast", "there is no space for it");
    });
    if (result == kCannot) PWSTORE_CANNOT_RUN("this user may not mount a tmpfs of its own");
    EXPECT_EQ(result, 0);
}

TEST_F(IndexTest, KeepsBallast) {
    const Index index = open();
    const std::string ballast = layout_.path(std::string(names::kIndex) + "/ballast");
    EXPECT_GE(stat_at(AT_FDCWD, ballast).st_blocks * 512, 4 << 20);
    index.release_ballast();
    index.release_ballast();
    EXPECT_FALSE(exists_at(AT_FDCWD, ballast));
    EXPECT_TRUE(index.restore_ballast());
    EXPECT_GE(stat_at(AT_FDCWD, ballast).st_blocks * 512, 4 << 20);
}

#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
TEST_F(IndexTest, TakesASmallerMapWhereTheKernelGivesNoMore) {
    const auto act = [&] {
        const struct rlimit limit { rlim_t{1} << 30U, rlim_t{1} << 30U };
        if (::setrlimit(RLIMIT_AS, &limit) != 0) throw Error::from_errno("limit memory", "");
        const Index index = open();
        commit_object(index, "content");
    };
    EXPECT_EQ(test::run_in_child(act), 0);
    EXPECT_TRUE(open().read().find_object(key_of("content")));
}
#endif

// --- Several processes ---------------------------------------------------------------------------

TEST_F(IndexTest, ProcessesTakeTurnsAndSeeEachOther) {
    constexpr int kProcesses = 4;
    constexpr int kRounds = 25;
    std::vector<std::unique_ptr<test::ChildProcess>> children;
    for (int child = 0; child < kProcesses; ++child) {
        children.push_back(std::make_unique<test::ChildProcess>([&, child] {
            const Index index = open();
            for (int round = 0; round < kRounds; ++round) {
                const std::string content = std::to_string(child) + "-" + std::to_string(round);
                commit_object(index, content);
                if (!index.read().find_object(key_of(content)))
                    throw Error("find", content, "own commit not seen");
            }
        }));
    }
    for (auto& child : children)
        EXPECT_EQ(child->wait(), 0);
    const Index index = open();
    EXPECT_EQ(index.read().object_count(), static_cast<uint64_t>(kProcesses * kRounds));
    EXPECT_EQ(index.read().last_object_id(), static_cast<ObjectId>(kProcesses * kRounds));
}

TEST_F(IndexTest, AProcessKilledBeforeItsCommitChangedNothing) {
    { commit_object(open(), "before"); }
    test::ChildProcess child([&] {
        const Index index = open();
        WriteTxn txn = index.write();
        put(txn, "lost");
        txn.remove_object(key_of("before"));
        (void)::raise(SIGKILL);
    });
    EXPECT_EQ(child.wait(), 128 + SIGKILL);
    const Index index = open();
    EXPECT_FALSE(index.read().find_object(key_of("lost")));
    EXPECT_TRUE(index.read().find_object(key_of("before")));
    EXPECT_EQ(commit_object(index, "after"), 2U);  // the writer's lock was not lost with it
}

TEST_F(IndexTest, ACommitOutlivesItsProcess) {
    test::ChildProcess child([&] {
        const Index index = open();
        commit_object(index, "kept");
        (void)::raise(SIGKILL);
    });
    EXPECT_EQ(child.wait(), 128 + SIGKILL);
    EXPECT_TRUE(open().read().find_object(key_of("kept")));
}

TEST_F(IndexTest, ADeadReaderDoesNotMakeTheIndexGrow) {
    { commit_object(open(), "content"); }
    test::ChildProcess living([&] {  // while somebody has it open, LMDB itself forgets nothing
        const Index index = open();
        (void)::raise(SIGSTOP);
    });
    living.wait_until_stopped();
    test::ChildProcess dead([&] {
        const Index index = open();
        const ReadTxn txn = index.read();
        (void)::raise(SIGKILL);
    });
    EXPECT_EQ(dead.wait(), 128 + SIGKILL);
    test::ChildProcess writer([&] {
        const Index index = open();
        for (int i = 0; i < 300; ++i)
            commit_object(index, std::to_string(i));
    });
    EXPECT_EQ(writer.wait(), 0);
    EXPECT_LT(stat_at(AT_FDCWD, layout_.path(std::string(names::kIndex) + "/data.mdb")).st_size, 1 << 20);
}

TEST_F(IndexTest, DeadReadersAreCleared) {
    const Index longer = open();
    commit_object(longer, "content");
    test::ChildProcess child([&] {
        const Index index = open();
        std::vector<ReadTxn> all;
        try {
            for (;;)
                all.push_back(index.read());
        } catch (const Error& error) {
            if (error.fault() != Fault::busy || all.size() < 100) throw;
        }
        (void)::raise(SIGKILL);
    });
    EXPECT_EQ(child.wait(), 128 + SIGKILL);
    EXPECT_TRUE(longer.read().find_object(key_of("content")));
}

}  // namespace
}  // namespace pwstore
