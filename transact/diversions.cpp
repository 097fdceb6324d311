// SPDX-License-Identifier: GPL-3.0-or-later
#include "transact/diversions.hpp"

#include <fcntl.h>

#include <array>
#include <sstream>

#include "store/base/path_at.hpp"

namespace pwstore {

namespace {
constexpr const char* kDiversions = "var/lib/dpkg/diversions";
}

std::string merged_usr_path(std::string_view absolute) {
    static constexpr std::array<std::string_view, 6> kTops{"bin", "sbin", "lib", "lib32", "lib64", "libx32"};
    if (absolute.starts_with('/')) absolute.remove_prefix(1);
    for (const std::string_view top : kTops) {
        if (absolute == top || (absolute.starts_with(top) && absolute[top.size()] == '/'))
            return "usr/" + std::string(absolute);
    }
    return std::string(absolute);
}

/// Three lines each: what, where to, whose own is there instead.
Diversions::Diversions(int root) {
    const auto file = try_open_in_root(root, kDiversions, O_RDONLY | O_NONBLOCK);
    if (!file) return;
    std::istringstream lines(read_all(file->get(), kDiversions));
    std::string from;
    Target target;
    while (std::getline(lines, from) && std::getline(lines, target.path) &&
           std::getline(lines, target.package)) {
        target.path = merged_usr_path(target.path);
        diverted_[merged_usr_path(from)] = target;
    }
}

std::string Diversions::place_of(const std::string& path, std::string_view package) const {
    const auto found = diverted_.find(path);
    return found == diverted_.end() || found->second.package == package ? path : found->second.path;
}

}  // namespace pwstore
