// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <map>
#include <mutex>
#include <optional>
#include <string>

#include "store/index/index.hpp"
#include "store/object_intake.hpp"

namespace pwstore {

/// What the store holds of packages by name: where to look for a large file before anything is written. Reads
/// the index when it is first asked, and never again. Thread-safe.
class PackageHistory {
 public:
    explicit PackageHistory(const Index& index) : index_(index) {}

    /// The object of file `path` in the newest recorded manifest of package `name`, if it is too large for a
    /// buffer.
    [[nodiscard]] std::optional<StoredObject> large_file(const std::string& name, const std::string& path);

 private:
    using Files = std::map<std::string, StoredObject>;

    void load_names();
    [[nodiscard]] Files load_files(ManifestId id) const;

    const Index& index_;
    std::mutex guard_;  ///< of what follows
    bool is_loaded_ = false;
    std::map<std::string, ManifestId> newest_;
    std::map<std::string, Files> files_;
};

}  // namespace pwstore
