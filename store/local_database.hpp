// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <set>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "store/generation.hpp"
#include "store/index/index.hpp"
#include "store/object_store.hpp"

namespace pwstore {

/// What `desc` of a local database entry says, beyond InstalledPackage. Lists keep their order.
/// Source: .PKGINFO (PKGBUILD(5), makepkg) and libalpm's be_local.c as observed.
struct PackageDescription {
    std::string name, version, base, description, url, arch, packager;
    int64_t build_date = 0;
    uint64_t installed_size =
        0;  ///< all ones when .PKGINFO has no number there; written as a signed number, as libalpm does
    std::vector<std::string> licenses, groups, depends, optdepends, conflicts, provides, replaces, backup;
    /// Keys of .PKGINFO that are there with an empty value ("url"): libalpm writes an empty section for them.
    std::set<std::string> empty_keys;
};

/// Parse .PKGINFO as libalpm does: lines "key = value", nothing trimmed. Unknown keys are ignored.
/// @throws Error (corrupt) without pkgname or pkgver
[[nodiscard]] PackageDescription parse_pkginfo(std::string_view text);

/// `desc`, as libalpm 13 writes it: byte-equal.
[[nodiscard]] std::string format_desc(const PackageDescription& package, const InstalledPackage& installed);

/// `files`: %FILES% sorted as libalpm does (directories with a slash), %BACKUP% with the recorded md5.
[[nodiscard]] std::string format_files(const Manifest& manifest, const PackageDescription& package,
                                       const InstalledPackage& installed);

/// A generated or copied file below var/lib/pacman/local.
struct DatabaseFile {
    std::string path;     ///< relative to local/: "bash-5.2-1/desc"
    std::string content;  ///< of desc, files, ALPM_DB_VERSION
    ObjectId object = 0;  ///< of install, mtree, changelog: the side object
    int64_t mtime = 0;    ///< the package's install date
};

/// Manifests that were read already.
using KnownManifests = std::unordered_map<ManifestId, Manifest>;

/// The whole local database of `packages` (see visible_packages(); names unique), ALPM_DB_VERSION first;
/// directories are implied. .PKGINFO is read from `objects`, all else within `txn`, but for what is in
/// `known`; several packages at once. @throws Error naming the package
[[nodiscard]] std::vector<DatabaseFile> local_database(const ReadTxn& txn, const ObjectStore& objects,
                                                       const std::vector<InstalledPackage>& packages,
                                                       const KnownManifests& known = {});

/// Where the local database lies in a root.
inline constexpr const char* kLocalDatabase = "var/lib/pacman/local";
/// "NAME-VERSION", the directory of a package's entry.
[[nodiscard]] std::string database_entry_name(const InstalledPackage& package);

}  // namespace pwstore
