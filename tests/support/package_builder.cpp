// SPDX-License-Identifier: GPL-3.0-or-later
#include "tests/support/package_builder.hpp"

#include <archive.h>
#include <archive_entry.h>
#include <fmt/format.h>
#include <openssl/evp.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <memory>
#include <set>
#include <stdexcept>

#include "store/base/path_at.hpp"

namespace pwstore::test {

namespace {

using Writer = std::unique_ptr<archive, int (*)(archive*)>;
using EntryPointer = std::unique_ptr<archive_entry, void (*)(archive_entry*)>;

/// One entry on its way into the package and into .MTREE.
struct Item {
    std::string path;
    mode_t type = AE_IFREG;
    PackageFile file;
    std::string link;  ///< symlink target, or the path that a hard link repeats
    bool is_hardlink = false;
};

void check(archive* writer, int result) {
    if (result != ARCHIVE_OK)
        throw std::runtime_error(fmt::format("libarchive: {}", archive_error_string(writer)));
}

void add_filter(archive* writer, const std::string& compression) {
    if (compression == "zst") check(writer, archive_write_add_filter_zstd(writer));
    if (compression == "gz") check(writer, archive_write_add_filter_gzip(writer));
    if (compression == "xz") check(writer, archive_write_add_filter_xz(writer));
    if (compression == "bz2") check(writer, archive_write_add_filter_bzip2(writer));
    if (compression == "lzma") check(writer, archive_write_add_filter_lzma(writer));
    if (compression == "lz") check(writer, archive_write_add_filter_lzip(writer));
    if (compression == "lz4") check(writer, archive_write_add_filter_lz4(writer));
    if (compression == "Z") check(writer, archive_write_add_filter_compress(writer));
    if (compression == "gz")
        check(writer, archive_write_set_filter_option(writer, "gzip", "timestamp", nullptr));
    check(writer, archive_write_set_bytes_per_block(writer, 0));
}

la_ssize_t append(archive*, void* target, const void* data, size_t size) {
    static_cast<std::string*>(target)->append(static_cast<const char*>(data), size);
    return static_cast<la_ssize_t>(size);
}

/// Run `fill` on a writer whose output is returned.
template <typename Setup, typename Fill>
std::string written(Setup&& setup, Fill&& fill) {
    std::string out;
    const Writer writer(archive_write_new(), archive_write_free);
    setup(writer.get());
    check(writer.get(), archive_write_open(writer.get(), &out, nullptr, append, nullptr));
    fill(writer.get());
    check(writer.get(), archive_write_close(writer.get()));
    return out;
}

void write_item(archive* writer, const Item& item) {
    const EntryPointer entry(archive_entry_new(), archive_entry_free);
    archive_entry_set_pathname(entry.get(), item.path.c_str());
    archive_entry_set_filetype(entry.get(), item.type);
    archive_entry_set_perm(entry.get(), item.file.mode);
    archive_entry_set_uid(entry.get(), item.file.uid);
    archive_entry_set_gid(entry.get(), item.file.gid);
    archive_entry_set_mtime(entry.get(), item.file.mtime, static_cast<long>(item.file.mtime_ns));
    if (item.is_hardlink) archive_entry_set_hardlink(entry.get(), item.link.c_str());
    if (item.type == AE_IFLNK) archive_entry_set_symlink(entry.get(), item.link.c_str());
    const bool has_content = item.type == AE_IFREG && !item.is_hardlink;
    archive_entry_set_size(entry.get(), has_content ? static_cast<la_int64_t>(item.file.content.size()) : 0);
    for (const auto& [name, value] : item.file.xattrs) {
        archive_entry_xattr_add_entry(entry.get(), name.c_str(), value.data(), value.size());
    }
    check(writer, archive_write_header(writer, entry.get()));
    if (!has_content) return;
    if (archive_write_data(writer, item.file.content.data(), item.file.content.size()) < 0)
        check(writer, ARCHIVE_FATAL);
}

std::string mtree_of(const std::vector<Item>& items) {
    const auto setup = [](archive* writer) {
        check(writer, archive_write_set_format_mtree(writer));
        add_filter(writer, "gz");
        check(writer,
              archive_write_set_options(writer, "!all,use-set,type,uid,gid,mode,time,size,md5,sha256,link"));
    };
    return written(setup, [&](archive* writer) {
        for (Item item : items) {
            item.path.insert(0, "./");
            item.is_hardlink = false;  // .MTREE names every link as a file of its own
            write_item(writer, item);
        }
    });
}

void add_parents(std::map<std::string, Item>& items, const PackageSpec& spec) {
    std::set<std::string> parents;
    for (const auto& [path, item] : items) {
        for (size_t slash = path.find('/'); slash != std::string::npos; slash = path.find('/', slash + 1)) {
            parents.insert(path.substr(0, slash));
        }
    }
    for (const std::string& path : parents) {
        items.try_emplace(
            path, Item{path, AE_IFDIR, {.content = {}, .mode = 0755, .mtime = spec.build_date}, {}, false});
    }
}

std::vector<Item> payload_of(const PackageSpec& spec) {
    std::map<std::string, Item> items;
    const auto meta = [&](uint32_t mode) {
        return PackageFile{.content = {}, .mode = mode, .mtime = spec.build_date};
    };
    for (const auto& [path, mode] : spec.directories)
        items[path] = {path, AE_IFDIR, meta(mode), {}, false};
    for (const auto& [path, mode] : spec.fifos)
        items[path] = {path, AE_IFIFO, meta(mode), {}, false};
    for (const auto& [path, target] : spec.symlinks)
        items[path] = {path, AE_IFLNK, meta(0777), target, false};
    for (const auto& [path, file] : spec.files) {
        Item item{path, AE_IFREG, file, {}, false};
        if (item.file.mtime == 0) item.file.mtime = spec.build_date;
        items[path] = item;
    }
    for (const auto& [path, original] : spec.hardlinks) {
        Item item = items.at(original);
        item.path = path;
        item.link = original;
        item.is_hardlink = true;
        items[path] = item;
    }
    add_parents(items, spec);
    std::vector<Item> sorted;
    std::vector<Item> links;  // a hard link comes after the file that it repeats
    for (auto& [path, item] : items)
        (item.is_hardlink ? links : sorted).push_back(std::move(item));
    sorted.insert(sorted.end(), links.begin(), links.end());
    return sorted;
}

std::string list_lines(const std::string& key, const std::vector<std::string>& values) {
    std::string text;
    for (const std::string& value : values)
        text += fmt::format("{} = {}\n", key, value);
    return text;
}

void put_text(std::string& text, const std::string& key, const std::vector<std::string>& values) {
    if (values.empty()) return;
    text += fmt::format("%{}%\n", key);
    for (const std::string& value : values)
        text += value + "\n";
    text += "\n";
}

/// `desc` of a sync database, as repo-add writes it.
std::string sync_desc(const PackageSpec& spec, const std::string& archive) {
    std::string text;
    put_text(text, "FILENAME", {spec.file_name()});
    put_text(text, "NAME", {spec.name});
    put_text(text, "BASE", {spec.name});
    put_text(text, "VERSION", {spec.version});
    put_text(text, "DESC", {spec.description});
    put_text(text, "GROUPS", spec.groups);
    put_text(text, "CSIZE", {fmt::format("{}", archive.size())});
    put_text(text, "ISIZE", {fmt::format("{}", spec.installed_size())});
    put_text(text, "MD5SUM", {reference_md5(archive)});
    put_text(text, "SHA256SUM", {reference_sha256(archive)});
    put_text(text, "URL", {"https://example.org/" + spec.name});
    put_text(text, "LICENSE", spec.licenses);
    put_text(text, "ARCH", {spec.arch});
    put_text(text, "BUILDDATE", {fmt::format("{}", spec.build_date)});
    put_text(text, "PACKAGER", {"Tests <tests@example.org>"});
    put_text(text, "REPLACES", spec.replaces);
    put_text(text, "CONFLICTS", spec.conflicts);
    put_text(text, "PROVIDES", spec.provides);
    put_text(text, "DEPENDS", spec.depends);
    put_text(text, "OPTDEPENDS", spec.optdepends);
    return text;
}

std::string digest_hex(std::string_view content, const EVP_MD* kind) {
    std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
    unsigned length = 0;
    if (EVP_Digest(content.data(), content.size(), digest.data(), &length, kind, nullptr) != 1) {
        throw std::runtime_error("libcrypto: no digest");
    }
    std::string text;
    for (unsigned i = 0; i < length; ++i)
        text += fmt::format("{:02x}", digest[i]);
    return text;
}

void write_whole(const std::string& path, std::string_view content) {
    make_directories(AT_FDCWD, std::string(split_path(path).first));
    write_all(open_at(AT_FDCWD, path, O_WRONLY | O_CREAT | O_TRUNC, 0644).get(), content, path);
}

constexpr size_t kBlock = 512;

/// An octal field of a tar header, or the base-256 form when the number is too large for it.
void put_number(std::string& header, size_t at, size_t width, uint64_t value) {
    const std::string digits = fmt::format("{:0{}o}", value, width - 1);
    if (digits.size() == width - 1) {
        header.replace(at, digits.size(), digits);
        return;
    }
    for (size_t i = 0; i < width; ++i) {
        const size_t shift = 8 * (width - 1 - i);
        header[at + i] = shift < 64 ? static_cast<char>(value >> shift) : '\0';
    }
    header[at] = static_cast<char>(0x80);
}

std::string tar_block(const RawTar::Header& entry, uint64_t size) {
    std::string header(kBlock, '\0');
    header.replace(0, std::min<size_t>(entry.path.size(), 100), entry.path, 0, 100);
    put_number(header, 100, 8, entry.mode);
    put_number(header, 108, 8, entry.uid);
    put_number(header, 116, 8, entry.gid);
    put_number(header, 124, 12, size);
    put_number(header, 136, 12, static_cast<uint64_t>(entry.mtime));
    header[156] = entry.type;
    header.replace(157, std::min<size_t>(entry.link.size(), 100), entry.link, 0, 100);
    header.replace(257, 6, std::string("ustar\0", 6));
    header.replace(263, 2, "00");
    header.replace(148, 8, 8, ' ');
    unsigned sum = 0;
    for (const char byte : header)
        sum += static_cast<unsigned char>(byte);
    header.replace(148, 7, fmt::format("{:06o}", sum) + std::string(1, '\0'));
    return header;
}

/// "LENGTH KEY=VALUE\n", where LENGTH counts itself.
std::string pax_record(const std::string& key, const std::string& value) {
    const size_t fixed = key.size() + value.size() + 3;
    size_t length = fixed + 1;
    while (fixed + fmt::formatted_size("{}", length) != length)
        ++length;
    return fmt::format("{} {}={}\n", length, key, value);
}

}  // namespace

PackageSpec& PackageSpec::script(const std::string& path, const std::string& body) {
    files[path] = {.content = "#!/bin/sh\n" + body, .mode = 0755};
    return *this;
}

std::string PackageSpec::file_name() const {
    return fmt::format("{}-{}-{}.pkg.tar{}{}", name, version, arch, compression.empty() ? "" : ".",
                       compression);
}

uint64_t PackageSpec::installed_size() const {
    uint64_t size = 0;
    for (const auto& [path, file] : files)
        size += file.content.size();
    return size;
}

std::string pkginfo_text(const PackageSpec& spec) {
    std::string text = "# Generated for a test\n";
    text += fmt::format("pkgname = {}\npkgbase = {}\npkgver = {}\n", spec.name, spec.name, spec.version);
    text += fmt::format("pkgdesc = {}\nurl = https://example.org/{}\n", spec.description, spec.name);
    text += fmt::format("builddate = {}\npackager = Tests <tests@example.org>\n", spec.build_date);
    text += fmt::format("size = {}\narch = {}\n", spec.installed_size(), spec.arch);
    text += list_lines("license", spec.licenses);
    text += list_lines("replaces", spec.replaces);
    text += list_lines("group", spec.groups);
    text += list_lines("conflict", spec.conflicts);
    text += list_lines("provides", spec.provides);
    text += list_lines("backup", spec.backup);
    text += list_lines("depend", spec.depends);
    text += list_lines("optdepend", spec.optdepends);
    return text;
}

std::string build_package(const std::string& dir, const PackageSpec& spec) {
    std::vector<Item> items;
    const auto add_meta = [&](const std::string& path, const std::string& content) {
        items.push_back(
            {path, AE_IFREG, {.content = content, .mode = 0644, .mtime = spec.build_date}, {}, false});
    };
    if (!spec.changelog.empty()) add_meta(".CHANGELOG", spec.changelog);
    if (!spec.install.empty()) add_meta(".INSTALL", spec.install);
    add_meta(".PKGINFO", pkginfo_text(spec));
    const auto payload = payload_of(spec);
    items.insert(items.end(), payload.begin(), payload.end());
    Item mtree{
        ".MTREE", AE_IFREG, {.content = mtree_of(items), .mode = 0644, .mtime = spec.build_date}, {}, false};
    items.insert(items.begin(), std::move(mtree));

    // As bsdtar: pax headers only where they are needed, and fractions of a second alone do not ask for one.
    const bool has_fractions =
        std::any_of(items.begin(), items.end(), [](const Item& item) { return item.file.mtime_ns != 0; });
    const auto setup = [&](archive* writer) {
        check(writer, has_fractions ? archive_write_set_format_pax(writer)
                                    : archive_write_set_format_pax_restricted(writer));
        check(writer, archive_write_set_options(writer, "hdrcharset=BINARY"));
        add_filter(writer, spec.compression);
    };
    const std::string bytes = written(setup, [&](archive* writer) {
        for (const Item& item : items)
            write_item(writer, item);
    });
    std::string path = dir + "/" + spec.file_name();
    write_whole(path, bytes);
    return path;
}

void make_repository(const std::string& dir, const std::string& name,
                     const std::vector<PackageSpec>& packages) {
    const auto setup = [](archive* writer) {
        check(writer, archive_write_set_format_pax_restricted(writer));
        add_filter(writer, "gz");
    };
    const auto item = [](const std::string& path, mode_t type, const std::string& content) {
        return Item{path,
                    type,
                    {.content = content, .mode = type == AE_IFDIR ? 0755U : 0644U, .mtime = kBuildDate},
                    {},
                    false};
    };
    make_directories(AT_FDCWD, dir);
    const std::string database = written(setup, [&](archive* writer) {
        for (const PackageSpec& spec : packages) {
            const std::string archive = read_file(AT_FDCWD, build_package(dir, spec));
            const std::string entry = spec.name + "-" + spec.version;
            write_item(writer, item(entry + "/", AE_IFDIR, {}));
            write_item(writer, item(entry + "/desc", AE_IFREG, sync_desc(spec, archive)));
        }
    });
    write_whole(dir + "/" + name + ".db.tar.gz", database);
    replace_symlink(AT_FDCWD, dir + "/" + name + ".db", name + ".db.tar.gz");
}

std::string reference_sha256(std::string_view content) {
    return digest_hex(content, EVP_sha256());
}
std::string reference_md5(std::string_view content) {
    return digest_hex(content, EVP_md5());
}

RawTar& RawTar::add(const Header& header, std::string_view content) {
    std::vector<std::pair<std::string, std::string>> records = header.pax;
    if (header.path.size() > 100) records.emplace_back("path", header.path);
    if (header.link.size() > 100) records.emplace_back("linkpath", header.link);
    if (!records.empty()) {
        std::string body;
        for (const auto& [key, value] : records)
            body += pax_record(key, value);
        add({.path = "PaxHeader", .type = 'x'}, body);
    }
    stream_ += tar_block(header, header.size.value_or(content.size()));
    stream_ += content;
    stream_.append((kBlock - content.size() % kBlock) % kBlock, '\0');
    return *this;
}

RawTar& RawTar::pkginfo(const std::string& name, const std::string& version) {
    return file(".PKGINFO", pkginfo_text({.name = name, .version = version}));
}

RawTar& RawTar::raw(std::string_view bytes) {
    stream_ += bytes;
    return *this;
}

std::string RawTar::bytes() const {
    return stream_ + std::string(2 * kBlock, '\0');
}

std::string RawTar::write(const std::string& path, const std::string& compression) const {
    write_whole(path, compressed(bytes(), compression));
    return path;
}

std::string compressed(std::string_view content, const std::string& compression) {
    if (compression.empty()) return std::string(content);
    const auto setup = [&](archive* writer) {
        check(writer, archive_write_set_format_raw(writer));
        add_filter(writer, compression);
    };
    return written(setup, [&](archive* writer) {
        const EntryPointer entry(archive_entry_new(), archive_entry_free);
        archive_entry_set_filetype(entry.get(), AE_IFREG);
        check(writer, archive_write_header(writer, entry.get()));
        if (archive_write_data(writer, content.data(), content.size()) < 0) check(writer, ARCHIVE_FATAL);
    });
}

}  // namespace pwstore::test
