// SPDX-License-Identifier: GPL-3.0-or-later
#include "store/object.hpp"

#include <array>
#include <charconv>

#include "store/base/error.hpp"

namespace pwstore {

namespace {

/// Flips the sign bit, so that times order as unsigned bytes do.
constexpr uint64_t kSignBit = 1ULL << 63U;

template <typename Unsigned>
void append_big_endian(std::string& out, Unsigned value) {
    for (size_t shift = sizeof value * 8; shift != 0;) {
        shift -= 8;
        out += static_cast<char>((static_cast<uint64_t>(value) >> shift) & 0xFFU);
    }
}

uint64_t big_endian(std::string_view bytes) {
    uint64_t value = 0;
    for (const char byte : bytes)
        value = value << 8U | static_cast<uint8_t>(byte);
    return value;
}

template <typename Integer>
void append_number(std::string& out, Integer value, int base) {
    std::array<char, 24> text{};
    const auto end = std::to_chars(text.data(), text.data() + text.size(), value, base).ptr;
    out.append(text.data(), end);
}

}  // namespace

std::string ObjectKey::encode() const {
    std::string out;
    out.reserve(kEncodedSize);
    for (const uint8_t byte : digest.bytes)
        out += static_cast<char>(byte);
    append_big_endian(out, size);
    append_big_endian(out, mode);
    append_big_endian(out, static_cast<uint64_t>(mtime) ^ kSignBit);
    append_big_endian(out, xattrs);
    append_big_endian(out, slot);
    return out;
}

ObjectKey ObjectKey::decode(std::string_view bytes) {
    if (bytes.size() != kEncodedSize) throw Error("decode object key", "", "wrong length").as(Fault::corrupt);
    ObjectKey key;
    for (size_t at = 0; at < key.digest.bytes.size(); ++at)
        key.digest.bytes[at] = static_cast<uint8_t>(bytes[at]);
    key.size = big_endian(bytes.substr(16, 8));
    key.mode = static_cast<uint16_t>(big_endian(bytes.substr(24, 2)));
    key.mtime = static_cast<int64_t>(big_endian(bytes.substr(26, 8)) ^ kSignBit);
    key.xattrs = big_endian(bytes.substr(34, 8));
    key.slot = static_cast<uint8_t>(bytes[42]);
    if (key.mode != inode_mode(key.mode))
        throw Error("decode object key", "", "impossible mode").as(Fault::corrupt);
    if (key.slot >= kSlots) throw Error("decode object key", "", "impossible slot").as(Fault::corrupt);
    return key;
}

std::string ObjectKey::path(uint16_t copy) const {
    std::string out = digest.hex();
    out.reserve(96);
    out.insert(2, 1, '/');
    out += '-';
    append_number(out, size, 10);
    out += '-';
    append_number(out, mode, 8);
    if (mtime != kNoTime) {
        out += "-t";
        append_number(out, mtime, 10);
    }
    if (xattrs != 0) {
        out += "-x";
        append_number(out, xattrs, 16);
    }
    if (slot != 0) {
        out += "-s";
        append_number(out, slot, 10);
    }
    if (copy != 0) {
        out += '~';
        append_number(out, copy, 10);
    }
    return out;
}

}  // namespace pwstore
