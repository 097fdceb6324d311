// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <optional>
#include <string>

#include "store/manifest.hpp"
#include "store/package/archive.hpp"

namespace pwstore {

/// What there is to know of a package before any of its files is laid down without a store.
struct PackageContents {
    Manifest manifest;  ///< its ids of objects are all 0; backup files have their MD5
    std::string pkginfo;
    std::optional<std::string> install, mtree, changelog;
};

/// Read all of an archive once: its last byte was there and every checksum was right.
/// @throws Error as read_package()
[[nodiscard]] PackageContents read_contents(ArchiveReader& reader, const IngestLimits& limits = {});

}  // namespace pwstore
