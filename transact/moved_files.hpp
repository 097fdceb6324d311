// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <sys/stat.h>

#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "resolver/package.hpp"
#include "store/manifest.hpp"

namespace pwstore {

/// What databases list of a package's files.
[[nodiscard]] PackageFileList file_list(const Manifest& package);
/// As databases list it: directories end with a slash.
[[nodiscard]] std::string listed_path(const Entry& entry);
[[nodiscard]] std::string without_slash(const std::string& listed);

/// How the files of one package change.
struct FileListChange {
    const PackageFileList* old = nullptr;    ///< null: it is new
    const PackageFileList* after = nullptr;  ///< null: it goes
};

/// Files that are in another package after the transaction and must not go with the old one, as libalpm's
/// search for file conflicts finds them.
/// @param look what is at a path of the root when the transaction begins, symlinks on the way followed
[[nodiscard]] std::set<std::string> moved_files(
    const std::function<std::optional<struct stat>(const std::string& path)>& look,
    const std::vector<FileListChange>& changes);

/// What the old versions of dpkg's packages have and the new ones lack: another package that has it, takes it
/// over.
struct LeftFiles {
    std::map<std::string, std::string> conffiles;  ///< by path: MD5 as packaged
    std::map<std::string, std::string> stems;      ///< by path: of dpkg's records of the package (DpkgRecord)
    /// @param after null: the package goes
    void add(const Manifest& old, const Manifest* after);
};

}  // namespace pwstore
