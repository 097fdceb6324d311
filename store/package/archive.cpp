// SPDX-License-Identifier: GPL-3.0-or-later
#include "store/package/archive.hpp"

#include <archive.h>
#include <archive_entry.h>
#include <locale.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <optional>
#include <vector>

#include "store/base/bytes.hpp"
#include "store/base/error.hpp"
#include "store/base/names.hpp"
#include "store/package/form.hpp"
#include "store/package/packed_stream.hpp"
#include "store/package/tar_io.hpp"

namespace pwstore {

namespace {

constexpr size_t kZeros = 64 * 1024;
constexpr size_t kTargetLimit = 4095;

/// While one lives, this thread is in the "C" locale. There libarchive cannot convert names and hands them
/// out as the bytes that the archive has; in a UTF-8 locale it would compose decomposed characters, that is,
/// change names.
class ByteLocale {
 public:
    ByteLocale() : before_(::uselocale(c_locale())) {}
    ByteLocale(const ByteLocale&) = delete;
    ByteLocale& operator=(const ByteLocale&) = delete;
    ~ByteLocale() { ::uselocale(before_); }

 private:
    static locale_t c_locale() {
        static const locale_t locale = ::newlocale(LC_ALL_MASK, "C", nullptr);
        return locale;
    }
    locale_t before_;
};

/// Why `path`, a normal one, may not be a name in a package.
std::string_view name_rule(std::string_view path) {
    if (path.empty()) return "the name is that of the root itself";
    if (path.size() > 4095) return "the name is longer than 4095 bytes";
    while (!path.empty()) {
        const std::string_view component = path.substr(0, path.find('/'));
        if (component == "..") return "the name contains a '..' component";
        if (component.size() > 255) return "a component of the name is longer than 255 bytes";
        path.remove_prefix(std::min(path.size(), component.size() + 1));
    }
    return "the name is that of a directory";
}

/// libalpm's rule: what begins with a dot is about the package, or is passed over.
bool is_metadata_name(std::string_view name) {
    while (name.starts_with("./"))
        name.remove_prefix(2);
    return name.starts_with('.');
}

/// One entry of an ACL as the kernel stores it, in the kernel's order.
struct AclEntry {
    uint16_t tag;
    uint16_t permissions;
    uint32_t id;
    auto operator<=>(const AclEntry&) const = default;
};

uint16_t kernel_tag(int tag) {
    switch (tag) {
        case ARCHIVE_ENTRY_ACL_USER_OBJ:
            return 0x01;
        case ARCHIVE_ENTRY_ACL_USER:
            return 0x02;
        case ARCHIVE_ENTRY_ACL_GROUP_OBJ:
            return 0x04;
        case ARCHIVE_ENTRY_ACL_GROUP:
            return 0x08;
        case ARCHIVE_ENTRY_ACL_MASK:
            return 0x10;
        default:
            return 0x20;  // others: libarchive knows no further tag in POSIX ACLs
    }
}

/// The ACL of `entry` as the value of system.posix_acl_*, empty when it has none.
std::string acl_xattr(archive_entry* entry, int kind) {
    std::vector<AclEntry> entries;
    archive_entry_acl_reset(entry, kind);
    int type = 0;
    int permissions = 0;
    int tag = 0;
    int id = 0;
    const char* name = nullptr;
    while (archive_entry_acl_next(entry, kind, &type, &permissions, &tag, &id, &name) == ARCHIVE_OK) {
        const bool named = tag == ARCHIVE_ENTRY_ACL_USER || tag == ARCHIVE_ENTRY_ACL_GROUP;
        entries.push_back({kernel_tag(tag), static_cast<uint16_t>(permissions & 7),
                           named ? static_cast<uint32_t>(id) : UINT32_MAX});
    }
    if (entries.empty()) return {};
    std::sort(entries.begin(), entries.end());
    ByteWriter value;
    value.put(uint32_t{2});  // version of the form
    for (const AclEntry& one : entries) {
        value.put(one.tag);
        value.put(one.permissions);
        value.put(one.id);
    }
    return value.take();
}

}  // namespace

struct ArchiveReader::State {
    State(const PackedFile& packed, const IngestLimits& chosen, UnpackedDigest wanted,
          const ArchiveRules& what_is_taken)
        : path(packed.path()),
          step("read archive '" + printable(path) + "'"),
          limits(chosen),
          rules(what_is_taken),
          packed_size(packed.size()),
          stream(packed) {
        if (packed_size == 0 && !rules.takes_nothing)
            throw Error("read archive", path, "the file is empty").as(Fault::corrupt);
        if (wanted == UnpackedDigest::sha256) digest.emplace();
        check(archive_read_support_format_tar(reader.get()));
        check(archive_read_support_format_cpio(reader.get()));
        if (rules.takes_nothing) check(archive_read_support_format_empty(reader.get()));
        const auto read_block = [](archive*, void* context, const void** block) {
            return static_cast<State*>(context)->supply(block);
        };
        check(archive_read_open(reader.get(), this, nullptr, read_block, nullptr));
    }

