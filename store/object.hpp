// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <compare>
#include <cstdint>
#include <string>
#include <string_view>

#include "store/digest.hpp"

namespace pwstore {

/// Dense number of an object inside one store; never reused, never leaves the store. 0 = none.
using ObjectId = uint32_t;

/// What a hard link shares, hence what makes two files the same object: content, inode mode, kept `user.*`
/// xattrs, and for Python sources the time (a `.pyc` records it). `slot` tells true digest collisions apart
/// (0 … kSlots-1).
struct ObjectKey {
    Digest digest;
    uint64_t size = 0;
    uint16_t mode = 0;        ///< inode mode, see inode_mode()
    int64_t mtime = kNoTime;  ///< kNoTime unless the time belongs to the identity
    uint64_t xattrs = 0;      ///< XXH3-64 of the canonical kept xattrs, 0 = none
    uint8_t slot = 0;

    static constexpr int64_t kNoTime = INT64_MIN;
    static constexpr uint8_t kSlots = 8;

    auto operator<=>(const ObjectKey&) const = default;

    /// Fixed-size big-endian encoding: the LMDB key. Keys of one digest are neighbours, slots last.
    [[nodiscard]] std::string encode() const;
    /// @throws Error (corrupt) on anything that encode() would not have written.
    static ObjectKey decode(std::string_view bytes);
    static constexpr size_t kEncodedSize = 43;
    /// Path below store/objects of copy number `copy`: "ab/<30 hex>-<size>-<mode>[-t…][-x…][-s…][~copy]".
    [[nodiscard]] std::string path(uint16_t copy) const;
};

/// mtime of every store inode whose key has no time.
inline constexpr int64_t kObjectTime = 1;

/// Mode of a store inode (and of a copy in a root) for a file whose manifest mode is `mode`:
/// (mode & 0777 & ~0022) | 0400. Readable to its owner, writable to nobody else, never set-id.
[[nodiscard]] constexpr uint16_t inode_mode(uint32_t mode) {
    return static_cast<uint16_t>((mode & 0777U & ~0022U) | 0400U);
}
/// Mode of a directory in a root: (mode & 01777) | 0700.
[[nodiscard]] constexpr uint16_t root_directory_mode(uint32_t mode) {
    return static_cast<uint16_t>((mode & 01777U) | 0700U);
}

/// One row of the table of objects.
struct ObjectRow {
    ObjectId id = 0;
    uint16_t copies =
        1;          ///< inodes 0 … copies-1 of this object exist (another one is added at the link limit)
    Sha256 sha256;  ///< of the content
    uint64_t unsynced = 0;  ///< 0 = durable; else the boot mark under which it was written and not yet synced
    bool operator==(const ObjectRow&) const = default;
};

}  // namespace pwstore
