// SPDX-License-Identifier: GPL-3.0-or-later
#include "store/package_intake.hpp"

#include <sys/mman.h>

#include "store/base/error.hpp"
#include "store/ingest.hpp"
#include "store/local_database.hpp"

namespace pwstore {

namespace {

/// A whole file in memory without a copy.
class MappedFile {
 public:
    MappedFile(int fd, uint64_t size, std::string_view path) : size_(size) {
        if (size == 0) return;
        data_ = ::mmap(nullptr, size, PROT_READ, MAP_PRIVATE, fd, 0);
        if (data_ == MAP_FAILED) throw Error::from_errno("map", path);
    }
    MappedFile(const MappedFile&) = delete;
    MappedFile& operator=(const MappedFile&) = delete;
    ~MappedFile() {
        if (size_ != 0) ::munmap(data_, size_);
    }
    [[nodiscard]] std::string_view bytes() const { return {static_cast<const char*>(data_), size_}; }

 private:
    void* data_ = nullptr;
    uint64_t size_;
};

}  // namespace

/// The file that a large one of the package's other version was, when .PKGINFO came before it (as makepkg has
/// it).
std::optional<StoredObject> PackageIntake::guess_of(const ArchiveMember& member, const std::string& pkginfo) {
    if (pkginfo.empty()) return std::nullopt;
    PackageDescription description;
    try {
        description = parse_pkginfo(pkginfo);
    } catch (const Error&) {
        return std::nullopt;  // what is wrong with it is said at the end
    }
    auto guess = history_.large_file(description.name, member.path);
    if (guess && guess->key.size != member.size) guess.reset();
    return guess;
}

void PackageIntake::add_file(ArchiveReader& reader, const ArchiveMember& member, const std::string& pkginfo,
                             size_t index, Entry& entry) {
    const Xattrs kept = kept_xattrs(member.xattrs);
    const ObjectTraits traits{.mode = member.mode,
                              .mtime = keeps_time(member.path) ? member.mtime : ObjectKey::kNoTime,
                              .kept_xattrs = kept.empty() ? nullptr : &kept};
    const StoredObject stored = member.size <= ObjectIntake::kBufferLimit
                                    ? intake_.put(reader.read_whole(buffer_), traits, member.path)
                                    : intake_.put_stream([&] { return reader.read_piece(); }, traits,
                                                         member.path, guess_of(member, pkginfo));
    entry.object = stored.id;
    keys_.resize(index + 1);
    keys_.back() = stored.key;
}

ObjectId PackageIntake::add_side(std::string_view name, std::string_view content) {
    return intake_.put(content, {.mode = 0644}, name).id;
}

std::string PackageIntake::md5_of(size_t index, const std::string& path) {
    const ObjectKey& key = keys_[index];
    const MappedFile content(objects_.open(key).get(), key.size, path);
    return md5_hex(content.bytes());
}

}  // namespace pwstore
