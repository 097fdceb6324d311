// SPDX-License-Identifier: GPL-3.0-or-later
#include "transact/root_cost.hpp"

#include "store/package/archive_listing.hpp"
#include "store/tree.hpp"

namespace pwstore {

namespace {

constexpr uint64_t kNameOverhead = 16;  ///< of a name in a directory, beside its bytes
constexpr uint64_t kInlineTarget = 59;  ///< a longer symlink has a block of its own
constexpr uint64_t kDescriptions = 2;   ///< blocks of a package's `desc`
constexpr uint64_t kEntryInodes = 6;    ///< of a package in the database: a directory and at most five files

}  // namespace

void RootCost::add(const Entry& entry) {
    if (entry.kind == EntryKind::directory) {
        if (!directories_.insert(entry.path).second) return;
    } else if (entry.kind == EntryKind::symlink) {
        ++own_inodes_;
        if (entry.target.size() > kInlineTarget) copies_ += whole_blocks(entry.target.size());
    } else if (entry.kind == EntryKind::file) {
        TreeEntry file;
        file.entry = entry;
        if (mode_ == ScriptMode::private_copy || is_copied(file)) {
            ++own_inodes_;
            copies_ += whole_blocks(entry.size);
        }
    } else {
        ++own_inodes_;
    }
    names_ += entry.path.size() - (entry.path.rfind('/') + 1) + kNameOverhead;
}

void RootCost::add_package(const std::vector<Entry>& entries, uint64_t side_bytes) {
    uint64_t list = 0;
    for (const Entry& entry : entries) {
        add(entry);
        list += entry.path.size() + 2;
    }
    own_inodes_ += kEntryInodes;
    copies_ += whole_blocks(list) + whole_blocks(side_bytes) + (1 + kDescriptions) * kDiskBlock;
}

void RootCost::add_delta(const Delta& delta, bool is_own) {
    for (const DeltaEntry& each : delta.entries) {
        add(each.entry);
        if (!is_own || each.entry.kind != EntryKind::file) continue;
        ++own_inodes_;
        copies_ += whole_blocks(each.entry.size);
    }
}

uint64_t RootCost::bytes() const {
    return directories_.size() * kDiskBlock + whole_blocks(names_) + copies_;
}

uint64_t RootCost::inodes() const {
    return directories_.size() + own_inodes_;
}

}  // namespace pwstore
