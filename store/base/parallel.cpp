// SPDX-License-Identifier: GPL-3.0-or-later
#include "store/base/parallel.hpp"

#include <sched.h>

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <exception>
#include <mutex>
#include <thread>
#include <vector>

namespace pwstore {

unsigned default_threads() {
    if (const char* text = std::getenv("PWSTORE_THREADS"); text != nullptr) {
        const unsigned long wanted = std::strtoul(text, nullptr, 10);
        if (wanted >= 1 && wanted <= 1024) return static_cast<unsigned>(wanted);
    }
    cpu_set_t allowed;
    if (::sched_getaffinity(0, sizeof allowed, &allowed) == 0)
        return static_cast<unsigned>(std::max(1, CPU_COUNT(&allowed)));
    return std::max(1U, std::thread::hardware_concurrency());
}

void parallel_for(size_t count, unsigned threads, const std::function<void(size_t)>& task) {
    std::atomic<size_t> next{0};
    std::atomic<bool> stop{false};
    std::mutex guard;
    std::exception_ptr first;
    const auto work = [&] {
        for (size_t index = next++; index < count && !stop; index = next++) {
            try {
                task(index);
            } catch (...) {
                const std::scoped_lock lock(guard);
                if (!first) first = std::current_exception();
                stop = true;
            }
        }
    };
    const size_t helpers = std::min<size_t>(threads, count);
    {
        std::vector<std::jthread> pool;
        for (size_t i = 1; i < helpers; ++i)
            pool.emplace_back(work);
        work();
    }
    if (first) std::rethrow_exception(first);
}

}  // namespace pwstore
