// SPDX-License-Identifier: GPL-3.0-or-later
#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/magic.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <unistd.h>

#include <array>
#include <cstdlib>

#include "store/base/error.hpp"
#include "store/base/path_at.hpp"
#include "store/layout.hpp"
#include "store/object_store.hpp"
#include "tests/support/test_dir.hpp"

namespace pwstore {
namespace {

class ObjectStoreTest : public ::testing::Test {
 protected:
    [[nodiscard]] ObjectStore make(unsigned link_limit = 0) const {
        return ObjectStore(open_dir(layout_.data(), names::kObjects), link_limit);
    }
    [[nodiscard]] ObjectKey key_of(std::string_view content, uint32_t mode = 0644) const {
        ObjectKey key;
        key.digest = digest_(content);
        key.size = content.size();
        key.mode = inode_mode(mode);
        return key;
    }
    [[nodiscard]] std::string path(const ObjectKey& key, uint16_t copy = 0) const {
        return layout_.path(std::string(names::kObjects) + "/" + key.path(copy));
    }
    void overwrite(const ObjectKey& key, std::string_view content) const {
        ASSERT_EQ(::chmod(path(key).c_str(), 0600), 0);
        write_all(open_at(AT_FDCWD, path(key), O_WRONLY | O_TRUNC).get(), content, path(key));
        ASSERT_EQ(::chmod(path(key).c_str(), key.mode), 0);
    }
    [[nodiscard]] size_t files_in_shard(const ObjectKey& key) const {
        return list_directory(open_dir(AT_FDCWD, std::string(split_path(path(key)).first)).get()).size();
    }

