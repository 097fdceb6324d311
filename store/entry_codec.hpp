// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "store/base/bytes.hpp"
#include "store/manifest.hpp"

namespace pwstore::codec {

/// Common to the encoded forms of Manifest and Delta (docs/format.md): a front that lists every object id, so
/// that marking reads nothing else, and then the entries as fixed-size records with one block of strings.
///
///     front   := magic u32, version u16, tags u8 u8, checksum u64, count u32, ids u32[count]
///     entries := count u32, record[count], string bytes u32, strings
///
/// The checksum (XXH3-64) covers count and ids.

struct Front {
    uint32_t magic = 0;
    uint8_t first_tag = 0;
    uint8_t second_tag = 0;
    std::vector<ObjectId> ids;
};

void put_front(ByteWriter& out, const Front& front);
/// @throws Error (corrupt) for another magic, an unknown version, a wrong checksum, or more ids than bytes
[[nodiscard]] Front get_front(ByteReader& in, uint32_t magic);
/// Visit the non-zero ids of a front without copying them.
void visit_front(std::string_view bytes, uint32_t magic, std::string_view what,
                 void (*visit)(void* context, ObjectId id), void* context);

enum class Whiteouts { allowed, refused };

/// Everything of `entries` but the object ids. @throws Error (corrupt) for entries that get_entries() would
/// refuse.
void put_entries(ByteWriter& out, const std::vector<Entry>& entries, Whiteouts whiteouts);
/// `ids` are the object ids of the entries, in order.
[[nodiscard]] std::vector<Entry> get_entries(ByteReader& in, std::span<const ObjectId> ids,
                                             Whiteouts whiteouts);

}  // namespace pwstore::codec
