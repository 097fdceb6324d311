// SPDX-License-Identifier: GPL-3.0-or-later
#include "transact/layering.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "store/base/error.hpp"

namespace pwstore {

namespace {

bool same_content(const Entry& a, const Entry& b) {
    return a.kind == b.kind && a.object == b.object && a.target == b.target && a.mode == b.mode;
}

class CarryOver {
 public:
    CarryOver(const ReadTxn& txn, const Tree& layers) : txn_(txn), layers_(layers) {}

    void entry(const DeltaEntry& old) {
        const TreeEntry* below = layers_.find(old.entry.path);
        const Sha256 ground = below != nullptr ? entry_digest(txn_, *below) : Sha256{};
        if (ground == old.below) {
            keep(old, ground);
            return;
        }
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
    const Tree& layers_;
    LayeredDelta result_;
};

}  // namespace

LayeredDelta carry_over(const ReadTxn& txn, const Delta& delta, const Tree& layers) {
    CarryOver work(txn, layers);
    for (const DeltaEntry& entry : delta.entries)
        work.entry(entry);
    return work.finish();
}

}  // namespace pwstore
