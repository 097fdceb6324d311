// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <cstdint>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "store/tree.hpp"
#include "transact/act_log.hpp"
#include "transact/file_rules.hpp"

namespace pwstore {

/// Collects packages that are new to a root and come one after another, with nothing to run in between, as
/// long as every file of theirs goes where nothing is: then pacman's rules have nothing to decide, and the
/// files of all of them can be laid down at once (add_to_root()). What is in the root, the log and the lists
/// of directories afterwards is what PackageFiles::install() of each in turn would leave. Nobody else may
/// change the root in the meantime.
class FreshPackages {
 public:
    /// @param layers the merge of all layers as it will be when the transaction is done, without the delta
    /// @param delta what differed from the layers when the transaction began
    FreshPackages(int root, const Tree& layers, const Delta& delta, const FilePatterns& patterns,
                  const ActLog& log);

    /// False, and nothing is collected of it, when there is something to decide about one of its files.
    [[nodiscard]] bool add(const Manifest& package);
    /// What was collected: entries of which no path is in the root, sorted. A layer per package.
    [[nodiscard]] Tree tree() const;
    [[nodiscard]] bool empty() const noexcept { return entries_.empty(); }
    /// As PackageFiles has them.
    [[nodiscard]] const std::unordered_set<std::string>& directories() const noexcept { return directories_; }
    [[nodiscard]] const std::unordered_map<std::string, uint32_t>& made_directories() const noexcept {
        return made_;
    }

 private:
    /// What one package would add.
    struct Draft {
        std::vector<TreeEntry> entries;
        std::unordered_map<std::string, bool> places;  ///< path → it is a directory
        std::vector<std::string> directories;
    };

    enum class Place : uint8_t { free, directory, other };
    [[nodiscard]] Place place(const Draft& draft, const std::string& path);
    [[nodiscard]] bool is_old_directory(const std::string& path);
    [[nodiscard]] bool draft_entry(Draft& draft, const TreeEntry& entry);
    [[nodiscard]] bool draft_database(Draft& draft, const Manifest& package);
    [[nodiscard]] bool is_plain(const Entry& entry) const;

    int root_;
    const Tree& layers_;
    const Delta& delta_;
    const FilePatterns& patterns_;
    const ActLog& log_;
    std::vector<TreeEntry> entries_;
    uint32_t packages_ = 0;
    std::unordered_map<std::string, bool> places_;           ///< of entries_: path → it is a directory
    std::unordered_map<std::string, bool> old_directories_;  ///< path → the root has this directory
    std::unordered_set<std::string> directories_;
    std::unordered_map<std::string, uint32_t> made_;
};

}  // namespace pwstore
