// SPDX-License-Identifier: GPL-3.0-or-later
#include <gtest/gtest.h>

#include <atomic>
#include <cstdlib>
#include <latch>
#include <stdexcept>
#include <vector>

#include "store/base/parallel.hpp"

namespace pwstore {
namespace {

TEST(ParallelFor, CallsEveryIndexOnce) {
    for (const unsigned threads : {1U, 2U, 7U}) {
        std::vector<std::atomic<int>> calls(1000);
        parallel_for(calls.size(), threads, [&](size_t index) { ++calls[index]; });
        for (const auto& count : calls)
            EXPECT_EQ(count, 1);
    }
    parallel_for(0, 4, [](size_t) { FAIL() << "there is nothing to do"; });
}

TEST(ParallelFor, RunsOnSeveralThreads) {
    std::latch all_there(3);  // each task waits for the others: with fewer threads this would never end
    parallel_for(3, 3, [&](size_t) { all_there.arrive_and_wait(); });
}

TEST(ParallelFor, PassesTheFirstExceptionOnAndStops) {
    std::atomic<size_t> calls{0};
    EXPECT_THROW(parallel_for(100'000, 2,
                              [&](size_t index) {
                                  ++calls;
                                  if (index == 3) throw std::runtime_error("no");
                              }),
                 std::runtime_error);
    EXPECT_LT(calls, 100'000U);
}

TEST(DefaultThreads, CanBeChosen) {
    ::unsetenv("PWSTORE_THREADS");
    EXPECT_GE(default_threads(), 1U);
    ::setenv("PWSTORE_THREADS", "13", 1);
    EXPECT_EQ(default_threads(), 13U);
    for (const char* wrong : {"0", "x", "-1", "99999"}) {
        ::setenv("PWSTORE_THREADS", wrong, 1);
        EXPECT_GE(default_threads(), 1U);
        EXPECT_LE(default_threads(), 1024U);
    }
    ::unsetenv("PWSTORE_THREADS");
}

}  // namespace
}  // namespace pwstore
