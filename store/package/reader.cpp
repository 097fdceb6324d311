// SPDX-License-Identifier: GPL-3.0-or-later
#include "store/package/reader.hpp"

#include <algorithm>
#include <unordered_map>

#include "store/base/error.hpp"
#include "store/base/path_at.hpp"
#include "store/local_database.hpp"

namespace pwstore {

namespace {

constexpr size_t kNameLimit = 255;  ///< of "NAME-VERSION", which becomes a file name

/// Why this cannot be a package's name, empty when it can. Stricter than a file name: it is typed and
/// compared.
std::string_view name_fault(std::string_view name) {
    const auto is_allowed = [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
               std::string_view("@._+-").find(c) != std::string_view::npos;
    };
    if (name.front() == '-' || name.front() == '.') return "its pkgname starts with '-' or '.'";
    if (!std::all_of(name.begin(), name.end(), is_allowed))
        return "its pkgname has a character other than letters, digits and @._+-";
    return {};
}

std::string_view version_fault(std::string_view version) {
    const auto is_allowed = [](char c) { return c > ' ' && c < '\x7F' && c != '/'; };
    if (!std::all_of(version.begin(), version.end(), is_allowed))
        return "its pkgver has a space, a slash or another impossible character";
    return {};
}

class PackageReader {
 public:
    PackageReader(ArchiveReader& reader, PackageSink& sink, const IngestLimits& limits)
        : reader_(reader), sink_(sink), limits_(limits) {}

    Manifest read() {
        ArchiveMember member;
        while (reader_.next(member)) {
            if (member.path.front() == '.') {
                add_metadata(member);
            } else {
                add(member);
            }
        }
        check_parents();
        take_description();
        sort_entries();
        return std::move(manifest_);
    }

 private:
    void add_metadata(const ArchiveMember& member);
    void add(ArchiveMember& member);
    void add_hard_link(const ArchiveMember& member, Entry& entry);
    void check_parents() const;
    void take_description();
    void take_backup(const std::vector<std::string>& paths);
    void sort_entries();

