// SPDX-License-Identifier: GPL-3.0-or-later
#include <fcntl.h>
#include <gtest/gtest.h>

#include <thread>
#include <vector>

#include "store/base/error.hpp"
#include "store/base/path_at.hpp"
#include "store/digest.hpp"
#include "tests/support/test_dir.hpp"

namespace pwstore {
namespace {

// Values that xxhsum -H2, sha256sum and md5sum print.
constexpr const char* kEmptyXxh = "99aa06d3014798d86001c324468d497f";
constexpr const char* kAbcSha = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
constexpr const char* kAbcMd5 = "900150983cd24fb0d6963f7d28e17f72";

TEST(DigestFunction, IsXxh3InCanonicalOrder) {
    EXPECT_EQ(DigestFunction()("").hex(), kEmptyXxh);
    EXPECT_NE(DigestFunction()("a"), DigestFunction()("b"));
}

TEST(DigestFunction, CutsToItsFirstBits) {
    const Digest full = DigestFunction()("");
    EXPECT_EQ(DigestFunction(8)("").hex(), "99" + std::string(30, '0'));
    EXPECT_EQ(DigestFunction(12).cut(full).hex(), "99a" + std::string(29, '0'));
    EXPECT_EQ(DigestFunction(1).cut(full).hex(), "80" + std::string(30, '0'));
    EXPECT_EQ(DigestFunction(128).cut(full), full);
}

TEST(DigestStream, AgreesWithTheFunctionHoweverItIsFed) {
    const std::string content(100'000, 'q');
    for (const unsigned bits : {8U, 128U}) {
        for (const size_t piece : {1UL, 63UL, 4096UL, 100'000UL}) {
            DigestStream stream{DigestFunction(bits)};
            for (size_t at = 0; at < content.size(); at += piece)
                stream.update(std::string_view(content).substr(at, piece));
            EXPECT_EQ(stream.finish(), DigestFunction(bits)(content)) << bits << " " << piece;
        }
    }
    EXPECT_EQ(DigestStream{DigestFunction()}.finish().hex(), kEmptyXxh);
}

TEST(Sha256, IsWhatEverybodyElseComputes) {
    EXPECT_EQ(sha256_of("abc").hex(), kAbcSha);
    Sha256Stream stream;
    stream.update("a");
    stream.update("");
    stream.update("bc");
    EXPECT_EQ(stream.finish().hex(), kAbcSha);
    const test::TestDir dir;
    const std::string big(1'000'000, 'z');
    const Fd file = open_at(AT_FDCWD, dir.write("big", big), O_RDONLY);
    EXPECT_EQ(sha256_of_fd(file.get(), "big"), sha256_of(big));
}

TEST(Sha256, IsComputedByManyThreadsAtOnce) {
    std::vector<std::jthread> threads;
    for (int i = 0; i < 4; ++i) {
        threads.emplace_back([] {
            for (int round = 0; round < 200; ++round)
                EXPECT_EQ(sha256_of("abc").hex(), kAbcSha);
        });
    }
}

TEST(Sha256, ReadsHexadecimalDigitsOnly) {
    EXPECT_EQ(Sha256::from_hex(kAbcSha), sha256_of("abc"));
    std::string upper = kAbcSha;
    for (char& c : upper)
        c = static_cast<char>(::toupper(c));
    EXPECT_EQ(Sha256::from_hex(upper), sha256_of("abc"));
    for (const std::string& wrong :
         {std::string(), std::string(63, 'a'), std::string(65, 'a'), std::string(63, 'a') + "g"}) {
        EXPECT_THROW((void)Sha256::from_hex(wrong), Error) << wrong;
    }
}

TEST(Md5, IsLowerCaseHexadecimal) {
    EXPECT_EQ(md5_hex("abc"), kAbcMd5);
}

TEST(Checksum64, DependsOnBytesAndSeed) {
    EXPECT_NE(checksum64("a"), checksum64("b"));
    EXPECT_NE(checksum64("a"), checksum64("a", 1));
    EXPECT_EQ(checksum64("a", 1), checksum64("a", 1));
}

}  // namespace
}  // namespace pwstore
