// SPDX-License-Identifier: GPL-3.0-or-later
#include "store/repository/database.hpp"

#include <fcntl.h>
#include <fmt/format.h>

#include <charconv>
#include <chrono>
#include <optional>
#include <set>

#include "store/base/error.hpp"
#include "store/base/path_at.hpp"
#include "store/package/tar_io.hpp"

namespace pwstore {

namespace {

constexpr uint64_t kDescLimit = 4 << 20;
constexpr uint64_t kFilesLimit = 256 << 20;
constexpr std::chrono::minutes kPatience{2};

void put_block(std::string& text, std::string_view key, const std::vector<std::string>& values) {
    if (values.empty()) return;
    text += fmt::format("%{}%\n", key);
    for (const std::string& value : values)
        text += value + "\n";
    text += "\n";
}

void put_value(std::string& text, std::string_view key, const std::string& value) {
    if (!value.empty()) put_block(text, key, {value});
}

/// Blocks of a `desc`: "%KEY%", lines, an empty line.
std::map<std::string, std::vector<std::string>> blocks_of(std::string_view text) {
    std::map<std::string, std::vector<std::string>> blocks;
    std::vector<std::string>* current = nullptr;
    while (!text.empty()) {
        const size_t end = std::min(text.find('\n'), text.size());
        const std::string_view line = text.substr(0, end);
        text.remove_prefix(std::min(end + 1, text.size()));
        if (line.empty()) {
            current = nullptr;
        } else if (current == nullptr && line.size() > 2 && line.front() == '%' && line.back() == '%') {
            current = &blocks[std::string(line.substr(1, line.size() - 2))];
        } else if (current != nullptr) {
            current->emplace_back(line);
        }
    }
    return blocks;
}

uint64_t number(const std::string& text) {
    uint64_t value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc() || end != text.data() + text.size()) {
        throw Error("read repository entry", "", "'" + printable(text) + "' is not a number")
            .as(Fault::corrupt);
    }
    return value;
}

std::map<std::string, RepositoryPackage> read_packages(int dir, const std::string& filename) {
    std::map<std::string, RepositoryPackage> packages;
    const Fd file = open_at(dir, filename, O_RDONLY);
    TarReader reader(file.get(), filename);
    while (const auto entry = reader.next()) {
        if (entry->kind != TarEntry::Kind::file || split_path(entry->path).second != "desc") continue;
        const std::string text = reader.read_whole(kDescLimit);
        RepositoryPackage package =
            in_step(fmt::format("read '{}' of repository '{}'", printable(entry->path), printable(filename)),
                    [&] { return parse_sync_desc(text); });
        package.desc = text;
        std::string key = package.description.name;
        packages.insert_or_assign(std::move(key), std::move(package));
    }
    return packages;
}

std::string entry_name(const RepositoryPackage& package) {
    return fmt::format("{}-{}", package.description.name, package.description.version);
}

/// `files` of each entry of a NAME.files, by the entry's name.
std::map<std::string, std::string> read_file_lists(int dir, const std::string& filename) {
    std::map<std::string, std::string> lists;
    const Fd file = open_at(dir, filename, O_RDONLY);
    TarReader reader(file.get(), filename);
    while (const auto entry = reader.next()) {
        const auto [directory, name] = split_path(entry->path);
        if (entry->kind == TarEntry::Kind::file && name == "files")
            lists[std::string(directory)] = reader.read_whole(kFilesLimit);
    }
    return lists;
}

/// `files` as repo-add writes it; nothing for an archive that is not there.
std::optional<std::string> file_list_of(int dir, const std::string& filename) {
    const auto file = try_open_at(dir, filename, O_RDONLY | O_NOFOLLOW);
    if (!file) return std::nullopt;
    std::set<std::string> paths;
    TarReader reader(file->get(), filename);
    while (const auto entry = reader.next()) {
        if (!entry->path.starts_with('.')) paths.insert(entry->path);
    }
    std::string text = "%FILES%\n";
    for (const std::string& path : paths)
        text += path + "\n";
    return text;
}

void add_directory(TarWriter& tar, const RepositoryPackage& package) {
    TarEntry entry;
    entry.mtime = package.description.build_date;
    entry.kind = TarEntry::Kind::directory;
    entry.mode = 0755;
    entry.path = entry_name(package) + "/";
    tar.add(entry);
}

void add_text(TarWriter& tar, const RepositoryPackage& package, std::string_view name,
              const std::string& text) {
    TarEntry entry;
    entry.mtime = package.description.build_date;
    entry.path = fmt::format("{}/{}", entry_name(package), name);
    tar.add_file(entry, text);
}

std::string desc_of(const RepositoryPackage& package) {
    return package.desc.empty() ? format_sync_desc(package) : package.desc;
}

}  // namespace