    std::string path;
    std::string step;
    IngestLimits limits;
    ArchiveRules rules;
    uint64_t packed_size;
    PackedStream stream;
    std::unique_ptr<archive, int (*)(archive*)> reader{archive_read_new(), archive_read_free};
    uint64_t unpacked = 0;
    std::optional<Sha256Stream> digest;  ///< of the unpacked stream, when it is wanted
    std::string beginning;               ///< of the unpacked stream, to tell what it is
    std::exception_ptr stream_error;     ///< kept while it passes through libarchive

    // --- The current file ---------------------------------------------------------------------------------
    uint64_t position = 0;  ///< bytes of it that were delivered
    uint64_t size = 0;
    std::string_view data;     ///< the data block at hand, from `data_offset` on
    uint64_t data_offset = 0;  ///< in the file; beyond `position` = a hole lies before it
    bool data_ended = false;

    // --- Sums over the package ----------------------------------------------------------------------------
    uint64_t entries = 0;
    uint64_t file_bytes = 0;
    uint64_t name_bytes = 0;

    // --- Errors -------------------------------------------------------------------------------------------
    [[noreturn]] void refuse(std::string_view entry, std::string_view rule) const {
        throw Error("read entry", entry, rule).within(step).as(Fault::refused);
    }
    [[noreturn]] void fail_corrupt() const {
        if (stream_error) std::rethrow_exception(stream_error);
        const char* text = archive_error_string(reader.get());
        throw unreadable_archive(path, beginning, text != nullptr ? text : "not a tar archive");
    }
    void check(int result) const {
        if (result != ARCHIVE_OK) fail_corrupt();
    }
    void check_ratio(uint64_t bytes, std::string_view entry) const {
        if (bytes <= limits.ratio_floor || bytes / limits.ratio <= packed_size) return;
        constexpr std::string_view kRule = "it unpacks to far more than an archive of this size may hold";
        if (entry.empty()) throw Error("read archive", path, kRule).as(Fault::refused);
        refuse(entry, kRule);
    }

