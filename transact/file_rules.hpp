// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <set>
#include <string>
#include <utility>
#include <vector>

namespace pwstore {

/// pacman's rules about the files of packages, as libalpm's add.c and remove.c have them. They decide only;
/// PackageFiles (containers) and InPlaceFiles (plain directories) act.

/// Patterns of the configuration that bend the laying down of files.
struct FilePatterns {
    std::vector<std::string> no_extract;
    std::vector<std::string> no_upgrade;
};

/// What is where something of a package is to go; a symlink is `other`, whatever it leads to.
enum class Occupant { nothing, directory, other };

/// What becomes of something that a package brings.
enum class Arrival {
    left_out,    ///< NoExtract
    laid_down,   ///< it takes its place, and that of what is there
    stays,       ///< a directory that is there already keeps its metadata
    obstructed,  ///< a directory is in the way of something else: an error
    beside,      ///< NoUpgrade: it is laid down as .pacnew
    compared,    ///< a configuration file: three_way() decides
};

/// @param listed its path as databases list it: directories end with a slash
/// @param is_backup a configuration file of the package, or of the version that is there
[[nodiscard]] Arrival arrival(const FilePatterns& patterns, const std::string& listed, Occupant there,
                              bool is_backup);

/// What becomes of a configuration file.
enum class Verdict {
    take_new,  ///< nobody changed it, or to the same
    keep_old,  ///< the package has not changed it
    pacnew,    ///< both changed it
};

/// pacman(8), "Handling config files". MD5 of what the package had, what is there and what it has now; empty
/// = not known.
[[nodiscard]] Verdict three_way(const std::string& original, const std::string& local,
                                const std::string& packaged);

/// A file of an old package is left where it is, although that package goes or gets another version.
/// @param moved files that change packages in this transaction
/// @param is_backup_of_successor the version that comes has it as a configuration file
[[nodiscard]] bool is_left(const FilePatterns& patterns, const std::string& listed,
                           const std::set<std::string>& moved, bool is_backup_of_successor);

/// A configuration file that somebody changed becomes .pacsave when its package goes. One that cannot be
/// read is removed.
[[nodiscard]] bool is_saved(const std::string& original, const std::string& local);

/// The renames by which `name` becomes .pacsave, in order: earlier ones move on by a number first.
/// @param names what there is in its directory
[[nodiscard]] std::vector<std::pair<std::string, std::string>> pacsave_renames(
    const std::string& name, const std::vector<std::string>& names);

}  // namespace pwstore
