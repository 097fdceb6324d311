// SPDX-License-Identifier: GPL-3.0-or-later
#include "store/base/names.hpp"

#include <algorithm>

#include "store/base/error.hpp"

namespace pwstore {

namespace {

constexpr size_t kNameLimit = 64;
constexpr size_t kPathLimit = 4095;
constexpr size_t kComponentLimit = 255;

bool is_name_character(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
           c == '_' || c == '-';
}

}  // namespace

ContainerName::ContainerName(std::string_view text) : text_(text) {
    const auto reject = [&](std::string_view rule) {
        throw Error("read container name", text, rule).as(Fault::usage);
    };
    if (text.empty()) reject("a name is needed");
    if (text.size() > kNameLimit) reject("at most 64 characters are allowed");
    if (text.front() == '.' || text.front() == '-') reject("it must start with a letter, a digit or '_'");
    if (!std::all_of(text.begin(), text.end(), is_name_character))
        reject("only letters, digits, '.', '_' and '-' are allowed");
}

bool is_root_path(std::string_view path) noexcept {
    if (path.empty() || path.size() > kPathLimit || path.find('\0') != std::string_view::npos) return false;
    while (true) {
        const size_t slash = path.find('/');
        const std::string_view component = path.substr(0, slash);
        if (component.empty() || component == "." || component == ".." || component.size() > kComponentLimit)
            return false;
        if (slash == std::string_view::npos) return true;
        path.remove_prefix(slash + 1);
    }
}

}  // namespace pwstore