    la_ssize_t supply(const void** block);
    [[nodiscard]] bool next_entry(archive_entry*& entry);
    void drain();
    [[nodiscard]] std::string clean_name(std::string_view name, bool is_directory) const;
    [[nodiscard]] MemberKind kind_of(archive_entry* entry, std::string_view name) const;
    void set_target(ArchiveMember& member, archive_entry* entry, std::string_view name) const;
    void set_metadata(ArchiveMember& member, archive_entry* entry, std::string_view name) const;
    void set_size(ArchiveMember& member, archive_entry* entry, std::string_view name);
    void count(const ArchiveMember& member, std::string_view name);
    bool fill_data();
};

/// Give libarchive's tar reader the next unpacked bytes. No exception may pass through it.
la_ssize_t ArchiveReader::State::supply(const void** block) {
    try {
        const std::string_view bytes = stream.next();
        unpacked += bytes.size();
        if (digest) digest->update(bytes);
        check_ratio(unpacked, "");
        if (beginning.size() < kFormBytes) beginning += bytes.substr(0, kFormBytes);
        *block = bytes.data();
        return static_cast<la_ssize_t>(bytes.size());
    } catch (...) {
        stream_error = std::current_exception();
        archive_set_error(reader.get(), EIO, "unpacking failed");
        return ARCHIVE_FATAL;
    }
}

/// The next header; false at the end. Of libarchive's warnings one is expected, see ByteLocale; any other
/// means that it read the entry differently from what the archive says, so that it cannot be taken.
bool ArchiveReader::State::next_entry(archive_entry*& entry) {
    const int result = archive_read_next_header(reader.get(), &entry);
    if (result == ARCHIVE_EOF) return false;
    if (result == ARCHIVE_OK) return true;
    if (result != ARCHIVE_WARN) fail_corrupt();
    const char* text = archive_error_string(reader.get());
    if (text == nullptr || std::strstr(text, "can't be converted from") == nullptr) fail_corrupt();
    return true;
}

/// Read to the end of the file, so that the checksums of its compression have been checked.
void ArchiveReader::State::drain() {
    const void* block = nullptr;
    for (;;) {
        const la_ssize_t got = supply(&block);
        if (got < 0) std::rethrow_exception(stream_error);
        if (got == 0) return;
    }
}

/// Empty for a directory that is the root itself.
std::string ArchiveReader::State::clean_name(std::string_view name, bool is_directory) const {
    std::string plain = root_path_of(name);
    if (rules.follows_dots) {
        const auto inside = cleaned_path(name);
        if (!inside) refuse(name, "the name leads out of the archive");
        plain = *inside;
    }
    const bool is_usable =
        plain.empty() ? is_directory : is_root_path(plain) && (is_directory || !name.ends_with('/'));
    if (!is_usable) refuse(name, name_rule(plain));
    return plain;
}

MemberKind ArchiveReader::State::kind_of(archive_entry* entry, std::string_view name) const {
    if (archive_entry_hardlink(entry) != nullptr) return MemberKind::hard_link;
    switch (archive_entry_filetype(entry)) {
        case AE_IFREG:
            return MemberKind::file;
        case AE_IFDIR:
            return MemberKind::directory;
        case AE_IFLNK:
            return MemberKind::symlink;
        case AE_IFIFO:
            return MemberKind::fifo;
        case AE_IFCHR:
        case AE_IFBLK:
            if (rules.gives_devices) return MemberKind::device;
            refuse(name, "a device node is not allowed in a package");
        case AE_IFSOCK:
            refuse(name, "a socket is not allowed in a package");
        default:
            refuse(name, "an entry of unknown type");
    }
}

void ArchiveReader::State::set_target(ArchiveMember& member, archive_entry* entry,
                                      std::string_view name) const {
    member.target.clear();
    if (member.kind == MemberKind::hard_link) {
        const char* target = archive_entry_hardlink(entry);
        member.target = clean_name(target, false);
    }
    if (member.kind != MemberKind::symlink) return;
    const char* target = archive_entry_symlink(entry);
    member.target = target != nullptr ? target : "";
    if (member.target.empty()) refuse(name, "a symbolic link without a target");
    if (member.target.size() > kTargetLimit)
        refuse(name, "a symbolic link with a target longer than 4095 bytes");
}

void ArchiveReader::State::set_metadata(ArchiveMember& member, archive_entry* entry,
                                        std::string_view name) const {
    member.mode = archive_entry_perm(entry) & 07777U;
    member.uid = owner_of_archive(archive_entry_uid(entry));
    member.gid = owner_of_archive(archive_entry_gid(entry));
    member.mtime = archive_entry_mtime(entry);
    member.mtime_ns = static_cast<uint32_t>(archive_entry_mtime_nsec(entry));
    member.xattrs.clear();
    member.dropped_xattrs = 0;
    archive_entry_xattr_reset(entry);
    const char* key = nullptr;
    const void* value = nullptr;
    size_t length = 0;
    while (archive_entry_xattr_next(entry, &key, &value, &length) == ARCHIVE_OK) {
        if (key == nullptr || *key == '\0' || std::strlen(key) > 255)
            refuse(name, "an extended attribute without a usable name");
        const std::string_view attribute = key;
        if (attribute.starts_with("user.overlay.") || attribute.starts_with("trusted.overlay.")) {
            if (rules.drops_overlay_attributes) {
                ++member.dropped_xattrs;
                continue;
            }
            refuse(name, "an overlay would obey its extended attribute " + printable(attribute));
        }
        member.xattrs.try_emplace(key, static_cast<const char*>(value), length);
    }
    if (std::string acl = acl_xattr(entry, ARCHIVE_ENTRY_ACL_TYPE_ACCESS); !acl.empty()) {
        member.xattrs["system.posix_acl_access"] = std::move(acl);
    }
    if (std::string acl = acl_xattr(entry, ARCHIVE_ENTRY_ACL_TYPE_DEFAULT); !acl.empty()) {
        member.xattrs["system.posix_acl_default"] = std::move(acl);
    }
}

void ArchiveReader::State::set_size(ArchiveMember& member, archive_entry* entry, std::string_view name) {
    const la_int64_t claimed = archive_entry_size_is_set(entry) != 0 ? archive_entry_size(entry) : 0;
    if (claimed < 0) refuse(name, "a negative size");
    const bool has_content = member.kind == MemberKind::file || member.kind == MemberKind::hard_link;
    member.size = has_content ? static_cast<uint64_t>(claimed) : 0;
    if (member.size > limits.file_bytes) refuse(name, "the file is larger than the limit");
    if (member.size > limits.package_bytes - file_bytes)
        refuse(name, "the archive's files are larger than the limit");
    file_bytes += member.size;
    check_ratio(file_bytes, name);
    size = member.size;
    position = 0;
    data = {};
    data_offset = 0;
    data_ended = false;
}

void ArchiveReader::State::count(const ArchiveMember& member, std::string_view name) {
    if (++entries > limits.entries) refuse(name, "the archive has too many entries");
    name_bytes += member.path.size() + member.target.size();
    for (const auto& [key, value] : member.xattrs)
        name_bytes += key.size() + value.size();
    if (name_bytes > limits.name_bytes)
        refuse(name, "the archive's names and attributes are larger than the limit");
}

/// Have a data block in `data`, or know that there is none.
bool ArchiveReader::State::fill_data() {
    while (data.empty() && !data_ended) {
        const void* block = nullptr;
        size_t length = 0;
        la_int64_t offset = 0;
        const int result = archive_read_data_block(reader.get(), &block, &length, &offset);
        if (result == ARCHIVE_EOF) {
            data_ended = true;
        } else if (result != ARCHIVE_OK) {
            fail_corrupt();
        } else {
            data = {static_cast<const char*>(block), length};
            data_offset = static_cast<uint64_t>(offset);
            if (offset < 0 || data_offset < position || data_offset > size || length > size - data_offset) {
                throw Error("read archive", path, "a file delivers other bytes than it claims")
                    .as(Fault::corrupt);
            }
        }
    }
    return !data.empty();
}

ArchiveReader::ArchiveReader(const PackedFile& file, const IngestLimits& limits, UnpackedDigest digest,
                             const ArchiveRules& rules)
    : state_(std::make_unique<State>(file, limits, digest, rules)) {}

ArchiveReader::~ArchiveReader() = default;

bool ArchiveReader::next(ArchiveMember& member) {
    State& state = *state_;
    const ByteLocale locale;
    archive_entry* entry = nullptr;
    while (state.next_entry(entry)) {
        const char* raw = archive_entry_pathname(entry);
        const std::string_view name = raw != nullptr ? raw : "";
        member.kind = state.kind_of(entry, name);
        member.path = state.clean_name(name, member.kind == MemberKind::directory);
        member.is_metadata = is_metadata_name(name);
        state.set_target(member, entry, name);
        state.set_metadata(member, entry, name);
        state.set_size(member, entry, name);
        state.count(member, name);
        if (!member.path.empty()) return true;
    }
    state.drain();
    return false;
}

std::string_view ArchiveReader::read_piece() {
    static constexpr std::array<char, kZeros> kHole{};
    State& state = *state_;
    if (state.position == state.size) return {};
    const bool has_data = state.fill_data();
    const uint64_t hole_end = has_data ? state.data_offset : state.size;
    if (state.position < hole_end) {
        const auto length = static_cast<size_t>(std::min<uint64_t>(kHole.size(), hole_end - state.position));
        state.position += length;
        return {kHole.data(), length};
    }
    const std::string_view piece = std::exchange(state.data, {});
    state.position += piece.size();
    return piece;
}

std::string_view ArchiveReader::read_whole(std::string& buffer) {
    const std::string_view first = read_piece();
    if (first.size() == state_->size) return first;
    buffer.assign(first);
    while (buffer.size() < state_->size)
        buffer += read_piece();
    return buffer;
}

Sha256 ArchiveReader::unpacked_digest() {
    return state_->digest->finish();
}

bool ArchiveReader::was(const Fingerprint& print) {
    return state_->stream.was(print);
}

void ArchiveReader::refuse(std::string_view entry, std::string_view rule) const {
    state_->refuse(entry, rule);
}

}  // namespace pwstore
