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
            if (member.is_metadata) {
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
    void add(const ArchiveMember& member);
    [[nodiscard]] Entry linked(const ArchiveMember& member, size_t& content);
    void renew(const ArchiveMember& member, uint32_t group);
    void put(Entry entry, size_t content);
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
    std::vector<size_t> contents_;  ///< of the entry of the same index: the number of its content
    size_t next_content_ = 0;
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

/// One inode has one set of metadata: a further name of something has that of its first name.
Entry PackageReader::linked(const ArchiveMember& member, size_t& content) {
    const auto found = by_path_.find(member.target);
    if (found == by_path_.end()) reader_.refuse(member.path, "a hard link to a name that is not before it");
    Entry& first = manifest_.entries[found->second];
    if (first.kind == EntryKind::directory) reader_.refuse(member.path, "a hard link to a directory");
    if (first.kind == EntryKind::file && first.link_group == 0) first.link_group = ++link_groups_;
    content = contents_[found->second];
    Entry entry = first;
    entry.path = member.path;
    return entry;
}

/// A hard link brought a content: it is written to the inode, whatever its names are.
void PackageReader::renew(const ArchiveMember& member, uint32_t group) {
    Entry now = entry_of(member);
    now.kind = EntryKind::file;
    now.link_group = group;
    sink_.add_file(reader_, member, pkginfo_, next_content_, now);
    for (size_t i = 0; i < manifest_.entries.size(); ++i) {
        if (manifest_.entries[i].link_group != group) continue;
        now.path = std::move(manifest_.entries[i].path);
        manifest_.entries[i] = now;
        contents_[i] = next_content_;
    }
    ++next_content_;
}

/// As extraction goes: a directory that is there stays as it is, anything else is replaced.
void PackageReader::put(Entry entry, size_t content) {
    const auto [found, is_new] = by_path_.try_emplace(entry.path, manifest_.entries.size());
    if (is_new) {
        manifest_.entries.push_back(std::move(entry));
        contents_.push_back(content);
        return;
    }
    Entry& there = manifest_.entries[found->second];
    if ((there.kind == EntryKind::directory) != (entry.kind == EntryKind::directory))
        reader_.refuse(entry.path, "it is there twice, as a directory and as something else");
    if (entry.kind == EntryKind::directory) return;
    there = std::move(entry);
    contents_[found->second] = content;
}

void PackageReader::add(const ArchiveMember& member) {
    if (member.kind == MemberKind::hard_link) {
        size_t content = 0;
        Entry entry = linked(member, content);
        const uint32_t group = entry.link_group;
        if (member.path != member.target) put(std::move(entry), content);
        if (member.size == 0) return;
        if (group == 0) reader_.refuse(member.path, "a hard link with a content, to what is no file");
        return renew(member, group);
    }
    Entry entry = entry_of(member);
    const bool is_file = entry.kind == EntryKind::file;
    if (is_file) sink_.add_file(reader_, member, pkginfo_, next_content_, entry);
    put(std::move(entry), is_file ? next_content_++ : 0);
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

Entry entry_of(const ArchiveMember& member) {
    Entry entry;
    entry.path = member.path;
    entry.mode = member.mode;
    entry.uid = member.uid;
    entry.gid = member.gid;
    entry.mtime = member.mtime;
    entry.mtime_ns = member.mtime_ns;
    entry.size = member.size;
    entry.xattrs = member.xattrs;
    switch (member.kind) {
        case MemberKind::directory:
            entry.kind = EntryKind::directory;
            break;
        case MemberKind::symlink:
            entry.kind = EntryKind::symlink;
            entry.target = member.target;
            break;
        case MemberKind::fifo:
            entry.kind = EntryKind::fifo;
            break;
        case MemberKind::device:  // packages have none
        case MemberKind::file:
        case MemberKind::hard_link:
            entry.kind = EntryKind::file;
            break;
    }
    return entry;
}

Manifest read_package(ArchiveReader& reader, PackageSink& sink, const IngestLimits& limits) {
    return PackageReader(reader, sink, limits).read();
}

}  // namespace pwstore
