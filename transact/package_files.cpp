// SPDX-License-Identifier: GPL-3.0-or-later
#include "transact/package_files.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>

#include "store/base/error.hpp"
#include "store/base/failpoint.hpp"
#include "store/base/names.hpp"
#include "store/base/path_at.hpp"
#include "store/digest.hpp"
#include "transact/hook.hpp"
#include "transact/moved_files.hpp"

namespace pwstore {

namespace {

constexpr std::string_view kDatabase = "var/lib/pacman/local/";

/// MD5 of a regular file of the root, symlinks followed; empty when there is none.
std::string md5_in_root(int root, const std::string& path) {
    const auto file = try_open_in_root(root, path, O_RDONLY | O_NONBLOCK);
    if (!file || !S_ISREG(stat_fd(file->get(), path).st_mode)) return {};
    return md5_hex(read_all(file->get(), path));
}

std::string database_prefix(const Manifest& package) {
    return fmt::format("{}{}-{}/", kDatabase, package.name, package.version);
}

bool is_directory_at(int root, const std::string& path) {
    const auto info = try_stat_at(root, path);
    return info && S_ISDIR(info->st_mode);
}

Occupant occupant_of(int root, const std::string& path) {
    const auto info = try_stat_at(root, path);
    if (!info) return Occupant::nothing;
    return S_ISDIR(info->st_mode) ? Occupant::directory : Occupant::other;
}

}  // namespace

bool is_in_database(std::string_view path) {
    return path.starts_with(kDatabase);
}

bool is_same_content(const Entry& a, const Entry& b) {
    return a.kind == b.kind && a.object == b.object && a.target == b.target && a.mode == b.mode &&
           a.mtime == b.mtime;
}

std::vector<const TreeEntry*> database_entries(const Tree& layers, const Manifest& package) {
    const std::string prefix = database_prefix(package);
    const std::string directory = prefix.substr(0, prefix.size() - 1);
    std::vector<const TreeEntry*> found;
    auto entry = std::lower_bound(layers.entries.begin(), layers.entries.end(), directory,
                                  [](const TreeEntry& a, const std::string& b) { return a.entry.path < b; });
    for (; entry != layers.entries.end() && entry->entry.path.starts_with(directory); ++entry) {
        if (entry->entry.path == directory || entry->entry.path.starts_with(prefix)) found.push_back(&*entry);
    }
    return found;
}

PackageFiles::PackageFiles(RootWriter& writer, const Tree& layers, const Delta& delta, const FileRules& rules,
                           ActLog& log, ProgressSink& sink)
    : writer_(writer), layers_(layers), delta_(delta), rules_(rules), log_(log), sink_(sink) {}

void PackageFiles::note_directory_of(std::string_view path) {
    const std::string_view parent = split_path(path).first;
    if (!parent.empty()) directories_.emplace(parent);
}

void PackageFiles::special(const std::string& path, Touch touch) {
    note_directory_of(path);
    log_.touched(path, std::move(touch));
}

void PackageFiles::place(const Entry& entry, std::string_view as) {
    TreeEntry tree_entry;
    tree_entry.entry = entry;
    const std::string path = writer_.place(tree_entry, as);
    note_directory_of(path);
    if (entry.kind == EntryKind::directory) return;
    // What somebody did there is over, in this transaction or before it. Of several packages that have it,
    // this one came last.
    const TreeEntry* layer = layers_.find(path);
    if (layer == nullptr || !is_same_content(layer->entry, entry) || log_.paths().contains(path) ||
        delta_.find(path) != nullptr)
        special(path, {.mode = entry.mode, .mtime = entry.mtime});
}

/// Lay the entry down beside `path`.
void PackageFiles::place_new(const Entry& entry, const std::string& path) {
    const std::string beside = path + ".pacnew";
    place(entry, beside);
    special(beside, {.mode = entry.mode, .mtime = entry.mtime});
    sink_.message(Severity::warning, fmt::format("/{} installed as /{}", printable(path), printable(beside)));
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
    place_database_entry(package);
}

void PackageFiles::leave_files(const Manifest& package) {
    for (const Entry& entry : package.entries) {
        const std::string path = writer_.resolve(entry.path);
        if (!is_in_database(path)) special(path);
    }
}

void PackageFiles::record(const Manifest& package, const Manifest* old) {
    if (old != nullptr) forget(*old);
    leave_files(package);
    place_database_entry(package);
}

void PackageFiles::forget(const Manifest& package) {
    leave_files(package);
    remove_database_entry(package);
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
    const Entry* old_entry = old != nullptr ? old->find(entry.path) : nullptr;
    const bool is_backup =
        entry.kind == EntryKind::file &&
        (!entry.backup_md5.empty() || (old_entry != nullptr && !old_entry->backup_md5.empty()));
    const Occupant there = old_entry == nullptr && is_free_mount_point(path)
                               ? Occupant::nothing
                               : occupant_of(writer_.root(), path);
    const Arrival how = arrival(rules_.patterns, listed_path(entry), there, is_backup);
    if (how == Arrival::left_out) {
        note_elsewhere(entry, path);
        special(path);
        return;
    }
    if (entry.kind == EntryKind::directory) {
        install_directory(entry, path);
        return;
    }
    if (const std::string place_to = diverted(path); place_to != path) {
        place(entry, place_to);
        return;
    }
    if (rules_.shared.taken.contains(entry.path)) special(path);
    if (rules_.shared.left.contains(entry.path)) {
        special(path);
        return;
    }
    switch (how) {
        case Arrival::obstructed:
            throw Error("install", path, "there is a directory of that name")
                .as(Fault::refused)
                .with_hint("the package has a file there; move the directory away first");
        case Arrival::beside:
            place_new(entry, path);
            special(path);
            break;
        case Arrival::compared:
            install_backup(entry, path, old_entry);
            break;
        case Arrival::laid_down:
            place(entry);
            break;
        case Arrival::left_out:
        case Arrival::stays:
            break;
    }
    note_elsewhere(entry, path);
}

/// A place that every root has for a generated file, and that nobody has put anything in.
bool PackageFiles::is_free_mount_point(const std::string& path) const {
    if (!names::is_mount_point_file(path)) return false;
    const auto status = try_stat_at(writer_.root(), path);
    return status && S_ISREG(status->st_mode) && status->st_size == 0;
}

/// The layers have it behind a symlink that this root does not have.
void PackageFiles::note_elsewhere(const Entry& entry, const std::string& path) {
    if (layers_.find(path) != nullptr) return;
    const TreeEntry* layer = layers_.resolve(entry.path);
    if (layer != nullptr && layer->entry.path != path) special(layer->entry.path);
}

void PackageFiles::install_directory(const Entry& entry, const std::string& path) {
    const Occupant there = occupant_of(writer_.root(), path);
    const bool stays = there == Occupant::directory || (there == Occupant::other && rules_.follows_symlinks);
    directories_.insert(path);
    if (!stays) made_.insert_or_assign(path, entry.mode);
    if (there == Occupant::other && !stays) {
        writer_.remove(path);
        special(path, {.mode = entry.mode});
    }
    place(entry);
}

/// MD5 of the configuration file as it was packaged before; empty when nobody had it.
std::string PackageFiles::original_of(const Entry& entry, const Entry* old_entry) const {
    if (old_entry != nullptr) return old_entry->backup_md5;
    if (rules_.taken_over == nullptr) return {};
    const auto found = rules_.taken_over->find(entry.path);
    return found == rules_.taken_over->end() ? "" : found->second;
}

/// The layers have it from a package that is not laid down yet.
bool PackageFiles::comes_later(const TreeEntry& entry) const {
    return rules_.coming != nullptr && rules_.coming->contains(layers_.layers[entry.layer]);
}

/// What the package had, what is there, what it has now.
void PackageFiles::install_backup(const Entry& entry, const std::string& path, const Entry* old_entry) {
    const std::string beside = path + ".pacnew";
    const bool has_older_offer = exists_at(writer_.root(), beside);
    const std::string local = md5_in_root(writer_.root(), path);
    switch (three_way(local.empty() && old_entry == nullptr ? "" : original_of(entry, old_entry), local,
                      entry.backup_md5)) {
        case Verdict::take_new:
            place(entry);
            if (has_older_offer) {  // pacman unpacks beside and renames: an older .pacnew is gone
                writer_.remove(beside);
                special(beside);
            }
            break;
        case Verdict::keep_old:
            special(path);
            if (has_older_offer) {
                place(entry, beside);
                special(beside, {.mode = entry.mode, .mtime = entry.mtime});
            }
            break;
        case Verdict::pacnew:
            special(path);
            place_new(entry, path);
            break;
    }
}

/// What the old version has goes before the new one comes. Files that the new one replaces stay until then.
void PackageFiles::remove_outdated(const Manifest& old, const Manifest& package) {
    for (auto entry = old.entries.rbegin(); entry != old.entries.rend(); ++entry)
        remove_entry(*entry, &package);
}

void PackageFiles::remove(const Manifest& package) {
    failpoint("package.remove");
    package_ = package.name;
    for (auto entry = package.entries.rbegin(); entry != package.entries.rend(); ++entry)
        remove_entry(*entry, nullptr);
    remove_database_entry(package);
}

/// What pacman does not remove though the package that had it goes.
bool PackageFiles::is_skipped(const Entry& entry, const std::string& path, const Manifest* successor) {
    static const std::set<std::string> none;
    const std::set<std::string>& moved = rules_.moving != nullptr ? *rules_.moving : none;
    const Entry* next = successor != nullptr ? successor->find(entry.path) : nullptr;
    const bool is_configuration = next != nullptr && !next->backup_md5.empty();
    const std::string listed = listed_path(entry);
    if (!is_left(rules_.patterns, listed, moved, is_configuration)) return false;
    // What another package or version takes over is as that one laid it down, or will.
    if (!is_configuration && !moved.contains(listed)) special(path);
    return true;
}

/// @param successor the package that takes the place of the entry's, null when that one is removed
void PackageFiles::remove_entry(const Entry& entry, const Manifest* successor) {
    const std::string path = writer_.resolve(entry.path);
    if (is_in_database(path)) return;
    if (entry.kind == EntryKind::directory) {
        if (!is_skipped(entry, path, successor)) remove_directory(entry, path, successor);
        return;
    }
    const Entry* next = successor != nullptr ? successor->find(entry.path) : nullptr;
    const bool is_replaced =
        next != nullptr && next->kind != EntryKind::directory && path == entry.path &&
        entry.backup_md5.empty() &&
        arrival(rules_.patterns, listed_path(*next), Occupant::other, false) == Arrival::laid_down;
    if (const std::string place_of = diverted(path); place_of != path) {
        if (next == nullptr) writer_.remove(place_of);
        return;
    }
    if (is_skipped(entry, path, successor)) return;
    // Somebody's directory in its place is in the way of the next version.
    if (next != nullptr && next->kind != EntryKind::directory && is_directory_at(writer_.root(), path))
        return;
    const TreeEntry* other = next == nullptr ? layers_.find(path) : nullptr;
    if (rules_.keeps_shared && other != nullptr) {
        const bool is_other =
            other->entry.object != entry.object && other->entry.kind != EntryKind::directory;
        // A configuration file is left for whoever brings it now to compare.
        const bool is_compared = !entry.backup_md5.empty() && (successor != nullptr || comes_later(*other));
        if (is_other && !is_compared) writer_.place(*other);
        return;
    }
    note_directory_of(path);
    if (save_if_changed(entry, path) || is_replaced) return;
    if (entry.kind == EntryKind::symlink) leave_what_lies_behind(path);
    writer_.remove(path);
    special(path);
}

/// A symlink goes: what other packages have below it stays where it led, whatever the layers then say.
void PackageFiles::leave_what_lies_behind(const std::string& path) {
    const std::string below = path + "/";
    auto entry = std::lower_bound(layers_.entries.begin(), layers_.entries.end(), below,
                                  [](const TreeEntry& a, const std::string& b) { return a.entry.path < b; });
    for (; entry != layers_.entries.end() && entry->entry.path.starts_with(below); ++entry) {
        const std::string place = writer_.resolve(entry->entry.path);
        if (place != entry->entry.path) special(place);
    }
}

void PackageFiles::remove_directory(const Entry& entry, const std::string& path, const Manifest* successor) {
    directories_.insert(path);
    const TreeEntry* layer = layers_.find(path);
    if (exists_at(writer_.root(), path) && !is_directory_at(writer_.root(), path)) {
        // What is in its place goes as pacman would remove it.
        if (rules_.follows_symlinks && layer != nullptr && layer->entry.kind != EntryKind::directory) return;
        writer_.remove(path);
        special(path);
        return;
    }
    const Entry* next = successor != nullptr ? successor->find(entry.path) : nullptr;
    if (next != nullptr && next->kind == EntryKind::directory) return;
    const bool is_coming = layer != nullptr && comes_later(*layer) &&
                           !rules_.present->has_directory_of_another(entry.path, package_);
    if (layer != nullptr && layer->entry.kind == EntryKind::directory && !is_coming) return;
    note_directory_of(path);
    // One that holds files of nobody stays, and is then nobody's itself.
    if (!writer_.remove(path) && exists_at(writer_.root(), path) && !is_coming) special(path);
}

/// What is known of the file at `from`, for the place that it gets.
Touch PackageFiles::moved(const std::string& from) const {
    const auto logged = log_.paths().find(from);
    if (logged != log_.paths().end()) {
        const Touch& touch = logged->second;
        if (touch.cause == Cause::engine && (touch.mtime || !touch.moved_from.empty())) return touch;
    } else if (const TreeEntry* layer = layers_.find(from);
               layer != nullptr && rules_.came != nullptr &&
               rules_.came->contains(layers_.layers[layer->layer])) {
        return {.mode = layer->entry.mode, .mtime = layer->entry.mtime};
    }
    return {.moved_from = from};
}

/// Keep a configuration file that is not as it was packaged as .pacsave; true when it was one.
bool PackageFiles::save_if_changed(const Entry& entry, const std::string& path) {
    if (entry.backup_md5.empty() || rules_.no_save) return false;
    const std::string local = md5_in_root(writer_.root(), path);
    if (local.empty() || local == entry.backup_md5) return false;
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
        special(prefix + to, moved(prefix + from));
        special(prefix + from);
    }
    const std::string saved = path + ".pacsave";
    sink_.message(Severity::warning, fmt::format("/{} saved as /{}", printable(path), printable(saved)));
    return true;
}

void PackageFiles::place_database_entry(const Manifest& package) {
    for (const TreeEntry* entry : database_entries(layers_, package)) {
        note_directory_of(writer_.place(*entry));
        if (entry->entry.kind == EntryKind::directory) directories_.insert(entry->entry.path);
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
