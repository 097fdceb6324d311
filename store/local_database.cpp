// SPDX-License-Identifier: GPL-3.0-or-later
#include "store/local_database.hpp"

#include <fcntl.h>

#include <algorithm>
#include <charconv>
#include <cstdlib>
#include <iterator>
#include <optional>
#include <set>
#include <utility>

#include "store/base/error.hpp"
#include "store/base/parallel.hpp"
#include "store/base/path_at.hpp"

namespace pwstore {

namespace {

/// A date as strtoll reads it, 0 when anything follows the number.
int64_t parse_date(const std::string& text) {
    char* end = nullptr;
    const long long value = std::strtoll(text.c_str(), &end, 10);
    return end != text.c_str() && *end == '\0' ? value : 0;
}

/// A size: digits and nothing else, otherwise all ones.
uint64_t parse_size(std::string_view text) {
    uint64_t value = 0;
    const auto [end, fault] = std::from_chars(text.data(), text.data() + text.size(), value);
    return fault == std::errc() && end == text.data() + text.size() ? value : ~uint64_t{0};
}

void put_field(PackageDescription& package, std::string_view key, std::string value) {
    struct TextField {
        std::string_view key;
        std::string PackageDescription::*field;
    };
    struct ListField {
        std::string_view key;
        std::vector<std::string> PackageDescription::*field;
    };
    static constexpr TextField kTexts[] = {
        {"pkgbase", &PackageDescription::base},      {"pkgdesc", &PackageDescription::description},
        {"url", &PackageDescription::url},           {"arch", &PackageDescription::arch},
        {"packager", &PackageDescription::packager},
    };
    static constexpr ListField kLists[] = {
        {"license", &PackageDescription::licenses},   {"group", &PackageDescription::groups},
        {"depend", &PackageDescription::depends},     {"optdepend", &PackageDescription::optdepends},
        {"conflict", &PackageDescription::conflicts}, {"provides", &PackageDescription::provides},
        {"replaces", &PackageDescription::replaces},  {"backup", &PackageDescription::backup},
    };
    for (const TextField& text : kTexts) {
        if (key != text.key) continue;
        if (value.empty()) package.empty_keys.emplace(key);
        package.*text.field = std::move(value);
        return;
    }
    for (const ListField& list : kLists) {
        if (key != list.key) continue;
        (package.*list.field).push_back(std::move(value));
        return;
    }
    if (key == "pkgname")
        package.name = std::move(value);
    else if (key == "pkgver")
        package.version = std::move(value);
    else if (key == "builddate")
        package.build_date = parse_date(value);
    else if (key == "size")
        package.installed_size = parse_size(value);
}

}  // namespace

PackageDescription parse_pkginfo(std::string_view text) {
    constexpr std::string_view kSeparator = " = ";
    PackageDescription package;
    while (!text.empty()) {
        const size_t end = text.find('\n');
        const std::string_view line = text.substr(0, end);
        text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
        const size_t separator = line.find(kSeparator);
        if (line.starts_with('#') || separator == std::string_view::npos) continue;
        put_field(package, line.substr(0, separator),
                  std::string(line.substr(separator + kSeparator.size())));
    }
    if (package.name.empty()) throw Error("read", ".PKGINFO", "it has no pkgname").as(Fault::corrupt);
    if (package.version.empty())
        throw Error("read", ".PKGINFO of " + package.name, "it has no pkgver").as(Fault::corrupt);
    return package;
}

// --- desc ---

namespace {

/// "%KEY%", the values a line each, an empty line.
class Sections {
 public:
    void put(std::string_view key, std::string_view value) {
        text_.append("%").append(key).append("%\n").append(value).append("\n\n");
    }
    void put_text(std::string_view key, std::string_view value, bool even_empty) {
        if (!value.empty() || even_empty) put(key, value);
    }
    void put_number(std::string_view key, int64_t value) {
        if (value != 0) put(key, std::to_string(value));
    }
    void put_list(std::string_view key, const std::vector<std::string>& values) {
        if (values.empty()) return;
        text_.append("%").append(key).append("%\n");
        for (const std::string& value : values)
            text_.append(value).append("\n");
        text_.append("\n");
    }
    [[nodiscard]] std::string take() { return std::move(text_); }

