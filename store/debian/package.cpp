// SPDX-License-Identifier: GPL-3.0-or-later
#include "store/debian/package.hpp"

#include <fcntl.h>
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <optional>
#include <utility>

#include "store/base/error.hpp"
#include "store/base/names.hpp"
#include "store/base/path_at.hpp"
#include "store/debian/dpkg_record.hpp"
#include "store/debian/version.hpp"
#include "store/package/tar_io.hpp"
#include "store/package/writer.hpp"

namespace pwstore {

namespace {

/// Raised whenever the same .deb gives another package.
constexpr int kConverterRevision = 3;
constexpr uint64_t kControlLimit = 16 << 20;
constexpr uint64_t kRatioFrom = 64 << 20;

[[noreturn]] void refuse(const std::string& path, std::string_view cause) {
    throw Error("convert", path, cause).as(Fault::refused);
}

[[noreturn]] void damaged(const std::string& path, std::string_view cause) {
    throw Error("read Debian package", path, cause).as(Fault::corrupt);
}

// --- Names
// ---------------------------------------------------------------------------------------------------

constexpr std::array<std::string_view, 7> kMergedDirectories{"bin",    "lib",    "lib32", "lib64",
                                                             "libo32", "libx32", "sbin"};

constexpr std::array<std::pair<std::string_view, std::string_view>, 2> kRunDirectories{
    {{"var/run", "run"}, {"var/lock", "run/lock"}}};

bool is_merged_directory(std::string_view name) {
    return std::find(kMergedDirectories.begin(), kMergedDirectories.end(), name) != kMergedDirectories.end();
}

bool is_run_directory(std::string_view name) {
    return std::any_of(kRunDirectories.begin(), kRunDirectories.end(),
                       [&](const auto& directory) { return directory.first == name; });
}

/// The place of `path` where / has links to usr/, and var/ has links to run/: "bin/sh" → "usr/bin/sh".
std::string merged(std::string_view path) {
    for (const auto& [from, to] : kRunDirectories) {
        if (path == from || (path.starts_with(from) && path[from.size()] == '/'))
            return std::string(to).append(path.substr(from.size()));
    }
    return is_merged_directory(path.substr(0, path.find('/'))) ? "usr/" + std::string(path)
                                                               : std::string(path);
}

/// Name in the archive → path below the root as the package has it; empty for the root itself.
std::string plain_path(std::string_view name) {
    std::string path = root_path_of(name);
    if (!path.empty() && !is_root_path(path))
        refuse(std::string(name), "a name that leads out of the package");
    if (path.find('\n') != std::string::npos)
        refuse(std::string(name), "a line break in a name, which dpkg's lists cannot have");
    return path;
}

/// What a symlink at `path` points to, when text alone says it; nullopt when that lies above the root.
std::optional<std::string> link_destination(const std::string& path, const std::string& target) {
    std::vector<std::string> parts;
    const auto walk = [&](std::string_view text) {
        while (!text.empty()) {
            const size_t end = std::min(text.find('/'), text.size());
            const std::string_view part = text.substr(0, end);
            text.remove_prefix(std::min(end + 1, text.size()));
            if (part == "..") {
                if (parts.empty()) return false;
                parts.pop_back();
            } else if (!part.empty() && part != ".") {
                parts.emplace_back(part);
            }
        }
        return true;
    };
    if (target.front() != '/') walk(split_path(path).first);
    if (!walk(target)) return std::nullopt;
    std::string result;
    for (const std::string& part : parts)
        result += result.empty() ? part : "/" + part;
    return merged(result);
}

// --- Reading
// -------------------------------------------------------------------------------------------------

/// The open file and its position at the beginning of member `wanted` ("control.tar", "data.tar").
class DebMember {
 public:
    DebMember(int fd, const std::string& path, std::string_view wanted) : members_(fd, path) {
        const auto first = members_.next();
        if (first != "debian-binary") damaged(path, "it is no Debian package");
        std::string format;
        for (auto piece = members_.read(); !piece.empty() && format.size() < 16; piece = members_.read())
            format += piece;
        if (format.substr(0, 2) != "2.")
            throw Error("read Debian package", path, "its format is not 2").as(Fault::unsupported);
        while (const auto name = members_.next()) {
            if (name->substr(0, wanted.size()) == wanted) return;
        }
        damaged(path, "it has no " + std::string(wanted));
    }
    [[nodiscard]] TarReader tar(const std::string& path) {
        return {[this] { return members_.read(); }, path};
    }

