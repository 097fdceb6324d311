// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <map>
#include <set>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "mount/assembler.hpp"
#include "store/base/events.hpp"
#include "store/manifest.hpp"
#include "store/tree.hpp"
#include "transact/act_log.hpp"
#include "transact/diversions.hpp"
#include "transact/file_claims.hpp"
#include "transact/file_rules.hpp"
#include "transact/present_packages.hpp"

namespace pwstore {

/// The local database is generated: what packages bring below it is nowhere (see tree_of()).
[[nodiscard]] bool is_in_database(std::string_view path);
/// One laid down is as good as the other.
[[nodiscard]] bool is_same_content(const Entry& a, const Entry& b);
/// What the local database has of `package`, as the tree of all layers generates it.
[[nodiscard]] std::vector<const TreeEntry*> database_entries(const Tree& layers, const Manifest& package);

/// What bends the laying down of files.
struct FileRules {
    FilePatterns patterns;
    bool no_save = false;  ///< removal leaves no .pacsave
    /// See moved_files(): their removal with the old package is left out, so that a configuration file meets
    /// its new package as it is.
    const std::set<std::string>* moving = nullptr;
    /// Labels (Tree::layers) of packages, and versions of them, that are not laid down yet.
    const std::set<std::string>* coming = nullptr;
    /// … and of those that are, in this transaction.
    const std::set<std::string>* came = nullptr;
    /// What is there now: a directory that only those to come have goes with the last package that has had
    /// it, and comes anew.
    PresentPackages* present = nullptr;
    /// dpkg's rule: of a file that another package has as well, that one's stays. pacman's removal takes it.
    bool keeps_shared = false;
    /// dpkg's rule: where the package has a directory, a symlink to one stays. pacman makes the directory.
    bool follows_symlinks = false;
    /// dpkg's rule: configuration files that come from another package, with what it had. For pacman they
    /// are new.
    const std::map<std::string, std::string>* taken_over = nullptr;
    Diversions diversions = {};
    FileClaims::Shared shared = {};  ///< with other packages, of the one that comes
};

/// Lays down and removes the files of packages in one root under construction, by pacman's rules
/// (file_rules.hpp), as far as they are about files of one package: which package has a file in the end is
/// for the layers to say. What ends up different from the merge of the layers is logged.
class PackageFiles {
 public:
    /// @param layers the merge of all layers as it will be when the transaction is done, without the delta
    /// @param delta what differed from the layers when the transaction began
    PackageFiles(RootWriter& writer, const Tree& layers, const Delta& delta, const FileRules& rules,
                 ActLog& log, ProgressSink& sink);

    /// @param old the manifest that it takes the place of, null on a fresh install
    void install(const Manifest& package, const Manifest* old);
    /// A package below this container came or went: what this root diverts of it is elsewhere.
    void follow_diversions(const Manifest& package, bool is_removal);
    /// Remove what `package` has and no package has afterwards.
    void remove(const Manifest& package);
    /// --dbonly: only its entry in the database comes or goes; its files are what they were, whatever the
    /// layers say.
    void record(const Manifest& package, const Manifest* old);
    void forget(const Manifest& package);
    /// The database's entry as the layers have it, in place of what is there.
    void place_database_entry(const Manifest& package);
    /// Directories whose content changed or which a changed package names; their metadata is to be settled at
    /// the end.
    [[nodiscard]] const std::unordered_set<std::string>& directories() const noexcept { return directories_; }
    /// Directories that were not there before, with their modes.
    [[nodiscard]] const std::unordered_map<std::string, uint32_t>& made_directories() const noexcept {
        return made_;
    }

 private:
    void install_entry(const Entry& entry, const Manifest* old);
    [[nodiscard]] std::string diverted(const std::string& path);
    void install_directory(const Entry& entry, const std::string& path);
    void install_backup(const Entry& entry, const std::string& path, const Entry* old_entry);
    [[nodiscard]] std::string original_of(const Entry& entry, const Entry* old_entry) const;
    [[nodiscard]] bool comes_later(const TreeEntry& entry) const;
    void remove_outdated(const Manifest& old, const Manifest& package);
    void remove_entry(const Entry& entry, const Manifest* successor);
    void remove_directory(const Entry& entry, const std::string& path, const Manifest* successor);
    void leave_what_lies_behind(const std::string& path);
    [[nodiscard]] bool is_skipped(const Entry& entry, const std::string& path, const Manifest* successor);
    [[nodiscard]] Touch moved(const std::string& from) const;
    [[nodiscard]] bool save_if_changed(const Entry& entry, const std::string& path);
    void place(const Entry& entry, std::string_view as = {});
    [[nodiscard]] bool is_free_mount_point(const std::string& path) const;
    void note_elsewhere(const Entry& entry, const std::string& path);
    void place_new(const Entry& entry, const std::string& path);
    void remove_database_entry(const Manifest& package);
    void leave_files(const Manifest& package);
    void note_directory_of(std::string_view path);
    void special(const std::string& path, Touch touch = {});

    RootWriter& writer_;
    const Tree& layers_;
    const Delta& delta_;
    const FileRules& rules_;
    ActLog& log_;
    ProgressSink& sink_;
    std::string package_;  ///< name of the one being laid down or removed
    std::unordered_set<std::string> directories_;
    std::unordered_map<std::string, uint32_t> made_;
};

}  // namespace pwstore
