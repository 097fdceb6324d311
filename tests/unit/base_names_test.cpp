// SPDX-License-Identifier: GPL-3.0-or-later
#include <gtest/gtest.h>

#include "store/base/error.hpp"
#include "store/base/names.hpp"
#include "store/base/random_id.hpp"

namespace pwstore {
namespace {

TEST(ContainerName, TakesNamesThatAreOneSafePathComponent) {
    for (const char* text : {"a", "base", "_x", "0", "a.b-c_D9", "a.."})
        EXPECT_EQ(ContainerName(text).str(), text);
    EXPECT_EQ(ContainerName(std::string(64, 'n')).str().size(), 64U);
}

TEST(ContainerName, RefusesTheRest) {
    for (const std::string_view text : {"", ".", "..", ".a", "-a", "a/b", "a b", "a@1", "ä", "a\n", "a:b"}) {
        try {
            const ContainerName name(text);
            ADD_FAILURE() << "accepted " << text;
        } catch (const Error& error) {
            EXPECT_EQ(error.fault(), Fault::usage) << text;
        }
    }
    EXPECT_THROW(ContainerName(std::string(65, 'n')), Error);
    EXPECT_THROW(ContainerName(std::string_view("a\0b", 3)), Error);
}

TEST(RootPath, IsRelativeWithoutEmptyOrDotComponents) {
    for (const std::string_view path : {"a", "a/b", "...", "a/..b", "a\nb", "\xff", " "})
        EXPECT_TRUE(is_root_path(path)) << path;
    for (const std::string_view path :
         {"", "/", "/a", "a/", "a//b", ".", "..", "./a", "a/.", "a/..", "../a", "a/../b"}) {
        EXPECT_FALSE(is_root_path(path)) << path;
    }
    EXPECT_FALSE(is_root_path(std::string_view("a\0", 2)));
}

TEST(RootPath, HasTheKernelsLimits) {
    EXPECT_TRUE(is_root_path(std::string(255, 'c')));
    EXPECT_FALSE(is_root_path(std::string(256, 'c')));
    EXPECT_FALSE(is_root_path("a/" + std::string(256, 'c') + "/b"));
    std::string path(15 * 256 + 255, 'd');  // 4095 bytes
    for (size_t at = 255; at < path.size(); at += 256)
        path[at] = '/';
    EXPECT_EQ(path.size(), 4095U);
    EXPECT_TRUE(is_root_path(path));
    path.insert(path.size() - 10, "/");
    EXPECT_FALSE(is_root_path(path));
}

TEST(RandomId, DoesNotRepeat) {
    const std::string first = random_id();
    EXPECT_EQ(first.size(), 16U);
    EXPECT_EQ(first.find_first_not_of("0123456789abcdef"), std::string::npos);
    EXPECT_NE(first, random_id());
}

}  // namespace
}  // namespace pwstore
