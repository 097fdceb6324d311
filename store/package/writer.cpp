// SPDX-License-Identifier: GPL-3.0-or-later
#include "store/package/writer.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <map>

#include "store/base/error.hpp"
#include "store/base/names.hpp"
#include "store/base/path_at.hpp"
#include "store/base/staged_file.hpp"
#include "store/content_digest.hpp"
#include "store/package/tar_io.hpp"

namespace pwstore {

namespace {

constexpr size_t kPiece = 256 * 1024;

/// One path of the payload. A hard link has the content of `carrier`.
struct Item {
    TarEntry entry;
    uint64_t offset = 0;  ///< of a file's content in the spool
    ContentDigest digest;
    std::string carrier;  ///< of a hard link: the path that it was made from
};

Fd open_spool(int dir) {
    static std::atomic<unsigned> counter{0};
    const std::string name = fmt::format(".spool.{}.{}", ::getpid(), counter++);
    Fd spool = open_at(dir, name, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW, 0600);
    remove_file(dir, name);
    return spool;
}

/// Bytes [offset, offset + size) of `fd`, given to `take` in pieces.
template <typename Take>
void read_range(int fd, uint64_t offset, uint64_t size, Take&& take) {
    std::string buffer(std::min<uint64_t>(size, kPiece), '\0');
    while (size > 0) {
        const size_t wanted = std::min<uint64_t>(size, buffer.size());
        const ssize_t got = ::pread(fd, buffer.data(), wanted, static_cast<off_t>(offset));
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) throw Error::from_errno("read", "spool");
        if (got == 0) throw Error("read", "spool", "it became shorter");
        take(std::string_view(buffer.data(), static_cast<size_t>(got)));
        offset += static_cast<uint64_t>(got);
        size -= static_cast<uint64_t>(got);
    }
}

bool is_plain(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           std::string_view("/._+-,:@~").find(c) != std::string_view::npos;
}

/// A name as mtree(5) wants it: everything unusual as \ooo.
std::string mtree_name(std::string_view name) {
    std::string result;
    for (const char c : name) {
        if (is_plain(c)) {
            result += c;
        } else {
            result += fmt::format("\\{:03o}", static_cast<unsigned char>(c));
        }
    }
    return result;
}

/// libalpm takes what begins with a dot for metadata, and "/.x" for a file.
std::string name_in_archive(const std::string& path) {
    return path.starts_with('.') ? "/" + path : path;
}

std::string mtree_line(const TarEntry& entry, uint64_t size, const ContentDigest& digest) {
    std::string line = fmt::format("./{} time={}.0", mtree_name(entry.path), entry.mtime);
    if (entry.uid != 0) line += fmt::format(" uid={}", entry.uid);
    if (entry.gid != 0) line += fmt::format(" gid={}", entry.gid);
    if (entry.mode != 0644) line += fmt::format(" mode={:o}", entry.mode);
    if (entry.kind == TarEntry::Kind::directory) return line + " type=dir\n";
    if (entry.kind == TarEntry::Kind::fifo) return line + " type=fifo\n";
    if (entry.kind == TarEntry::Kind::symlink)
        return line + fmt::format(" type=link link={}\n", mtree_name(entry.target));
    return line +
           fmt::format(" size={} md5digest={} sha256digest={}\n", size, digest.md5, digest.sha256.hex());
}

std::string one_line(std::string_view value) {
    std::string result(value);
    std::replace_if(
        result.begin(), result.end(), [](char c) { return static_cast<unsigned char>(c) < ' '; }, ' ');
    return result;
}

[[noreturn]] void refuse(const std::string& path, std::string_view cause) {
    throw Error("package file", path, cause).as(Fault::refused);
}

}  // namespace

// --- Payload
// -------------------------------------------------------------------------------------------------

struct PackageWriter::State {
    int dir = -1;
    Fd spool;
    uint64_t spooled = 0;
    std::map<std::string, Item> items;
    Item* open = nullptr;  ///< the file that append() adds to
    ContentDigestStream digest;

    Item& add(std::string path, TarEntry::Kind kind, const FileAttributes& attributes) {
        close_file();
        if (!is_root_path(path)) refuse(path, "not a path that a package may hold");
        auto [place, is_new] = items.try_emplace(path);
        Item& item = place->second;
        if (!is_new) {
            if (item.entry.kind == TarEntry::Kind::directory || kind == TarEntry::Kind::directory)
                refuse(path, "it occurs twice, as a directory and as something else");
            hand_over(path, item);
            item = Item();
        }
        item.entry.path = std::move(path);
        item.entry.kind = kind;
        item.entry.mode = attributes.mode & 07777U;
        item.entry.uid = attributes.uid;
        item.entry.gid = attributes.gid;
        item.entry.mtime = attributes.mtime;
        return item;
    }
    void hand_over(const std::string& path, const Item& item);
    void close_file() {
        if (open == nullptr) return;
        open->digest = digest.finish();
        open = nullptr;
    }
    const Item& carrier_of(const Item& item) const { return items.at(item.carrier); }
    void add_missing_parents(int64_t mtime);
    void arrange_hard_links();
    [[nodiscard]] uint64_t installed_size() const;
    [[nodiscard]] std::string mtree(const TarEntry& pkginfo, std::string_view pkginfo_text) const;
    void write_payload(TarWriter& tar) const;
};

