// SPDX-License-Identifier: GPL-3.0-or-later
#include "transact/layering.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <deque>
#include <functional>
#include <map>
#include <set>

#include "store/base/error.hpp"
#include "store/base/path_at.hpp"
#include "store/digest.hpp"
#include "store/keyed_file.hpp"
#include "transact/moved_files.hpp"

namespace pwstore {

namespace {

bool same_content(const Entry& a, const Entry& b) {
    return a.kind == b.kind && a.object == b.object && a.target == b.target && a.mode == b.mode;
}

/// What becomes of one configuration file that somebody changed above, while packages below come and go.
class Configuration {
 public:
    using Md5Of = std::function<std::string(const Entry&)>;
    /// @param local MD5 of what is there; empty: somebody removed it
    Configuration(const std::string& path, std::string local, const FilePatterns& patterns,
                  const std::set<std::string>& moved, Md5Of md5_of)
        : path_(path),
          local_(std::move(local)),
          patterns_(patterns),
          moved_(moved),
          md5_of_(std::move(md5_of)) {}

    void follow(const ChangeBelow& change) {
        const Entry* old = change.old ? change.old->find(path_) : nullptr;
        const Entry* comes = change.after ? change.after->find(path_) : nullptr;
        if (old != nullptr) leave(*old, comes, change.no_save);
        if (comes != nullptr) arrive(*comes, old);
    }

    [[nodiscard]] bool is_kept() const noexcept { return is_kept_; }  ///< what somebody made of it is there
    [[nodiscard]] const Entry* packaged() const noexcept { return packaged_; }  ///< … this one is
    [[nodiscard]] bool is_saved() const noexcept { return is_saved_; }  ///< what was there is .pacsave
    /// A package had laid that down before another one went; null: it is what somebody made of it.
    [[nodiscard]] const Entry* saved() const noexcept { return saved_; }
    [[nodiscard]] const Entry* offer() const noexcept { return offer_; }
    /// An offer made before is gone, or another one by now.
    [[nodiscard]] bool was_compared() const noexcept { return was_compared_; }
    /// What is to take the place of an offer made before.
    [[nodiscard]] const Entry* unchanged() const noexcept { return unchanged_; }

 private:
    void leave(const Entry& old, const Entry* comes, bool no_save) {
        if (is_left(patterns_, path_, moved_, comes != nullptr && !comes->backup_md5.empty())) return;
        if (!is_saved_ && !old.backup_md5.empty() && !no_save && pwstore::is_saved(old.backup_md5, local_)) {
            is_saved_ = true;
            saved_ = packaged_;
        }
        is_kept_ = false;
        packaged_ = nullptr;
        local_.clear();
    }

    void take(const Entry& packaged) {
        is_kept_ = false;
        packaged_ = &packaged;
        local_ = md5_of_(packaged);
    }

    void arrive(const Entry& packaged, const Entry* old) {
        const bool is_backup = !packaged.backup_md5.empty() || (old != nullptr && !old->backup_md5.empty());
        const Occupant there = local_.empty() ? Occupant::nothing : Occupant::other;
        switch (arrival(patterns_, path_, there, is_backup)) {
            case Arrival::laid_down:
                take(packaged);
                return;
            case Arrival::beside:
                offer_ = &packaged;
                return;
            case Arrival::compared:
                break;
            case Arrival::left_out:
            case Arrival::stays:
            case Arrival::obstructed:
                return;
        }
        was_compared_ = true;
        switch (three_way(old != nullptr ? old->backup_md5 : "", local_, packaged.backup_md5)) {
            case Verdict::take_new:
                take(packaged);
                offer_ = unchanged_ = nullptr;
                return;
            case Verdict::keep_old:
                unchanged_ = &packaged;
                return;
            case Verdict::pacnew:
                offer_ = &packaged;
                return;
        }
    }

    const std::string& path_;
    std::string local_;
    const FilePatterns& patterns_;
    const std::set<std::string>& moved_;
    Md5Of md5_of_;
    bool is_kept_ = true;
    bool is_saved_ = false;
    bool was_compared_ = false;
    const Entry* packaged_ = nullptr;
    const Entry* saved_ = nullptr;
    const Entry* offer_ = nullptr;
    const Entry* unchanged_ = nullptr;
};

class CarryOver {
 public:
    CarryOver(const ReadTxn& txn, const ObjectStore& objects, const Delta& delta, const Tree& before,
              const Tree& layers, const ChangesBelow& changes, const std::string& container)
        : txn_(txn),
          objects_(objects),
          delta_(delta),
          before_(before),
          layers_(layers),
          changes_(changes),
          container_(container) {
        find_moved_files();
    }

