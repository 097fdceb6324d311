// SPDX-License-Identifier: GPL-3.0-or-later
#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <string>
#include <vector>

#include "resolver/session.hpp"
#include "store/debian/version.hpp"

namespace pwstore {
namespace {

int sign(int value) {
    return (value > 0) - (value < 0);
}

/// libalpm orders the encoded versions as Debian orders the originals: each of many against each.
TEST(DebVersionForAlpm, OrdersAsTheOriginalsDo) {
    constexpr std::string_view kCharacters = "00199.~+-azZb.~:";
    std::mt19937 random(11);  // NOLINT(cert-msc51-cpp): the same ones each time
    std::vector<std::string> versions{"1.0", "1.0-0", "1.0~", "1.", "1..2", "1:1:2"};
    while (versions.size() < 700) {
        std::string version = "1";
        for (size_t left = random() % 8; left > 0; --left)
            version += kCharacters[random() % kCharacters.size()];
        const size_t colon = version.find(':');
        if (colon == std::string::npos ||
            version.substr(0, colon).find_first_not_of("0123456789") == std::string::npos)
            versions.push_back(std::move(version));
    }
    for (const std::string& a : versions) {
        for (const std::string& b : versions) {
            ASSERT_EQ(sign(Session::compare_versions(alpm_version(a), alpm_version(b))),
                      sign(compare_deb_versions(a, b)))
                << a << " " << b << "  " << alpm_version(a) << " " << alpm_version(b);
        }
    }
}

}  // namespace
}  // namespace pwstore
