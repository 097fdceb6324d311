// SPDX-License-Identifier: GPL-3.0-or-later
// -Sc and -Scc: old packages and databases go.
#include <fcntl.h>
#include <fmt/format.h>
#include <fnmatch.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <optional>

#include "cli/pacman/query.hpp"
#include "cli/pacman/transaction.hpp"
#include "resolver/session.hpp"
#include "store/base/error.hpp"
#include "store/base/lock.hpp"
#include "store/base/path_at.hpp"
#include "transact/cache_use.hpp"

namespace pwstore::cli::pacman {

namespace {

/// Not packages, though they lie among them: signatures go with their packages.
constexpr std::array kKept = {"*.sig", "*.db*", "*.files*", "*.src.tar.*"};
constexpr std::array kDatabaseEnds = {".db", ".db.sig", ".files", ".files.sig"};

enum class Absence { is_error, is_fine };

class Cleaner {
 public:
    explicit Cleaner(const Query& query) : query_(query) {
        const auto& methods = query_.places.settings.places.clean_methods;
        const auto has = [&](const char* method) {
            return std::find(methods.begin(), methods.end(), method) != methods.end();
        };
        keeps_installed_ = methods.empty() || has("KeepInstalled");
        keeps_current_ = has("KeepCurrent");
    }
    int clean();

 private:
    void clean_cache(const std::string& directory);
    void clean_databases();
    void remove(const std::string& directory, const std::string& name, Absence absence);
    [[nodiscard]] bool is_wanted(const std::string& path);
    [[nodiscard]] bool has(const std::optional<PackageRef>& known, PackageRef archive) const {
        return known && Session::compare_versions(query_.catalogue.version(*known),
                                                  query_.catalogue.version(archive)) == 0;
    }

    const Query& query_;
    bool keeps_installed_ = true, keeps_current_ = false;
    int failures_ = 0;
};

void Cleaner::remove(const std::string& directory, const std::string& name, Absence absence) {
    const std::string path = directory + name;
    if (::unlink(path.c_str()) == 0 || (absence == Absence::is_fine && errno == ENOENT)) return;
    const int cause = errno;
    query_.screen.error(fmt::format("could not remove {}: {}", path, std::strerror(cause)));
    ++failures_;
}

/// What cannot be read as a package stays, as in pacman.
bool Cleaner::is_wanted(const std::string& path) {
    Catalogue& catalogue = query_.catalogue;
    try {
        const PackageRef archive = catalogue.load_archive(path, false);
        const std::string name = catalogue.name(archive);
        if (keeps_installed_ && has(catalogue.find_installed(name), archive)) return true;
        if (keeps_installed_ && query_.places.installed_anywhere.contains({name, catalogue.version(archive)}))
            return true;
        if (!keeps_current_) return false;
        const std::vector<std::string> repositories = catalogue.repositories();
        return std::any_of(repositories.begin(), repositories.end(), [&](const std::string& repository) {
            return has(catalogue.find_in(repository, name), archive);
        });
    } catch (const Error&) {
        return true;
    }
}

void Cleaner::clean_cache(const std::string& directory) {
    const Screen& screen = query_.screen;
    const bool all = query_.options.clean > 1;
    screen.print(fmt::format("Cache directory: {}\n", screen.shown(directory)));
    const bool agreed = all ? screen.yes_or_no("Do you want to remove ALL files from cache?", false)
                            : screen.yes_or_no("Do you want to remove all other packages from cache?", true);
    if (!agreed) return screen.print("\n");
    screen.print(all ? "removing all files from cache...\n" : "removing old packages from cache...\n");
    const auto open = try_open_at(AT_FDCWD, directory, O_RDONLY | O_DIRECTORY);
    if (!open) {
        screen.error(fmt::format("could not access cache directory {}", directory));
        ++failures_;
        return;
    }
    for (const DirectoryItem& item : list_directory(open->get())) {
        if (item.name == kDownloadLock || item.name == kCacheUseLock) continue;
        if (all) {
            remove(directory, item.name, Absence::is_error);
            continue;
        }
        const bool kept = std::any_of(kKept.begin(), kKept.end(), [&](const char* pattern) {
            return ::fnmatch(pattern, item.name.c_str(), 0) == 0;
        });
        if (kept || is_wanted(directory + item.name)) continue;
        remove(directory, item.name, Absence::is_error);
        remove(directory, item.name + ".sig", Absence::is_fine);
    }
    screen.print("\n");
}

void Cleaner::clean_databases() {
    const Screen& screen = query_.screen;
    screen.print(fmt::format("Database directory: {}\n", screen.shown(query_.places.database)));
    if (!screen.yes_or_no("Do you want to remove unused repositories?", true)) return;
    screen.print("removing unused sync repositories...\n");
    const std::string directory = query_.places.database + "sync/";
    const auto open = try_open_at(AT_FDCWD, directory, O_RDONLY | O_DIRECTORY);
    if (!open) {
        screen.error("could not access database directory");
        ++failures_;
        return;
    }
    const std::vector<std::string> repositories = query_.catalogue.repositories();
    for (const DirectoryItem& item : list_directory(open->get())) {
        struct stat status {};
        if (::fstatat(open->get(), item.name.c_str(), &status, 0) == 0 && S_ISDIR(status.st_mode)) {
            remove_tree(open->get(), item.name);
            continue;
        }
        const bool used =
            std::any_of(repositories.begin(), repositories.end(), [&](const std::string& repository) {
                // Of Debian repositories there is more than a database.
                if (!query_.places.container.empty()) return item.name.starts_with(repository + ".");
                return std::any_of(kDatabaseEnds.begin(), kDatabaseEnds.end(),
                                   [&](const char* end) { return item.name == repository + end; });
            });
        if (!used) remove(directory, item.name, Absence::is_error);
    }
}

int Cleaner::clean() {
    const Screen& screen = query_.screen;
    if (query_.options.clean == 1) {
        screen.print("Packages to keep:\n");
        if (keeps_installed_) screen.print("  All locally installed packages\n");
        if (keeps_current_) screen.print("  All current sync database packages\n");
    }
    screen.print("\n");
    for (const std::string& directory : query_.places.cache_dirs)
        clean_cache(directory);
    clean_databases();
    return std::min(failures_, 255);
}

/// nullopt while a transaction needs what it has downloaded.
std::optional<FileLock> try_hold_cache(const std::string& directory) {
    make_directories(AT_FDCWD, directory, 0755);
    return FileLock::try_acquire(AT_FDCWD, directory + kCacheUseLock, LockMode::exclusive,
                                 "pwstore pacman -Sc");
}

}  // namespace

int run_clean(const Query& query) {
    try {
        const std::shared_ptr<void> lock = query.catalogue.lock();
        std::optional<FileLock> shared;
        if (!query.places.container.empty()) {
            shared = try_hold_cache(query.places.cache_dirs.front());
            if (!shared) {
                query.screen.error("packages of the cache are in use by a transaction; nothing was removed");
                return 1;
            }
        }
        return Cleaner(query).clean();
    } catch (const Error& error) {
        if (error.fault() != Fault::busy) throw;
        print_lock_failure(query.screen, query.places.database, error);
        return 1;
    }
}

}  // namespace pwstore::cli::pacman
