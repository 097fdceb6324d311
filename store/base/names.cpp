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

/// Empty when `text` is the name of a container.
std::string_view broken_rule(std::string_view text) {
    if (text.empty()) return "a name is needed";
    if (text.size() > kNameLimit) return "at most 64 characters are allowed";
    if (text.front() == '.' || text.front() == '-') return "it must start with a letter, a digit or '_'";
    if (!std::all_of(text.begin(), text.end(), is_name_character))
        return "only letters, digits, '.', '_' and '-' are allowed";
    return {};
}

}  // namespace

ContainerName::ContainerName(std::string_view text) : text_(text) {
    const std::string_view rule = broken_rule(text);
    if (!rule.empty()) throw Error("read container name", text, rule).as(Fault::usage);
}

bool is_container_name(std::string_view text) noexcept {
    return broken_rule(text).empty();
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

std::string root_path_of(std::string_view name) {
    std::string path;
    path.reserve(name.size());
    while (!name.empty()) {
        const std::string_view component = name.substr(0, name.find('/'));
        name.remove_prefix(std::min(name.size(), component.size() + 1));
        if (component.empty() || component == ".") continue;
        if (!path.empty()) path += '/';
        path += component;
    }
    return path;
}

}  // namespace pwstore