    ArchiveReader& reader_;
    PackageSink& sink_;
    const IngestLimits& limits_;
    Manifest manifest_;
    std::string pkginfo_;
    std::string buffer_;
    std::vector<size_t> contents_;  ///< of the entry of the same index: the number of the one that brought it
    std::unordered_map<std::string, size_t> by_path_;
    uint32_t link_groups_ = 0;
};

void PackageReader::add_metadata(const ArchiveMember& member) {
    ObjectId* side = nullptr;
    if (member.path == ".PKGINFO") side = &manifest_.pkginfo;
    if (member.path == ".INSTALL") side = &manifest_.install;
    if (member.path == ".MTREE") side = &manifest_.mtree;
    if (member.path == ".CHANGELOG") side = &manifest_.changelog;
    if (side == nullptr) return;
    if (*side != 0) reader_.refuse(member.path, "it is there twice");
    if (member.kind != MemberKind::file) reader_.refuse(member.path, "it is not a regular file");
    if (member.size > limits_.side_object_bytes) reader_.refuse(member.path, "it is larger than the limit");
    const std::string_view content = reader_.read_whole(buffer_);
    if (side == &manifest_.pkginfo) pkginfo_ = content;
    *side = sink_.add_side(member.path, content);
}

void PackageReader::add_hard_link(const ArchiveMember& member, Entry& entry) {
    const auto found = by_path_.find(member.target);
    if (found == by_path_.end()) reader_.refuse(member.path, "a hard link to a name that is not before it");
    Entry& first = manifest_.entries[found->second];
    if (first.kind != EntryKind::file)
        reader_.refuse(member.path, "a hard link to what is not a regular file");
    if (first.link_group == 0) first.link_group = ++link_groups_;
    // One inode has one set of metadata: the first name's.
    std::string path = std::move(entry.path);
    entry = first;
    entry.path = std::move(path);
    contents_.back() = contents_[found->second];
}

void PackageReader::add(ArchiveMember& member) {
    const size_t index = manifest_.entries.size();
    if (by_path_.contains(member.path)) reader_.refuse(member.path, "the name is there twice");
    Entry entry;
    entry.path = member.path;
    entry.mode = member.mode;
    entry.uid = member.uid;
    entry.gid = member.gid;
    entry.mtime = member.mtime;
    entry.mtime_ns = member.mtime_ns;
    entry.size = member.size;
    contents_.push_back(index);
    switch (member.kind) {
        case MemberKind::directory:
            entry.kind = EntryKind::directory;
            break;
        case MemberKind::file:
            entry.kind = EntryKind::file;
            sink_.add_file(reader_, member, pkginfo_, index, entry);
            break;
        case MemberKind::symlink:
            entry.kind = EntryKind::symlink;
            entry.target = std::move(member.target);
            break;
        case MemberKind::hard_link:
            add_hard_link(member, entry);
            break;
        case MemberKind::fifo:
            entry.kind = EntryKind::fifo;
            break;
    }
    if (member.kind != MemberKind::hard_link) entry.xattrs = std::move(member.xattrs);
    manifest_.entries.push_back(std::move(entry));
    by_path_.emplace(member.path, index);
}

/// Nothing may lie below a file, or below a symbolic link that could lead anywhere.
void PackageReader::check_parents() const {
    std::string_view last_parent;
    for (const Entry& entry : manifest_.entries) {
        const std::string_view parent = split_path(entry.path).first;
        if (parent == last_parent) continue;
        last_parent = parent;
        for (std::string_view above = parent; !above.empty(); above = split_path(above).first) {
            const auto found = by_path_.find(std::string(above));
            if (found == by_path_.end()) continue;
            const EntryKind kind = manifest_.entries[found->second].kind;
            if (kind == EntryKind::symlink)
                reader_.refuse(entry.path, "it lies below a symbolic link of the same package");
            if (kind != EntryKind::directory)
                reader_.refuse(entry.path, "it lies below what is not a directory");
            break;  // those further up are checked for that directory itself
        }
    }
}

void PackageReader::take_description() {
    if (manifest_.pkginfo == 0) reader_.refuse(".PKGINFO", "the package has none");
    PackageDescription description;
    try {
        description = parse_pkginfo(pkginfo_);
    } catch (const Error& error) {
        reader_.refuse(".PKGINFO", error.what());
    }
    if (const auto fault = name_fault(description.name); !fault.empty()) reader_.refuse(".PKGINFO", fault);
    if (const auto fault = version_fault(description.version); !fault.empty())
        reader_.refuse(".PKGINFO", fault);
    if (description.name.size() + 1 + description.version.size() > kNameLimit) {
        reader_.refuse(".PKGINFO", "its pkgname and pkgver are too long for a file name");
    }
    if (const auto fault = version_fault(description.arch); !fault.empty())
        reader_.refuse(".PKGINFO", "an impossible architecture");
    manifest_.name = std::move(description.name);
    manifest_.version = std::move(description.version);
    manifest_.arch = std::move(description.arch);
    take_backup(description.backup);
}

void PackageReader::take_backup(const std::vector<std::string>& paths) {
    for (const std::string& path : paths) {
        const auto found = by_path_.find(path);
        if (found == by_path_.end()) continue;
        Entry& entry = manifest_.entries[found->second];
        if (entry.kind != EntryKind::file) continue;
        entry.backup_md5 = sink_.md5_of(contents_[found->second], path);
    }
}

void PackageReader::sort_entries() {
    std::sort(manifest_.entries.begin(), manifest_.entries.end(),
              [](const Entry& a, const Entry& b) { return a.path < b.path; });
}

}  // namespace

Manifest read_package(ArchiveReader& reader, PackageSink& sink, const IngestLimits& limits) {
    return PackageReader(reader, sink, limits).read();
}

}  // namespace pwstore
