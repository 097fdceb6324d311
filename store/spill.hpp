// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <cstdint>

#include "store/store.hpp"

namespace pwstore {

/// For those who found all of the first `known_copies` inodes of object `id` at the file system's link limit:
/// make another one, unless someone else already has. Returns how many there are now; the last one is the
/// youngest.
///
/// Lock: ingest, then LMDB; the caller holds neither. Durable: the new inode is synced before its row counts
/// it, so a crash leaves a file without a record, which the next holder of the lock replaces.
/// @throws Error (corrupt) when no intact inode is left to copy from; (busy) when the lock is not free in
/// time
[[nodiscard]] uint16_t add_object_copy(const Store& store, ObjectId id, uint16_t known_copies);

}  // namespace pwstore
