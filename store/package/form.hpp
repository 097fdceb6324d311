// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "store/base/error.hpp"

struct archive;

namespace pwstore {

/// Let `reader` unpack zstd, gzip, xz, lzma, lzip, bzip2, lz4 and compress, which libarchive does by itself;
/// for others it would start programs.
void support_compressions(archive* reader);

constexpr size_t kFormBytes = 16;  ///< of its beginning tell what a file is

/// A file that begins with `beginning` is a known form of archive or compression that is not read here:
/// (unsupported), which says so. Any other: (corrupt), which says `otherwise`.
[[nodiscard]] Error unreadable_archive(const std::string& path, std::string_view beginning,
                                       std::string_view otherwise);

/// What chown(2) makes of a number that no owner can have: it is cut to 32 bits, and -1 changes nothing.
[[nodiscard]] uint32_t owner_of_archive(int64_t number);

}  // namespace pwstore
