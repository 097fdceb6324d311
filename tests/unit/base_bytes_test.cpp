// SPDX-License-Identifier: GPL-3.0-or-later
#include <gtest/gtest.h>

#include "store/base/bytes.hpp"

namespace pwstore {
namespace {

template <typename Act>
void expect_corrupt(Act&& act) {
    try {
        act();
        ADD_FAILURE() << "nothing was thrown";
    } catch (const Error& error) {
        EXPECT_EQ(error.fault(), Fault::corrupt);
        EXPECT_NE(std::string(error.what()).find("thing"), std::string::npos) << error.what();
    }
}

TEST(Bytes, ReadsWhatWasWritten) {
    ByteWriter out;
    out.put(uint8_t{7});
    out.put(int64_t{-5});
    out.put_string("text");
    out.put(Fault::busy);
    out.put_bytes("raw");
    ByteReader in(out.bytes(), "thing");
    EXPECT_EQ(in.get<uint8_t>(), 7);
    EXPECT_EQ(in.get<int64_t>(), -5);
    EXPECT_EQ(in.get_string(), "text");
    EXPECT_EQ(in.get<Fault>(), Fault::busy);
    expect_corrupt([&] { in.expect_end(); });
    EXPECT_EQ(in.remaining(), 3U);
    EXPECT_EQ(in.get_bytes(3), "raw");
    EXPECT_NO_THROW(in.expect_end());
}

TEST(Bytes, RefusesToReadBeyondTheEnd) {
    expect_corrupt([] { (void)ByteReader("abc", "thing").get<uint32_t>(); });
    expect_corrupt([] { (void)ByteReader("abc", "thing").get_bytes(4); });
    expect_corrupt([] { (void)ByteReader(std::string_view("\xff\xff\xff\xff", 4), "thing").get_string(); });
}

TEST(Bytes, RefusesACountThatTheRestCannotHold) {
    ByteWriter out;
    out.put(uint32_t{3});
    out.put_bytes("123456");
    EXPECT_EQ(ByteReader(out.bytes(), "thing").get_count(2), 3U);
    expect_corrupt([&] { (void)ByteReader(out.bytes(), "thing").get_count(3); });
}

TEST(Bytes, DoesNotCareForAlignment) {
    ByteWriter out;
    out.put(uint8_t{1});
    out.put(uint64_t{0x0102030405060708});
    ByteReader in(out.bytes(), "thing");
    (void)in.get<uint8_t>();
    EXPECT_EQ(in.get<uint64_t>(), 0x0102030405060708U);
}

}  // namespace
}  // namespace pwstore
