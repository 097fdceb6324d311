// SPDX-License-Identifier: GPL-3.0-or-later
#include "store/base/error.hpp"

#include <fmt/format.h>

#include <cstring>

namespace pwstore {

namespace {

/// Length of the valid, printable UTF-8 sequence that starts `text`, 0 if there is none.
size_t utf8_length(std::string_view text) {
    const auto byte = [&](size_t at) { return at < text.size() ? static_cast<unsigned char>(text[at]) : 0U; };
    const auto tail = [&](size_t at) { return (byte(at) & 0xC0U) == 0x80U; };
    const unsigned first = byte(0);
    if (first < 0x20 || first == 0x7F) return 0;
    if (first < 0x80) return 1;
    if (first >= 0xC2 && first <= 0xDF && tail(1)) return first == 0xC2 && byte(1) < 0xA0 ? 0 : 2;
    if (first == 0xE2 && byte(1) == 0x80 && byte(2) >= 0xA8 && byte(2) <= 0xAE)
        return 0;  // line and bidi controls
    if (first == 0xE2 && byte(1) == 0x81 && byte(2) >= 0xA6 && byte(2) <= 0xA9) return 0;  // bidi isolates
    if (first >= 0xE0 && first <= 0xEF && tail(1) && tail(2)) {
        if (first == 0xE0 && byte(1) < 0xA0) return 0;
        if (first == 0xED && byte(1) >= 0xA0) return 0;
        return 3;
    }
    if (first >= 0xF0 && first <= 0xF4 && tail(1) && tail(2) && tail(3)) {
        if (first == 0xF0 && byte(1) < 0x90) return 0;
        if (first == 0xF4 && byte(1) >= 0x90) return 0;
        return 4;
    }
    return 0;
}

}  // namespace

std::string printable(std::string_view text) {
    std::string out;
    out.reserve(text.size());
    while (!text.empty()) {
        const size_t length = utf8_length(text);
        if (length == 0) {
            out += fmt::format("\\x{:02x}", static_cast<unsigned char>(text[0]));
            text.remove_prefix(1);
        } else {
            out += text.substr(0, length);
            text.remove_prefix(length);
        }
    }
    return out;
}

Error::Error(std::string_view step, std::string_view path, std::string_view cause)
    : text_(path.empty() ? fmt::format("{}: {}", step, cause)
                         : fmt::format("{} '{}': {}", step, printable(path), cause)) {}

Error Error::from_errno(std::string_view step, std::string_view path, int error_number) {
    Error error(step, path, std::strerror(error_number));
    error.error_number_ = error_number;
    if (error_number == ENOSPC || error_number == EDQUOT) {
        error.with_hint(
            "free some space on that file system, or files where 'df -i' says that its inodes are used up, "
            "for "
            "example with 'pwstore gc', and try again");
    }
    return error;
}

Error& Error::within(std::string_view wider_step) {
    text_ = fmt::format("{}: {}", wider_step, text_);
    return *this;
}

Error& Error::with_hint(std::string_view hint) {
    hint_ = hint;
    return *this;
}

Error& Error::as(Fault fault) {
    fault_ = fault;
    return *this;
}

}  // namespace pwstore
