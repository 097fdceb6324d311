// SPDX-License-Identifier: GPL-3.0-or-later
// -Qk and -Qkk: are the files of a package there, and are they what the package had?
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "cli/pacman/query.hpp"
#include "store/base/error.hpp"
#include "store/base/path_at.hpp"
#include "store/content_digest.hpp"
#include "store/package/mtree.hpp"

namespace pwstore::cli::pacman {

namespace {

/// A slash at the end does not make lstat(2) follow a symlink.
bool look_at(std::string path, struct stat& status) {
    while (path.size() > 1 && path.back() == '/')
        path.pop_back();
    return ::lstat(path.c_str(), &status) == 0;
}

enum class Presence { there, missing, not_extracted };

Presence presence_of(const Query& query, const std::string& name, const std::string& path,
                     const std::string& in_root, struct stat& status) {
    if (look_at(path, status)) return Presence::there;
    const int cause = errno;
    if (query.catalogue.is_not_extracted(in_root)) return Presence::not_extracted;
    if (query.options.quiet) {
        query.screen.print(query.screen.shown(name + " " + path) + "\n");
    } else {
        query.screen.warning(fmt::format("{}: {} ({})", name, path, std::strerror(cause)));
    }
    return Presence::missing;
}

void print_count(const Query& query, const std::string& name, size_t files, size_t bad, const char* kind) {
    if (query.options.quiet) return;
    query.screen.print(fmt::format("{}: {} total file{}, {} {} file{}\n", query.screen.shown(name), files,
                                   files == 1 ? "" : "s", bad, kind, bad == 1 ? "" : "s"));
}

/// Compares one file with its entry of the .MTREE and says what differs.
class Comparison {
 public:
    Comparison(const Query& query, const std::string& name, const std::string& path, const MtreeEntry& entry,
               const struct stat& status, bool is_backup)
        : query_(query), name_(name), path_(path), entry_(entry), status_(status), is_backup_(is_backup) {}

    /// Returns whether nothing differs.
    bool same() {
        if (!same_type()) return false;
        compare_permissions();
        if (entry_.kind == MtreeEntry::Kind::symlink) compare_target();
        if (entry_.kind != MtreeEntry::Kind::directory && status_.st_mtime != entry_.mtime)
            differs("Modification time mismatch");
        if (entry_.kind == MtreeEntry::Kind::file) compare_content();
        if (query_.options.quiet && bad_)
            query_.screen.print(query_.screen.shown(name_ + " " + path_) + "\n");
        return !bad_;
    }

 private:
    void warn(const std::string& what) {
        bad_ = true;
        if (!query_.options.quiet) query_.screen.warning(fmt::format("{}: {} ({})", name_, path_, what));
    }
    /// A configuration file may differ.
    void differs(const std::string& what) {
        if (!is_backup_) return warn(what);
        if (query_.options.quiet) return;
        const Palette& palette = query_.screen.palette();
        query_.screen.print(fmt::format("{}backup file{}: {}: {} ({})\n", palette.title, palette.reset,
                                        query_.screen.shown(name_), query_.screen.shown(path_), what));
    }
    bool same_type() {
        const mode_t mode = status_.st_mode;
        const bool same = entry_.kind == MtreeEntry::Kind::file        ? S_ISREG(mode)
                          : entry_.kind == MtreeEntry::Kind::directory ? S_ISDIR(mode)
                                                                       : S_ISLNK(mode);
        if (same) return true;
        if (query_.options.quiet) {
            query_.screen.print(query_.screen.shown(name_ + " " + path_) + "\n");
        } else {
            query_.screen.warning(fmt::format("{}: {} (File type mismatch)", name_, path_));
        }
        return false;
    }
    void compare_permissions() {
        if (status_.st_uid != entry_.uid) warn("UID mismatch");
        if (status_.st_gid != entry_.gid) warn("GID mismatch");
        if ((status_.st_mode & 07777U) != entry_.mode) warn("Permissions mismatch");
    }
    void compare_target() {
        std::string target(static_cast<size_t>(status_.st_size) + 1, '\0');
        const ssize_t length = ::readlink(path_.c_str(), target.data(), target.size());
        if (length != status_.st_size) {
            bad_ = true;
            query_.screen.error(fmt::format("unable to read symlink contents: {}", path_));
            return;
        }
        target.resize(static_cast<size_t>(length));
        if (target != entry_.target) warn("Symlink path mismatch");
    }
    void compare_content() {
        if (status_.st_size != entry_.size) differs("Size mismatch");
        const auto file = [&]() -> std::optional<Fd> {
            try {
                return open_at(AT_FDCWD, path_, O_RDONLY | O_NOFOLLOW);
            } catch (const Error&) {
                return std::nullopt;  // said below for each sum
            }
        }();
        const auto sums = file ? std::optional(content_digest_of_fd(file->get(), path_)) : std::nullopt;
        compare_sum("MD5", sums ? sums->md5 : "", entry_.md5);
        compare_sum("SHA256", sums ? sums->sha256.hex() : "", entry_.sha256);
    }
    void compare_sum(const char* kind, const std::string& is, const std::string& expected) {
        if (is.empty()) return warn(fmt::format("failed to calculate {} checksum", kind));
        // libarchive's "not there" is zeros, which pacman compares like any other sum.
        if (is != expected) differs(fmt::format("{} checksum mismatch", kind));
    }

