// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <gtest/gtest.h>

#include <string>
#include <string_view>

#include "store/base/error.hpp"

namespace pwstore::test {

/// Damage `good` in every byte and at every length: decode must throw Error (corrupt), or give something that
/// encodes to exactly the bytes it was read from.
template <typename Decode, typename Encode>
void expect_survives_corruption(const std::string& good, const Decode& decode, const Encode& encode) {
    size_t refused = 0;
    const auto attempt = [&](const std::string& bytes, const std::string& what) {
        try {
            const auto value = decode(std::string_view(bytes));
            EXPECT_EQ(encode(value), bytes) << what;
        } catch (const Error& error) {
            ++refused;
            EXPECT_EQ(error.fault(), Fault::corrupt) << what << ": " << error.what();
        }
    };
    for (size_t at = 0; at < good.size(); ++at) {
        for (const unsigned change : {0x01U, 0x80U, 0xFFU}) {
            std::string bytes = good;
            bytes[at] = static_cast<char>(static_cast<unsigned char>(bytes[at]) ^ change);
            attempt(bytes, "byte " + std::to_string(at) + " changed by " + std::to_string(change));
        }
        std::string cut = good.substr(0, at);
        cut.shrink_to_fit();
        attempt(cut, "cut to " + std::to_string(at));
    }
    attempt(good + '\0', "one byte more");
    EXPECT_GT(refused, good.size());  // every cut at least, or nothing was tested
    EXPECT_EQ(encode(decode(good)), good);
}

}  // namespace pwstore::test
