// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "resolver/package.hpp"
#include "resolver/session.hpp"

namespace pwstore {

/// A package of a Catalogue: of the local database, of a sync database, or of an archive that was loaded.
struct PackageRef {
    size_t index = 0;
};

/// Beside PackageInfo, what a query shows of one package.
struct PackageFacts {
    enum class Origin { installed, repository, archive };
    enum class Reason { explicitly, dependency, unknown };
    Origin origin = Origin::installed;
    Reason reason = Reason::unknown;
    int64_t install_date = 0;
    uint32_t validation = 0;  ///< bits as PlanStep::validation
    bool has_scriptlet = false;
    std::string md5;                      ///< of the archive as a sync database says
    std::vector<std::string> signatures;  ///< key ids of a sync database; of an archive what was found
    std::vector<std::string> required_by, optional_for;
    std::vector<bool> optional_installed;  ///< of PackageInfo::optdepends
};

/// Looks at a local and sync databases as `pacman -Q`, `-Si`, `-T` and `-D` do. Nothing is changed but by
/// set_reason(); nothing is locked unless said. Calls are one at a time in the process, as Session's.
class Catalogue {
 public:
    /// @throws Error when the root or the database is not there or cannot be read
    Catalogue(const SessionSpec& spec, ProgressSink& sink);
    ~Catalogue();
    Catalogue(const Catalogue&) = delete;
    Catalogue& operator=(const Catalogue&) = delete;

    // --- Which packages
    /// Sorted by name. @throws Error (corrupt) when the database cannot be read
    [[nodiscard]] std::vector<PackageRef> installed();
    [[nodiscard]] std::optional<PackageRef> find_installed(const std::string& name);
    /// By name, or the first that satisfies the dependency `text`.
    [[nodiscard]] std::optional<PackageRef> find_satisfier(const std::string& text);
    /// @throws Error whose cause is libalpm's
    [[nodiscard]] PackageRef load_archive(const std::string& path, bool with_files);
    [[nodiscard]] std::vector<std::string> repositories();
    /// Those that cannot be used, with the reason.
    [[nodiscard]] std::vector<std::pair<std::string, std::string>> invalid_repositories();
    [[nodiscard]] std::vector<PackageRef> packages_of(const std::string& repository);
    [[nodiscard]] std::optional<PackageRef> find_in(const std::string& repository, const std::string& name);
    /// All expressions match; `repository` empty = installed ones. @throws Error (usage)
    [[nodiscard]] std::vector<PackageRef> search(const std::string& repository,
                                                 const std::vector<std::string>& expressions);
    /// Groups with their members; `repository` empty = installed ones.
    [[nodiscard]] std::vector<std::pair<std::string, std::vector<PackageRef>>> groups(
        const std::string& repository);
    [[nodiscard]] std::optional<std::vector<PackageRef>> group(const std::string& repository,
                                                               const std::string& name);

    // --- One package
    [[nodiscard]] std::string name(PackageRef package) const;
    [[nodiscard]] std::string version(PackageRef package) const;
    [[nodiscard]] std::string description(PackageRef package) const;
    [[nodiscard]] std::vector<std::string> groups_of(PackageRef package) const;
    [[nodiscard]] PackageInfo info(PackageRef package) const;
    /// `with_dependents`: required_by and optional_for, which take long for sync databases.
    [[nodiscard]] PackageFacts facts(PackageRef package, bool with_dependents) const;
    [[nodiscard]] PackageFacts::Reason reason(PackageRef package) const;
    /// Sorted; directories end with a slash.
    [[nodiscard]] std::vector<std::string> files(PackageRef package) const;
    [[nodiscard]] bool has_file(PackageRef package, const std::string& path) const;
    struct Backup {
        std::string path, md5;  ///< md5 empty: not recorded
    };
    [[nodiscard]] std::vector<Backup> backups(PackageRef package) const;
    [[nodiscard]] std::optional<std::string> changelog(PackageRef package) const;
    /// Does a sync database have a package of that name?
    [[nodiscard]] bool is_native(PackageRef package) const;
    /// Does an installed package need it? `optionally`: or could use it?
    [[nodiscard]] bool is_required(PackageRef package, bool optionally) const;
    struct Newer {
        std::string version;
        bool ignored = false;  ///< by IgnorePkg, IgnoreGroup or the Usage of its repository
    };
    [[nodiscard]] std::optional<Newer> newer(PackageRef package) const;
    /// NoExtract keeps the file from being there.
    [[nodiscard]] bool is_not_extracted(const std::string& path) const;

    // --- Health
    struct Missing {
        std::string package, dependency;
    };
    /// Dependencies that the installed packages, or all packages of the repositories, do not satisfy.
    [[nodiscard]] std::vector<Missing> missing_dependencies(bool of_repositories);
    [[nodiscard]] std::vector<std::pair<std::string, std::string>> conflicts();

    // --- Change
    /// libalpm's lock (dbpath/db.lck), for as long as it lives. @throws Error (busy)
    [[nodiscard]] std::shared_ptr<void> lock();
    /// %REASON% of an installed package is written; false when libalpm could not. Lock: lock() is the
    /// caller's. A crash may leave the entry cut short, as pacman's would be.
    [[nodiscard]] bool set_reason(PackageRef package, bool explicitly);

 private:
    struct State;
    std::unique_ptr<State> state_;
};

}  // namespace pwstore
