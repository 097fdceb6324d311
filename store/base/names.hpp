// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <algorithm>
#include <array>
#include <compare>
#include <string>
#include <string_view>

namespace pwstore {

/// A container's name: 1 to 64 of [A-Za-z0-9._-], not starting with '.' or '-', so that it is one safe path
/// component and can carry the suffix "@N".
class ContainerName {
 public:
    /// @throws Error (usage) naming the rule that `text` breaks
    explicit ContainerName(std::string_view text);
    [[nodiscard]] const std::string& str() const noexcept { return text_; }
    auto operator<=>(const ContainerName&) const = default;

 private:
    std::string text_;
};

/// Whether that could be the name of one.
[[nodiscard]] bool is_container_name(std::string_view text) noexcept;

/// A path below a root: relative, no empty, "." or ".." component, no NUL, no trailing slash, at most 4095
/// bytes, each component at most 255. File names are bytes otherwise: newlines and invalid UTF-8 are fine.
[[nodiscard]] bool is_root_path(std::string_view path) noexcept;

/// What a name in an archive means as a path below a root: "/usr//bin/." → "usr/bin", "./" → "". A ".."
/// stays.
[[nodiscard]] std::string root_path_of(std::string_view name);

/// Files of a root over which a sandbox may get others. Every root has them, empty where no package brings
/// them: what is there without content is nobody's, and whoever brings one may put it there.
namespace names {
inline constexpr const char* kHostName = "etc/hostname";
inline constexpr const char* kHosts = "etc/hosts";
inline constexpr const char* kLocalTime = "etc/localtime";
inline constexpr const char* kResolver = "etc/resolv.conf";
inline constexpr std::array kMountPointFiles{kHostName, kHosts, kLocalTime, kResolver};  ///< sorted
[[nodiscard]] inline bool is_mount_point_file(std::string_view path) noexcept {
    return std::find(kMountPointFiles.begin(), kMountPointFiles.end(), path) != kMountPointFiles.end();
}
}  // namespace names

}  // namespace pwstore
