// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <cstdint>

#include "store/store.hpp"

namespace pwstore {

/// How often a file of an object was replaced because it was damaged. A root that was made before may have a
/// link of the old one. A number that only grows, kept as the size of store/replacements.
[[nodiscard]] uint64_t replacements(const Store& store);

/// Call before a file of an object is replaced; durable when it returns. Lock: ingest, held by the caller.
void count_replacement(const Store& store);

}  // namespace pwstore
