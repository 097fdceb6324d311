// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "store/manifest.hpp"
#include "store/package/archive.hpp"

namespace pwstore {

/// Where the contents of a package go while it is read.
class PackageSink {
 public:
    PackageSink() = default;
    PackageSink(const PackageSink&) = delete;
    PackageSink& operator=(const PackageSink&) = delete;
    virtual ~PackageSink() = default;

    /// The file that `reader` is at has content number `index`; the next one has the next number. Takes its
    /// content, and puts into `entry` what identifies it. A later one may take its place in the package.
    /// @param pkginfo empty when .PKGINFO did not come yet
    virtual void add_file(ArchiveReader& reader, const ArchiveMember& member, const std::string& pkginfo,
                          size_t index, Entry& entry) = 0;
    /// .PKGINFO, .INSTALL, .MTREE or .CHANGELOG. What the manifest has for it, not 0.
    [[nodiscard]] virtual ObjectId add_side(std::string_view name, std::string_view content) = 0;
    /// MD5 of content number `index`.
    [[nodiscard]] virtual std::string md5_of(size_t index, const std::string& path) = 0;
};

/// Read all of a package archive: its contents go to `sink`, the rest becomes its manifest (origin archive,
/// without the archive's SHA-256). Beyond what ArchiveReader asks of each member, they must fit together:
/// nothing below what is not a directory, hard links only to what came before and is no directory, one valid
/// .PKGINFO. What is there twice is what it is when all is extracted in order: a directory as it came first,
/// anything else as it came last. Of the metadata .PKGINFO .INSTALL .MTREE .CHANGELOG are side objects,
/// others are left out, as libalpm does. @throws Error (refused, corrupt)
[[nodiscard]] Manifest read_package(ArchiveReader& reader, PackageSink& sink, const IngestLimits& limits);

/// What the member alone says of its path; of a hard link, only the name.
[[nodiscard]] Entry entry_of(const ArchiveMember& member);

}  // namespace pwstore