    void entry(const DeltaEntry& old) {
        const TreeEntry* below = layers_.find(old.entry.path);
        const Sha256 ground = below != nullptr ? entry_digest(txn_, *below) : Sha256{};
        if (is_settled(old.entry.path) || configured(old, ground) || offered_before(old.entry.path)) return;
        if (ground == old.below) {
            keep(old, ground);
            return;
        }
        if (relinked_.contains(old.entry.path) || merged(old, below)) return;
        if (old.cause == Cause::hook || old.cause == Cause::ldconfig) {
            if (is_of_hooks_alone(old.entry.path)) keep(old, ground);
            return;
        }
        if (old.entry.kind == EntryKind::whiteout && below == nullptr) return;
        if (below != nullptr && same_content(old.entry, below->entry)) return;
        keep(old, ground);
        const std::string shown = "/" + printable(old.entry.path);
        const bool configuration = old.entry.path.starts_with("etc/") && old.entry.kind == EntryKind::file &&
                                   below != nullptr && below->entry.kind == EntryKind::file;
        if (configuration) {
            offer_new(below->entry);
            result_.messages.push_back(
                fmt::format("{} was changed here and below; the new one is {}.pacnew", shown, shown));
        } else {
            result_.messages.push_back(
                fmt::format("{} was changed here and is kept; what lies below it is another one now", shown));
        }
    }

    LayeredDelta finish() {
        auto& entries = result_.delta.entries;
        std::erase_if(entries, [&](const DeltaEntry& entry) {
            return relinked_.contains(entry.entry.path) || gone_.contains(entry.entry.path);
        });
        entries.insert(entries.end(), made_.begin(), made_.end());
        std::stable_sort(entries.begin(), entries.end(), [](const DeltaEntry& a, const DeltaEntry& b) {
            return a.entry.path < b.entry.path;
        });
        // A .pacnew offered now takes the place of an older one: the later of two equal paths stays.
        for (size_t i = 1; i < entries.size();) {
            if (entries[i - 1].entry.path == entries[i].entry.path) {
                entries.erase(entries.begin() + static_cast<std::ptrdiff_t>(i) - 1);
            } else {
                ++i;
            }
        }
        return std::move(result_);
    }

 private:
    [[nodiscard]] std::string text_of(const Entry& entry, const std::string& inlined) const {
        if (entry.object == 0) return inlined;
        return read_all(objects_.open(txn_.object(entry.object).first).get(), entry.path);
    }

    /// Of something that is no file: what no file has.
    [[nodiscard]] std::string md5_of(const Entry& entry) const {
        return entry.kind == EntryKind::file ? md5_hex(text_of(entry, "")) : "none";
    }

    /// Hooks are at work there below as well. In one root they find what they made the last time, and leave
    /// it when they fail; a package that brings the file is a new beginning.
    [[nodiscard]] bool is_of_hooks_alone(const std::string& path) const {
        const auto has = [&](const std::optional<Manifest>& package) {
            return package && package->find(path) != nullptr;
        };
        return changes_.made_by_hooks.contains(path) &&
               std::none_of(changes_.packages.begin(), changes_.packages.end(),
                            [&](const ChangeBelow& change) { return has(change.old) || has(change.after); });
    }

    /// A set of records keeps what was made of it here and gets what was made of it below.
    bool merged(const DeltaEntry& old, const TreeEntry* below) {
        const std::string& path = old.entry.path;
        const TreeEntry* ancestor = before_.find(path);
        if (!is_keyed_file(path) || old.entry.kind != EntryKind::file || below == nullptr ||
            below->entry.kind != EntryKind::file)
            return false;
        KeyedVersions versions{"", text_of(below->entry, below->inlined), text_of(old.entry, ""),
                               "what is below it", container_};
        if (ancestor != nullptr && ancestor->entry.kind == EntryKind::file)
            versions.ancestor = text_of(ancestor->entry, ancestor->inlined);
        std::string text = merge_keyed_file(path, versions);
        for (const auto& [link, target] : alternative_links(path, text)) {
            DeltaEntry symlink = old;
            symlink.entry = Entry{};
            symlink.entry.path = link;
            symlink.entry.kind = EntryKind::symlink;
            symlink.entry.target = target;
            result_.relinked.push_back(std::move(symlink));
            relinked_.insert(link);
        }
        result_.rewritten.push_back({old, std::move(text)});
        return true;
    }

