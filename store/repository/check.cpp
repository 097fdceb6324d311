// SPDX-License-Identifier: GPL-3.0-or-later
#include "store/repository/check.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <atomic>
#include <set>
#include <unordered_map>
#include <unordered_set>

#include "store/base/error.hpp"
#include "store/base/parallel.hpp"
#include "store/base/path_at.hpp"
#include "store/elf_needs.hpp"

namespace pwstore {

namespace {

using Kind = RepositoryFinding::Kind;

/// Larger programs are not looked at: there are none.
constexpr uint64_t kElfLimit = 1ULL << 30;
constexpr std::string_view kLoaderConfig = "etc/ld.so.conf.d/";

/// What the check wants to know of one archive.
struct Content {
    struct Program {
        std::string path;
        ElfNeeds needs;
    };
    std::vector<std::string> files;  ///< and links: whatever a loader may open
    std::vector<Program> programs;
    std::vector<std::string> library_directories;  ///< of ld.so.conf.d
    std::optional<RepositoryFinding> damage;
};

/// "usr/lib/x" for "lib/x", "/lib/x", "usr/lib/../lib/x": as in a root where /usr is merged.
std::string normal_path(std::string_view path) {
    std::vector<std::string_view> parts;
    while (!path.empty()) {
        const std::string_view part = path.substr(0, path.find('/'));
        path.remove_prefix(std::min(part.size() + 1, path.size()));
        if (part == "..") {
            if (!parts.empty()) parts.pop_back();
        } else if (!part.empty() && part != ".") {
            parts.push_back(part);
        }
    }
    static const std::set<std::string_view> kMerged{"bin", "sbin", "lib", "lib32", "lib64", "libx32"};
    if (!parts.empty() && kMerged.count(parts.front()) != 0) parts.insert(parts.begin(), "usr");
    return fmt::format("{}", fmt::join(parts, "/"));
}

/// Lines of a file of ld.so.conf.d that are directories.
void add_directories(std::string_view text, std::vector<std::string>& directories) {
    while (!text.empty()) {
        const std::string_view line = text.substr(0, text.find('\n'));
        text.remove_prefix(std::min(line.size() + 1, text.size()));
        if (!line.empty() && line.front() == '/') directories.push_back(normal_path(line));
    }
}

void read_member(ArchiveReader& reader, const ArchiveMember& member, Content& content) {
    content.files.push_back(normal_path(member.path));
    if (member.kind != MemberKind::file || member.size == 0 || member.size > kElfLimit) return;
    const std::string_view beginning = reader.read_piece();
    const bool config = member.path.compare(0, kLoaderConfig.size(), kLoaderConfig) == 0;
    if (!config && !is_elf(beginning)) return;
    std::string whole(beginning);
    for (std::string_view piece = reader.read_piece(); !piece.empty(); piece = reader.read_piece())
        whole += piece;
    if (config) return add_directories(whole, content.library_directories);
    if (auto needs = elf_needs(whole)) content.programs.push_back({normal_path(member.path), *needs});
}

void read_archive(int dir, const RepositoryPackage& package, const IngestLimits& limits, Content& content) {
    const Fd file = open_at(dir, package.filename, O_RDONLY | O_NOFOLLOW);
    const uint64_t size = static_cast<uint64_t>(stat_fd(file.get(), package.filename).st_size);
    if (size != package.packed_size) {
        throw Error("check archive", package.filename,
                    fmt::format("it has {} bytes, not {}", size, package.packed_size));
    }
    if (sha256_of_fd(file.get(), package.filename) != package.sha256)
        throw Error("check archive", package.filename, "its SHA-256 is not what the database says");
    const PackedBuffer buffer;
    const PackedFile packed(file.get(), package.filename, buffer);
    ArchiveReader reader(packed, limits);
    ArchiveMember member;
    while (reader.next(member))
        read_member(reader, member, content);
}

Content content_of(int dir, const RepositoryPackage& package, const IngestLimits& limits) {
    Content content;
    const std::string& name = package.description.name;
    const auto damaged = [&](Kind kind, const std::string& text) {
        content.damage = RepositoryFinding{kind, name, text};
    };
    if (package.filename.find('/') != std::string::npos || package.filename.front() == '.') {
        damaged(Kind::damaged_archive, package.filename + " is not a name that a repository may hold");
    } else if (!exists_at(dir, package.filename)) {
        damaged(Kind::missing_archive, package.filename + " is not there");
    } else {
        try {
            read_archive(dir, package, limits, content);
        } catch (const Error& error) {
            damaged(Kind::damaged_archive, error.what());
        }
    }
    return content;
}

// --- Dependencies
// ---------------------------------------------------------------------------------------------

struct Constrained {
    std::string name, relation, version;
};

Constrained parse_dependency(const std::string& text) {
    const size_t begin = std::min(text.find_first_of("<>="), text.size());
    const size_t end = std::min(text.find_first_not_of("<>=", begin), text.size());
    return {text.substr(0, begin), text.substr(begin, end - begin), text.substr(end)};
}

bool fits(const std::string& version, const Constrained& wanted, const VersionOrder& order) {
    if (wanted.relation.empty()) return true;
    if (version.empty()) return false;
    const int sign = order(version, wanted.version);
    return (sign == 0 && wanted.relation.find('=') != std::string::npos) ||
           (sign < 0 && wanted.relation.front() == '<') || (sign > 0 && wanted.relation.front() == '>');
}

void check_dependencies(const std::vector<RepositoryPackage>& packages, const VersionOrder& order,
                        std::vector<RepositoryFinding>& findings) {
    std::unordered_map<std::string, std::vector<std::string>> versions;  // by what is provided
    for (const RepositoryPackage& package : packages) {
        versions[package.description.name].push_back(package.description.version);
        for (const std::string& text : package.description.provides) {
            const Constrained provided = parse_dependency(text);
            versions[provided.name].push_back(provided.version);
        }
    }
    for (const RepositoryPackage& package : packages) {
        for (const std::string& text : package.description.depends) {
            const Constrained wanted = parse_dependency(text);
            const auto found = versions.find(wanted.name);
            const bool satisfied =
                found != versions.end() &&
                std::any_of(found->second.begin(), found->second.end(),
                            [&](const std::string& version) { return fits(version, wanted, order); });
            if (satisfied) continue;
            findings.push_back(
                {Kind::unsatisfied, package.description.name, fmt::format("nothing provides {}", text)});
        }
    }
}

// --- Libraries
// ------------------------------------------------------------------------------------------------

/// usr/lib, usr/lib/x86_64-linux-gnu and the like: where a loader looks without being told.
bool is_library_directory(std::string_view directory) {
    static const std::set<std::string_view> kPlain{"usr/lib",    "usr/lib32",     "usr/lib64",
                                                   "usr/libx32", "usr/local/lib", "usr/local/lib64"};
    if (kPlain.count(directory) != 0) return true;
    const auto [above, last] = split_path(directory);
    return above == "usr/lib" && last.find("-linux-") != std::string_view::npos;
}

class Libraries {
 public:
    explicit Libraries(const std::vector<Content>& contents) {
        std::set<std::string> told;
        for (const Content& content : contents)
            told.insert(content.library_directories.begin(), content.library_directories.end());
        for (const Content& content : contents) {
            for (const std::string& path : content.files) {
                paths_.insert(path);
                const auto [directory, name] = split_path(path);
                if (is_library_directory(directory) || told.count(std::string(directory)) != 0)
                    names_.emplace(name);
            }
        }
    }

