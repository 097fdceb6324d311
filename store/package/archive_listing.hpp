// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <compare>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "store/index/index.hpp"
#include "store/manifest.hpp"

namespace pwstore {

/// Disks give space in blocks; of this size on the file systems that are usual.
inline constexpr uint64_t kDiskBlock = 4096;
[[nodiscard]] constexpr uint64_t whole_blocks(uint64_t bytes) {
    return (bytes + kDiskBlock - 1) / kDiskBlock * kDiskBlock;
}

/// What makes two files one object, as far as a list of a package's files says it: extended attributes are
/// not in it.
struct FileIdentity {
    Sha256 sha256;
    uint16_t mode = 0;  ///< inode_mode()
    int64_t mtime = 0;  ///< ObjectKey::kNoTime unless the time belongs to the identity
    auto operator<=>(const FileIdentity&) const = default;
};

/// What a package archive would bring, before it is ingested. For estimates: nothing in it has been checked.
struct ArchiveListing {
    std::vector<Entry> entries;  ///< `object` of files is 1: not known yet; no hard link groups
    std::map<FileIdentity, uint64_t> contents;  ///< sizes; .PKGINFO, .MTREE and the like are among them
    uint64_t side_bytes = 0;                    ///< of .MTREE, .INSTALL and .CHANGELOG
};

/// Read no more of an archive than its .MTREE, which makepkg puts before the files; one that has none, or
/// none with the SHA-256 of every file, is read whole.
/// @throws Error (corrupt, refused) as ArchiveReader
[[nodiscard]] ArchiveListing list_archive(const std::string& path);

/// Look at the beginning of a package archive. @throws Error (unsupported, corrupt, refused) as ArchiveReader
void check_beginning(const std::string& path);

/// Those of `contents` that are no objects yet. Looks at every object's row.
[[nodiscard]] std::map<FileIdentity, uint64_t> missing_contents(const ReadTxn& txn,
                                                                std::map<FileIdentity, uint64_t> contents);
/// Disk space of these.
[[nodiscard]] uint64_t missing_bytes(const ReadTxn& txn, const std::map<FileIdentity, uint64_t>& contents);

}  // namespace pwstore
