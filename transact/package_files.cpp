// SPDX-License-Identifier: GPL-3.0-or-later
#include "transact/package_files.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>

#include "store/base/error.hpp"
#include "store/base/failpoint.hpp"
#include "store/base/path_at.hpp"
#include "store/digest.hpp"
#include "transact/hook.hpp"

namespace pwstore {

namespace {

constexpr std::string_view kDatabase = "var/lib/pacman/local/";

/// MD5 of a regular file of the root, empty when there is none.
std::string md5_in_root(int root, const std::string& path) {
    const auto file = try_open_in_root(root, path, O_RDONLY | O_NONBLOCK);
    if (!file || !S_ISREG(stat_fd(file->get(), path).st_mode)) return {};
    return md5_hex(read_all(file->get(), path));
}

/// The local database is generated: what packages bring below it is nowhere (see tree_of()).
bool is_in_database(std::string_view path) {
    return path.starts_with(kDatabase);
}

std::string database_prefix(const Manifest& package) {
    return fmt::format("{}{}-{}/", kDatabase, package.name, package.version);
}

std::string listed_path(const Entry& entry) {
    return entry.kind == EntryKind::directory ? entry.path + "/" : entry.path;
}

}  // namespace

PackageFiles::PackageFiles(RootWriter& writer, const Tree& layers, const FileRules& rules, ActLog& log,
                           ProgressSink& sink)
    : writer_(writer), layers_(layers), rules_(rules), log_(log), sink_(sink) {}

void PackageFiles::note_directory_of(std::string_view path) {
    const std::string_view parent = split_path(path).first;
    if (!parent.empty()) directories_.emplace(parent);
}

void PackageFiles::special(const std::string& path) {
    note_directory_of(path);
    log_.touched(path, {Cause::engine, "", {}});
}

void PackageFiles::place(const Entry& entry, std::string_view as) {
    TreeEntry tree_entry;
    tree_entry.entry = entry;
    note_directory_of(writer_.place(tree_entry, as));
}

void PackageFiles::install(const Manifest& package, const Manifest* old) {
    failpoint("package.install");
    package_ = package.name;
    if (old != nullptr) {
        remove_outdated(*old, package);
        remove_database_entry(*old);
    }
    for (const Entry& entry : package.entries)
        install_entry(entry, old);
    install_database_entry(package);
}

/// Where the package's `path` goes. What is at both places is then no longer what the layers say.
std::string PackageFiles::diverted(const std::string& path) {
    std::string place = rules_.diversions.place_of(path, package_);
    if (place == path) return place;
    special(path);
    special(place);
    return place;
}

void PackageFiles::follow_diversions(const Manifest& package, bool is_removal) {
    if (rules_.diversions.empty()) return;
    package_ = package.name;
    for (const Entry& entry : package.entries) {
        if (entry.kind == EntryKind::directory) continue;
        const std::string path = writer_.resolve(entry.path);
        const std::string place_to = diverted(path);
        if (place_to == path) continue;
        if (is_removal) {
            writer_.remove(place_to);
        } else {
            place(entry, place_to);
        }
    }
}

Occupant PackageFiles::occupant(const std::string& path) const {
    const auto info = try_stat_at(writer_.root(), path);
    if (!info) return Occupant::nothing;
    return S_ISDIR(info->st_mode) ? Occupant::directory : Occupant::other;
}

void PackageFiles::install_entry(const Entry& entry, const Manifest* old) {
    const std::string path = writer_.resolve(entry.path);
    if (is_in_database(path)) return;
    const Entry* old_entry = old != nullptr ? old->find(entry.path) : nullptr;
    const bool is_backup =
        entry.kind == EntryKind::file &&
        (!entry.backup_md5.empty() || (old_entry != nullptr && !old_entry->backup_md5.empty()));
    const Arrival what = arrival(rules_.patterns, listed_path(entry), occupant(path), is_backup);
    if (what == Arrival::left_out) {
        special(entry.path);
        return;
    }
    if (entry.kind == EntryKind::directory) {
        directories_.insert(path);
        place(entry);
        return;
    }
    if (const std::string place_to = diverted(path); place_to != path) {
        place(entry, place_to);
        return;
    }
    if (rules_.shared.taken.contains(entry.path)) special(path);
    if (rules_.shared.left.contains(entry.path)) {
        special(path);
    } else if (what == Arrival::beside) {
        special(path);
        install_pacnew(entry, path);
    } else if (what == Arrival::compared) {
        install_backup(entry, old_entry);
    } else {
        place(entry);
    }
}

void PackageFiles::install_pacnew(const Entry& entry, const std::string& path) {
    place(entry, path + ".pacnew");
    special(path + ".pacnew");
    sink_.message(Severity::warning,
                  fmt::format("/{} installed as /{}.pacnew", printable(path), printable(path)));
}

void PackageFiles::install_backup(const Entry& entry, const Entry* old_entry) {
    const std::string path = writer_.resolve(entry.path);
    const std::string pacnew = path + ".pacnew";
    const bool has_pacnew = occupant(pacnew) == Occupant::other;
    switch (three_way(old_entry != nullptr ? old_entry->backup_md5 : "", md5_in_root(writer_.root(), path),
                      entry.backup_md5)) {
        case Verdict::take_new:
            place(entry);
            if (has_pacnew && writer_.remove(pacnew)) special(pacnew);
            return;
        case Verdict::keep_old:
            special(path);
            if (!has_pacnew) return;
            place(entry, pacnew);  // one that lies there still is the current one
            special(pacnew);
            return;
        case Verdict::pacnew:
            special(path);
            install_pacnew(entry, path);
            return;
    }
}

/// Files of the old version that no package has any more go before the new ones come.
void PackageFiles::remove_outdated(const Manifest& old, const Manifest& package) {
    for (auto entry = old.entries.rbegin(); entry != old.entries.rend(); ++entry) {
        const Entry* successor = package.find(entry->path);
        if (successor == nullptr) {
            remove_entry(*entry, false);
        } else if (successor->backup_md5.empty() && !entry->backup_md5.empty() &&
                   match_patterns(rules_.patterns.no_upgrade, entry->path) != 1) {
            // No configuration file any more.
            const std::string path = writer_.resolve(entry->path);
            if (diverted(path) == path) (void)save_if_changed(*entry, path);
        }
    }
}

void PackageFiles::remove(const Manifest& package) {
    failpoint("package.remove");
    package_ = package.name;
    for (auto entry = package.entries.rbegin(); entry != package.entries.rend(); ++entry)
        remove_entry(*entry, true);
    remove_database_entry(package);
}

void PackageFiles::remove_entry(const Entry& entry, bool is_removal) {
    const std::string path = writer_.resolve(entry.path);
    if (is_in_database(path)) return;
    if (entry.kind == EntryKind::directory) {
        directories_.insert(path);
        if (layers_.find(path) != nullptr) return;
        note_directory_of(path);
        // One that holds files of nobody stays, and is then nobody's itself.
        if (!writer_.remove(path) && exists_at(writer_.root(), path)) special(path);
        return;
    }
    if (const std::string place_of = diverted(path); place_of != path) {
        writer_.remove(place_of);
        return;
    }
    const TreeEntry* other = layers_.find(path);
    if (other != nullptr && match_patterns(rules_.patterns.no_extract, entry.path) != 1) {
        // Another package has it too: what that one brought is what stays. A configuration file that moves
        // from one to the other is not touched before its new package comes.
        if ((is_removal || entry.backup_md5.empty()) && other->entry.object != entry.object &&
            other->entry.kind != EntryKind::directory) {
            writer_.place(*other);
        }
        return;
    }
    if (is_left(rules_.patterns, entry.path, {}, false)) {
        special(path);
        return;
    }
    note_directory_of(path);
    if (save_if_changed(entry, path)) return;
    writer_.remove(path);
    special(path);
}

/// Whether the configuration file is now .pacsave.
bool PackageFiles::save_if_changed(const Entry& entry, const std::string& path) {
    if (entry.backup_md5.empty() || rules_.no_save ||
        !is_saved(entry.backup_md5, md5_in_root(writer_.root(), path))) {
        return false;
    }
    save_changed(path);
    return true;
}

void PackageFiles::save_changed(const std::string& path) {
    const auto [parent, name] = split_path(path);
    const Fd directory = parent.empty()
                             ? open_dir(writer_.root(), ".")
                             : open_beneath(writer_.root(), std::string(parent), O_RDONLY | O_DIRECTORY);
    std::vector<std::string> names;
    for (DirectoryItem& item : list_directory(directory.get()))
        names.push_back(std::move(item.name));
    const std::string prefix = parent.empty() ? "" : std::string(parent) + "/";
    for (const auto& [from, to] : pacsave_renames(std::string(name), names)) {
        writer_.rename(prefix + from, prefix + to);
        special(prefix + from);
        special(prefix + to);
    }
    sink_.message(Severity::warning,
                  fmt::format("/{} saved as /{}.pacsave", printable(path), printable(path)));
}

void PackageFiles::install_database_entry(const Manifest& package) {
    const std::string prefix = database_prefix(package);
    const std::string directory = prefix.substr(0, prefix.size() - 1);
    auto entry = std::lower_bound(layers_.entries.begin(), layers_.entries.end(), directory,
                                  [](const TreeEntry& a, const std::string& b) { return a.entry.path < b; });
    for (; entry != layers_.entries.end(); ++entry) {
        const std::string& path = entry->entry.path;
        if (path == directory || path.starts_with(prefix)) {
            note_directory_of(writer_.place(*entry));
            if (entry->entry.kind == EntryKind::directory) directories_.insert(path);
        } else if (!path.starts_with(directory)) {
            break;
        }
    }
}

void PackageFiles::remove_database_entry(const Manifest& package) {
    std::string directory = database_prefix(package);
    directory.pop_back();
    if (layers_.find(directory) != nullptr) return;  // reinstalled: its files are replaced in place
    const auto database = try_open_beneath(writer_.root(), std::string(kDatabase), O_RDONLY | O_DIRECTORY);
    if (!database) return;
    remove_tree(database->get(), directory.substr(kDatabase.size()));
    directories_.emplace(kDatabase.substr(0, kDatabase.size() - 1));
}

}  // namespace pwstore
