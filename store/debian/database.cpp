// SPDX-License-Identifier: GPL-3.0-or-later
#include "store/debian/database.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <charconv>
#include <unordered_set>
#include <utility>

#include "store/base/error.hpp"
#include "store/base/path_at.hpp"
#include "store/base/staged_file.hpp"
#include "store/debian/generated.hpp"
#include "store/debian/universe.hpp"
#include "store/debian/version.hpp"
#include "store/package/packed_stream.hpp"
#include "store/package/tar_io.hpp"
#include "store/package/writer.hpp"
#include "store/repository/database.hpp"

namespace pwstore {

namespace {

constexpr std::string_view kHeader = "pwstore-debs 1";
/// Its postinst moves the directories of / below /usr, where the layout has links already.
constexpr std::string_view kDestroysRoots = "usrmerge";
constexpr size_t kParagraphLimit = 4 << 20;

/// Text for one line of an entry, which ends at its line break.
std::string one_line(std::string text) {
    std::replace_if(
        text.begin(), text.end(), [](unsigned char c) { return c < ' ' || c == 0x7f; }, ' ');
    return text;
}

/// Debian's priorities above "optional" are groups: `install standard` means something, and the choice among
/// several packages that provide a name looks at them.
std::vector<std::string> groups_of(const DebControl& control) {
    for (const char* priority : {"required", "important", "standard"}) {
        if (control.priority == priority) return {priority};
    }
    return {};
}

RepositoryPackage described(const DebIndexEntry& deb) {
    const DebControl& control = deb.control;
    RepositoryPackage package;
    PackageDescription& about = package.description;
    about.name = control.name;
    about.base = control.source;
    about.version = alpm_version(control.version);
    about.description = one_line(control.summary);
    about.url = one_line(control.homepage);
    about.arch = alpm_architecture(control.architecture);
    about.packager = one_line(control.maintainer);
    about.groups = groups_of(control);
    about.installed_size = control.installed_size;
    package.packed_size = deb.size;
    package.filename = package_filename(about);
    return package;
}

/// The entries of a sync database, without the directories that libalpm passes over.
class DatabaseFileWriter {
 public:
    DatabaseFileWriter(int dir, const std::string& filename)
        : file_(dir, filename), tar_(file_.fd(), filename, TarCompression::zstd) {}
    void put(const RepositoryPackage& package) {
        TarEntry entry;
        entry.path = fmt::format("{}-{}/desc", package.description.name, package.description.version);
        tar_.add_file(entry, format_sync_desc(package));
    }
    void publish() {
        tar_.finish();
        file_.publish();
    }