    const Query& query_;
    const std::string& name_;
    const std::string& path_;
    const MtreeEntry& entry_;
    const struct stat& status_;
    bool is_backup_;
    bool bad_ = false;
};

}  // namespace

bool check_files(const Query& query, PackageRef package) {
    const std::string name = query.catalogue.name(package);
    const std::vector<std::string> files = query.catalogue.files(package);
    size_t bad = 0;
    for (const std::string& file : files) {
        struct stat status {};
        const std::string path = query.places.root + file;
        switch (presence_of(query, name, path, file, status)) {
            case Presence::missing:
                ++bad;
                break;
            case Presence::not_extracted:
                break;
            case Presence::there:
                if (file.ends_with('/') == S_ISDIR(status.st_mode)) break;
                query.screen.warning(fmt::format("{}: {} (File type mismatch)", name, path));
                ++bad;
                break;
        }
    }
    print_count(query, name, files.size(), bad, "missing");
    return bad == 0;
}

bool check_properties(const Query& query, PackageRef package) {
    const std::string name = query.catalogue.name(package);
    const std::string directory =
        fmt::format("{}local/{}-{}/", query.places.database, name, query.catalogue.version(package));
    if (!exists_at(AT_FDCWD, directory + "mtree")) {
        if (!query.options.quiet)
            query.screen.print(fmt::format("{}: no mtree file\n", query.screen.shown(name)));
        return true;
    }
    const std::vector<Catalogue::Backup> backups = query.catalogue.backups(package);
    size_t count = 0, bad = 0;
    for (const MtreeEntry& entry : read_mtree(directory + "mtree")) {
        std::string path = query.places.root + entry.path;
        if (entry.path == ".INSTALL") {
            path = directory + "install";
        } else if (entry.path == ".CHANGELOG") {
            path = directory + "changelog";
        } else if (entry.path.starts_with('.')) {
            continue;
        }
        ++count;
        struct stat status {};
        const Presence presence = presence_of(query, name, path, entry.path, status);
        if (presence == Presence::missing) ++bad;
        if (presence != Presence::there) continue;
        if (entry.kind == MtreeEntry::Kind::other) {
            query.screen.warning(fmt::format("file type not recognized: {}", path));
            continue;
        }
        const bool is_backup = std::any_of(backups.begin(), backups.end(),
                                           [&](const auto& backup) { return backup.path == entry.path; });
        if (!Comparison(query, name, path, entry, status, is_backup).same()) ++bad;
    }
    print_count(query, name, count, bad, "altered");
    return bad == 0;
}

}  // namespace pwstore::cli::pacman
