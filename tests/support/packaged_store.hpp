// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "store/store.hpp"
#include "tests/support/package_builder.hpp"
#include "tests/support/test_dir.hpp"

namespace pwstore::test {

/// A store in a fresh directory with packages that were built, ingested and installed into containers by
/// records alone.
class PackagedStore {
 public:
    explicit PackagedStore(const StoreOptions& options = {});

    /// Build and ingest the package; what it would be as installed one.
    InstalledPackage add(const PackageSpec& spec);
    /// Record a generation of `container` with these packages as its current one; returns it.
    Generation install(const std::string& container, const std::vector<InstalledPackage>& packages,
                       const std::vector<DeltaEntry>& delta = {},
                       const std::vector<GenerationRef>& upstream = {});
    /// The archive that a manifest was read from.
    [[nodiscard]] std::optional<std::string> archive_of(const Manifest& manifest) const;
    /// Key of the object of a package's file.
    [[nodiscard]] ObjectKey key_of(const InstalledPackage& package, const std::string& path) const;
    /// Absolute path of an object's file.
    [[nodiscard]] std::string object_path(const ObjectKey& key, uint16_t copy = 0) const;

    TestDir dir;
    Store store;

 private:
    std::map<std::string, std::string> archives_;  ///< by "NAME VERSION"
};

}  // namespace pwstore::test
