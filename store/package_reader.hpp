// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "store/archive.hpp"
#include "store/manifest.hpp"
#include "store/object_intake.hpp"
#include "store/package_history.hpp"

namespace pwstore {

/// Read all of a package archive: its files become objects of `intake`, the rest its manifest (origin
/// archive, without the archive's SHA-256). Beyond what ArchiveReader asks of each member, they must fit
/// together: no path twice, nothing below what is not a directory, hard links only to earlier files, one
/// valid .PKGINFO. Top-level names with a dot are metadata: .PKGINFO .INSTALL .MTREE .CHANGELOG become side
/// objects, others are left out, as libalpm does. @throws Error (refused, corrupt)
[[nodiscard]] Manifest read_package(ArchiveReader& reader, ObjectIntake& intake, PackageHistory& history,
                                    const ObjectStore& objects, const IngestLimits& limits);

}  // namespace pwstore
