// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <bit>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>

#include "store/base/error.hpp"

namespace pwstore {

static_assert(std::endian::native == std::endian::little, "stored numbers are little-endian");

/// Append little-endian integers and length-prefixed strings. Counterpart of ByteReader.
class ByteWriter {
 public:
    template <typename Integer>
    void put(Integer value) {
        static_assert(std::is_integral_v<Integer> || std::is_enum_v<Integer>);
        char raw[sizeof value];
        std::memcpy(raw, &value, sizeof value);
        bytes_.append(raw, sizeof value);
    }
    void put_bytes(std::string_view bytes) { bytes_.append(bytes); }
    /// u32 length, then the bytes.
    void put_string(std::string_view text) {
        put(static_cast<uint32_t>(text.size()));
        bytes_.append(text);
    }
    [[nodiscard]] const std::string& bytes() const noexcept { return bytes_; }
    [[nodiscard]] std::string take() noexcept { return std::move(bytes_); }

 private:
    std::string bytes_;
};

/// Read what ByteWriter wrote. Every access is bounds-checked and alignment-free; anything short is an
/// Error with Fault::corrupt that names `what`.
class ByteReader {
 public:
    ByteReader(std::string_view bytes, std::string_view what) : rest_(bytes), what_(what) {}

    template <typename Integer>
    [[nodiscard]] Integer get() {
        Integer value;
        std::memcpy(&value, need(sizeof value).data(), sizeof value);
        return value;
    }
    [[nodiscard]] std::string_view get_bytes(size_t count) { return need(count); }
    [[nodiscard]] std::string_view get_string() { return need(get<uint32_t>()); }
    /// A count of items that each take at least `item_size` bytes: refuses one that the rest cannot hold.
    [[nodiscard]] uint32_t get_count(size_t item_size) {
        const auto count = get<uint32_t>();
        if (item_size != 0 && count > rest_.size() / item_size) fail("count larger than the data");
        return count;
    }
    [[nodiscard]] size_t remaining() const noexcept { return rest_.size(); }
    void expect_end() const {
        if (!rest_.empty()) fail("bytes after the end");
    }
    [[noreturn]] void fail(std::string_view cause) const {
        throw Error("decode", what_, cause).as(Fault::corrupt);
    }

 private:
    std::string_view need(size_t count) {
        if (count > rest_.size()) fail("shorter than it says");
        const std::string_view part = rest_.substr(0, count);
        rest_.remove_prefix(count);
        return part;
    }
    std::string_view rest_;
    std::string_view what_;
};

}  // namespace pwstore
