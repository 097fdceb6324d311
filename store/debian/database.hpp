// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "store/debian/control.hpp"
#include "store/digest.hpp"

namespace pwstore {

// A repository whose packages are made of .debs when they are wanted has two files in the directory of sync
// databases: NAME.db, which libalpm reads, and NAME.debs, which says what each of its packages is made of.

/// What one package file of such a repository is made of.
struct DebOrigin {
    uint32_t server_list = 0;  ///< index into DebOrigins::server_lists
    std::string path;          ///< below the server
    uint64_t size = 0;
    Sha256 sha256;
};

/// What NAME.debs says, as far as it was asked for.
struct DebOrigins {
    std::vector<std::vector<std::string>> server_lists;  ///< mirrors of each other
    std::string base_version;                            ///< of the package "base"
    std::vector<std::string> base_depends;
    std::map<std::string, DebOrigin> packages;  ///< by name of the package file
};

/// The newest version of each package of several suites, and the database made of them.
class DebCollection {
 public:
    /// Packages of other architectures, and "usrmerge", which would destroy a root, are passed over; of two
    /// versions the newer one stays, of two equal ones the first.
    void add(DebIndexEntry entry, uint32_t server_list);
    [[nodiscard]] size_t size() const noexcept { return entries_.size(); }

    /// Write NAME.debs, then NAME.db into `dir`, each durably and atomically. "base" keeps the version that
    /// `before` has when it depends on the same, otherwise it has `base_version`.
    void write(int dir, const std::string& name, const std::vector<std::vector<std::string>>& server_lists,
               const std::optional<DebOrigins>& before, const std::string& base_version);

 private:
    struct Entry {
        DebIndexEntry deb;
        uint32_t server_list = 0;
    };
    std::vector<Entry> entries_;
    std::unordered_map<std::string, size_t> by_name_;
};

/// Call `take` with each paragraph of a Packages index, compressed or not.
/// @throws Error (corrupt) for a damaged or truncated file
void read_deb_index(int fd, const std::string& path, const std::function<void(std::string_view)>& take);

/// Read NAME.debs, with those of `wanted` that it knows; nullopt when there is none.
/// @throws Error (corrupt)
[[nodiscard]] std::optional<DebOrigins> read_deb_origins(int dir, const std::string& name,
                                                         const std::vector<std::string>& wanted);

}  // namespace pwstore