    void find_moved_files() {
        std::deque<PackageFileList> lists;
        std::vector<FileListChange> changes;
        for (const ChangeBelow& change : changes_.packages) {
            FileListChange& lists_of = changes.emplace_back();
            if (change.old) lists_of.old = &lists.emplace_back(file_list(*change.old));
            if (change.after) lists_of.after = &lists.emplace_back(file_list(*change.after));
        }
        const auto look = [this](const std::string& path) -> std::optional<struct stat> {
            const DeltaEntry* changed = delta_.find(path);
            const TreeEntry* layer = before_.find(path);
            if (changed == nullptr && layer == nullptr) return std::nullopt;
            const EntryKind kind = changed != nullptr ? changed->entry.kind : layer->entry.kind;
            if (kind == EntryKind::whiteout) return std::nullopt;
            struct stat info {};
            info.st_mode = kind == EntryKind::directory ? S_IFDIR : S_IFREG;
            return info;
        };
        moved_ = moved_files(look, changes);
    }

    /// What was offered or saved beside a configuration file that is looked at is that one's to say.
    [[nodiscard]] bool is_settled(const std::string& path) const { return gone_.contains(path); }

    [[nodiscard]] bool is_configuration(const std::string& path) const {
        const auto has_backup = [&](const std::optional<Manifest>& package) {
            const Entry* entry = package ? package->find(path) : nullptr;
            return entry != nullptr && !entry->backup_md5.empty();
        };
        return std::any_of(
            changes_.packages.begin(), changes_.packages.end(),
            [&](const ChangeBelow& change) { return has_backup(change.old) || has_backup(change.after); });
    }

    /// A configuration file of a package that comes, goes or changes below is what pacman would make of it.
    bool configured(const DeltaEntry& old, const Sha256& ground) {
        const std::string& path = old.entry.path;
        const bool is_removed = old.entry.kind == EntryKind::whiteout;
        const bool is_somebodys = old.cause == Cause::user || old.cause == Cause::scriptlet ||
                                  (old.cause == Cause::engine && !is_removed);
        if (!is_somebodys || is_keyed_file(path) || (!is_removed && old.entry.kind != EntryKind::file) ||
            !is_configuration(path))
            return false;
        Configuration file(path, is_removed ? "" : md5_of(old.entry), changes_.patterns, moved_,
                           [this](const Entry& entry) { return md5_of(entry); });
        for (const ChangeBelow& change : changes_.packages)
            file.follow(change);
        if (file.is_kept()) {
            keep(old, ground);
        } else {
            settle(path, file.packaged());
        }
        const std::string offered = path + ".pacnew";
        if (file.offer() != nullptr) {
            settle(offered, file.offer());
            say("{} was changed here and below; the new one is {}.pacnew", path);
        } else if (file.was_compared()) {
            settle(offered, file.is_kept() && was_there(offered) ? file.unchanged() : nullptr);
        } else {
            stay(offered);
        }
        if (file.is_saved()) {
            save(old, file.saved());
        } else {
            stay(path + ".pacsave");
        }
        return true;
    }

    /// What was offered beside a configuration file that nobody changed since.
    bool offered_before(const std::string& path) {
        constexpr std::string_view kSuffix = ".pacnew";
        if (!path.ends_with(kSuffix)) return false;
        const std::string configuration = path.substr(0, path.size() - kSuffix.size());
        const TreeEntry* was = before_.find(configuration);
        if (was == nullptr || was->entry.kind != EntryKind::file || delta_.find(configuration) != nullptr ||
            !is_configuration(configuration))
            return false;
        Configuration file(configuration, md5_hex(text_of(was->entry, was->inlined)), changes_.patterns,
                           moved_, [this](const Entry& entry) { return md5_of(entry); });
        for (const ChangeBelow& change : changes_.packages)
            file.follow(change);
        if (file.offer() == nullptr && !file.was_compared()) return false;
        const Entry* unchanged = was_there(path) ? file.unchanged() : nullptr;
        settle(path, file.offer() != nullptr ? file.offer() : unchanged);
        return true;
    }