PackageWriter::PackageWriter(int dir) : state_(std::make_unique<State>()) {
    state_->dir = dir;
    state_->spool = open_spool(dir);
}

PackageWriter::~PackageWriter() = default;

/// `item` is going to be replaced: the first of its other names carries the content.
void PackageWriter::State::hand_over(const std::string& path, const Item& item) {
    const std::string* heir = nullptr;
    for (auto& [name, other] : items) {
        if (other.carrier != path) continue;
        if (heir == nullptr) {
            heir = &name;
            const std::string kept = other.entry.path;
            other = item;
            other.entry.path = kept;
        } else {
            other.carrier = *heir;
        }
    }
}

void PackageWriter::add_directory(std::string path, const FileAttributes& attributes) {
    if (is_directory(path)) return;
    state_->add(std::move(path), TarEntry::Kind::directory, attributes);
}

void PackageWriter::add_symlink(std::string path, std::string target, const FileAttributes& attributes) {
    if (target.empty()) refuse(path, "a symlink to nothing");
    Item& item = state_->add(std::move(path), TarEntry::Kind::symlink, attributes);
    item.entry.target = std::move(target);
    item.entry.mode = 0777;
}

void PackageWriter::add_fifo(std::string path, const FileAttributes& attributes) {
    state_->add(std::move(path), TarEntry::Kind::fifo, attributes);
}

void PackageWriter::add_hard_link(std::string path, const std::string& of) {
    state_->close_file();
    const auto found = state_->items.find(of);
    if (found == state_->items.end()) refuse(path, "a hard link to a file that is not there");
    const TarEntry other = found->second.entry;
    const FileAttributes attributes{other.mode, other.uid, other.gid, other.mtime};
    if (other.kind == TarEntry::Kind::directory) refuse(path, "a hard link to a directory");
    if (other.kind == TarEntry::Kind::symlink) return add_symlink(std::move(path), other.target, attributes);
    if (other.kind == TarEntry::Kind::fifo) return add_fifo(std::move(path), attributes);
    const std::string carrier = found->second.carrier.empty() ? of : found->second.carrier;
    if (carrier == path) return;
    Item& item = state_->add(std::move(path), TarEntry::Kind::hard_link, attributes);
    item.carrier = carrier;
}

void PackageWriter::begin_file(std::string path, const FileAttributes& attributes) {
    Item& item = state_->add(std::move(path), TarEntry::Kind::file, attributes);
    item.offset = state_->spooled;
    state_->open = &item;
    state_->digest = ContentDigestStream();
}

void PackageWriter::append(std::string_view piece) {
    if (state_->open == nullptr) throw Error("package file", "", "no file was begun");
    write_all(state_->spool.get(), piece, "spool");
    state_->spooled += piece.size();
    state_->open->entry.size += piece.size();
    state_->digest.update(piece);
}

void PackageWriter::add_file(std::string path, std::string_view content, const FileAttributes& attributes) {
    begin_file(std::move(path), attributes);
    append(content);
}

bool PackageWriter::contains(std::string_view path) const {
    return state_->items.count(std::string(path)) != 0;
}

bool PackageWriter::is_directory(std::string_view path) const {
    const auto found = state_->items.find(std::string(path));
    return found != state_->items.end() && found->second.entry.kind == TarEntry::Kind::directory;
}

bool PackageWriter::is_file(std::string_view path) const {
    const auto found = state_->items.find(std::string(path));
    if (found == state_->items.end()) return false;
    const TarEntry::Kind kind = found->second.entry.kind;
    return kind == TarEntry::Kind::file || kind == TarEntry::Kind::hard_link;
}

std::string PackageWriter::content(std::string_view path) const {
    const auto found = state_->items.find(std::string(path));
    if (found == state_->items.end()) throw Error("package file", path, "it is not in the package");
    const Item& item = found->second.carrier.empty() ? found->second : state_->carrier_of(found->second);
    if (item.entry.kind != TarEntry::Kind::file) throw Error("package file", path, "it is not a file");
    std::string result;
    read_range(state_->spool.get(), item.offset, item.entry.size,
               [&](std::string_view piece) { result += piece; });
    return result;
}

// --- Result
// --------------------------------------------------------------------------------------------------

void PackageWriter::State::add_missing_parents(int64_t mtime) {
    std::vector<std::string> missing;
    for (const auto& [path, item] : items) {
        for (size_t slash = path.find('/'); slash != std::string::npos; slash = path.find('/', slash + 1)) {
            const std::string parent = path.substr(0, slash);
            const auto found = items.find(parent);
            if (found == items.end()) {
                missing.push_back(parent);
            } else if (found->second.entry.kind != TarEntry::Kind::directory) {
                refuse(path, "it lies below something that is not a directory");
            }
        }
    }
    for (const std::string& path : missing) {
        if (items.count(path) == 0) add(path, TarEntry::Kind::directory, {0755, 0, 0, mtime});
    }
}

