// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "mount/plain_root.hpp"
#include "resolver/package.hpp"
#include "store/base/events.hpp"
#include "store/package/contents.hpp"
#include "store/package/packed_stream.hpp"
#include "transact/file_rules.hpp"
#include "transact/moved_files.hpp"

namespace pwstore {

/// An archive whose files are going to be laid down; the file stays open from the first look to the last
/// byte.
class PackageArchive {
 public:
    /// Reads all of it. @throws Error as read_contents(); (corrupt) when it is not `name` `version`
    PackageArchive(const std::string& path, const std::string& name, const std::string& version);

    [[nodiscard]] const PackageContents& contents() const noexcept { return contents_; }
    [[nodiscard]] const PackageFileList& list() const noexcept { return list_; }
    using Visit =
        std::function<void(const Entry& entry, ArchiveReader& reader, const std::string& link_target)>;
    /// Once more from its beginning: each member that is no metadata, in order, with what it is.
    void for_each(const PackedBuffer& buffer, const Visit& visit) const;

 private:
    void link_again(const Entry& renewed, ArchiveReader& reader, const Visit& visit) const;

    std::string path_;
    Fd file_;
    PackageContents contents_;
    PackageFileList list_;
};

/// Which installed packages list which directories, while packages come and go.
class DirectoryOwners {
 public:
    void add(const PackageFileList& package);
    void forget(const PackageFileList& package);
    [[nodiscard]] bool has_other(const std::string& listed, const std::string& package) const;

 private:
    std::unordered_map<std::string, std::vector<std::string>> owners_;
};

/// Lays down and removes the files of packages in a plain root, as libalpm does.
class InPlaceFiles {
 public:
    struct Rules {
        FilePatterns patterns = {};
        bool no_save = false;              ///< -n
        std::set<std::string> moved = {};  ///< files that change packages
    };
    /// What there is to say; `root` goes before each path.
    struct Report {
        std::string root;
        std::function<void(Severity, const std::string&)> say;
    };
    InPlaceFiles(PlainRoot& root, Rules rules, DirectoryOwners& owners, Report report)
        : root_(root), rules_(std::move(rules)), owners_(owners), report_(std::move(report)) {}

    /// Remove what `old` lists, but for what its successor, if any, has too. What cannot be removed is
    /// reported.
    void remove(const PackageFileList& old, const PackageFileList* successor);
    /// Returns how many files could not be laid down; each was reported.
    [[nodiscard]] unsigned lay_down(const PackageArchive& package, const PackageFileList* old);

 private:
    [[nodiscard]] Occupant occupant(const std::string& path) const;
    [[nodiscard]] bool is_replaced_later(const std::string& listed, const PackageFileList& old,
                                         const PackageFileList& successor) const;
    void remove_listed(const std::string& listed, const PackageFileList& old,
                       const PackageFileList* successor);
    void remove_directory(const std::string& path, const std::string& listed, const PackageFileList& old,
                          const PackageFileList* successor);
    void lay_down_entry(const Entry& entry, ArchiveReader& reader, const std::string& link_target,
                        const PackageFileList& package, const PackageFileList* old);
    void put(const Entry& entry, const std::string& path, ArchiveReader& reader,
             const std::string& link_target);
    void compare(const Entry& entry, ArchiveReader& reader, const std::string& link_target,
                 const std::string& original);
    [[nodiscard]] std::string shown(const std::string& path) const;

    PlainRoot& root_;
    Rules rules_;
    DirectoryOwners& owners_;
    Report report_;
    PackedBuffer buffer_;
};

}  // namespace pwstore