    [[nodiscard]] bool was_there(const std::string& path) const {
        const DeltaEntry* changed = delta_.find(path);
        return changed != nullptr ? changed->entry.kind != EntryKind::whiteout
                                  : before_.find(path) != nullptr;
    }

    /// At `path` is `wanted` (null: nothing), whatever the layers have.
    void settle(const std::string& path, const Entry* wanted) {
        gone_.insert(path);
        const TreeEntry* below = layers_.find(path);
        if (wanted == nullptr && below == nullptr) return;
        if (wanted != nullptr && below != nullptr && same_content(*wanted, below->entry) &&
            wanted->mtime == below->entry.mtime)
            return;
        DeltaEntry& made = made_.emplace_back();
        if (wanted != nullptr) {
            made.entry = *wanted;
        } else {
            made.entry.kind = EntryKind::whiteout;
        }
        made.entry.path = path;
        made.entry.backup_md5.clear();
        made.entry.link_group = 0;
        made.cause = Cause::engine;
        if (below != nullptr) made.below = entry_digest(txn_, *below);
    }

    /// What a container below has there since is not what this one would have there.
    void stay(const std::string& path) {
        if (delta_.find(path) != nullptr) return;
        const TreeEntry* was = before_.find(path);
        settle(path, was != nullptr ? &was->entry : nullptr);
    }

    void say(fmt::format_string<const std::string&, const std::string&> text, const std::string& path) {
        const std::string shown = "/" + printable(path);
        result_.messages.push_back(fmt::format(text, shown, shown));
    }

    /// As .pacsave; earlier ones move on by a number.
    /// @param packaged instead of `old`, unless it is null
    void save(const DeltaEntry& old, const Entry* packaged) {
        const auto [directory, name] = split_path(old.entry.path);
        const std::string prefix = directory.empty() ? "" : std::string(directory) + "/";
        std::vector<std::string> names;
        for (const DeltaEntry& other : delta_.entries) {
            const std::string_view path = other.entry.path;
            if (split_path(path).first == directory && other.entry.kind != EntryKind::whiteout)
                names.emplace_back(split_path(path).second);
        }
        for (const auto& [from, to] : pacsave_renames(std::string(name), names)) {
            if (packaged != nullptr && from == name) {
                settle(prefix + to, packaged);
                continue;
            }
            const DeltaEntry* moved = delta_.find(prefix + from);
            gone_.insert(prefix + from);
            made_.push_back(*moved);
            made_.back().entry.path = prefix + to;
            const TreeEntry* below = layers_.find(prefix + to);
            made_.back().below = below != nullptr ? entry_digest(txn_, *below) : Sha256{};
        }
        say("{} saved as {}.pacsave", old.entry.path);
    }

    void keep(const DeltaEntry& old, const Sha256& ground) {
        result_.delta.entries.push_back(old);
        result_.delta.entries.back().below = ground;
    }

    void offer_new(const Entry& packaged) { result_.delta.entries.push_back(offer_of(packaged)); }

    static DeltaEntry offer_of(Entry packaged) {
        packaged.path += ".pacnew";
        packaged.backup_md5.clear();
        packaged.link_group = 0;
        DeltaEntry offered;
        offered.entry = std::move(packaged);
        offered.cause = Cause::engine;
        return offered;
    }

    const ReadTxn& txn_;
    const ObjectStore& objects_;
    const Delta& delta_;
    const Tree& before_;
    const Tree& layers_;
    const ChangesBelow& changes_;
    const std::string& container_;
    LayeredDelta result_;
    std::set<std::string> relinked_;
    std::set<std::string> moved_;   ///< see moved_files()
    std::set<std::string> gone_;    ///< what is no longer there, or made anew
    std::vector<DeltaEntry> made_;  ///< offers and saved files
};

}  // namespace

LayeredDelta carry_over(const ReadTxn& txn, const ObjectStore& objects, const Delta& delta,
                        const Tree& before, const Tree& layers, const ChangesBelow& changes,
                        const std::string& container) {
    CarryOver work(txn, objects, delta, before, layers, changes, container);
    for (const DeltaEntry& entry : delta.entries)
        work.entry(entry);
    return work.finish();
}

}  // namespace pwstore
