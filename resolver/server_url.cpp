// SPDX-License-Identifier: GPL-3.0-or-later
#include "resolver/server_url.hpp"

#include <fmt/format.h>

#include "store/base/error.hpp"

namespace pwstore {

namespace {

constexpr std::string_view kFileScheme = "file://";

bool is_letter_or_digit(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

template <typename Keep>
std::string escaped(std::string_view text, Keep&& keep) {
    std::string out;
    for (const char c : text) {
        if (keep(c)) {
            out += c;
        } else {
            out += fmt::format("%{:02X}", static_cast<unsigned char>(c));
        }
    }
    return out;
}

}  // namespace

std::string file_url(std::string_view absolute_path) {
    constexpr std::string_view kPlain = "/-._~+@,=:";
    return std::string(kFileScheme) + escaped(absolute_path, [&](char c) {
               return is_letter_or_digit(c) || kPlain.find(c) != std::string_view::npos;
           });
}

bool is_file_url(std::string_view url) noexcept {
    return url.substr(0, kFileScheme.size()) == kFileScheme;
}

std::string normal_url(std::string_view url) {
    const size_t scheme = url.find("://");
    if (scheme == std::string_view::npos || scheme == 0 || url.size() == scheme + 3) {
        throw Error("read server", url, "this is not a URL such as https://… or file:///…").as(Fault::usage);
    }
    while (url.size() > scheme + 4 && url.back() == '/')
        url.remove_suffix(1);
    return escaped(url, [](char c) { return c > ' ' && c < '\x7f'; });
}

}  // namespace pwstore
