// SPDX-License-Identifier: GPL-3.0-or-later
#include "transact/package_files.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>
#include <functional>

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
    const auto file = try_open_beneath(root, path, O_RDONLY | O_NONBLOCK);
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

/// Make room for `path`.pacsave: .pacsave.1 becomes .pacsave.2 and so on.
void shift_saved(RootWriter& writer, const std::string& path,
                 const std::function<void(const std::string&)>& changed) {
    const std::string base = path + ".pacsave";
    unsigned last = 0;
    while (exists_at(writer.root(), last == 0 ? base : fmt::format("{}.{}", base, last)))
        ++last;
    for (; last > 0; --last) {
        const std::string from = last == 1 ? base : fmt::format("{}.{}", base, last - 1);
        const std::string to = fmt::format("{}.{}", base, last);
        writer.rename(from, to);
        changed(from);
        changed(to);
    }
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

void PackageFiles::install_entry(const Entry& entry, const Manifest* old) {
    const std::string path = writer_.resolve(entry.path);
    if (is_in_database(path)) return;
    if (match_patterns(rules_.no_extract, entry.path) == 1) {
        special(entry.path);
        return;
    }
    if (entry.kind == EntryKind::directory) {
        directories_.insert(path);
        place(entry);
        return;
    }
    const Entry* old_entry = old != nullptr ? old->find(entry.path) : nullptr;
    const bool is_backup =
        !entry.backup_md5.empty() || (old_entry != nullptr && !old_entry->backup_md5.empty());
    if (const std::string place_to = diverted(path); place_to != path) {
        place(entry, place_to);
        return;
    }
    if (rules_.shared.taken.contains(entry.path)) special(path);
    if (rules_.shared.left.contains(entry.path)) {
        special(path);
        return;
    }
    const bool exists = exists_at(writer_.root(), path);
    if (exists && match_patterns(rules_.no_upgrade, entry.path) == 1) {
        place(entry, path + ".pacnew");
        special(path);
        special(path + ".pacnew");
        sink_.message(Severity::warning,
                      fmt::format("/{} installed as /{}.pacnew", printable(path), printable(path)));
    } else if (exists && is_backup && entry.kind == EntryKind::file) {
        install_backup(entry, old_entry);
    } else {
        place(entry);
    }
}

/// Three-way rule of pacman(8) "Handling config files": what the package had, what is there, what it has now.
void PackageFiles::install_backup(const Entry& entry, const Entry* old_entry) {
    const std::string path = writer_.resolve(entry.path);
    const std::string local = md5_in_root(writer_.root(), path);
    const std::string original = old_entry != nullptr ? old_entry->backup_md5 : "";
    const std::string& packaged = entry.backup_md5;
    const bool same_as_new = !local.empty() && local == packaged;
    const bool package_unchanged = !original.empty() && original == packaged;
    const bool untouched = !local.empty() && local == original;
    if (same_as_new || (untouched && !package_unchanged)) {
        place(entry);
        return;
    }
    special(path);
    if (package_unchanged) return;
    place(entry, path + ".pacnew");
    special(path + ".pacnew");
    sink_.message(Severity::warning,
                  fmt::format("/{} installed as /{}.pacnew", printable(path), printable(path)));
}

/// Files of the old version that no package has any more go before the new ones come.
void PackageFiles::remove_outdated(const Manifest& old, const Manifest& package) {
    for (auto entry = old.entries.rbegin(); entry != old.entries.rend(); ++entry) {
        if (package.find(entry->path) == nullptr) remove_entry(*entry, false);
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
    if (other != nullptr && match_patterns(rules_.no_extract, entry.path) != 1) {
        // Another package has it too: what that one brought is what stays. A configuration file that moves
        // from one to the other is not touched before its new package comes.
        if ((is_removal || entry.backup_md5.empty()) && other->entry.object != entry.object &&
            other->entry.kind != EntryKind::directory) {
            writer_.place(*other);
        }
        return;
    }
    if (match_patterns(rules_.no_upgrade, entry.path) == 1 && !is_removal) {
        special(path);
        return;
    }
    note_directory_of(path);
    if (!entry.backup_md5.empty() && !rules_.no_save) {
        const std::string local = md5_in_root(writer_.root(), path);
        if (!local.empty() && local != entry.backup_md5) {
            save_changed(path);
            return;
        }
    }
    writer_.remove(path);
    special(path);
}

void PackageFiles::save_changed(const std::string& path) {
    shift_saved(writer_, path, [&](const std::string& changed) { special(changed); });
    writer_.rename(path, path + ".pacsave");
    special(path);
    special(path + ".pacsave");
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
