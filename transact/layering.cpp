// SPDX-License-Identifier: GPL-3.0-or-later
#include "transact/layering.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "store/base/error.hpp"
#include "store/base/path_at.hpp"
#include "store/keyed_file.hpp"

namespace pwstore {

namespace {

bool same_content(const Entry& a, const Entry& b) {
    return a.kind == b.kind && a.object == b.object && a.target == b.target && a.mode == b.mode;
}

class CarryOver {
 public:
    CarryOver(const ReadTxn& txn, const ObjectStore& objects, const Tree& before, const Tree& layers,
              const std::string& container)
        : txn_(txn), objects_(objects), before_(before), layers_(layers), container_(container) {}

    void entry(const DeltaEntry& old) {
        const TreeEntry* below = layers_.find(old.entry.path);
        const Sha256 ground = below != nullptr ? entry_digest(txn_, *below) : Sha256{};
        if (ground == old.below) {
            keep(old, ground);
            return;
        }
        if (relinked_.contains(old.entry.path) || merged(old, below)) return;
        if (old.cause == Cause::hook || old.cause == Cause::ldconfig) return;
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
        std::erase_if(entries, [&](const DeltaEntry& entry) { return relinked_.contains(entry.entry.path); });
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

    void keep(const DeltaEntry& old, const Sha256& ground) {
        result_.delta.entries.push_back(old);
        result_.delta.entries.back().below = ground;
    }

    void offer_new(Entry packaged) {
        packaged.path += ".pacnew";
        packaged.backup_md5.clear();
        packaged.link_group = 0;
        DeltaEntry offered;
        offered.entry = std::move(packaged);
        offered.cause = Cause::engine;
        result_.delta.entries.push_back(std::move(offered));
    }

    const ReadTxn& txn_;
    const ObjectStore& objects_;
    const Tree& before_;
    const Tree& layers_;
    const std::string& container_;
    LayeredDelta result_;
    std::set<std::string> relinked_;
};

}  // namespace

LayeredDelta carry_over(const ReadTxn& txn, const ObjectStore& objects, const Delta& delta,
                        const Tree& before, const Tree& layers, const std::string& container) {
    CarryOver work(txn, objects, before, layers, container);
    for (const DeltaEntry& entry : delta.entries)
        work.entry(entry);
    return work.finish();
}

}  // namespace pwstore
