// SPDX-License-Identifier: GPL-3.0-or-later
#include <gtest/gtest.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <optional>

#include "store/base/error.hpp"
#include "store/base/failpoint.hpp"
#include "tests/support/test_dir.hpp"

namespace pwstore {
namespace {

// Each child is a fresh execution of this program (style "threadsafe"), so that it reads its own settings.
class FailpointTest : public ::testing::Test {
 protected:
    void SetUp() override { GTEST_FLAG_SET(death_test_style, "threadsafe"); }
    void TearDown() override {
        ::unsetenv("PWSTORE_FAILPOINT");
        ::unsetenv("PWSTORE_FAILPOINT_LOG");
    }
    static void ask(const char* spec) { ::setenv("PWSTORE_FAILPOINT", spec, 1); }

    /// Exit code: 0 nothing happened, 1 an Error, 2 an Error with ENOSPC, 3 a usage error, each plus 10 per
    /// earlier call.
    [[noreturn]] static void reach(int times) {
        for (int call = 0; call < times; ++call) {
            try {
                failpoint("here");
            } catch (const Error& error) {
                const int kind = error.fault() == Fault::usage ? 3 : error.error_number() == ENOSPC ? 2 : 1;
                ::_exit(10 * call + kind);
            }
        }
        ::_exit(0);
    }
};

TEST_F(FailpointTest, DoesNothingUnasked) {
    EXPECT_EXIT(reach(3), ::testing::ExitedWithCode(0), "");
}

TEST_F(FailpointTest, KillsTheProcess) {
    ask("here:kill");
    EXPECT_EXIT(reach(1), ::testing::KilledBySignal(SIGKILL), "");
}

TEST_F(FailpointTest, ActsAtTheNamedPlaceOnly) {
    ask("elsewhere:kill");
    EXPECT_EXIT(reach(1), ::testing::ExitedWithCode(0), "");
}

TEST_F(FailpointTest, ActsAtTheGivenTime) {
    ask("here:error:3");
    EXPECT_EXIT(reach(5), ::testing::ExitedWithCode(21), "");
    ask("here:error:3");
    EXPECT_EXIT(reach(2), ::testing::ExitedWithCode(0), "");
}

TEST_F(FailpointTest, ThrowsAnErrno) {
    ask("here:errno=28");
    EXPECT_EXIT(reach(1), ::testing::ExitedWithCode(2), "");
}

TEST_F(FailpointTest, RefusesAMisspeltRequest) {
    ask("here");
    EXPECT_EXIT(reach(1), ::testing::ExitedWithCode(3), "");
    ask("here:explode");
    EXPECT_EXIT(reach(1), ::testing::ExitedWithCode(3), "");
}

TEST_F(FailpointTest, LogsWhatIsReached) {
    // The fresh child comes here too and must write where this process reads.
    std::optional<test::TestDir> dir;
    if (std::getenv("PWSTORE_FAILPOINT_LOG") == nullptr) {
        dir.emplace();
        ::setenv("PWSTORE_FAILPOINT_LOG", dir->path("log").c_str(), 1);
    }
    EXPECT_EXIT(reach(2), ::testing::ExitedWithCode(0), "");
    EXPECT_EQ(dir->read("log"), "here\nhere\n");
}

}  // namespace
}  // namespace pwstore