 private:
    std::string text_;
};

/// Words of libalpm's validation bits, in its order.
std::vector<std::string> validation_words(uint32_t bits) {
    static constexpr std::pair<uint32_t, const char*> kWords[] = {
        {1, "none"}, {2, "md5"}, {4, "sha256"}, {8, "pgp"}};
    std::vector<std::string> words;
    for (const auto& [bit, word] : kWords) {
        if ((bits & bit) != 0) words.emplace_back(word);
    }
    return words;
}

}  // namespace

std::string format_desc(const PackageDescription& package, const InstalledPackage& installed) {
    Sections desc;
    desc.put("NAME", package.name);
    desc.put("VERSION", package.version);
    desc.put_text("BASE", package.base, package.empty_keys.contains("pkgbase"));
    desc.put_text("DESC", package.description, package.empty_keys.contains("pkgdesc"));
    desc.put_text("URL", package.url, package.empty_keys.contains("url"));
    desc.put_text("ARCH", package.arch, package.empty_keys.contains("arch"));
    desc.put_number("BUILDDATE", package.build_date);
    desc.put_number("INSTALLDATE", installed.install_date);
    desc.put_text("PACKAGER", package.packager, package.empty_keys.contains("packager"));
    desc.put_number("SIZE", static_cast<int64_t>(package.installed_size));
    if (installed.reason == InstallReason::dependency) desc.put("REASON", "1");
    desc.put_list("GROUPS", package.groups);
    desc.put_list("LICENSE", package.licenses);
    desc.put_list("VALIDATION", validation_words(installed.validation));
    desc.put_list("REPLACES", package.replaces);
    desc.put_list("DEPENDS", package.depends);
    desc.put_list("OPTDEPENDS", package.optdepends);
    desc.put_list("CONFLICTS", package.conflicts);
    desc.put_list("PROVIDES", package.provides);
    return desc.take();
}

// --- files ---

namespace {

std::vector<std::string> file_list(const Manifest& manifest) {
    std::vector<std::string> names;
    names.reserve(manifest.entries.size());
    for (const Entry& entry : manifest.entries) {
        std::string name = entry.kind == EntryKind::directory ? entry.path + "/" : entry.path;
        if (name.starts_with('.')) name.insert(0, 1, '/');  // as archives have it: metadata begins with a dot
        names.push_back(std::move(name));
    }
    // They mostly are: a slash after a directory seldom changes its place.
    if (!std::is_sorted(names.begin(), names.end())) std::sort(names.begin(), names.end());
    return names;
}

/// "PATH<tab>MD5" in the order of .PKGINFO. libalpm records "(null)" for what it did not extract, and for the
/// second of two equal names.
std::vector<std::string> backup_list(const Manifest& manifest, const PackageDescription& package,
                                     const InstalledPackage& installed) {
    std::vector<std::string> lines;
    std::set<std::string> seen;
    for (const std::string& path : package.backup) {
        std::string md5;
        if (seen.insert(path).second) {
            const auto recorded = installed.backup_md5.find(path);
            const Entry* entry = manifest.find(path);
            if (recorded != installed.backup_md5.end())
                md5 = recorded->second;
            else if (entry != nullptr)
                md5 = entry->backup_md5;
        }
        lines.push_back(path + "\t" + (md5.empty() ? "(null)" : md5));
    }
    return lines;
}

}  // namespace

std::string format_files(const Manifest& manifest, const PackageDescription& package,
                         const InstalledPackage& installed) {
    Sections files;
    files.put_list("FILES", file_list(manifest));
    files.put_list("BACKUP", backup_list(manifest, package, installed));
    return files.take();
}

// --- The whole database ---

std::string database_entry_name(const InstalledPackage& package) {
    return package.name + "-" + package.version;
}

namespace {

std::vector<DatabaseFile> files_of(const Manifest& manifest, const ObjectKey& pkginfo,
                                   const ObjectStore& objects, const InstalledPackage& installed) {
    const PackageDescription package = parse_pkginfo(objects.content(pkginfo));
    const std::string directory = database_entry_name(installed) + "/";
    std::vector<DatabaseFile> files;
    files.push_back({directory + "desc", format_desc(package, installed), 0, installed.install_date});
    files.push_back(
        {directory + "files", format_files(manifest, package, installed), 0, installed.install_date});
    const std::pair<const char*, ObjectId> sides[] = {
        {"install", manifest.install}, {"mtree", manifest.mtree}, {"changelog", manifest.changelog}};
    for (const auto& [name, object] : sides) {
        if (object != 0) files.push_back({directory + name, "", object, installed.install_date});
    }
    return files;
}

}  // namespace

std::vector<DatabaseFile> local_database(const ReadTxn& txn, const ObjectStore& objects,
                                         const std::vector<InstalledPackage>& packages,
                                         const KnownManifests& known) {
    const auto in_step_of = [&](size_t at, const auto& act) {
        in_step("database entry of '" + packages[at].name + "'", act);
    };
    // A transaction is for one thread at a time; what it gives may be looked at by all.
    std::vector<Manifest> read(packages.size());
    std::vector<const Manifest*> manifests(packages.size());
    std::vector<std::optional<ObjectKey>> pkginfos(packages.size());
    for (size_t at = 0; at < packages.size(); ++at) {
        in_step_of(at, [&] {
            const auto found = known.find(packages[at].manifest);
            if (found == known.end()) read[at] = txn.manifest(packages[at].manifest);
            manifests[at] = found == known.end() ? &read[at] : &found->second;
            pkginfos[at] = txn.object(manifests[at]->pkginfo).first;
        });
    }
    std::vector<std::vector<DatabaseFile>> made(packages.size());
    parallel_for(packages.size(), default_threads(), [&](size_t at) {
        in_step_of(at, [&] { made[at] = files_of(*manifests[at], *pkginfos[at], objects, packages[at]); });
    });
    std::vector<DatabaseFile> files{{"ALPM_DB_VERSION", "9\n", 0, kObjectTime}};
    for (std::vector<DatabaseFile>& some : made)
        files.insert(files.end(), std::make_move_iterator(some.begin()), std::make_move_iterator(some.end()));
    return files;
}

}  // namespace pwstore
