// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <map>
#include <string>
#include <string_view>

namespace pwstore {

/// dpkg-divert(1): files of other packages that go elsewhere, because one package has its own in their place.
class Diversions {
 public:
    Diversions() = default;
    /// As the root's var/lib/dpkg/diversions says now: none when there is no such file.
    explicit Diversions(int root);

    [[nodiscard]] bool empty() const noexcept { return diverted_.empty(); }
    /// Where `path` of `package` goes: elsewhere when another package has diverted it. Paths of the root,
    /// with /bin, /lib … resolved to what lies below usr/.
    [[nodiscard]] std::string place_of(const std::string& path, std::string_view package) const;

 private:
    struct Target {
        std::string path;
        std::string package;  ///< whose own file stays; ":" = nobody's, a local diversion
    };
    std::map<std::string, Target> diverted_;
};

/// Absolute path → as in manifests of converted packages, where /bin, /lib … are links to what lies below
/// usr/.
[[nodiscard]] std::string merged_usr_path(std::string_view absolute);

}  // namespace pwstore