 private:
    ArReader members_;
};

/// Counts what an archive unpacks to, against its claims and its own size.
class UnpackBudget {
 public:
    UnpackBudget(uint64_t packed, const IngestLimits& limits) : packed_(packed), limits_(limits) {}
    void take_entry(const TarEntry& entry) {
        if (++entries_ > limits_.entries) refuse(entry.path, "too many entries");
        if (entry.size > limits_.file_bytes) refuse(entry.path, "a file that is larger than it may be");
        take_bytes(entry.path, entry.size);
    }

 private:
    void take_bytes(const std::string& path, uint64_t bytes) {
        bytes_ += bytes;
        if (bytes_ > limits_.package_bytes) refuse(path, "a package that is larger than it may be");
        if (bytes_ > kRatioFrom && bytes_ / limits_.ratio > packed_)
            refuse(path, "it unpacks to far more than it packs");
    }
    uint64_t packed_;
    IngestLimits limits_;
    uint64_t entries_ = 0;
    uint64_t bytes_ = 0;
};

/// Puts the entries of data.tar into a package.
class PayloadCopier {
 public:
    PayloadCopier(PackageWriter& package, TarReader& tar, UnpackBudget budget)
        : package_(package), tar_(tar), budget_(std::move(budget)) {}

    void copy() {
        while (const auto entry = tar_.next()) {
            budget_.take_entry(*entry);
            newest_ = std::max(newest_, entry->mtime);
            const std::string plain = plain_path(entry->path);
            list_ += plain.empty() ? "/.\n" : fmt::format("/{}\n", plain);
            if (!plain.empty()) place(*entry, plain);
            link_rare_directory(plain, entry->mtime);
        }
    }
    /// The latest time of anything in it, never before the epoch.
    [[nodiscard]] int64_t newest() const noexcept { return newest_; }
    /// What dpkg's NAME.list says: the names as the package has them.
    [[nodiscard]] const std::string& list() const noexcept { return list_; }

 private:
    /// The layout has no links for directories that hardly anybody has; a package that uses one brings it.
    void link_rare_directory(std::string_view name, int64_t mtime) {
        const std::string top(name.substr(0, name.find('/')));
        const bool rare =
            is_merged_directory(top) && top.starts_with("lib") && top != "lib" && top != "lib64";
        if (rare && !package_.contains(top)) package_.add_symlink(top, "usr/" + top, {0777, 0, 0, mtime});
    }

    void place(const TarEntry& entry, const std::string& plain) {
        const FileAttributes attributes{entry.mode, entry.uid, entry.gid, entry.mtime};
        const std::string path = merged(plain);
        switch (entry.kind) {
            case TarEntry::Kind::directory:
                package_.add_directory(path, attributes);
                return;
            case TarEntry::Kind::symlink:
                place_symlink(entry, plain, path, attributes);
                return;
            case TarEntry::Kind::hard_link: {
                const std::string of = merged(plain_path(entry.target));
                if (of != path) package_.add_hard_link(path, of);
                return;
            }
            case TarEntry::Kind::file:
                package_.begin_file(path, attributes);
                for (auto piece = tar_.read(); !piece.empty(); piece = tar_.read())
                    package_.append(piece);
                return;
            case TarEntry::Kind::fifo:
                package_.add_fifo(path, attributes);
                return;
            case TarEntry::Kind::device:
                refuse(entry.path, "a device node, which no container can have");
            case TarEntry::Kind::other:
                break;
        }
        refuse(entry.path, "neither file, directory, link nor fifo");
    }

    void place_symlink(const TarEntry& entry, const std::string& plain, const std::string& path,
                       const FileAttributes& attributes) {
        if (entry.target.empty()) refuse(entry.path, "a symlink to nothing");
        const auto destination = link_destination(plain, entry.target);
        if (is_merged_directory(plain) || is_run_directory(plain)) {
            if (destination == path) return;  // the layout has it
            refuse(entry.path, "a link of the root's layout that leads elsewhere");
        }
        // /bin/x → /usr/bin/x: one file when /usr is merged
        if (is_below_merged(path) && (destination == path || link_destination(path, entry.target) == path))
            return;
        if (package_.is_directory(path)) return;  // dpkg keeps it
        package_.add_symlink(path, entry.target, attributes);
    }
    static bool is_below_merged(std::string_view path) {
        return path.substr(0, 4) == "usr/" && merged(path.substr(4)) == path;
    }

