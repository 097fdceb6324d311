// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "store/object.hpp"

namespace pwstore {

using ManifestId = uint32_t;  ///< never reused; 0 = none

enum class EntryKind : uint8_t {
    directory = 1,
    file = 2,
    symlink = 3,
    fifo = 4,
    whiteout = 5,  ///< only in a delta: what lies below is gone
};

/// One path of a manifest, a delta or a tree, with the true metadata (roots carry a reduced form, see
/// object.hpp).
struct Entry {
    std::string path;  ///< relative, see is_root_path(); bytes
    EntryKind kind = EntryKind::file;
    uint32_t mode = 0;  ///< permission bits and set-id bits, 07777
    uint32_t uid = 0;
    uint32_t gid = 0;
    int64_t mtime = 0;
    uint32_t mtime_ns = 0;
    uint64_t size = 0;        ///< of a file
    ObjectId object = 0;      ///< of a file
    std::string target;       ///< of a symlink
    uint32_t link_group = 0;  ///< files of one manifest with the same number > 0 are hard links of each other
    /// xattrs as the archive had them (security.capability, system.posix_acl_*, user.*), sorted by name.
    std::map<std::string, std::string> xattrs;
    std::string backup_md5;  ///< non-empty: a `backup=` file of its package, MD5 of the packaged content

    bool operator==(const Entry&) const = default;
};

/// Where a manifest came from.
enum class Origin : uint8_t {
    archive = 1,  ///< read by an Ingestor of this store from the archive whose SHA-256 is recorded
    import = 2,   ///< came with a container from elsewhere; never stands in for an archive
};

/// What one package holds.
struct Manifest {
    std::string name;     ///< of the package
    std::string version;  ///< epoch:version-release
    std::string arch;
    Origin origin = Origin::archive;
    std::optional<Sha256> archive_sha256;
    std::vector<Entry> entries;  ///< sorted by path bytes, unique
    // Side objects, verbatim; 0 = the package has none.
    ObjectId pkginfo = 0;
    ObjectId install = 0;
    ObjectId mtree = 0;
    ObjectId changelog = 0;

    /// Flat, versioned, checksummed (docs/format.md, "Manifest").
    [[nodiscard]] std::string encode() const;
    /// @throws Error (corrupt) on anything that encode() would not have written, before allocating by its
    /// counts.
    static Manifest decode(std::string_view bytes);
    /// All but the entries.
    static Manifest decode_head(std::string_view bytes);
    /// The ids of all objects of an encoded manifest, side objects included, without decoding the entries.
    static void for_each_object(std::string_view bytes, void (*visit)(void* context, ObjectId id),
                                void* context);

    /// First entry whose path is `path`, or null.
    [[nodiscard]] const Entry* find(std::string_view path) const;
};

}  // namespace pwstore
