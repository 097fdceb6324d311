// SPDX-License-Identifier: GPL-3.0-or-later
#include "store/package/archive_listing.hpp"

#include <fcntl.h>

#include <algorithm>
#include <optional>
#include <utility>

#include "store/base/error.hpp"
#include "store/base/names.hpp"
#include "store/base/path_at.hpp"
#include "store/ingest.hpp"
#include "store/local_database.hpp"
#include "store/package/archive.hpp"
#include "store/package/mtree.hpp"

namespace pwstore {

namespace {

constexpr uint32_t kSideMode = 0644;  ///< objects made of .PKGINFO and the like

bool is_side(const std::string& path) {
    return path == ".PKGINFO" || path == ".MTREE" || path == ".INSTALL" || path == ".CHANGELOG";
}

class Lister {
 public:
    explicit Lister(ArchiveReader& reader) : reader_(reader) {}

    ArchiveListing list() {
        ArchiveMember member;
        while (reader_.next(member)) {
            if (member.is_metadata && is_side(member.path) && member.kind == MemberKind::file &&
                member.size <= IngestLimits{}.side_object_bytes) {
                take_side(member.path, std::string(reader_.read_whole(buffer_)));
            } else if (!member.is_metadata) {
                if (take_mtree()) break;
                take(member);
            }
        }
        mark_backup_files();
        return std::move(listing_);
    }

 private:
    void take_side(const std::string& name, std::string content) {
        add_content(sha256_of(content), kSideMode, ObjectKey::kNoTime, content.size());
        if (name != ".PKGINFO") listing_.side_bytes += content.size();
        if (name == ".PKGINFO") {
            pkginfo_ = std::move(content);
        } else if (name == ".MTREE") {
            mtree_ = std::move(content);
        }
    }
    bool take_mtree();
    void take(const ArchiveMember& member);
    void mark_backup_files();
    void add_content(const Sha256& sha256, uint32_t mode, int64_t mtime, uint64_t size) {
        listing_.contents.emplace(FileIdentity{sha256, inode_mode(mode), mtime}, size);
    }
    static int64_t time_of(const std::string& path, int64_t mtime) {
        return keeps_time(path) ? mtime : ObjectKey::kNoTime;
    }

    ArchiveReader& reader_;
    ArchiveListing listing_;
    std::string buffer_, pkginfo_;
    std::optional<std::string> mtree_;
};

bool is_file(const MtreeEntry& entry) {
    return entry.kind == MtreeEntry::Kind::file;
}

bool is_usable(const MtreeEntry& entry) {
    return is_root_path(entry.path) && (!is_file(entry) || (entry.sha256.size() == 64 && entry.size >= 0));
}

/// What .MTREE lists; nothing when it cannot be read or lacks something: nobody but us depends on it.
std::vector<MtreeEntry> usable_entries(const std::string& mtree) {
    try {
        std::vector<MtreeEntry> listed = parse_mtree(mtree, ".MTREE");
        if (std::all_of(listed.begin(), listed.end(), is_usable)) return listed;
    } catch (const Error&) {
    }
    return {};
}

/// All that is to be known, from .MTREE. Without a usable one, false, once and for all.
bool Lister::take_mtree() {
    if (!mtree_) return false;
    const std::vector<MtreeEntry> listed = usable_entries(*std::exchange(mtree_, std::nullopt));
    if (listed.empty()) return false;
    for (const MtreeEntry& each : listed) {
        if (each.path.starts_with('.')) continue;
        Entry entry;
        entry.path = each.path;
        entry.mode = each.mode;
        entry.mtime = each.mtime;
        entry.target = each.target;
        entry.kind = each.kind == MtreeEntry::Kind::directory ? EntryKind::directory
                     : each.kind == MtreeEntry::Kind::symlink ? EntryKind::symlink
                     : is_file(each)                          ? EntryKind::file
                                                              : EntryKind::fifo;
        if (is_file(each)) {
            entry.size = static_cast<uint64_t>(each.size);
            entry.object = 1;
            add_content(Sha256::from_hex(each.sha256), each.mode, time_of(each.path, each.mtime), entry.size);
        }
        listing_.entries.push_back(std::move(entry));
    }
    return true;
}

void Lister::take(const ArchiveMember& member) {
    Entry entry;
    entry.path = member.path;
    entry.mode = member.mode;
    entry.mtime = member.mtime;
    entry.target = member.target;
    switch (member.kind) {
        case MemberKind::directory:
            entry.kind = EntryKind::directory;
            break;
        case MemberKind::hard_link:
            entry.object = 1;  // the content is that of a name before it
            if (member.size == 0) break;
            [[fallthrough]];
        case MemberKind::file: {
            Sha256Stream sha256;
            for (std::string_view piece = reader_.read_piece(); !piece.empty(); piece = reader_.read_piece())
                sha256.update(piece);
            entry.size = member.size;
            entry.object = 1;
            add_content(sha256.finish(), member.mode, time_of(member.path, member.mtime), member.size);
            break;
        }
        case MemberKind::symlink:
            entry.kind = EntryKind::symlink;
            break;
        case MemberKind::fifo:
            entry.kind = EntryKind::fifo;
            break;
        case MemberKind::device:
            break;  // packages have none
    }
    listing_.entries.push_back(std::move(entry));
}

void Lister::mark_backup_files() {
    if (pkginfo_.empty()) return;
    const std::vector<std::string> backup = parse_pkginfo(pkginfo_).backup;
    for (Entry& entry : listing_.entries) {
        if (std::find(backup.begin(), backup.end(), entry.path) != backup.end())
            entry.backup_md5.assign(1, '?');
    }
}

}  // namespace

ArchiveListing list_archive(const std::string& path) {
    const Fd fd = open_at(AT_FDCWD, path, O_RDONLY);
    const PackedBuffer buffer;
    const PackedFile file(fd.get(), path, buffer);
    ArchiveReader reader(file, IngestLimits{});
    return Lister(reader).list();
}

void check_beginning(const std::string& path) {
    const Fd fd = open_at(AT_FDCWD, path, O_RDONLY);
    const PackedBuffer buffer;
    const PackedFile file(fd.get(), path, buffer);
    ArchiveReader reader(file, IngestLimits{});
    ArchiveMember member;
    (void)reader.next(member);
}

std::map<FileIdentity, uint64_t> missing_contents(const ReadTxn& txn,
                                                  std::map<FileIdentity, uint64_t> contents) {
    txn.for_each_object([&](const ObjectKey& key, const ObjectRow& row) {
        contents.erase({row.sha256, key.mode, key.mtime});
    });
    return contents;
}

uint64_t missing_bytes(const ReadTxn& txn, const std::map<FileIdentity, uint64_t>& contents) {
    uint64_t bytes = 0;
    for (const auto& [identity, size] : missing_contents(txn, contents))
        bytes += whole_blocks(size);
    return bytes;
}

}  // namespace pwstore
