// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "store/base/lock.hpp"
#include "store/digest.hpp"
#include "store/local_database.hpp"
#include "store/repository/packed_database.hpp"

namespace pwstore {

/// One package of a repository: what its `desc` says.
struct RepositoryPackage {
    std::string filename;  ///< of the archive, beside the database
    uint64_t packed_size = 0;
    std::string md5;        ///< of the archive, lower-case hexadecimal
    Sha256 sha256;          ///< of the archive; all zero = not known
    std::string signature;  ///< base64 of the detached signature, empty = none
    PackageDescription description;
    /// The entry's `desc` as a database has it, with what is not known here; empty: it is made of the rest.
    std::string desc = {};
};

/// Read name, version, … of a package archive and take its digests. A signature FILE.sig beside it is
/// included.
/// @throws Error (corrupt) when it is no package archive
[[nodiscard]] RepositoryPackage describe_archive(int dir, const std::string& filename);

/// Text of the archive's .PKGINFO; nullopt when there is no such file, or no .PKGINFO among its first
/// entries.
[[nodiscard]] std::optional<std::string> try_read_pkginfo(int dir, const std::string& filename);

/// `desc` of a sync database entry, in the order that repo-add uses, whatever package.desc is.
[[nodiscard]] std::string format_sync_desc(const RepositoryPackage& package);
/// @throws Error (corrupt) without file name, name or version
[[nodiscard]] RepositoryPackage parse_sync_desc(std::string_view text);

/// A file:// repository: DIR/NAME.db (packed_database.hpp), which keeps the form that it has, and the
/// archives beside it. NAME.files is kept up with it where there is one. Holds an exclusive lock on
/// DIR/.NAME.lock while it lives, so that two writers do not lose each other's packages.
class RepositoryDatabase {
 public:
    /// Lock and read; an absent database is empty.
    /// @throws Error (busy) when another process changes it for too long, (corrupt) when it cannot be read,
    /// (refused) when it is of a kind that cannot be written
    RepositoryDatabase(int dir, const std::string& name);

    [[nodiscard]] const std::map<std::string, RepositoryPackage>& packages() const noexcept {
        return packages_;
    }
    /// Add, or replace the package of the same name (another version's archive stays where it is).
    void put(RepositoryPackage package);
    bool remove(const std::string& package_name);
    /// Durable and atomic: readers see the old or the new database. The same packages give the same bytes.
    /// Entries that nobody put are written as they were.
    void save() const;

    /// Read without a lock. @throws Error when there is none
    [[nodiscard]] static std::vector<RepositoryPackage> read(int dir, const std::string& name);

 private:
    void save_file_lists() const;

    int dir_;
    std::string name_;
    FileLock lock_;
    PackedDatabase file_;
    std::map<std::string, RepositoryPackage> packages_;  ///< by package name
};

/// Copy package archives, and the signatures beside them, into the repository `name` in `directory` (made
/// when missing) and enter them; an archive that lies there already is entered as it is. All or none appear
/// in the database. Lock: the repository's. @throws Error naming the file
std::vector<RepositoryPackage> add_to_repository(const std::string& directory, const std::string& name,
                                                 const std::vector<std::string>& files);

enum class Archives { remove, keep };

/// Take packages out of the repository `name` in `directory`, and their archives and signatures; the database
/// forgets them first. All or none. Lock: the repository's. @throws Error (usage) naming one that is not
/// there
std::vector<RepositoryPackage> remove_from_repository(const std::string& directory, const std::string& name,
                                                      const std::vector<std::string>& packages,
                                                      Archives archives);

/// Names of the repositories in `directory`, sorted.
[[nodiscard]] std::vector<std::string> repositories_in(const std::string& directory);

}  // namespace pwstore
