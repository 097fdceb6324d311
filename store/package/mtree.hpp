// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace pwstore {

/// One entry of a package's .MTREE.
struct MtreeEntry {
    enum class Kind : uint8_t { directory, file, symlink, other };
    std::string path;  ///< relative, without "./"; ".INSTALL" and the like for the package's own members
    Kind kind = Kind::file;
    uint32_t mode = 0;  ///< 07777
    int64_t uid = 0, gid = 0, mtime = 0;
    int64_t size = 0;         ///< of a file
    std::string target;       ///< of a symlink
    std::string md5, sha256;  ///< lower-case hexadecimal; empty = not there
};

/// Read an .MTREE, compressed or not, as the local database keeps it.
/// @throws Error (corrupt) when it cannot be read to its end; of errno ENOENT when it is not there
[[nodiscard]] std::vector<MtreeEntry> read_mtree(const std::string& path);
/// The same of bytes in memory. @param name for errors
[[nodiscard]] std::vector<MtreeEntry> parse_mtree(std::string_view bytes, const std::string& name);

}  // namespace pwstore
