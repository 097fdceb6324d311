// SPDX-License-Identifier: GPL-3.0-or-later
#include "store/entry_codec.hpp"

#include <algorithm>
#include <limits>

#include "store/base/names.hpp"
#include "store/digest.hpp"

namespace pwstore::codec {

namespace {

constexpr uint16_t kVersion = 1;
constexpr size_t kTargetLimit = 4095;
constexpr size_t kXattrNameLimit = 255;
constexpr uint8_t kHasBackup = 1;
constexpr size_t kMd5Length = 32;

/// Bytes of one record: path and target length, kind, flags, mode, uid, gid, mtime, mtime_ns, size, link
/// group, xattrs.
constexpr size_t kRecordSize = 2 + 2 + 1 + 1 + 2 + 4 + 4 + 8 + 4 + 8 + 4 + 2;

bool is_md5(std::string_view text) {
    return text.size() == kMd5Length && std::all_of(text.begin(), text.end(), [](char c) {
               return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
           });
}

bool is_known(EntryKind kind, Whiteouts whiteouts) {
    switch (kind) {
        case EntryKind::directory:
        case EntryKind::file:
        case EntryKind::symlink:
        case EntryKind::fifo:
            return true;
        case EntryKind::whiteout:
            return whiteouts == Whiteouts::allowed;
    }
    return false;
}

bool are_xattrs_valid(const std::map<std::string, std::string>& xattrs) {
    return xattrs.size() <= std::numeric_limits<uint16_t>::max() &&
           std::all_of(xattrs.begin(), xattrs.end(), [](const auto& xattr) {
               return !xattr.first.empty() && xattr.first.size() <= kXattrNameLimit &&
                      xattr.first.find('\0') == std::string::npos;
           });
}

/// The rule that `entry` breaks, or nothing.
const char* broken_rule(const Entry& entry, Whiteouts whiteouts) {
    const bool is_file = entry.kind == EntryKind::file;
    const bool is_symlink = entry.kind == EntryKind::symlink;
    if (!is_root_path(entry.path)) return "not a path below a root";
    if (!is_known(entry.kind, whiteouts)) return "impossible kind";
    if (entry.mode > 07777U) return "impossible mode";
    if (entry.mtime_ns >= 1'000'000'000U) return "impossible time";
    if (is_symlink == entry.target.empty()) return "target without symlink, or symlink without target";
    if (entry.target.size() > kTargetLimit || entry.target.find('\0') != std::string::npos)
        return "impossible target";
    if (!is_file &&
        (entry.object != 0 || entry.size != 0 || entry.link_group != 0 || !entry.backup_md5.empty())) {
        return "content without a file";
    }
    if (is_file && entry.object == 0 && entry.size != 0) return "file without content";
    if (!entry.backup_md5.empty() && !is_md5(entry.backup_md5)) return "impossible MD5";
    if (!are_xattrs_valid(entry.xattrs)) return "impossible extended attribute";
    return nullptr;
}

void check_entry(const Entry& entry, const Entry* previous, Whiteouts whiteouts) {
    const char* rule = broken_rule(entry, whiteouts);
    if (rule == nullptr && previous != nullptr && previous->path >= entry.path)
        rule = "paths are not in order";
    if (rule != nullptr) throw Error("check entry", entry.path, rule).as(Fault::corrupt);
}

void put_record(ByteWriter& out, const Entry& entry) {
    out.put(static_cast<uint16_t>(entry.path.size()));
    out.put(static_cast<uint16_t>(entry.target.size()));
    out.put(entry.kind);
    out.put(static_cast<uint8_t>(entry.backup_md5.empty() ? 0 : kHasBackup));
    out.put(static_cast<uint16_t>(entry.mode));
    out.put(entry.uid);
    out.put(entry.gid);
    out.put(entry.mtime);
    out.put(entry.mtime_ns);
    out.put(entry.size);
    out.put(entry.link_group);
    out.put(static_cast<uint16_t>(entry.xattrs.size()));
}

void put_strings(ByteWriter& out, const Entry& entry) {
    out.put_bytes(entry.path);
    out.put_bytes(entry.target);
    out.put_bytes(entry.backup_md5);
    for (const auto& [name, value] : entry.xattrs) {
        out.put_string(name);
        out.put_string(value);
    }
}

Entry get_entry(ByteReader& record, ByteReader& strings) {
    Entry entry;
    const auto path_size = record.get<uint16_t>();
    const auto target_size = record.get<uint16_t>();
    entry.kind = record.get<EntryKind>();
    const auto flags = record.get<uint8_t>();
    if (flags > kHasBackup) record.fail("unknown flag");
    entry.mode = record.get<uint16_t>();
    entry.uid = record.get<uint32_t>();
    entry.gid = record.get<uint32_t>();
    entry.mtime = record.get<int64_t>();
    entry.mtime_ns = record.get<uint32_t>();
    entry.size = record.get<uint64_t>();
    entry.link_group = record.get<uint32_t>();
    const auto xattrs = record.get<uint16_t>();
    entry.path = strings.get_bytes(path_size);
    entry.target = strings.get_bytes(target_size);
    if (flags == kHasBackup) entry.backup_md5 = strings.get_bytes(kMd5Length);
    for (uint16_t i = 0; i < xattrs; ++i) {
        std::string name(strings.get_string());
        const std::string_view value = strings.get_string();
        if (!entry.xattrs.empty() && entry.xattrs.rbegin()->first >= name)
            strings.fail("attributes are not in order");
        entry.xattrs.emplace_hint(entry.xattrs.end(), std::move(name), value);
    }
    return entry;
}

/// The part of a front that its checksum covers, after everything before it has been checked.
std::string_view checked_ids(ByteReader& in, uint32_t magic, Front& front) {
    front.magic = in.get<uint32_t>();
    if (front.magic != magic) in.fail("not a record of this kind");
    if (in.get<uint16_t>() != kVersion) in.fail("unknown version");
    front.first_tag = in.get<uint8_t>();
    front.second_tag = in.get<uint8_t>();
    const auto checksum = in.get<uint64_t>();
    const auto count = in.get_count(sizeof(ObjectId));
    const std::string_view ids = in.get_bytes(size_t{count} * sizeof(ObjectId));
    if (checksum64(ids, count) != checksum) in.fail("wrong checksum");
    return ids;
}

ObjectId id_at(std::string_view ids, size_t index) {
    ObjectId id = 0;
    std::memcpy(&id, ids.data() + index * sizeof id, sizeof id);
    return id;
}

}  // namespace

void put_front(ByteWriter& out, const Front& front) {
    if (front.ids.size() > std::numeric_limits<uint32_t>::max()) {
        throw Error("encode record", "", "too many entries").as(Fault::corrupt);
    }
    ByteWriter ids;
    for (const ObjectId id : front.ids)
        ids.put(id);
    const auto count = static_cast<uint32_t>(front.ids.size());
    out.put(front.magic);
    out.put(kVersion);
    out.put(front.first_tag);
    out.put(front.second_tag);
    out.put(checksum64(ids.bytes(), count));
    out.put(count);
    out.put_bytes(ids.bytes());
}

Front get_front(ByteReader& in, uint32_t magic) {
    Front front;
    const std::string_view ids = checked_ids(in, magic, front);
    front.ids.resize(ids.size() / sizeof(ObjectId));
    for (size_t i = 0; i < front.ids.size(); ++i)
        front.ids[i] = id_at(ids, i);
    return front;
}

void visit_front(std::string_view bytes, uint32_t magic, std::string_view what,
                 void (*visit)(void* context, ObjectId id), void* context) {
    ByteReader in(bytes, what);
    Front front;
    const std::string_view ids = checked_ids(in, magic, front);
    for (size_t i = 0; i < ids.size() / sizeof(ObjectId); ++i) {
        if (const ObjectId id = id_at(ids, i); id != 0) visit(context, id);
    }
}

void put_entries(ByteWriter& out, const std::vector<Entry>& entries, Whiteouts whiteouts) {
    ByteWriter strings;
    out.put(static_cast<uint32_t>(entries.size()));
    const Entry* previous = nullptr;
    for (const Entry& entry : entries) {
        check_entry(entry, previous, whiteouts);
        previous = &entry;
        put_record(out, entry);
        put_strings(strings, entry);
    }
    if (strings.bytes().size() > std::numeric_limits<uint32_t>::max()) {
        throw Error("encode record", "", "more than 4 GiB of names").as(Fault::corrupt);
    }
    out.put_string(strings.bytes());
}

std::vector<Entry> get_entries(ByteReader& in, std::span<const ObjectId> ids, Whiteouts whiteouts) {
    const auto count = in.get_count(kRecordSize);
    if (count != ids.size()) in.fail("counts that differ");
    ByteReader records(in.get_bytes(size_t{count} * kRecordSize), "entries");
    ByteReader strings(in.get_string(), "names of entries");
    std::vector<Entry> entries;
    entries.reserve(count);
    for (uint32_t i = 0; i < count; ++i) {
        Entry entry = get_entry(records, strings);
        entry.object = ids[i];
        check_entry(entry, entries.empty() ? nullptr : &entries.back(), whiteouts);
        entries.push_back(std::move(entry));
    }
    strings.expect_end();
    return entries;
}

}  // namespace pwstore::codec
