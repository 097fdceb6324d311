// SPDX-License-Identifier: GPL-3.0-or-later
#include "store/repository/packed_database.hpp"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <set>
#include <string_view>
#include <utility>

#include "store/base/error.hpp"
#include "store/base/path_at.hpp"
#include "store/base/staged_file.hpp"

namespace pwstore {

namespace {

struct Form {
    std::string_view ending;  ///< after NAME.db
    std::string_view magic;   ///< the first bytes
    TarCompression compression;
};
using namespace std::string_view_literals;
constexpr std::array kForms{Form{".tar.gz", "\x1f\x8b"sv, TarCompression::gzip},
                            Form{".tar.zst", "\x28\xb5\x2f\xfd"sv, TarCompression::zstd},
                            Form{".tar.xz",
                                 "\xfd"
                                 "7zXZ\0"sv,
                                 TarCompression::xz},
                            Form{".tar.bz2", "BZh"sv, TarCompression::bzip2},
                            Form{".tar", ""sv, TarCompression::none}};
constexpr size_t kTarMagicAt = 257;
constexpr std::string_view kTarMagic = "ustar";

const Form* form_of_name(std::string_view filename) {
    const auto form = std::find_if(kForms.begin(), kForms.end(),
                                   [&](const Form& one) { return filename.ends_with(one.ending); });
    return form == kForms.end() ? nullptr : &*form;
}

[[noreturn]] void refuse(const std::string& filename, std::string_view cause) {
    throw Error("change repository", filename, cause).as(Fault::refused);
}

bool is_link(int dir, const std::string& name) {
    const auto info = try_stat_at(dir, name);
    return info && S_ISLNK(info->st_mode);
}

/// A file, or a link to one.
bool is_file(int dir, const std::string& name) {
    struct stat info {};
    return ::fstatat(dir, name.c_str(), &info, 0) == 0 && S_ISREG(info.st_mode);
}

std::string first_bytes(int dir, const std::string& filename) {
    std::string bytes(kTarMagicAt + kTarMagic.size(), '\0');
    const auto file = try_open_at(dir, filename, O_RDONLY);
    bytes.resize(file ? read_some(file->get(), bytes, filename) : 0);
    return bytes;
}

/// By what the file holds; by its name when it holds nothing yet.
TarCompression compression_of(int dir, const std::string& filename) {
    const std::string begin = first_bytes(dir, filename);
    for (const Form& form : kForms) {
        if (!form.magic.empty() && begin.starts_with(form.magic)) return form.compression;
    }
    if (begin.size() > kTarMagicAt && std::string_view(begin).substr(kTarMagicAt).starts_with(kTarMagic))
        return TarCompression::none;
    const Form* form = form_of_name(filename);
    if (form == nullptr || !begin.empty()) {
        refuse(filename,
               "it is no archive that can be written here (.tar, .tar.gz, .tar.bz2, .tar.xz, .tar.zst)");
    }
    return form->compression;
}

/// The archives that `name` may have been made from, where it does not say so itself.
std::vector<std::string> archives_of(int dir, const std::string& name) {
    std::vector<std::string> found;
    for (const Form& form : kForms) {
        const std::string filename = name + std::string(form.ending);
        if (is_file(dir, filename)) found.push_back(filename);
    }
    return found;
}

std::string archive_of(int dir, const std::string& name) {
    if (is_link(dir, name)) {
        const std::string target = read_link_at(dir, name);
        std::string filename = target.starts_with("./") ? target.substr(2) : target;
        if (filename.find('/') != std::string::npos)
            refuse(name, "it leads to " + printable(target) + "; change the repository there");
        return filename;
    }
    const std::vector<std::string> archives = archives_of(dir, name);
    if (!exists_at(dir, name)) return archives.empty() ? name + ".tar.gz" : archives.front();
    return archives.size() == 1 ? archives.front() : name;
}

/// In seconds, which is what readers compare.
void make_younger(int dir, const std::string& name, int fd) {
    struct stat old {};
    const struct stat made = stat_fd(fd, name);
    if (::fstatat(dir, name.c_str(), &old, 0) != 0 || old.st_mtim.tv_sec < made.st_mtim.tv_sec) return;
    const timespec time{old.st_mtim.tv_sec + 1, 0};
    const std::array<timespec, 2> times{time, time};
    if (::futimens(fd, times.data()) != 0) throw Error::from_errno("set time", name);
}

}  // namespace

PackedDatabase find_packed_database(int dir, const std::string& name) {
    PackedDatabase database{name, archive_of(dir, name)};
    // Where both are plain files, readers open NAME.db.
    database.readable = is_file(dir, name) ? name : is_file(dir, database.filename) ? database.filename : "";
    database.compression =
        compression_of(dir, database.readable.empty() ? database.filename : database.readable);
    return database;
}

std::vector<std::string> packed_databases_in(int dir) {
    constexpr std::string_view kEnding = ".db";
    std::set<std::string> names;
    for (const DirectoryItem& item : list_directory(dir)) {
        std::string_view name = item.name;
        if (const Form* form = form_of_name(name)) name.remove_suffix(form->ending.size());
        if (name.size() > kEnding.size() && name.ends_with(kEnding) && name.front() != '.' &&
            is_file(dir, item.name))
            names.emplace(name.substr(0, name.size() - kEnding.size()));
    }
    return {names.begin(), names.end()};
}

void write_packed_database(int dir, const PackedDatabase& database,
                           const std::function<void(TarWriter& tar)>& fill) {
    const std::string& filename = database.filename;
    StagedFile file(dir, filename);
    TarWriter tar(file.fd(), filename, database.compression);
    fill(tar);
    tar.finish();
    if (!database.readable.empty()) make_younger(dir, database.readable, file.fd());
    file.publish();
    if (database.name != filename) replace_symlink(dir, database.name, filename);
    remove_file(dir, filename + ".sig");
    remove_file(dir, database.name + ".sig");
    sync_fd(open_dir(dir, ".").get(), database.name);
}

}  // namespace pwstore
