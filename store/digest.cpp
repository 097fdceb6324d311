// SPDX-License-Identifier: GPL-3.0-or-later
#include "store/digest.hpp"

// Compiled in: the launcher then loads one library less, and short inputs cost no call.
#define XXH_INLINE_ALL
#include <xxhash.h>

#include <algorithm>
#include <array>

#include "store/base/error.hpp"
#include "store/digest_wide.hpp"

namespace pwstore {

namespace {

Digest digest_from(XXH128_hash_t hash) {
    XXH128_canonical_t canonical;
    XXH128_canonicalFromHash(&canonical, hash);
    Digest digest;
    std::copy(std::begin(canonical.digest), std::end(canonical.digest), digest.bytes.begin());
    return digest;
}

/// Shorter inputs gain nothing from wide registers.
constexpr size_t kWorthWide = 512;

bool has_wide() {
    static const bool has = pwstore_has_wide_xxh3() != 0;
    return has;
}

int hex_value(char c) {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return -1;
}

}  // namespace

std::string hex_of(std::span<const uint8_t> bytes) {
    static constexpr char kDigits[] = "0123456789abcdef";
    std::string text;
    text.reserve(bytes.size() * 2);
    for (const uint8_t byte : bytes) {
        text += kDigits[byte >> 4U];
        text += kDigits[byte & 0xFU];
    }
    return text;
}

std::string Digest::hex() const {
    return hex_of(bytes);
}

std::string Sha256::hex() const {
    return hex_of(bytes);
}

Sha256 Sha256::from_hex(std::string_view text) {
    const auto reject = [&] {
        throw Error("read SHA-256", text, "64 hexadecimal digits expected").as(Fault::usage);
    };
    Sha256 sha256;
    if (text.size() != sha256.bytes.size() * 2) reject();
    for (size_t at = 0; at < sha256.bytes.size(); ++at) {
        const int high = hex_value(text[2 * at]);
        const int low = hex_value(text[2 * at + 1]);
        if (high < 0 || low < 0) reject();
        sha256.bytes[at] = static_cast<uint8_t>(high * 16 + low);
    }
    return sha256;
}

Digest DigestFunction::operator()(std::string_view content) const {
    if (content.size() < kWorthWide || !has_wide()) {
        return cut(digest_from(XXH3_128bits(content.data(), content.size())));
    }
    std::array<uint64_t, 2> hash{};
    pwstore_wide_xxh3(content.data(), content.size(), hash.data());
    return cut(digest_from({.low64 = hash[0], .high64 = hash[1]}));
}

Digest DigestFunction::cut(Digest full) const {
    for (size_t at = 0; at < full.bytes.size(); ++at) {
        const size_t first_bit = at * 8;
        if (first_bit >= bits_) {
            full.bytes[at] = 0;
        } else if (bits_ - first_bit < 8) {
            full.bytes[at] = static_cast<uint8_t>(full.bytes[at] & (0xFF00U >> (bits_ - first_bit)));
        }
    }
    return full;
}

uint64_t checksum64(std::string_view bytes, uint64_t seed) {
    return XXH3_64bits_withSeed(bytes.data(), bytes.size(), seed);
}

// --- Streams -------------------------------------------------------------------------------------

struct DigestStream::State {
    explicit State(const DigestFunction& chosen) : function(chosen) { (void)XXH3_128bits_reset(&hash); }
    DigestFunction function;
    XXH3_state_t hash{};
};

DigestStream::DigestStream(const DigestFunction& function) : state_(std::make_unique<State>(function)) {}
DigestStream::~DigestStream() = default;
DigestStream::DigestStream(DigestStream&&) noexcept = default;

void DigestStream::update(std::string_view piece) {
    if (piece.size() < kWorthWide || !has_wide()) {
        (void)XXH3_128bits_update(&state_->hash, piece.data(), piece.size());
    } else {
        pwstore_wide_xxh3_update(&state_->hash, piece.data(), piece.size());
    }
}

Digest DigestStream::finish() {
    return state_->function.cut(digest_from(XXH3_128bits_digest(&state_->hash)));
}

}  // namespace pwstore
