// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "store/digest.hpp"

namespace pwstore {

/// Memory for the bytes of one packed file, used for one after another.
class PackedBuffer {
 public:
    static constexpr uint64_t kSize = 32ULL << 20;
    PackedBuffer() : bytes_(std::make_unique_for_overwrite<char[]>(kSize)) {}
    [[nodiscard]] std::span<char> bytes() const { return {bytes_.get(), kSize}; }

 private:
    std::unique_ptr<char[]> bytes_;  ///< pages that are never used are never there
};

/// A compressed file. One that fits into the buffer is read once, so that what is digested is what is
/// unpacked; a larger one is read again each time.
class PackedFile {
 public:
    /// @param fd not owned; its offset is not used
    /// @param buffer outlives the file, and serves no other one meanwhile
    PackedFile(int fd, std::string path, const PackedBuffer& buffer);

    /// Bytes from `offset` on, in the buffer or in `scratch`; empty at the end.
    [[nodiscard]] std::string_view read(uint64_t offset, std::span<char> scratch) const;
    [[nodiscard]] bool is_held() const noexcept { return is_held_; }
    [[nodiscard]] uint64_t size() const noexcept { return size_; }
    [[nodiscard]] const std::string& path() const noexcept { return path_; }

 private:
    int fd_;
    std::string path_;
    std::string_view held_;
    bool is_held_ = false;
    uint64_t size_ = 0;
};

/// Digests of a whole packed file.
struct Fingerprint {
    Sha256 sha256;
    Digest digest;  ///< only of a file that is not held
};
[[nodiscard]] Fingerprint fingerprint(const PackedFile& file);

/// The unpacked bytes of a file that is compressed once (form.hpp), or not at all; there may be none. No
/// other program is ever started for it. Errors are (corrupt) and carry what the decompressor said, or
/// (unsupported).
class PackedStream {
 public:
    /// @param file outlives the stream
    explicit PackedStream(const PackedFile& file);
    PackedStream(const PackedStream&) = delete;
    PackedStream& operator=(const PackedStream&) = delete;
    ~PackedStream();

    /// The next bytes, at most a few hundred KiB of a compressed file; empty at the end, and then every
    /// checksum was right.
    [[nodiscard]] std::string_view next();
    /// After the end: the bytes that were unpacked are those of `print`.
    [[nodiscard]] bool was(const Fingerprint& print);

 private:
    struct State;
    std::unique_ptr<State> state_;
};

}  // namespace pwstore
