// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>

#include "store/package/packed_stream.hpp"

namespace pwstore {

/// Limits against hostile archives; generous for real packages.
struct IngestLimits {
    uint64_t file_bytes = 64ULL << 30;      ///< size of one file, as claimed or delivered
    uint64_t package_bytes = 128ULL << 30;  ///< sum of a package's files
    uint64_t entries = 4'000'000;
    uint64_t name_bytes = 512ULL << 20;        ///< sum of all names, link targets and attributes of a package
    uint64_t side_object_bytes = 64ULL << 20;  ///< size of .PKGINFO, .MTREE and the like
    uint64_t ratio = 2000;                     ///< unpacked : packed bytes, checked beyond the next number
    uint64_t ratio_floor = 64ULL << 20;        ///< so many unpacked bytes are always taken
};

/// What a reader takes beyond what a package may have.
struct ArchiveRules {
    bool follows_dots = false;  ///< a name may have ".." that does not lead out
    bool gives_devices = false;
    /// Attributes that an overlay would obey are left out and counted.
    bool drops_overlay_attributes = false;
    bool takes_nothing = false;  ///< no bytes at all are an archive without members
};
/// Of a layer of an image. A digest says whether it is complete.
inline constexpr ArchiveRules kLayerRules{true, true, true, true};
/// Layers hold file systems: whole disks of zeros are nothing unusual.
inline constexpr IngestLimits kLayerLimits{.ratio_floor = 16ULL << 30};

enum class MemberKind : uint8_t { directory, file, symlink, hard_link, fifo, device };

/// One member of a package archive.
struct ArchiveMember {
    std::string path;  ///< is_root_path(): "/usr//bin/", "./usr/bin" are "usr/bin"
    MemberKind kind = MemberKind::file;
    uint32_t mode = 0;  ///< 07777
    uint32_t uid = 0;
    uint32_t gid = 0;
    int64_t mtime = 0;
    uint32_t mtime_ns = 0;
    uint64_t size = 0;         ///< of a file; of a hard link that brings all its names a new content
    std::string target;        ///< of a symlink; of a hard link: a path like `path`
    bool is_metadata = false;  ///< about the package: ".PKGINFO", not "/.hidden"
    std::map<std::string, std::string> xattrs;  ///< ACLs in the kernel's form
    uint32_t dropped_xattrs = 0;                ///< by ArchiveRules::drops_overlay_attributes
};

enum class UnpackedDigest : uint8_t { none, sha256 };

/// Reads a package archive (tar of any form, or cpio; any one compression that PackedStream knows, or none)
/// front to back.
///
/// Everything in it was chosen by somebody else. Each member that next() gives obeys the rules that concern
/// it alone: a name that leads nowhere but below the root, a kind that is taken, no attribute that an overlay
/// would obey, claimed and delivered sizes within the limits. Errors name archive, entry and rule:
/// (refused) for a rule, (corrupt) for broken bytes, (unsupported) for another kind of archive. Nothing is
/// allocated by a claimed size; holes of sparse files are delivered as zeros and count as bytes. What follows
/// the end mark means nothing, and an archive may lack that mark. Independent of any locale. Not thread-safe.
class ArchiveReader {
 public:
    /// @param file outlives the reader
    ArchiveReader(const PackedFile& file, const IngestLimits& limits,
                  UnpackedDigest digest = UnpackedDigest::none, const ArchiveRules& rules = {});
    ArchiveReader(const ArchiveReader&) = delete;
    ArchiveReader& operator=(const ArchiveReader&) = delete;
    ~ArchiveReader();

    /// The next member; what is left of the one before is skipped. False after the last one: then the whole
    /// file has been read and every checksum of its compression was right.
    [[nodiscard]] bool next(ArchiveMember& member);
    /// A further piece of the current file's content, empty at its end. Valid until the next call of
    /// anything.
    [[nodiscard]] std::string_view read_piece();
    /// All of the current file's content: a view into the stream, or into `buffer` which it fills. Call it
    /// only for a size that may be held in memory. Valid until the next call of anything.
    [[nodiscard]] std::string_view read_whole(std::string& buffer);

    /// Once next() gave false, if it was asked for: SHA-256 of all that the file unpacked to, padding
    /// included.
    [[nodiscard]] Sha256 unpacked_digest();
    /// Once next() gave false: the file that was read is that of `print`.
    [[nodiscard]] bool was(const Fingerprint& print);
    /// Throw Error (refused) that names this archive, `entry` and `rule`.
    [[noreturn]] void refuse(std::string_view entry, std::string_view rule) const;

 private:
    struct State;
    std::unique_ptr<State> state_;
};

}  // namespace pwstore
