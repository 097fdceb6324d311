// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <string>
#include <string_view>

#include "store/layout.hpp"

namespace pwstore::test {

/// A fresh directory for one test, removed at its end: below $PWSTORE_TEST_DIR, else /dev/shm when writable,
/// else $TMPDIR or /tmp.
class TestDir {
 public:
    TestDir();
    TestDir(const TestDir&) = delete;
    TestDir& operator=(const TestDir&) = delete;
    ~TestDir();
    [[nodiscard]] const std::string& path() const noexcept { return path_; }
    [[nodiscard]] std::string path(std::string_view below) const { return path_ + "/" + std::string(below); }
    /// Write a file (parents are made) and return its absolute path.
    std::string write(std::string_view below, std::string_view content) const;
    [[nodiscard]] std::string read(std::string_view below) const;
    /// data/, config/ and cache/ below this directory.
    [[nodiscard]] Directories directories() const;

 private:
    std::string path_;
};

/// Call where a test cannot run here. Skips with the reason, or fails when PWSTORE_MUST_WORK is set (as in
/// CI).
#define PWSTORE_CANNOT_RUN(reason)                                                            \
    do {                                                                                      \
        if (std::getenv("PWSTORE_MUST_WORK") != nullptr) FAIL() << "must work: " << (reason); \
        GTEST_SKIP() << (reason);                                                             \
    } while (false)

}  // namespace pwstore::test
