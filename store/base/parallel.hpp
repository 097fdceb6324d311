// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <cstddef>
#include <functional>

namespace pwstore {

/// Threads that pwstore uses by default: the processors this process may run on; `PWSTORE_THREADS` overrides.
[[nodiscard]] unsigned default_threads();

/// Call `task(0)` … `task(count - 1)`, each once, on up to `threads` threads that take the next index in
/// turn. The first exception stops the handing out of further indices and is rethrown after all threads have
/// ended.
void parallel_for(size_t count, unsigned threads, const std::function<void(size_t)>& task);

}  // namespace pwstore