    test::TestDir dir_;
    Layout layout_ = Layout::create(dir_.directories());
    DigestFunction digest_;
    Fd root_ = open_dir(layout_.data(), names::kRoots);
};

// --- Write ---------------------------------------------------------------------------------------

TEST_F(ObjectStoreTest, CreatesWithModeAndTimeOfTheKey) {
    const ObjectStore store = make();
    ObjectKey key = key_of("content", 04777);
    const mode_t mask = ::umask(0077);
    store.create(key, 0, "content");
    key.mtime = -77;
    store.create(key, 2, "content");
    (void)::umask(mask);
    EXPECT_EQ(stat_at(AT_FDCWD, path(key, 2)).st_mtim.tv_sec, -77);
    key.mtime = ObjectKey::kNoTime;
    const struct stat info = stat_at(AT_FDCWD, path(key));
    EXPECT_EQ(info.st_mode & 07777U, 0755U);
    EXPECT_EQ(info.st_mtim.tv_sec, kObjectTime);
    EXPECT_EQ(info.st_mtim.tv_nsec, 0);
    EXPECT_EQ(read_all(store.open(key).get(), ""), "content");
}

TEST_F(ObjectStoreTest, CreateReplacesGarbageByAnotherInode) {
    const ObjectStore store = make();
    const ObjectKey key = key_of("content");
    store.create(key, 0, "content");
    const Fd old = store.open(key);
    ASSERT_EQ(store.link(key, 0, root_.get(), "linked"), LinkOutcome::linked);
    overwrite(key, "garbage");
    store.create(key, 0, "content");
    EXPECT_TRUE(store.is_intact(key, 0, digest_));
    EXPECT_NE(stat_fd(old.get(), "").st_ino, stat_at(AT_FDCWD, path(key)).st_ino);
    EXPECT_EQ(read_file(root_.get(), "linked"), "garbage");  // never written through a link
    EXPECT_EQ(files_in_shard(key), 1U);
}

TEST_F(ObjectStoreTest, CreateReplacesWhateverLiesAtTheName) {
    const ObjectStore store = make();
    const ObjectKey key = key_of("content");
    dir_.write("precious", "x");
    replace_symlink(AT_FDCWD, path(key), dir_.path("precious"));
    store.create(key, 0, "content");
    EXPECT_TRUE(store.is_intact(key, 0, digest_));
    EXPECT_EQ(dir_.read("precious"), "x");
    remove_file(AT_FDCWD, path(key));
    make_directories(AT_FDCWD, path(key) + "/below");
    make_directories(AT_FDCWD, path(key) + ".new/below");
    store.create(key, 0, "content");
    EXPECT_TRUE(store.is_intact(key, 0, digest_));
    EXPECT_EQ(files_in_shard(key), 1U);
}

TEST_F(ObjectStoreTest, AdoptTakesAPrivateRegularFileOnly) {
    const ObjectStore store = make();
    const ObjectKey key = key_of("content");
    const Fd staging = open_dir(layout_.data(), names::kStaging);
    const auto stage = [&] {
        write_all(open_at(staging.get(), "s", O_WRONLY | O_CREAT | O_TRUNC, 0600).get(), "content", "s");
    };
    stage();
    store.adopt(key, 0, staging.get(), "s");
    EXPECT_TRUE(store.is_intact(key, 0, digest_));
    EXPECT_EQ(stat_at(AT_FDCWD, path(key)).st_mtim.tv_sec, kObjectTime);
    EXPECT_FALSE(exists_at(staging.get(), "s"));
    stage();
    overwrite(key, "garbage");
    store.adopt(key, 0, staging.get(), "s");
    EXPECT_TRUE(store.is_intact(key, 0, digest_));

    stage();
    ASSERT_EQ(::linkat(staging.get(), "s", staging.get(), "second", 0), 0);
    EXPECT_THROW(store.adopt(key, 0, staging.get(), "s"), Error);
    remove_file(staging.get(), "s");
    replace_symlink(staging.get(), "s", "second");
    EXPECT_THROW(store.adopt(key, 0, staging.get(), "s"), Error);
    ASSERT_EQ(::mkfifoat(staging.get(), "fifo", 0600), 0);
    EXPECT_THROW(store.adopt(key, 0, staging.get(), "fifo"), Error);
}

TEST_F(ObjectStoreTest, CopiesAreInodesOfTheirOwn) {
    const ObjectStore store = make();
    const ObjectKey key = key_of("content", 0755);
    store.create(key, 0, "content");
    store.add_copy(key, 0, 1);
    EXPECT_TRUE(store.is_intact(key, 1, digest_));
    EXPECT_NE(stat_at(AT_FDCWD, path(key, 0)).st_ino, stat_at(AT_FDCWD, path(key, 1)).st_ino);
    EXPECT_EQ(stat_at(AT_FDCWD, path(key, 1)).st_mtim.tv_sec, kObjectTime);
    EXPECT_TRUE(store.remove(key, 0));
    EXPECT_FALSE(store.remove(key, 0));
    EXPECT_THROW((void)store.open(key, 0), Error);
    EXPECT_TRUE(store.is_intact(key, 1, digest_));
    EXPECT_THROW(store.add_copy(key, 0, 2), Error);
    EXPECT_EQ(files_in_shard(key), 1U);
}

// --- Read ----------------------------------------------------------------------------------------

TEST_F(ObjectStoreTest, EqualsComparesBytes) {
    const ObjectStore store = make();
    for (const size_t size : {0UL, 1UL, 5000UL, 262'143UL, 262'144UL, 262'145UL, 600'000UL}) {
        std::string content(size, 'c');
        const ObjectKey key = key_of(content);
        EXPECT_FALSE(store.equals(key, content)) << size;  // it is missing
        store.create(key, 0, content);
        EXPECT_TRUE(store.equals(key, content)) << size;
        EXPECT_FALSE(store.equals(key, content + "x")) << size;
        if (content.empty()) continue;
        EXPECT_FALSE(store.equals(key, std::string_view(content).substr(1))) << size;
        content.back() = 'd';
        EXPECT_FALSE(store.equals(key, content)) << size;
    }
}

TEST_F(ObjectStoreTest, EqualsIsNotHeldUpByAFifo) {
    const ObjectStore store = make();
    const ObjectKey key = key_of("content");
    ASSERT_EQ(::mkfifo(path(key).c_str(), 0600), 0);
    EXPECT_FALSE(store.equals(key, "content"));
    EXPECT_FALSE(store.is_intact(key, 0, digest_));
}

TEST_F(ObjectStoreTest, SymlinksAreNotObjects) {
    const ObjectStore store = make();
    const ObjectKey key = key_of("content");
    store.create(key, 0, "content");
    ASSERT_EQ(::rename(path(key).c_str(), dir_.path("elsewhere").c_str()), 0);
    replace_symlink(AT_FDCWD, path(key), dir_.path("elsewhere"));
    EXPECT_THROW((void)store.open(key), Error);
    EXPECT_FALSE(store.try_open(key));
    EXPECT_FALSE(store.equals(key, "content"));
    EXPECT_FALSE(store.is_intact(key, 0, digest_));
}

TEST_F(ObjectStoreTest, IntactMeansAllThatTheNameSays) {
    const ObjectStore store = make();
    ObjectKey key = key_of("content");
    EXPECT_FALSE(store.is_intact(key, 0, digest_));
    store.create(key, 0, "content");
    EXPECT_TRUE(store.is_intact(key, 0, digest_));
    EXPECT_FALSE(store.is_intact(key, 1, digest_));
    overwrite(key, "cOntent");
    EXPECT_FALSE(store.is_intact(key, 0, digest_));
    overwrite(key, "content and more");
    EXPECT_FALSE(store.is_intact(key, 0, digest_));
    overwrite(key, "content");
    EXPECT_TRUE(store.is_intact(key, 0, digest_));
    ASSERT_EQ(::chmod(path(key).c_str(), 0640), 0);
    EXPECT_FALSE(store.is_intact(key, 0, digest_));
    key.mtime = 9;
    store.create(key, 0, "content");
    EXPECT_TRUE(store.is_intact(key, 0, digest_));
    set_mtime_at(AT_FDCWD, path(key), 10);
    EXPECT_FALSE(store.is_intact(key, 0, digest_));
}

// --- Link ----------------------------------------------------------------------------------------

TEST_F(ObjectStoreTest, LinksShareTheInodeAndReplaceNothing) {
    const ObjectStore store = make();
    const ObjectKey key = key_of("content");
    store.create(key, 0, "content");
    EXPECT_EQ(store.link(key, 0, root_.get(), "a"), LinkOutcome::linked);
    EXPECT_EQ(stat_at(root_.get(), "a").st_ino, stat_at(AT_FDCWD, path(key)).st_ino);
    EXPECT_THROW((void)store.link(key, 0, root_.get(), "a"), Error);
    EXPECT_THROW((void)store.link(key, 1, root_.get(), "b"), Error);
}

TEST_F(ObjectStoreTest, LinkLimitIsAnOrdinaryOutcome) {
    const ObjectStore store = make(3);
    const ObjectKey key = key_of("content");
    store.create(key, 0, "content");
    EXPECT_EQ(store.link(key, 0, root_.get(), "a"), LinkOutcome::linked);
    EXPECT_EQ(store.link(key, 0, root_.get(), "b"), LinkOutcome::linked);
    EXPECT_EQ(store.link(key, 0, root_.get(), "c"), LinkOutcome::too_many_links);
    EXPECT_FALSE(exists_at(root_.get(), "c"));
    store.add_copy(key, 0, 1);
    EXPECT_EQ(store.link(key, 1, root_.get(), "c"), LinkOutcome::linked);
}

/// Where the kernel has a limit that can be reached (65000 on ext4), not only where we set one.
TEST_F(ObjectStoreTest, TheLimitOfTheFileSystemIsAnOrdinaryOutcome) {
    constexpr unsigned kExt4Limit = 65000;
    std::string parent;
    for (const char* place : {"/var/tmp", "/tmp"}) {
        struct statfs info {};
        const bool fits = ::access(place, W_OK) == 0 && ::statfs(place, &info) == 0 &&
                          static_cast<uint32_t>(info.f_type) == EXT4_SUPER_MAGIC;
        if (fits && parent.empty()) parent = place;
    }
    if (parent.empty()) PWSTORE_CANNOT_RUN("no writable directory on ext4");
    std::string top = parent + "/pwstore-test.XXXXXX";
    ASSERT_NE(::mkdtemp(top.data()), nullptr);
    const ObjectKey key = key_of("content");
    make_directories(AT_FDCWD, top + "/objects/" + key.path(0).substr(0, 2));
    const ObjectStore store(open_dir(AT_FDCWD, top + "/objects"), 0);
    const Fd dir = open_dir(AT_FDCWD, top);
    store.create(key, 0, "content");
    LinkOutcome outcome = LinkOutcome::linked;
    unsigned made = 0;
    for (; outcome == LinkOutcome::linked && made <= kExt4Limit; ++made)
        outcome = store.link(key, 0, dir.get(), std::to_string(made).c_str());
    EXPECT_EQ(outcome, LinkOutcome::too_many_links) << made;
    EXPECT_EQ(made, kExt4Limit);
    const Fd above = open_dir(AT_FDCWD, parent);
    remove_tree(above.get(), std::string(split_path(top).second));
}

TEST_F(ObjectStoreTest, AnotherFileSystemIsNotLinkable) {
    const ObjectStore store = make();
    const ObjectKey key = key_of("content");
    store.create(key, 0, "content");
    const dev_t own = stat_fd(store.fd(), "").st_dev;
    for (const char* elsewhere : {"/tmp", "/var/tmp", "/dev/shm", "/run"}) {
        const auto info = try_stat_at(AT_FDCWD, elsewhere);
        if (!info || info->st_dev == own || ::access(elsewhere, W_OK) != 0) continue;
        const Fd dir = open_at(AT_FDCWD, elsewhere, O_RDONLY | O_DIRECTORY);
        EXPECT_EQ(store.link(key, 0, dir.get(), ("pwstore-test." + std::to_string(::getpid())).c_str()),
                  LinkOutcome::not_linkable);
        return;
    }
    PWSTORE_CANNOT_RUN("every writable directory here is on one file system");
}

// --- Damage --------------------------------------------------------------------------------------

TEST_F(ObjectStoreTest, LinksOnlyWhatIsAsNamed) {
    const ObjectStore store = make();
    const ObjectKey key = key_of("content");
    EXPECT_THROW((void)store.link(key, 0, root_.get(), "missing"), Error);
    store.create(key, 0, "content");
    EXPECT_EQ(store.link(key, 0, root_.get(), "good"), LinkOutcome::linked);
    overwrite(key, "CONTENT");  // has another time now
    EXPECT_EQ(store.link(key, 0, root_.get(), "touched"), LinkOutcome::not_as_named);
    overwrite(key, "");
    EXPECT_EQ(store.link(key, 0, root_.get(), "empty"), LinkOutcome::not_as_named);
    store.create(key, 0, "content");
    ASSERT_EQ(::chmod(path(key).c_str(), 0600), 0);
    EXPECT_EQ(store.link(key, 0, root_.get(), "mode"), LinkOutcome::not_as_named);
    EXPECT_EQ(list_directory(root_.get()).size(), 1U);
}

TEST_F(ObjectStoreTest, GivesOutOnlyTheRightBytes) {
    const ObjectStore store = make();
    const ObjectKey key = key_of("content");
    const auto refusal = [&](const auto& act) -> std::string {
        try {
            act();
        } catch (const Error& error) {
            EXPECT_EQ(error.fault(), Fault::corrupt);
            EXPECT_EQ(error.hint(), "pwstore verify --heal");
            return error.what();
        }
        return "";
    };
    const auto open = [&] { return refusal([&] { (void)store.open(key); }); };
    EXPECT_NE(open().find("it is missing"), std::string::npos);
    store.create(key, 0, "content");
    EXPECT_EQ(open(), "");
    EXPECT_EQ(store.content(key), "content");
    overwrite(key, "content");
    EXPECT_EQ(open(), "") << "another time, but the right bytes";
    overwrite(key, "CONTENT");
    EXPECT_NE(open().find("other bytes"), std::string::npos);
    overwrite(key, "cont");
    EXPECT_NE(open().find("has 4 bytes instead of 7"), std::string::npos);
    // As a failing disk does it: nothing but the bytes is another.
    overwrite(key, "CONTENT");
    const timespec time{kObjectTime, 0};
    const std::array<timespec, 2> times{time, time};
    ASSERT_EQ(::utimensat(AT_FDCWD, path(key).c_str(), times.data(), 0), 0);
    EXPECT_EQ(open(), "");
    EXPECT_NE(refusal([&] { (void)store.content(key); }).find("other bytes"), std::string::npos);
}

}  // namespace
}  // namespace pwstore
