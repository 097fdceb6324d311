// SPDX-License-Identifier: GPL-3.0-or-later
#include <gtest/gtest.h>

#include <limits>
#include <set>
#include <vector>

#include "store/base/error.hpp"
#include "store/object.hpp"

namespace pwstore {
namespace {

ObjectKey sample() {
    ObjectKey key;
    key.digest = DigestFunction()("");
    key.size = 12;
    key.mode = 0644;
    return key;
}

std::vector<ObjectKey> variants() {
    std::vector<ObjectKey> keys{sample()};
    const auto add = [&](auto change) {
        keys.push_back(sample());
        change(keys.back());
    };
    add([](ObjectKey& key) { key.digest.bytes[15] ^= 1; });
    add([](ObjectKey& key) { key.size = 13; });
    add([](ObjectKey& key) { key.size = std::numeric_limits<uint64_t>::max(); });
    add([](ObjectKey& key) { key.mode = 0755; });
    for (const int64_t time : {int64_t{0}, int64_t{-1}, int64_t{1}, std::numeric_limits<int64_t>::max()}) {
        add([&](ObjectKey& key) { key.mtime = time; });
    }
    add([](ObjectKey& key) { key.xattrs = 0xABC; });
    add([](ObjectKey& key) { key.slot = 7; });
    return keys;
}

TEST(InodeMode, IsReadableToItsOwnerAndWritableToNobodyElse) {
    EXPECT_EQ(inode_mode(0), 0400);
    EXPECT_EQ(inode_mode(07777), 0755);
    EXPECT_EQ(inode_mode(04755), 0755);
    EXPECT_EQ(inode_mode(0666), 0644);
    EXPECT_EQ(inode_mode(0100644), 0644);
    EXPECT_EQ(root_directory_mode(0), 0700);
    EXPECT_EQ(root_directory_mode(01777), 01777);
    EXPECT_EQ(root_directory_mode(06755), 0755);
}

TEST(ObjectKey, EncodesToFixedSizeAndBack) {
    for (const ObjectKey& key : variants()) {
        EXPECT_EQ(key.encode().size(), ObjectKey::kEncodedSize);
        EXPECT_EQ(ObjectKey::decode(key.encode()), key);
    }
}

TEST(ObjectKey, EncodingOrdersAsTheKeysDo) {
    const auto keys = variants();
    for (const ObjectKey& a : keys) {
        for (const ObjectKey& b : keys)
            EXPECT_EQ(a.encode() < b.encode(), a < b) << a.path(0) << " " << b.path(0);
    }
}

TEST(ObjectKey, RefusesWhatItWouldNotWrite) {
    const std::string good = sample().encode();
    EXPECT_THROW((void)ObjectKey::decode(good.substr(1)), Error);
    EXPECT_THROW((void)ObjectKey::decode(good + "x"), Error);
    std::string bad = good;
    bad.back() = ObjectKey::kSlots;
    EXPECT_THROW((void)ObjectKey::decode(bad), Error);
    bad = good;
    bad[25] = 0022;  // mode
    EXPECT_THROW((void)ObjectKey::decode(bad), Error);
}

TEST(ObjectKey, NamesItsFile) {
    ObjectKey key = sample();
    EXPECT_EQ(key.path(0), "99/aa06d3014798d86001c324468d497f-12-644");
    EXPECT_EQ(key.path(3), "99/aa06d3014798d86001c324468d497f-12-644~3");
    key.mtime = -5;
    key.xattrs = 0xAB;
    key.slot = 2;
    EXPECT_EQ(key.path(65535), "99/aa06d3014798d86001c324468d497f-12-644-t-5-xab-s2~65535");
}

TEST(ObjectKey, HasANameOfItsOwnForEveryIdentityAndCopy) {
    std::set<std::string> names;
    for (const ObjectKey& key : variants()) {
        for (const uint16_t copy : {uint16_t{0}, uint16_t{1}, uint16_t{65535}}) {
            EXPECT_TRUE(names.insert(key.path(copy)).second) << key.path(copy);
            EXPECT_LE(key.path(copy).size(), 255U);
        }
    }
}

}  // namespace
}  // namespace pwstore
