// SPDX-License-Identifier: GPL-3.0-or-later
#include <gtest/gtest.h>

#include <atomic>
#include <cstdlib>
#include <latch>
#include <limits>
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
    // So many indices that it would never end if it did not stop.
    const auto task = [](size_t index) {
        if (index == 3) throw std::runtime_error("no");
    };
    EXPECT_THROW(parallel_for(std::numeric_limits<size_t>::max() / 2, 2, task), std::runtime_error);
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
