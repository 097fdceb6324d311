// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "store/base/fd.hpp"
#include "store/local_database.hpp"
#include "store/manifest.hpp"
#include "store/repository/database.hpp"

namespace pwstore {

/// Owner, mode and time of one path of a package. Times have whole seconds.
struct FileAttributes {
    uint32_t mode = 0644;  ///< 07777
    uint32_t uid = 0;
    uint32_t gid = 0;
    int64_t mtime = 0;
};

/// Writes one alpm package (.pkg.tar.zst): .PKGINFO, .MTREE with md5 and sha256, then the payload sorted by
/// path. The same input gives the same bytes. Content is kept in an unlinked spool file until write(),
/// because .PKGINFO and .MTREE, which come first, depend on all of it.
class PackageWriter {
 public:
    /// @param dir an open directory: the package is written there, and the spool lies there (not owned)
    explicit PackageWriter(int dir);
    PackageWriter(const PackageWriter&) = delete;
    PackageWriter& operator=(const PackageWriter&) = delete;
    ~PackageWriter();

    // --- Payload; every path satisfies is_root_path(). A directory that is there stays as it is; a file,
    // link or fifo is replaced by another
    // ----------------------------------------------------------
    void add_directory(std::string path, const FileAttributes& attributes);
    void add_symlink(std::string path, std::string target, const FileAttributes& attributes);
    void add_fifo(std::string path, const FileAttributes& attributes);
    /// Another name of `of`, which was added before and is no directory.
    void add_hard_link(std::string path, const std::string& of);
    void add_file(std::string path, std::string_view content, const FileAttributes& attributes);
    /// A file whose content comes in pieces; append() goes to the last one begun.
    void begin_file(std::string path, const FileAttributes& attributes);
    void append(std::string_view piece);
    /// True when a file, link or directory of that path was added.
    [[nodiscard]] bool contains(std::string_view path) const;
    [[nodiscard]] bool is_directory(std::string_view path) const;
    /// True when that path is a file or a hard link to one.
    [[nodiscard]] bool is_file(std::string_view path) const;
    /// Content of a file that was added, by path. @throws Error when it is not a file of this package
    [[nodiscard]] std::string content(std::string_view path) const;

    // --- Result
    // --------------------------------------------------------------------------------------------------
    /// Write NAME-VERSION-ARCH.pkg.tar.zst, durably and atomically; missing parent directories (0755, root,
    /// the package's build date) are added. `installed_size` of the description is set here: that of the
    /// files, unless another one is given.
    /// @param remark one line that becomes a comment of .PKGINFO
    /// @throws Error (refused) for an entry below something that is no directory
    RepositoryPackage write(PackageDescription description, std::string_view remark,
                            std::optional<uint64_t> installed_size = std::nullopt);

 private:
    struct State;
    std::unique_ptr<State> state_;
};

/// NAME-VERSION-ARCH.pkg.tar.zst
[[nodiscard]] std::string package_filename(const PackageDescription& description);

/// .PKGINFO as makepkg lays it out, with `remark` as its first comment. Line breaks inside values become
/// spaces.
[[nodiscard]] std::string format_pkginfo(const PackageDescription& description, std::string_view remark);

}  // namespace pwstore
