// SPDX-License-Identifier: GPL-3.0-or-later
#include <gtest/gtest.h>

#include "mount/xauthority.hpp"

namespace pwstore {
namespace {

std::string number(unsigned value) {
    return {static_cast<char>(value / 256), static_cast<char>(value % 256)};
}
std::string entry(unsigned family, const std::string& address, const std::string& display,
                  const std::string& data) {
    std::string bytes = number(family);
    for (const std::string& field : {address, display, std::string("MIT-MAGIC-COOKIE-1"), data})
        bytes += number(static_cast<unsigned>(field.size())) + field;
    return bytes;
}
constexpr unsigned kLocal = 256;
constexpr unsigned kInternet = 0;
constexpr unsigned kWild = 0xffff;

TEST(Xauthority, WhatIsForThisDisplayIsMadeForAnyHost) {
    const std::string file = entry(kLocal, "desk", "0", "zero") + entry(kLocal, "desk", "1", "one") +
                             entry(kInternet, std::string("\x7f\0\0\x01", 4), "1", "net");
    EXPECT_EQ(cookies_for_any_host(file, "desk", "1"), entry(kWild, "", "1", "one"));
    EXPECT_EQ(cookies_for_any_host(file, "desk", "2"), "");
    EXPECT_EQ(cookies_for_any_host(entry(kWild, "", "", "any"), "desk", "7"), entry(kWild, "", "", "any"));
}

// Clients take the first one.
TEST(Xauthority, ThisHostsComeFirst) {
    const std::string file = entry(kLocal, "before", "0", "old") + entry(kLocal, "desk", "0", "new");
    EXPECT_EQ(cookies_for_any_host(file, "desk", "0"),
              entry(kWild, "", "0", "new") + entry(kWild, "", "0", "old"));
}

TEST(Xauthority, DamageEndsIt) {
    const std::string whole = entry(kLocal, "desk", "0", "zero");
    const std::string file = whole + entry(kLocal, "desk", "0", "cut");
    for (size_t size = 0; size < file.size(); ++size) {
        EXPECT_EQ(cookies_for_any_host(file.substr(0, size), "desk", "0"),
                  size < whole.size() ? "" : entry(kWild, "", "0", "zero"))
            << size;
    }
}

}  // namespace
}  // namespace pwstore