std::string format_sync_desc(const RepositoryPackage& package) {
    const PackageDescription& about = package.description;
    std::string text;
    put_value(text, "FILENAME", package.filename);
    put_value(text, "NAME", about.name);
    put_value(text, "BASE", about.base);
    put_value(text, "VERSION", about.version);
    put_value(text, "DESC", about.description);
    put_block(text, "GROUPS", about.groups);
    put_value(text, "CSIZE", std::to_string(package.packed_size));
    put_value(text, "ISIZE", std::to_string(about.installed_size));
    put_value(text, "MD5SUM", package.md5);
    if (package.sha256 != Sha256{}) put_value(text, "SHA256SUM", package.sha256.hex());
    put_value(text, "PGPSIG", package.signature);
    put_value(text, "URL", about.url);
    put_block(text, "LICENSE", about.licenses);
    put_value(text, "ARCH", about.arch);
    put_value(text, "BUILDDATE", std::to_string(about.build_date));
    put_value(text, "PACKAGER", about.packager);
    put_block(text, "REPLACES", about.replaces);
    put_block(text, "CONFLICTS", about.conflicts);
    put_block(text, "PROVIDES", about.provides);
    put_block(text, "DEPENDS", about.depends);
    put_block(text, "OPTDEPENDS", about.optdepends);
    return text;
}

RepositoryPackage parse_sync_desc(std::string_view text) {
    const auto blocks = blocks_of(text);
    const auto all = [&](const char* key) {
        const auto found = blocks.find(key);
        return found == blocks.end() ? std::vector<std::string>{} : found->second;
    };
    const auto one = [&](const char* key) {
        const auto values = all(key);
        return values.empty() ? std::string() : values.front();
    };
    const auto needed = [&](const char* key) {
        std::string value = one(key);
        if (value.empty()) {
            const bool from_dos = text.find("%\r\n") != std::string_view::npos;
            throw Error("read repository entry", "",
                        std::string("it has no ") + key + (from_dos ? ", its lines end in CR LF" : ""))
                .as(Fault::corrupt);
        }
        return value;
    };
    const auto size = [&](const char* key) { return one(key).empty() ? 0 : number(one(key)); };

    RepositoryPackage package;
    package.filename = needed("FILENAME");
    PackageDescription& about = package.description;
    about.name = needed("NAME");
    about.version = needed("VERSION");
    about.base = one("BASE");
    about.description = one("DESC");
    about.groups = all("GROUPS");
    package.packed_size = size("CSIZE");
    about.installed_size = size("ISIZE");
    package.md5 = one("MD5SUM");
    if (const std::string digest = one("SHA256SUM"); !digest.empty())
        package.sha256 = Sha256::from_hex(digest);
    package.signature = one("PGPSIG");
    about.url = one("URL");
    about.licenses = all("LICENSE");
    about.arch = one("ARCH");
    about.build_date = static_cast<int64_t>(size("BUILDDATE"));
    about.packager = one("PACKAGER");
    about.replaces = all("REPLACES");
    about.conflicts = all("CONFLICTS");
    about.provides = all("PROVIDES");
    about.depends = all("DEPENDS");
    about.optdepends = all("OPTDEPENDS");
    return package;
}

RepositoryDatabase::RepositoryDatabase(int dir, const std::string& name)
    : dir_(dir),
      name_(name),
      lock_(
          FileLock::acquire(dir, "." + name + ".lock", LockMode::exclusive, kPatience, "repository " + name)),
      file_(find_packed_database(dir, name + ".db")) {
    if (!file_.readable.empty()) packages_ = read_packages(dir, file_.readable);
}

void RepositoryDatabase::put(RepositoryPackage package) {
    package.desc.clear();
    std::string key = package.description.name;
    packages_.insert_or_assign(std::move(key), std::move(package));
}

bool RepositoryDatabase::remove(const std::string& package_name) {
    return packages_.erase(package_name) != 0;
}

void RepositoryDatabase::save() const {
    save_file_lists();
    write_packed_database(dir_, file_, [this](TarWriter& tar) {
        for (const auto& [name, package] : packages_) {
            add_directory(tar, package);
            add_text(tar, package, "desc", desc_of(package));
        }
    });
}

/// pacman -F looks into NAME.files.
void RepositoryDatabase::save_file_lists() const {
    const PackedDatabase file = find_packed_database(dir_, name_ + ".files");
    if (file.readable.empty()) return;
    std::map<std::string, std::string> lists = read_file_lists(dir_, file.readable);
    write_packed_database(dir_, file, [&](TarWriter& tar) {
        for (const auto& [name, package] : packages_) {
            const auto known = lists.find(entry_name(package));
            std::optional<std::string> list;
            if (known != lists.end()) list = known->second;
            if (const bool is_new = package.desc.empty(); is_new || !list) {
                if (auto read = file_list_of(dir_, package.filename)) list = std::move(read);
            }
            add_directory(tar, package);
            add_text(tar, package, "desc", desc_of(package));
            if (list) add_text(tar, package, "files", *list);
        }
    });
}

std::vector<RepositoryPackage> RepositoryDatabase::read(int dir, const std::string& name) {
    const std::string link = name + ".db";
    const bool is_there = try_open_at(dir, link, O_RDONLY).has_value();
    std::vector<RepositoryPackage> packages;
    for (auto& [key, package] :
         read_packages(dir, is_there ? link : find_packed_database(dir, link).filename))
        packages.push_back(std::move(package));
    return packages;
}

}  // namespace pwstore
