// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "store/base/events.hpp"
#include "store/debian/control.hpp"
#include "store/digest.hpp"
#include "store/ingest.hpp"
#include "store/repository/database.hpp"

namespace pwstore {

/// A .deb, read as far as its control archive.
struct DebArchive {
    std::string path;
    uint64_t size = 0;
    Sha256 sha256;  ///< of the whole file
    DebControl control;
    std::string control_text;                            ///< the control file, verbatim
    std::map<std::string, std::string> control_members;  ///< the others: postinst, md5sums, triggers …
};

/// What the alpm package says beside what its .deb does: of other packages, and what libalpm since 14
/// compares with the entry of the database when that was written before the package.
struct AlpmRelations {
    std::vector<std::string> depends, provides, conflicts;
    std::vector<std::string> groups = {};
    std::optional<uint64_t> installed_size = std::nullopt;  ///< nullopt = that of the files
};

/// @throws Error (corrupt) when it is not a Debian package, (unsupported) when its format is not 2
[[nodiscard]] DebArchive read_deb(const std::string& path);

/// Write the alpm package of `deb` into directory `into`, durably and atomically: the payload with its true
/// modes, owners and times, the links /bin, /sbin, /lib… resolved to what lies below usr/, `conffiles` as
/// backup files, and dpkg's records of it (dpkg_record.hpp), maintainer scripts included. What is there twice
/// is as dpkg leaves it: directories stay, the last of all else wins.
/// @throws Error (corrupt, refused) for "..", devices, names below symlinks, truncated or oversized archives
[[nodiscard]] RepositoryPackage convert_deb(const DebArchive& deb, const AlpmRelations& relations, int into,
                                            const IngestLimits& limits = {});

/// The first line of the .PKGINFO that convert_deb() writes: names the .deb by its digest.
[[nodiscard]] std::string conversion_remark(const Sha256& deb);

// --- A repository of them
// ------------------------------------------------------------------------------------

struct DebImportReport {
    size_t converted = 0;
    size_t kept = 0;                       ///< were there already, made from the same .deb
    std::vector<std::string> unsatisfied;  ///< "package: dependency" that nothing in the repository provides
};

/// Convert `files` in parallel and enter them into the repository `name` in `directory` (made when missing),
/// together with the two packages above. Dependencies are chosen among these files and what the repository
/// has. All or none of them appear in the database. Lock: the repository's.
/// @param dropped packages that the repository has no longer; their archives stay
DebImportReport import_debs(const std::string& directory, const std::string& name,
                            const std::vector<std::string>& files, ProgressSink& sink,
                            const IngestLimits& limits = {}, const std::vector<std::string>& dropped = {});

}  // namespace pwstore
