// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "resolver/package.hpp"
#include "store/generation.hpp"
#include "store/store.hpp"
#include "transact/diversions.hpp"

namespace pwstore {

/// Something that `plan` installs was made from a Debian package.
[[nodiscard]] bool has_debian_packages(const Plan& plan);
[[nodiscard]] bool has_debian_packages(const std::vector<InstalledPackage>& packages);

/// What was allowed already: files that two packages shared in the generation before (somebody decided so,
/// with
/// `--overwrite`, or it was like that when they came) stay shared, whichever of the two changes.
class SharedBefore {
 public:
    /// `before` is the container's generation so far; nullopt for a new container, where nothing was shared.
    SharedBefore(const Store& store, const std::optional<Generation>& before);
    [[nodiscard]] bool allows(const std::string& path, const std::string& package,
                              const std::string& other) const;

 private:
    [[nodiscard]] bool had(const std::string& package, const std::string& path) const;

    const Store& store_;
    std::map<std::string, ManifestId> packages_;
};

/// Which packages of a root have which files, for dpkg's rule that libalpm does not know: a package may take
/// over files of those that it Replaces. Where Debian packages are installed, it takes the place of libalpm's
/// own check.
class FileClaims {
 public:
    /// @param packages all that are in the root in the end
    /// @param overwrite patterns of paths that whoever comes takes
    FileClaims(const Store& store, const std::vector<InstalledPackage>& packages, SharedBefore before,
               const std::vector<std::string>& overwrite);

    /// What `package` shares with others, one of which Replaces the other.
    struct Shared {
        std::set<std::string> taken;  ///< files that are its own now
        std::set<std::string> left;   ///< files of its that stay another one's
    };
    /// @throws Error (refused) naming the first file that `package` and another one both have, unless one
    /// Replaces the other or the file is diverted
    [[nodiscard]] Shared check(const Manifest& package, const Diversions& diversions) const;

 private:
    [[nodiscard]] bool replaces(const Manifest& package, const Manifest& other) const;

    const Store& store_;
    SharedBefore before_;
    const std::vector<std::string>& overwrite_;
    std::vector<Manifest> manifests_;
    std::unordered_map<std::string_view, std::vector<size_t>> owners_;  ///< of what is no directory
};

}  // namespace pwstore
