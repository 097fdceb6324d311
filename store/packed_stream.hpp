// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "store/digest.hpp"

namespace pwstore {

/// The unpacked bytes of a file that is compressed once with zstd, gzip, xz, bzip2 or lz4, or not at all. No
/// other program is ever started for it. Errors are (corrupt) and carry what the decompressor said.
class PackedStream {
 public:
    /// @param fd not owned; read from its start by pread(2)
    PackedStream(int fd, std::string path);
    PackedStream(const PackedStream&) = delete;
    PackedStream& operator=(const PackedStream&) = delete;
    ~PackedStream();

    /// The next bytes, at most a few hundred KiB; empty at the end, and then every checksum was right.
    [[nodiscard]] std::string_view next();
    /// Size of the packed file.
    [[nodiscard]] uint64_t packed_size() const noexcept;
    /// XXH3-128 of the packed bytes that were read so far; of the whole file once next() gave nothing.
    [[nodiscard]] Digest packed_digest();

 private:
    struct State;
    std::unique_ptr<State> state_;
};

}  // namespace pwstore