 private:
    StagedFile file_;
    TarWriter tar_;
};

std::vector<std::string_view> words_of(std::string_view line) {
    std::vector<std::string_view> words;
    while (!line.empty()) {
        const size_t end = std::min(line.find(' '), line.size());
        if (end > 0) words.push_back(line.substr(0, end));
        line.remove_prefix(std::min(end + 1, line.size()));
    }
    return words;
}

template <typename Number>
bool read_number(std::string_view text, Number& into) {
    const auto [end, problem] = std::from_chars(text.data(), text.data() + text.size(), into);
    return problem == std::errc() && end == text.data() + text.size();
}

/// Of a base that is not the one before: newer, though another suite may be dated earlier. Dates are compared
/// as text, what follows them counts the bases of one date.
std::string next_base_version(const DebOrigins& before, const std::vector<std::string>& depends,
                              const std::string& dated) {
    if (before.base_depends == depends) return before.base_version;
    const auto date_of = [](const std::string& version) { return version.substr(0, version.rfind('-')); };
    const std::string date = date_of(before.base_version);
    if (date_of(dated) > date) return dated;
    unsigned count = 0;
    (void)read_number(
        std::string_view(before.base_version).substr(std::min(date.size() + 1, before.base_version.size())),
        count);
    return fmt::format("{}-{}", date, count + 1);
}

}  // namespace

// --- Collect
// ---------------------------------------------------------------------------------------------------

void DebCollection::add(DebIndexEntry entry, uint32_t server_list) {
    const DebControl& control = entry.control;
    if (control.architecture != "all" && control.architecture != native_deb_architecture()) return;
    if (control.name == kDestroysRoots || control.name == kLayoutPackage || control.name == kBasePackage)
        return;
    const auto [found, is_new] = by_name_.try_emplace(control.name, entries_.size());
    if (is_new) {
        entries_.push_back({std::move(entry), server_list});
    } else if (Entry& known = entries_[found->second];
               compare_deb_versions(control.version, known.deb.control.version) > 0) {
        known = {std::move(entry), server_list};
    }
}

void DebCollection::write(int dir, const std::string& name,
                          const std::vector<std::vector<std::string>>& server_lists,
                          const std::optional<DebOrigins>& before, const std::string& base_version) {
    std::sort(entries_.begin(), entries_.end(),
              [](const Entry& a, const Entry& b) { return a.deb.control.name < b.deb.control.name; });
    by_name_.clear();  // its positions mean nothing any more
    DebUniverse universe;
    std::vector<std::string> base_depends{kLayoutPackage};
    for (const Entry& entry : entries_) {
        universe.add(entry.deb.control);
        if (belongs_to_base(entry.deb.control)) base_depends.push_back(entry.deb.control.name);
    }
    std::sort(base_depends.begin(), base_depends.end());
    const PackageDescription base = base_description(
        base_depends, before ? next_base_version(*before, base_depends, base_version) : base_version);

    std::vector<std::vector<std::string>> depends(entries_.size());
    std::vector<std::string>
        unsatisfied;  // ordinary in an archive: a suite, a component, an architecture alone
    for (size_t i = 0; i < entries_.size(); ++i) {
        depends[i] = universe.depends(entries_[i].deb.control, unsatisfied);
        depends[i].insert(depends[i].begin(), kLayoutPackage);
    }
    StagedFile origins(dir, name + ".debs");
    std::string text = fmt::format("{}\nbase {} {}\n", kHeader, base.version, fmt::join(base_depends, " "));
    for (const std::vector<std::string>& servers : server_lists)
        text += fmt::format("servers {}\n", fmt::join(servers, " "));
    DatabaseFileWriter database(dir, name + ".db");
    for (const PackageDescription& generated : {base, layout_description()}) {
        RepositoryPackage package;
        package.description = generated;
        package.filename = package_filename(generated);
        database.put(package);
    }
    for (size_t i = 0; i < entries_.size(); ++i) {
        const DebIndexEntry& deb = entries_[i].deb;
        RepositoryPackage package = described(deb);
        package.description.depends = std::move(depends[i]);
        package.description.conflicts = universe.conflicts(deb.control);
        package.description.provides = universe.provides(deb.control);
        database.put(package);
        text += fmt::format("{} {} {} {} {}\n", package.filename, deb.size, deb.sha256.hex(),
                            entries_[i].server_list, deb.path);
        if (text.size() > (1U << 20)) origins.write(std::exchange(text, {}));
    }
    origins.write(text);
    origins.publish();
    database.publish();
}

void read_deb_index(int fd, const std::string& path, const std::function<void(std::string_view)>& take) {
    const PackedBuffer buffer;
    const PackedFile file(fd, path, buffer);
    PackedStream stream(file);
    std::string rest;
    for (std::string_view piece = stream.next(); !piece.empty(); piece = stream.next()) {
        rest += piece;
        size_t begin = 0;
        for (size_t end = 0; (end = rest.find("\n\n", begin)) != std::string::npos;) {
            take(std::string_view(rest).substr(begin, end + 1 - begin));
            begin = rest.find_first_not_of('\n', end);
            if (begin == std::string::npos) begin = rest.size();
        }
        rest.erase(0, begin);
        if (rest.size() > kParagraphLimit)
            throw Error("read package index", path, "a paragraph has no end").as(Fault::corrupt);
    }
    if (rest.find_first_not_of('\n') != std::string::npos) take(rest);
}

// --- Origins
// ---------------------------------------------------------------------------------------------------

std::optional<DebOrigins> read_deb_origins(int dir, const std::string& name,
                                           const std::vector<std::string>& wanted) {
    const std::string filename = name + ".debs";
    const auto text = try_read_file(dir, filename);
    if (!text) return std::nullopt;
    const auto damaged = [&](std::string_view line) {
        return Error("read repository", filename, "it is damaged: '" + printable(line.substr(0, 100)) + "'")
            .as(Fault::corrupt)
            .with_hint("refresh it with -Syy");
    };
    const std::unordered_set<std::string_view> names(wanted.begin(), wanted.end());
    DebOrigins origins;
    std::string_view left = *text;
    bool is_first = true;
    while (!left.empty()) {
        const std::string_view line = left.substr(0, left.find('\n'));
        left.remove_prefix(std::min(line.size() + 1, left.size()));
        const std::string_view key = line.substr(0, line.find(' '));
        if (std::exchange(is_first, false)) {
            if (line != kHeader) throw damaged(line);
        } else if (key == "base" || key == "servers") {
            const std::vector<std::string_view> words = words_of(line);
            if (words.size() < 2) throw damaged(line);
            if (key == "servers") {
                origins.server_lists.emplace_back(words.begin() + 1, words.end());
            } else {
                origins.base_version = words[1];
                origins.base_depends.assign(words.begin() + 2, words.end());
            }
        } else if (names.contains(key)) {
            const std::vector<std::string_view> words = words_of(line);
            DebOrigin origin;
            if (words.size() < 5 || !read_number(words[1], origin.size) ||
                !read_number(words[3], origin.server_list) ||
                origin.server_list >= origins.server_lists.size())
                throw damaged(line);
            origin.sha256 = Sha256::from_hex(words[2]);
            origin.path = line.substr(static_cast<size_t>(words[4].data() - line.data()));
            origins.packages.emplace(key, std::move(origin));
        }
    }
    return origins;
}

}  // namespace pwstore