    PackageWriter& package_;
    TarReader& tar_;
    UnpackBudget budget_;
    int64_t newest_ = 1;
    std::string list_;
};

// --- dpkg's records
// ---------------------------------------------------------------------------------------------

bool is_script(std::string_view member) {
    return member == "preinst" || member == "postinst" || member == "prerm" || member == "postrm" ||
           member == "config";
}

/// The name of a member that dpkg would keep: lower-case letters, as deb-control(5) and debhelper use them.
bool is_member_name(std::string_view name) {
    return !name.empty() && name.size() <= 32 && std::all_of(name.begin(), name.end(), [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
    });
}

void add_records(PackageWriter& package, const DebArchive& deb, const std::string& list, int64_t mtime) {
    const DebControl& control = deb.control;
    const std::string stem = fmt::format("{}/{}{}", kDpkgInfo, control.name,
                                         control.multi_arch_same ? ":" + control.architecture : "");
    const auto add = [&](std::string_view extension, std::string_view text) {
        package.add_file(fmt::format("{}.{}", stem, extension), text,
                         {is_script(extension) ? 0755U : 0644U, 0, 0, mtime});
    };
    add(kDpkgControlExtension, deb.control_text);
    add("list", list);
    for (const auto& [name, text] : deb.control_members) {
        if (is_member_name(name) && name != kDpkgControlExtension && name != "list") add(name, text);
    }
}

std::vector<std::string> licenses_of(const PackageWriter& package, const std::string& name) {
    const std::string path = "usr/share/doc/" + name + "/copyright";
    return package.is_file(path) ? licenses_of_copyright(package.content(path))
                                 : std::vector<std::string>{"custom"};
}

std::vector<std::string> backup_of(const PackageWriter& package, const DebControl& control) {
    std::vector<std::string> backup;
    for (const std::string& file : control.conffiles) {
        const std::string path = merged(root_path_of(file));
        if (package.is_file(path)) backup.push_back(path);
    }
    return backup;
}

}  // namespace

DebArchive read_deb(const std::string& path) {
    return in_step("read '" + printable(path) + "'", [&] {
        DebArchive deb;
        deb.path = path;
        const Fd file = open_at(AT_FDCWD, path, O_RDONLY);
        deb.size = static_cast<uint64_t>(stat_fd(file.get(), path).st_size);
        deb.sha256 = sha256_of_fd(file.get(), path);
        if (::lseek(file.get(), 0, SEEK_SET) != 0) throw Error::from_errno("rewind", path);
        DebMember member(file.get(), path, "control.tar");
        TarReader tar = member.tar(path);
        uint64_t left = kControlLimit;
        while (const auto entry = tar.next()) {
            if (entry->kind != TarEntry::Kind::file) continue;
            std::string text = tar.read_whole(left);
            left -= text.size();
            deb.control_members.insert_or_assign(root_path_of(entry->path), std::move(text));
        }
        const auto control = deb.control_members.extract("control");
        if (control.empty()) damaged(path, "it has no control file");
        deb.control_text = control.mapped();
        deb.control = parse_deb_control(deb.control_text, path);
        if (const auto found = deb.control_members.find("conffiles"); found != deb.control_members.end())
            deb.control.conffiles = parse_deb_conffiles(found->second);
        return deb;
    });
}

std::string conversion_remark(const Sha256& deb) {
    return fmt::format("pwstore: from the Debian package with SHA-256 {}, form {}", deb.hex(),
                       kConverterRevision);
}

RepositoryPackage convert_deb(const DebArchive& deb, const AlpmRelations& relations, int into,
                              const IngestLimits& limits) {
    return in_step("convert '" + printable(deb.path) + "'", [&] {
        const DebControl& control = deb.control;
        const Fd file = open_at(AT_FDCWD, deb.path, O_RDONLY);
        DebMember member(file.get(), deb.path, "data.tar");
        TarReader tar = member.tar(deb.path);
        PackageWriter package(into);
        PayloadCopier copier(package, tar, UnpackBudget(deb.size, limits));
        copier.copy();

        PackageDescription description;
        description.name = control.name;
        description.base = control.source;
        description.version = alpm_version(control.version);
        description.description = control.summary;
        description.url = control.homepage;
        description.arch = alpm_architecture(control.architecture);
        description.packager = control.maintainer;
        description.build_date = copier.newest();
        description.licenses = licenses_of(package, control.name);
        description.provides = relations.provides;
        description.depends = relations.depends;
        description.conflicts = relations.conflicts;
        description.groups = relations.groups;
        description.backup = backup_of(package, control);
        add_records(package, deb, copier.list(), description.build_date);
        return package.write(std::move(description), conversion_remark(deb.sha256), relations.installed_size);
    });
}

}  // namespace pwstore
