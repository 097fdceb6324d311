// SPDX-License-Identifier: GPL-3.0-or-later
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <string>

#include "store/digest.hpp"
#include "store/digest_wide.hpp"
#include "tests/support/test_dir.hpp"

namespace pwstore {
namespace {

std::string bytes_of_size(size_t size) {
    std::string bytes;
    uint32_t state = 1;
    for (size_t at = 0; at < size; ++at)
        bytes += static_cast<char>((state = state * 1664525U + 1013904223U) >> 24U);
    return bytes;
}

/// Pieces this short never take the wide way.
Digest digest_in_short_pieces(const std::string& bytes) {
    DigestStream stream{DigestFunction()};
    for (size_t at = 0; at < bytes.size(); at += 100)
        stream.update(std::string_view(bytes).substr(at, 100));
    return stream.finish();
}

TEST(WideDigest, IsTheSameFunctionAtEverySize) {
    if (pwstore_has_wide_xxh3() == 0) PWSTORE_CANNOT_RUN("this processor has no 256-bit registers");
    for (const size_t size :
         {0UL, 1UL, 240UL, 241UL, 511UL, 512UL, 513UL, 1023UL, 1024UL, 1025UL, 65536UL, 1000003UL}) {
        const std::string bytes = bytes_of_size(size);
        EXPECT_EQ(DigestFunction()(bytes), digest_in_short_pieces(bytes)) << size;
    }
}

TEST(WideDigest, StreamsMayMixShortAndLongPieces) {
    const std::string bytes = bytes_of_size(300000);
    const Digest expected = digest_in_short_pieces(bytes);
    for (const size_t step : {511UL, 512UL, 513UL, 4099UL, 262144UL}) {
        DigestStream stream{DigestFunction()};
        stream.update(std::string_view(bytes).substr(0, 7));
        for (size_t at = 7; at < bytes.size(); at += step)
            stream.update(std::string_view(bytes).substr(at, step));
        EXPECT_EQ(stream.finish(), expected) << step;
    }
}

TEST(WideDigest, AnswersAsTheOrdinaryOneDoes) {
    if (pwstore_has_wide_xxh3() == 0) PWSTORE_CANNOT_RUN("this processor has no 256-bit registers");
    const std::string bytes = bytes_of_size(400);  // too short for the wide way unless asked for
    std::array<uint64_t, 2> hash{};
    pwstore_wide_xxh3(bytes.data(), bytes.size(), hash.data());
    const Digest ordinary = DigestFunction()(bytes);
    for (size_t at = 0; at < 8; ++at) {
        EXPECT_EQ(ordinary.bytes[at], static_cast<uint8_t>(hash[1] >> (56 - 8 * at)));
        EXPECT_EQ(ordinary.bytes[at + 8], static_cast<uint8_t>(hash[0] >> (56 - 8 * at)));
    }
}

}  // namespace
}  // namespace pwstore
