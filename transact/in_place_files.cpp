// SPDX-License-Identifier: GPL-3.0-or-later
#include "transact/in_place_files.hpp"

#include <fcntl.h>
#include <fmt/format.h>

#include <algorithm>
#include <cstring>

#include "store/base/error.hpp"
#include "store/base/failpoint.hpp"
#include "store/base/path_at.hpp"
#include "store/local_database.hpp"
#include "store/package/reader.hpp"

namespace pwstore {

namespace {

PackageFileList list_of(const PackageContents& contents) {
    PackageFileList list = file_list(contents.manifest);
    for (const std::string& path : parse_pkginfo(contents.pkginfo).backup) {
        const Entry* entry = contents.manifest.find(path);
        list.backup[path] = entry != nullptr ? entry->backup_md5 : "";
    }
    return list;
}

}  // namespace

// --- Archives ----------------------------------------------------------------------------------------------

PackageArchive::PackageArchive(const std::string& path, const std::string& name, const std::string& version)
    : path_(path), file_(open_at(AT_FDCWD, path, O_RDONLY)) {
    const PackedBuffer buffer;
    const PackedFile packed(file_.get(), path_, buffer);
    ArchiveReader reader(packed, {});
    contents_ = read_contents(reader);
    if (contents_.manifest.name != name || contents_.manifest.version != version) {
        throw Error("read archive", path_,
                    fmt::format("it holds {} {}, not {} {}", contents_.manifest.name,
                                contents_.manifest.version, name, version))
            .as(Fault::corrupt);
    }
    list_ = list_of(contents_);
}

/// The content that came with the name `renewed` is that of all names of the same inode.
void PackageArchive::link_again(const Entry& renewed, ArchiveReader& reader, const Visit& visit) const {
    for (const Entry& entry : contents_.manifest.entries) {
        if (entry.link_group == renewed.link_group && entry.path != renewed.path)
            visit(entry, reader, renewed.path);
    }
}

void PackageArchive::for_each(const PackedBuffer& buffer, const Visit& visit) const {
    const PackedFile packed(file_.get(), path_, buffer);
    ArchiveReader reader(packed, {});
    ArchiveMember member;
    std::set<std::string> outdated;  // comes again, as something else
    while (reader.next(member)) {
        if (member.is_metadata) continue;
        const Entry* entry = contents_.manifest.find(member.path);
        if (entry == nullptr)
            throw Error("read archive", path_, "it changed while it was read").as(Fault::corrupt);
        if (member.kind == MemberKind::hard_link) {
            visit(*entry, reader, member.size == 0 ? member.target : "");
            if (member.size != 0) link_again(*entry, reader, visit);
        } else {
            if (entry->size == member.size) outdated.erase(member.path);
            if (entry->size != member.size) outdated.insert(member.path);
            visit(entry_of(member), reader, "");
        }
    }
    if (!outdated.empty())
        throw Error("read archive", path_, "it changed while it was read").as(Fault::corrupt);
}

// --- Owners of directories ---------------------------------------------------------------------------------

void DirectoryOwners::add(const PackageFileList& package) {
    for (const std::string& path : package.paths) {
        if (path.ends_with('/')) owners_[path].push_back(package.name);
    }
}

void DirectoryOwners::forget(const PackageFileList& package) {
    for (const std::string& path : package.paths) {
        const auto found = owners_.find(path);
        if (found != owners_.end()) std::erase(found->second, package.name);
    }
}

bool DirectoryOwners::has_other(const std::string& listed, const std::string& package) const {
    const auto found = owners_.find(listed);
    return found != owners_.end() && std::any_of(found->second.begin(), found->second.end(),
                                                 [&](const std::string& name) { return name != package; });
}

// --- Remove ------------------------------------------------------------------------------------------------

std::string InPlaceFiles::shown(const std::string& path) const {
    return printable(report_.root + path);
}

Occupant InPlaceFiles::occupant(const std::string& path) const {
    const auto info = root_.look(path);
    if (!info) return Occupant::nothing;
    return S_ISDIR(info->st_mode) ? Occupant::directory : Occupant::other;
}

void InPlaceFiles::remove(const PackageFileList& old, const PackageFileList* successor) {
    failpoint("package.remove");
    for (auto listed = old.paths.rbegin(); listed != old.paths.rend(); ++listed) {
        const bool configures =
            successor != nullptr && successor->backup.contains(*listed) && successor->has(*listed);
        if (is_left(rules_.patterns, *listed, rules_.moved, configures)) continue;
        try {
            remove_listed(*listed, old, successor);
        } catch (const Error& error) {
            report_.say(
                Severity::error,
                fmt::format("cannot remove {} ({})", shown(*listed),
                            error.error_number() != 0 ? std::strerror(error.error_number()) : error.what()));
        }
    }
}

/// The version that comes has the same file: it replaces this one when it is laid down, so that the file is
/// there at any time. What lies behind a symlink of somebody's is not what a new directory will hold.
bool InPlaceFiles::is_replaced_later(const std::string& listed, const PackageFileList& old,
                                     const PackageFileList& successor) const {
    return successor.has(listed) && root_.is_straight(listed) && !old.backup.contains(listed) &&
           arrival(rules_.patterns, listed, Occupant::other, false) == Arrival::laid_down;
}

void InPlaceFiles::remove_listed(const std::string& listed, const PackageFileList& old,
                                 const PackageFileList* successor) {
    const std::string path = without_slash(listed);
    switch (occupant(path)) {
        case Occupant::nothing:
            return;
        case Occupant::directory:
            remove_directory(path, listed, old, successor);
            return;
        case Occupant::other:
            break;
    }
    if (successor != nullptr && !listed.ends_with('/') && is_replaced_later(listed, old, *successor)) return;
    const auto backup = old.backup.find(listed);
    if (backup != old.backup.end() && !rules_.no_save &&
        is_saved(backup->second, root_.md5(path).value_or(""))) {
        const auto [directory, name] = split_path(path);
        const std::string prefix = directory.empty() ? "" : std::string(directory) + "/";
        for (const auto& [from, to] : pacsave_renames(std::string(name), root_.names_in(directory)))
            root_.rename(prefix + from, prefix + to);
        report_.say(Severity::warning, fmt::format("{} saved as {}.pacsave", shown(path), shown(path)));
        return;
    }
    root_.remove_file(path);
}

void InPlaceFiles::remove_directory(const std::string& path, const std::string& listed,
                                    const PackageFileList& old, const PackageFileList* successor) {
    if (!root_.names_in(path).empty() || (successor != nullptr && successor->has(listed)) ||
        root_.is_mount_point(path) || owners_.has_other(listed, old.name)) {
        return;
    }
    root_.remove_directory(path);
}

// --- Lay down ----------------------------------------------------------------------------------------------

unsigned InPlaceFiles::lay_down(const PackageArchive& package, const PackageFileList* old) {
    failpoint("package.install");
    unsigned errors = 0;
    package.for_each(buffer_, [&](const Entry& entry, ArchiveReader& reader, const std::string& target) {
        try {
            lay_down_entry(entry, reader, target, package.list(), old);
        } catch (const Error& error) {
            if (error.fault() == Fault::corrupt) throw;
            ++errors;
            report_.say(Severity::error,
                        fmt::format("could not extract {} ({})", shown(entry.path), error.what()));
        }
    });
    return errors;
}

void InPlaceFiles::lay_down_entry(const Entry& entry, ArchiveReader& reader, const std::string& link_target,
                                  const PackageFileList& package, const PackageFileList* old) {
    const std::string listed = listed_path(entry);
    const bool was_backup = old != nullptr && old->backup.contains(listed);
    switch (arrival(rules_.patterns, listed, occupant(entry.path),
                    was_backup || package.backup.contains(listed))) {
        case Arrival::left_out:
            return;
        case Arrival::laid_down:
            put(entry, entry.path, reader, link_target);
            return;
        case Arrival::stays: {
            const mode_t mode = root_.look(entry.path)->st_mode & 07777U;
            if (mode == entry.mode) return;
            report_.say(Severity::warning,
                        fmt::format("directory permissions differ on {} (filesystem: {:o}  package: {:o})",
                                    shown(listed), mode, entry.mode));
            return;
        }
        case Arrival::obstructed:
            throw Error("extract", entry.path, "not overwriting dir with file");
        case Arrival::beside:
            put(entry, entry.path + ".pacnew", reader, link_target);
            report_.say(Severity::warning,
                        fmt::format("{} installed as {}.pacnew", shown(entry.path), shown(entry.path)));
            return;
        case Arrival::compared:
            compare(entry, reader, link_target, was_backup ? old->backup.at(listed) : "");
            return;
    }
}

void InPlaceFiles::put(const Entry& entry, const std::string& path, ArchiveReader& reader,
                       const std::string& link_target) {
    if (!link_target.empty()) {
        root_.put_link(link_target, path);
    } else if (entry.kind == EntryKind::directory) {
        root_.put_directory(entry);
    } else if (entry.kind == EntryKind::file) {
        root_.put_file(entry, path, [&] { return reader.read_piece(); });
    } else {
        root_.put_special(entry, path);
    }
}

/// The new one is laid down beside the other before they are compared: what is there is never half a file.
void InPlaceFiles::compare(const Entry& entry, ArchiveReader& reader, const std::string& link_target,
                           const std::string& original) {
    const std::string pacnew = entry.path + ".pacnew";
    const bool was_there = occupant(pacnew) != Occupant::nothing;
    put(entry, pacnew, reader, link_target);
    const std::string packaged = root_.md5(pacnew).value_or("");
    switch (three_way(original, root_.md5(entry.path).value_or(""), packaged)) {
        case Verdict::take_new:
            root_.rename(pacnew, entry.path);
            return;
        case Verdict::keep_old:
            if (!was_there) root_.remove_file(pacnew);
            return;
        case Verdict::pacnew:
            report_.say(Severity::warning,
                        fmt::format("{} installed as {}", shown(entry.path), shown(pacnew)));
            return;
    }
}

}  // namespace pwstore
