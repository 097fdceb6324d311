// SPDX-License-Identifier: GPL-3.0-or-later
#include "mount/xauthority.hpp"

#include <array>
#include <cstdint>
#include <optional>

namespace pwstore {

namespace {

constexpr unsigned kLocal = 256;
constexpr unsigned kWild = 0xffff;

/// family, then address, display number, name of the method, its data; each with a length before it, all of
/// 16 bits, the high byte first.
struct Entry {
    unsigned family = 0;
    std::array<std::string_view, 4> fields;
};

std::optional<unsigned> take_number(std::string_view& bytes) {
    if (bytes.size() < 2) return std::nullopt;
    const auto high = static_cast<unsigned char>(bytes[0]);
    const auto low = static_cast<unsigned char>(bytes[1]);
    bytes.remove_prefix(2);
    return high * 256U + low;
}

std::optional<Entry> take_entry(std::string_view& bytes) {
    Entry entry;
    const auto family = take_number(bytes);
    if (!family) return std::nullopt;
    entry.family = *family;
    for (std::string_view& field : entry.fields) {
        const auto length = take_number(bytes);
        if (!length || *length > bytes.size()) return std::nullopt;
        field = bytes.substr(0, *length);
        bytes.remove_prefix(*length);
    }
    return entry;
}

void put_number(std::string& bytes, size_t number) {
    bytes += static_cast<char>(number / 256);
    bytes += static_cast<char>(number % 256);
}

void put_for_any_host(std::string& bytes, const Entry& entry) {
    put_number(bytes, kWild);
    put_number(bytes, 0);
    for (size_t at = 1; at < entry.fields.size(); ++at) {
        put_number(bytes, entry.fields[at].size());
        bytes += entry.fields[at];
    }
}

}  // namespace

std::string cookies_for_any_host(std::string_view authority, std::string_view host, std::string_view number) {
    std::string own;
    std::string others;  // of a machine that was called otherwise when they were made
    while (const auto entry = take_entry(authority)) {
        const auto& [address, display, method, data] = entry->fields;
        if (!display.empty() && display != number) continue;
        if (entry->family != kWild && entry->family != kLocal) continue;
        const bool is_own = entry->family == kWild || address == host;
        put_for_any_host(is_own ? own : others, *entry);
    }
    return own + others;
}

}  // namespace pwstore