    [[nodiscard]] bool has(const Content::Program& program, const std::string& library) const {
        if (library.find('/') != std::string::npos) return paths_.count(normal_path(library)) != 0;
        if (names_.count(library) != 0) return true;
        const std::string origin(split_path(program.path).first);
        return std::any_of(program.needs.directories.begin(), program.needs.directories.end(),
                           [&](std::string directory) {
                               for (const std::string word : {"$ORIGIN", "${ORIGIN}"}) {
                                   const size_t at = directory.find(word);
                                   if (at != std::string::npos) directory.replace(at, word.size(), origin);
                               }
                               return paths_.count(normal_path(directory + "/" + library)) != 0;
                           });
    }

 private:
    std::unordered_set<std::string> paths_, names_;
};

void check_libraries(const std::vector<RepositoryPackage>& packages, const std::vector<Content>& contents,
                     std::vector<RepositoryFinding>& findings) {
    const Libraries libraries(contents);
    for (size_t i = 0; i < contents.size(); ++i) {
        for (const Content::Program& program : contents[i].programs) {
            for (const std::string& library : program.needs.libraries) {
                if (libraries.has(program, library)) continue;
                findings.push_back({Kind::missing_library, packages[i].description.name,
                                    fmt::format("{} needs {}", program.path, library)});
            }
        }
    }
}

}  // namespace

std::vector<RepositoryFinding> check_repository(const std::string& directory, const std::string& name,
                                                const VersionOrder& order, ProgressSink& sink,
                                                const IngestLimits& limits) {
    const Fd dir = open_at(AT_FDCWD, directory, O_RDONLY | O_DIRECTORY);
    const std::vector<RepositoryPackage> packages = RepositoryDatabase::read(dir.get(), name);
    std::vector<Content> contents(packages.size());
    std::atomic<size_t> done{0};
    parallel_for(packages.size(), default_threads(), [&](size_t i) {
        contents[i] = content_of(dir.get(), packages[i], limits);
        sink.progress("verify", packages[i].description.name, ++done, packages.size());
    });
    std::vector<RepositoryFinding> findings;
    for (const Content& content : contents) {
        if (content.damage) findings.push_back(*content.damage);
    }
    check_dependencies(packages, order, findings);
    check_libraries(packages, contents, findings);
    std::stable_sort(findings.begin(), findings.end(),
                     [](const auto& a, const auto& b) { return a.package < b.package; });
    return findings;
}

}  // namespace pwstore
