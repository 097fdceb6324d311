// SPDX-License-Identifier: GPL-3.0-or-later
#include "store/package/mtree.hpp"

#include <archive.h>
#include <archive_entry.h>
#include <fcntl.h>
#include <fmt/format.h>

#include <memory>

#include "store/base/error.hpp"
#include "store/base/path_at.hpp"

namespace pwstore {

namespace {

constexpr size_t kBlock = 64 * 1024;

struct ArchiveDeleter {
    void operator()(archive* reader) const noexcept { archive_read_free(reader); }
};

std::string text(const char* value) {
    return value == nullptr ? std::string() : std::string(value);
}

/// libarchive says "not there" by zeros.
std::string digest(archive_entry* entry, int type, size_t size) {
    std::string out;
#if ARCHIVE_VERSION_NUMBER >= 3005000
    const unsigned char* bytes = archive_entry_digest(entry, type);
    bool there = false;
    for (size_t i = 0; bytes != nullptr && i < size; ++i) {
        out += fmt::format("{:02x}", bytes[i]);
        there = there || bytes[i] != 0;
    }
    if (!there) out.clear();
#endif
    return out;
}

MtreeEntry entry_of(archive_entry* entry) {
    MtreeEntry made;
    made.path = text(archive_entry_pathname(entry));
    if (made.path.starts_with("./")) made.path.erase(0, 2);
    const mode_t kind = archive_entry_filetype(entry);
    made.kind = kind == AE_IFDIR   ? MtreeEntry::Kind::directory
                : kind == AE_IFREG ? MtreeEntry::Kind::file
                : kind == AE_IFLNK ? MtreeEntry::Kind::symlink
                                   : MtreeEntry::Kind::other;
    made.mode = static_cast<uint32_t>(archive_entry_mode(entry)) & 07777U;
    made.uid = archive_entry_uid(entry);
    made.gid = archive_entry_gid(entry);
    made.mtime = archive_entry_mtime(entry);
    made.size = archive_entry_size(entry);
    made.target = text(archive_entry_symlink(entry));
    made.md5 = digest(entry, ARCHIVE_ENTRY_DIGEST_MD5, 16);
    made.sha256 = digest(entry, ARCHIVE_ENTRY_DIGEST_SHA256, 32);
    return made;
}

/// Every entry of what `open` makes `reader` read.
template <typename Open>
std::vector<MtreeEntry> entries_of(const std::string& name, const Open& open) {
    const std::unique_ptr<archive, ArchiveDeleter> reader(archive_read_new());
    const auto fail = [&] {
        throw Error("read mtree", name, text(archive_error_string(reader.get()))).as(Fault::corrupt);
    };
    archive_read_support_filter_all(reader.get());
    archive_read_support_format_mtree(reader.get());
    if (open(reader.get()) != ARCHIVE_OK) fail();
    std::vector<MtreeEntry> entries;
    for (;;) {
        archive_entry* entry = nullptr;
        const int result = archive_read_next_header(reader.get(), &entry);
        if (result == ARCHIVE_EOF) return entries;
        if (result != ARCHIVE_OK) fail();
        entries.push_back(entry_of(entry));
    }
}

}  // namespace

std::vector<MtreeEntry> read_mtree(const std::string& path) {
    const Fd file = open_at(AT_FDCWD, path, O_RDONLY);
    return entries_of(path,
                      [&](archive* reader) { return archive_read_open_fd(reader, file.get(), kBlock); });
}

std::vector<MtreeEntry> parse_mtree(std::string_view bytes, const std::string& name) {
    return entries_of(
        name, [&](archive* reader) { return archive_read_open_memory(reader, bytes.data(), bytes.size()); });
}

}  // namespace pwstore
