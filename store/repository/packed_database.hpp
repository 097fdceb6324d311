// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "store/package/tar_io.hpp"

namespace pwstore {

/// NAME.db or NAME.files of a repository: the name that readers open, and what it leads to or is. repo-add
/// makes NAME.db a link to NAME.db.tar, .tar.gz, .tar.bz2, .tar.xz or .tar.zst; a copy of a mirror is one
/// plain file.
struct PackedDatabase {
    std::string name;           ///< what readers open
    std::string filename;       ///< of the archive; the same as `name` when that is a plain file
    std::string readable = {};  ///< that of both which holds the database; empty: there is none yet
    TarCompression compression = TarCompression::gzip;  ///< of what is there, else what `filename` says
};

/// `name` in `dir`, or what a new one is to be.
/// @throws Error (refused) when it leads out of `dir`, or is packed in a way that nothing here can write
[[nodiscard]] PackedDatabase find_packed_database(int dir, const std::string& name);

/// Names NAME of the databases NAME.db in `dir`, sorted, those without that link included.
[[nodiscard]] std::vector<std::string> packed_databases_in(int dir);

/// Durable and atomic: readers see the old or the new one. It is at least one second younger than the one
/// that it replaces, for readers that compare times, and a signature of that is gone. `fill` adds the
/// entries.
void write_packed_database(int dir, const PackedDatabase& database,
                           const std::function<void(TarWriter& tar)>& fill);

}  // namespace pwstore
