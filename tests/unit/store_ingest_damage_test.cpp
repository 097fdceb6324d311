// SPDX-License-Identifier: GPL-3.0-or-later
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <map>
#include <set>
#include <utility>

#include "store/base/error.hpp"
#include "store/base/path_at.hpp"
#include "store/ingest.hpp"
#include "store/replacements.hpp"
#include "tests/support/ingest_fixture.hpp"
#include "tests/support/rerun.hpp"

namespace pwstore::test {

namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

class StoreIngestDamage : public IngestFixture {
 protected:
    /// A package with one small and one large file, in a new version each time so that it is unpacked again.
    std::string package(int version) const {
        PackageSpec spec{.name = "p", .version = std::to_string(version), .compression = ""};
        spec.files = {{"small", {"content of a file"}}, {"large", {std::string(9U << 20U, 'L')}}};
        return build(spec);
    }
    /// Damage the object of each file, ingest again, and expect it whole and reported.
    template <typename Damage>
    void expect_healed(const Damage& damage) {
        const IngestedArchive before = ingest(package(1));
        uint64_t replaced = replacements(store_);
        for (const char* path : {"small", "large"}) {
            SCOPED_TRACE(path);
            const ObjectId id = entry(before.id, path).object;
            damage(object_path(id));
            const IngestedArchive after = ingest(package(version_++));
            EXPECT_EQ(stats_.healed, 1U);
            EXPECT_THAT(stats_.findings, SizeIs(1));
            EXPECT_THAT(stats_.findings, ::testing::Contains(HasSubstr(key(id).path(0))));
            EXPECT_EQ(entry(after.id, path).object, id);
            EXPECT_EQ(replacements(store_), ++replaced) << "no older root may be a twin";
            expect_consistent();
        }
        (void)ingest(package(version_++));
        EXPECT_EQ(stats_.healed, 0U);
        EXPECT_THAT(stats_.findings, IsEmpty());
    }
    int version_ = 2;
};

// --- Damaged objects ------------------------------------------------------------------------------

TEST_F(StoreIngestDamage, FlippedByteIsHealed) {
    expect_healed([](const std::string& path) {
        const Fd file = open_at(AT_FDCWD, path, O_RDWR);
        ASSERT_EQ(::pwrite(file.get(), "!", 1, 3), 1);
    });
}

TEST_F(StoreIngestDamage, TruncatedFileIsHealed) {
    expect_healed([](const std::string& path) { ASSERT_EQ(::truncate(path.c_str(), 4), 0); });
}

TEST_F(StoreIngestDamage, GrownFileIsHealed) {
    expect_healed([](const std::string& path) {
        ASSERT_EQ(::truncate(path.c_str(), stat_at(AT_FDCWD, path).st_size + 1), 0);
    });
}

TEST_F(StoreIngestDamage, MissingFileIsHealed) {
    expect_healed([](const std::string& path) { ASSERT_EQ(::unlink(path.c_str()), 0); });
}

TEST_F(StoreIngestDamage, ChangedModeIsHealed) {
    expect_healed([](const std::string& path) { ASSERT_EQ(::chmod(path.c_str(), 0666), 0); });
}

TEST_F(StoreIngestDamage, UnreadableFileIsHealed) {
    expect_healed([](const std::string& path) { ASSERT_EQ(::chmod(path.c_str(), 0), 0); });
}

TEST_F(StoreIngestDamage, SymlinkInPlaceOfTheFileIsHealed) {
    expect_healed([this](const std::string& path) {
        const std::string elsewhere = dir_.path("elsewhere");
        ASSERT_EQ(::rename(path.c_str(), elsewhere.c_str()), 0);
        ASSERT_EQ(::symlink(elsewhere.c_str(), path.c_str()), 0);
    });
}

TEST_F(StoreIngestDamage, DirectoryInPlaceOfTheFileIsHealed) {
    expect_healed([](const std::string& path) {
        ASSERT_EQ(::unlink(path.c_str()), 0);
        make_directories(AT_FDCWD, path + "/inside");
    });
}

TEST_F(StoreIngestDamage, GarbageWithoutARowIsNeverTrusted) {
    const IngestedArchive elsewhere = ingest(package(1));
    const std::string small = key(entry(elsewhere.id, "small").object).path(0);
    const std::string large = key(entry(elsewhere.id, "large").object).path(0);
    const TestDir other;
    const Store store = Store::open(other.directories());
    for (const std::string& path : {small, large})
        other.write("data/store/objects/" + path, "half");
    Ingestor ingestor(store, sink_);
    ingestor.add_archives({{package(1), std::nullopt}});
    ingestor.commit(nullptr, false);
    EXPECT_EQ(ingestor.stats().healed, 0U);
    EXPECT_EQ(other.read("data/store/objects/" + small), "content of a file");
    EXPECT_TRUE(other.read("data/store/objects/" + large) == std::string(9U << 20U, 'L'));
}

// --- Collisions -----------------------------------------------------------------------------------

class StoreIngestCollision : public IngestFixture {
 protected:
    StoreIngestCollision() : IngestFixture({.digest_bits = 8}) {}

