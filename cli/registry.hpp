// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "store/digest.hpp"

namespace pwstore::cli {

/// A place in a registry: "HOST[:PORT]/REPOSITORY[:TAG][@sha256:…]".
struct RegistryPlace {
    std::string host;        ///< with its port
    std::string repository;  ///< lower case, parts between slashes
    std::string tag;         ///< empty = none was given
    std::string digest;      ///< "sha256:…", or empty

    /// @throws Error (usage) in the words of who typed it: what is wrong, and how it is written
    static RegistryPlace parse(const std::string& text);

    /// As one types it.
    [[nodiscard]] std::string text() const;
    /// Last part of the repository: what a container of it is called.
    [[nodiscard]] std::string name() const { return repository.substr(repository.rfind('/') + 1); }
};

/// A registry, through skopeo.
class Registry {
 public:
    Registry(RegistryPlace place, bool insecure) : place_(std::move(place)), insecure_(insecure) {}

    [[nodiscard]] const RegistryPlace& place() const noexcept { return place_; }

    struct Found {
        Sha256 digest;
        std::string manifest;  ///< or the index of several
        /// Of all layers, as the manifest says; 0 when it does not.
        [[nodiscard]] uint64_t bytes() const;
    };
    /// What is there, without its layers. @throws Error
    [[nodiscard]] Found look() const;
    /// It can be reached, and nobody has to log in first. @throws Error
    void expect_open() const;
    /// Just the image of this digest, as an OCI archive.
    void fetch(const Sha256& digest, const std::string& archive, const std::string& name) const;
    void send(const std::string& archive) const;

 private:
    [[nodiscard]] std::string copy(const std::vector<std::string>& words) const;

    RegistryPlace place_;
    bool insecure_;
};

/// What skopeo wrote when it failed, as the cause and a way out for this place.
struct RegistryFailure {
    std::string cause, hint;
    /// Nobody is logged in, or the one who is may not.
    bool is_closed = false;
    /// There is nothing of this name (yet).
    bool is_absent = false;
};
[[nodiscard]] RegistryFailure registry_failure(const RegistryPlace& place, std::string_view written);

}  // namespace pwstore::cli