/// The content comes with the first name in path order; the others link to it.
void PackageWriter::State::arrange_hard_links() {
    std::map<std::string, std::vector<std::string>> groups;
    for (const auto& [path, item] : items) {
        if (!item.carrier.empty()) groups[item.carrier].push_back(path);
    }
    for (auto& [carrier, names] : groups) {
        std::string first = carrier;
        if (names.front() < carrier) {
            first = names.front();
            Item& now = items.at(first);
            Item& before = items.at(carrier);
            now.entry.kind = TarEntry::Kind::file;
            now.entry.size = before.entry.size;
            now.offset = before.offset;
            now.digest = before.digest;
            now.carrier.clear();
            before.entry.kind = TarEntry::Kind::hard_link;
            before.entry.size = 0;
            before.carrier = first;
        }
        for (const std::string& name : names) {
            if (name != first) items.at(name).carrier = first;
        }
    }
}

uint64_t PackageWriter::State::installed_size() const {
    uint64_t sum = 0;
    for (const auto& [path, item] : items)
        sum += item.entry.kind == TarEntry::Kind::file ? item.entry.size : 0;
    return sum;
}

std::string PackageWriter::State::mtree(const TarEntry& pkginfo, std::string_view pkginfo_text) const {
    ContentDigestStream stream;
    stream.update(pkginfo_text);
    std::string text = "#mtree\n/set type=file uid=0 gid=0 mode=644\n";
    text += mtree_line(pkginfo, pkginfo_text.size(), stream.finish());
    for (const auto& [path, item] : items) {
        const Item& content = item.carrier.empty() ? item : carrier_of(item);
        text += mtree_line(item.entry, content.entry.size, content.digest);
    }
    return text;
}

void PackageWriter::State::write_payload(TarWriter& tar) const {
    for (const auto& [path, item] : items) {
        TarEntry entry = item.entry;
        entry.path = name_in_archive(path);
        if (entry.kind == TarEntry::Kind::directory) entry.path += '/';
        if (entry.kind == TarEntry::Kind::hard_link) entry.target = name_in_archive(item.carrier);
        tar.add(entry);
        if (entry.kind == TarEntry::Kind::file) {
            read_range(spool.get(), item.offset, entry.size,
                       [&](std::string_view piece) { tar.append(piece); });
        }
    }
}

RepositoryPackage PackageWriter::write(PackageDescription description, std::string_view remark,
                                       std::optional<uint64_t> installed_size) {
    state_->close_file();
    state_->add_missing_parents(description.build_date);
    state_->arrange_hard_links();
    description.installed_size = installed_size.value_or(state_->installed_size());

    TarEntry meta;
    meta.mtime = description.build_date;
    meta.path = ".PKGINFO";
    const std::string pkginfo = format_pkginfo(description, remark);
    const std::string mtree = gzip(state_->mtree(meta, pkginfo));

    RepositoryPackage result;
    result.filename = package_filename(description);
    StagedFile file(state_->dir, result.filename);
    TarWriter tar(file.fd(), result.filename, TarCompression::zstd);
    tar.add_file(meta, pkginfo);
    meta.path = ".MTREE";
    tar.add_file(meta, mtree);
    state_->write_payload(tar);
    tar.finish();

    const ContentDigest digest = content_digest_of_fd(file.fd(), result.filename);
    result.packed_size = static_cast<uint64_t>(stat_fd(file.fd(), result.filename).st_size);
    file.publish();
    result.md5 = digest.md5;
    result.sha256 = digest.sha256;
    result.description = std::move(description);
    return result;
}

std::string package_filename(const PackageDescription& description) {
    return fmt::format("{}-{}-{}.pkg.tar.zst", description.name, description.version, description.arch);
}

std::string format_pkginfo(const PackageDescription& description, std::string_view remark) {
    std::string text = fmt::format("# {}\n", one_line(remark));
    const auto put = [&](std::string_view key, std::string_view value) {
        if (!value.empty()) text += fmt::format("{} = {}\n", key, one_line(value));
    };
    const auto put_all = [&](std::string_view key, const std::vector<std::string>& values) {
        for (const std::string& value : values)
            put(key, value);
    };
    put("pkgname", description.name);
    put("pkgbase", description.base);
    put("pkgver", description.version);
    put("pkgdesc", description.description);
    put("url", description.url);
    put("builddate", std::to_string(description.build_date));
    put("packager", description.packager);
    put("size", std::to_string(description.installed_size));
    put("arch", description.arch);
    put_all("license", description.licenses);
    put_all("replaces", description.replaces);
    put_all("group", description.groups);
    put_all("conflict", description.conflicts);
    put_all("provides", description.provides);
    put_all("backup", description.backup);
    put_all("depend", description.depends);
    put_all("optdepend", description.optdepends);
    return text;
}

}  // namespace pwstore