    /// Two contents of one digest and size.
    [[nodiscard]] std::pair<std::string, std::string> colliding_pair() const {
        std::map<Digest, std::string> seen;
        for (int i = 0;; ++i) {
            const std::string text = std::to_string(1000 + i);
            const auto [found, fresh] = seen.try_emplace(store_.digest()(text), text);
            if (!fresh) return {found->second, text};
        }
    }
};

TEST_F(StoreIngestCollision, ThousandsOfContentsStayDistinct) {
    PackageSpec spec{.name = "many"};
    for (size_t size = 0; size < 40; ++size) {
        for (char letter = 'A'; letter < 'A' + 50; ++letter)
            spec.files["f" + std::to_string(size) + letter] = {std::string(size + 1, letter)};
    }
    const IngestedArchive done = ingest(build(spec));
    const Manifest read = manifest(done.id);
    std::set<ObjectId> objects;
    bool any_slot = false;
    for (const Entry& one : read.entries) {
        EXPECT_EQ(content(one.object), spec.files.at(one.path).content) << one.path;
        objects.insert(one.object);
        any_slot = any_slot || key(one.object).slot > 0;
    }
    EXPECT_EQ(objects.size(), spec.files.size());
    EXPECT_TRUE(any_slot);
    spec.version = "2";
    (void)ingest(build(spec));
    EXPECT_EQ(stats_.new_objects, 2U) << "each is found again in its slot";
    EXPECT_THAT(stats_.findings, IsEmpty());
    expect_consistent();
}

TEST_F(StoreIngestCollision, TheNinthContentOfADigestIsAnError) {
    PackageSpec spec{.name = "full"};
    for (int i = 0; i < 5000; ++i)  // all of one size: 256 digests × 8 slots cannot hold them
        spec.files["f" + std::to_string(i)] = {std::to_string(1'000'000 + i)};
    try {
        (void)ingest(build(spec));
        FAIL() << "no error";
    } catch (const Error& error) {
        EXPECT_THAT(error.what(), HasSubstr("8 other contents have the same digest"));
    }
    EXPECT_THAT(object_files(), IsEmpty());
    EXPECT_EQ(object_rows(), 0U);
}

TEST_F(StoreIngestCollision, DamageIsNotTakenForACollision) {
    const auto [first, second] = colliding_pair();
    PackageSpec spec{.name = "pair"};
    spec.files = {{"1", {first}}, {"2", {second}}};
    const IngestedArchive done = ingest(build(spec));
    ASSERT_EQ(key(entry(done.id, "2").object).slot, 1);
    // The first one's file now holds the second's bytes: its digest is right, its content is not.
    const std::string path = object_path(entry(done.id, "1").object);
    ASSERT_EQ(::truncate(path.c_str(), 0), 0);
    write_all(open_at(AT_FDCWD, path, O_WRONLY).get(), second, path);
    spec.version = "2";
    const IngestedArchive again = ingest(build(spec));
    EXPECT_EQ(content(entry(again.id, "1").object), first);
    EXPECT_EQ(content(entry(again.id, "2").object), second);
    EXPECT_EQ(stats_.healed, 1U);
    expect_consistent();
}

TEST_F(StoreIngestCollision, DamageThatAnotherContentMeetsIsReported) {
    const auto [first, second] = colliding_pair();
    PackageSpec spec{.name = "first"};
    spec.files = {{"1", {first}}};
    const IngestedArchive done = ingest(build(spec));
    const std::string path = object_path(entry(done.id, "1").object);
    ASSERT_EQ(::truncate(path.c_str(), 0), 0);
    PackageSpec other{.name = "second"};
    other.files = {{"2", {second}}};
    const IngestedArchive again = ingest(build(other));
    EXPECT_EQ(content(entry(again.id, "2").object), second);
    EXPECT_EQ(key(entry(again.id, "2").object).slot, 1) << "what is damaged is not what it would replace";
    EXPECT_THAT(stats_.findings,
                ElementsAre(AllOf(HasSubstr("damaged or missing"), HasSubstr("'2' is another content"))));
}

// --- Several threads and processes ----------------------------------------------------------------

TEST_F(StoreIngestDamage, ThreadsThatMeetOneContentMakeOneObject) {
    std::vector<std::string> paths;
    for (int i = 0; i < 24; ++i) {
        PackageSpec spec{.name = "p" + std::to_string(i), .compression = ""};
        for (int file = 0; file < 60; ++file)
            spec.files["f" + std::to_string(file)] = {"shared " + std::to_string(file)};
        spec.files["large"] = {std::string(9U << 20U, 'L')};
        spec.files["own"] = {"own " + std::to_string(i)};
        paths.push_back(build(spec));
    }
    options_.threads = 8;
    const auto done = ingest_all(paths);
    EXPECT_EQ(stats_.new_objects, 61U + 24U * 3);
    for (const IngestedArchive& one : done) {
        EXPECT_EQ(entry(one.id, "f7").object, entry(done[0].id, "f7").object);
        EXPECT_EQ(entry(one.id, "large").object, entry(done[0].id, "large").object);
    }
    expect_consistent();
}

/// Ingests $PWSTORE_TEST_ARCHIVE into the store below $PWSTORE_TEST_STORE.
TEST(StoreIngestChild, DISABLED_Ingest) {
    const std::string dir = test::variable("PWSTORE_TEST_STORE");
    const Store store = Store::open({dir + "/data", dir + "/config", dir + "/cache"});
    SilentSink sink;
    Ingestor ingestor(store, sink);
    try {
        ingestor.add_archives({{test::variable("PWSTORE_TEST_ARCHIVE"), std::nullopt}});
        ingestor.commit(nullptr, std::getenv("PWSTORE_TEST_SYNC") != nullptr);
    } catch (const Error& error) {
        FAIL() << error.what() << " | " << error.hint();
    }
}

class StoreIngestProcess : public StoreIngestDamage {
 protected:
    std::map<std::string, std::string> environment(const std::string& archive,
                                                   const std::string& failpoint) const {
        return {{"PWSTORE_TEST_STORE", dir_.path()},
                {"PWSTORE_TEST_ARCHIVE", archive},
                {"PWSTORE_FAILPOINT", failpoint}};
    }
    static constexpr const char* kChild = "StoreIngestChild.DISABLED_Ingest";
};

TEST_F(StoreIngestProcess, OnlyOneIngestsAtATime) {
    Rerun child(kChild, environment(package(1), "ingest.object-created:stop"));
    ASSERT_TRUE(child.wait_until_stopped());
    options_.lock_patience = std::chrono::milliseconds(200);
    try {
        (void)ingest(package(2));
        FAIL() << "no error";
    } catch (const Error& error) {
        EXPECT_EQ(error.fault(), Fault::busy);
    }
    child.kill();
    EXPECT_EQ(child.wait().signal, SIGKILL);
    EXPECT_EQ(entry(ingest(package(2)).id, "small").size, 17U) << "a dead process holds nothing";
    expect_consistent(Garbage::allowed);
}

TEST_F(StoreIngestProcess, AKilledIngestLeavesNothingThatIsTrusted) {
    const std::vector<std::string> places = {
        "object.created:kill:1",        "object.created:kill:2",        "object.adopted:kill:1",
        "ingest.object-created:kill:1", "ingest.object-created:kill:3", "ingest.before-recording-commit:kill",
        "index.before-commit:kill",     "index.committed:kill",         "ingest.after-recording-commit:kill"};
    const std::string archive = package(1);
    for (const std::string& place : places) {
        for (const bool sync : {false, true}) {
            SCOPED_TRACE(place + (sync ? " with sync" : ""));
            const TestDir fresh;
            auto variables = environment(archive, place);
            variables["PWSTORE_TEST_STORE"] = fresh.path();
            if (sync) variables["PWSTORE_TEST_SYNC"] = "1";
            Rerun child(kChild, variables);
            const ChildEnd end = child.wait();
            EXPECT_EQ(end.signal, SIGKILL) << end.output;
            const Store store = Store::open(fresh.directories());
            const bool committed =
                place.starts_with("index.committed") || place.starts_with("ingest.after-recording");
            EXPECT_EQ(store.index().read().manifest_ids().size(), committed ? 1U : 0U);
            Ingestor ingestor(store, sink_);
            const IngestedArchive done = ingestor.add_archives({{archive, std::nullopt}}).at(0);
            EXPECT_EQ(done.was_known, committed);
            ingestor.commit(nullptr, false);
            EXPECT_EQ(ingestor.stats().healed, 0U);
            store.index().read().for_each_object([&](const ObjectKey& key, const ObjectRow&) {
                EXPECT_TRUE(store.objects().is_intact(key, 0, store.digest()));
            });
            EXPECT_EQ(store.index().read().object_count(), 4U);
            EXPECT_THAT(list_directory(open_dir(store.layout().data(), names::kStaging).get()), IsEmpty());
        }
    }
}

TEST_F(StoreIngestProcess, FailuresOnTheWayLeaveNothing) {
    for (const std::string place :
         {"ingest.object-created:errno=28:2", "object.created:errno=5:2", "object.adopted:error",
          "ingest.before-recording-commit:error", "index.before-commit:error"}) {
        SCOPED_TRACE(place);
        Rerun child(kChild, environment(package(1), place));
        const ChildEnd end = child.wait();
        EXPECT_EQ(end.exit_code, 1) << end.output;
        EXPECT_EQ(object_rows(), 0U);
    }
    EXPECT_EQ(entry(ingest(package(1)).id, "small").size, 17U);
    expect_consistent();
}

/// As above, on a file system of 24 MiB that the child's own namespaces hold.
TEST(StoreIngestChild, DISABLED_FullDisk) {
    const TestDir dir;
    PackageSpec spec{.name = "big"};
    for (int i = 0; i < 40; ++i)
        spec.files["f" + std::to_string(i)] = {std::string(1U << 20U, static_cast<char>('a' + i))};
    const std::string big = build_package(dir.path(), spec);
    spec.name = "small";
    spec.files = {{"a", {"fits"}}};
    const std::string small = build_package(dir.path(), spec);
    const std::string root = test::variable("PWSTORE_TEST_MOUNT");
    const Directories directories{root + "/data", root + "/config", root + "/cache"};
    const Store store = Store::open(directories);
    SilentSink sink;
    try {
        Ingestor ingestor(store, sink);
        ingestor.add_archives({{big, std::nullopt}});
        FAIL() << "no error";
    } catch (const Error& error) {
        EXPECT_EQ(error.error_number(), ENOSPC) << error.what();
        EXPECT_THAT(error.hint(), HasSubstr("free some space"));
    }
    EXPECT_EQ(store.index().read().object_count(), 0U);
    Ingestor ingestor(store, sink);
    ingestor.add_archives({{small, std::nullopt}});
    ingestor.commit(nullptr, true);
    EXPECT_EQ(store.index().read().object_count(), 3U) << "what was written for the big one is gone";
}

TEST_F(StoreIngestProcess, AFullDiskIsAnErrorAndNothingMore) {
    const std::string mount = dir_.path("mount");
    make_directories(AT_FDCWD, mount);
    const std::vector<std::string> prefix = {
        "unshare",
        "-Urm",
        "sh",
        "-c",
        "mount -t tmpfs -o size=24m none \"$PWSTORE_TEST_MOUNT\" || exit 77; exec \"$@\"",
        "sh"};
    Rerun child("StoreIngestChild.DISABLED_FullDisk", {{"PWSTORE_TEST_MOUNT", mount}}, prefix);
    const ChildEnd end = child.wait();
    if (end.exit_code == 77 || end.exit_code == 127 ||
        end.output.find("unshare failed") != std::string::npos) {
        PWSTORE_CANNOT_RUN("no tmpfs can be mounted in a user namespace: " + end.output);
    }
    EXPECT_EQ(end.exit_code, 0) << end.output;
}

}  // namespace

}  // namespace pwstore::test
