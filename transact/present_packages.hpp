// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "store/index/index.hpp"
#include "store/manifest.hpp"

namespace pwstore {

/// The packages that a root's database lists at one moment of a transaction: that of the container and of
/// what lies below it. What nobody asks for is not read.
class PresentPackages {
 public:
    explicit PresentPackages(const Index& index) : index_(index) {}

    /// It came, or another version of it.
    void put(const std::string& name, ManifestId manifest) { packages_[name] = {manifest, std::nullopt}; }
    void take(const std::string& name) { packages_.erase(name); }
    /// Some package other than `package` lists the directory.
    [[nodiscard]] bool has_directory_of_another(std::string_view path, std::string_view package);

 private:
    struct Present {
        ManifestId id = 0;
        std::optional<Manifest> manifest;
    };

    const Index& index_;
    std::map<std::string, Present> packages_;
};

}  // namespace pwstore
