// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <array>
#include <compare>
#include <cstdint>
#include <cstring>
#include <memory>
#include <span>
#include <string>
#include <string_view>

namespace pwstore {

/// XXH3-128 of a content, canonical (big-endian) byte order. Fast, not collision-resistant: it finds
/// candidates, it never decides that two contents are equal.
struct Digest {
    std::array<uint8_t, 16> bytes{};
    auto operator<=>(const Digest&) const = default;
    [[nodiscard]] std::string hex() const;
};

/// SHA-256: the identity of content across stores, of archives, and of manifests, trees and generations.
struct Sha256 {
    std::array<uint8_t, 32> bytes{};
    auto operator<=>(const Sha256&) const = default;
    [[nodiscard]] std::string hex() const;
    /// @throws Error (usage) unless `text` is 64 hexadecimal digits
    static Sha256 from_hex(std::string_view text);
};

/// For hash tables: any part of a digest is as good as another.
struct Sha256Hash {
    [[nodiscard]] size_t operator()(const Sha256& sha256) const noexcept {
        size_t part = 0;
        std::memcpy(&part, sha256.bytes.data(), sizeof part);
        return part;
    }
};

/// The digest function of a store: XXH3-128, cut to its first `bits` bits (tests use 8 to meet collisions).
class DigestFunction {
 public:
    explicit DigestFunction(unsigned bits = 128) : bits_(bits) {}
    [[nodiscard]] Digest operator()(std::string_view content) const;
    [[nodiscard]] Digest cut(Digest full) const;
    [[nodiscard]] unsigned bits() const noexcept { return bits_; }

 private:
    unsigned bits_;
};

/// Digest of a content that arrives in pieces.
class DigestStream {
 public:
    explicit DigestStream(const DigestFunction& function);
    ~DigestStream();
    DigestStream(DigestStream&&) noexcept;
    DigestStream& operator=(DigestStream&&) = delete;
    void update(std::string_view piece);
    [[nodiscard]] Digest finish();

 private:
    struct State;
    std::unique_ptr<State> state_;
};

class Sha256Stream {
 public:
    Sha256Stream();
    ~Sha256Stream();
    Sha256Stream(Sha256Stream&&) noexcept;
    Sha256Stream& operator=(Sha256Stream&&) = delete;
    void update(std::string_view piece);
    [[nodiscard]] Sha256 finish();

 private:
    struct State;
    std::unique_ptr<State> state_;
};

/// MD5 of a content that arrives in pieces, as md5_hex().
class Md5Stream {
 public:
    Md5Stream();
    ~Md5Stream();
    Md5Stream(Md5Stream&&) noexcept;
    Md5Stream& operator=(Md5Stream&&) = delete;
    void update(std::string_view piece);
    [[nodiscard]] std::string finish();

 private:
    struct State;
    std::unique_ptr<State> state_;
};

[[nodiscard]] Sha256 sha256_of(std::string_view content);
/// Reads `fd` from its current offset to the end.
[[nodiscard]] Sha256 sha256_of_fd(int fd, std::string_view path_for_errors);
/// Lower-case hexadecimal MD5, as pacman records for backup files.
[[nodiscard]] std::string md5_hex(std::string_view content);
/// XXH3-64: guards stored records against damage.
[[nodiscard]] uint64_t checksum64(std::string_view bytes, uint64_t seed = 0);
[[nodiscard]] std::string hex_of(std::span<const uint8_t> bytes);

}  // namespace pwstore
