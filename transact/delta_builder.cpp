// SPDX-License-Identifier: GPL-3.0-or-later
#include "transact/delta_builder.hpp"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <set>

#include "store/base/error.hpp"
#include "store/base/names.hpp"
#include "store/base/path_at.hpp"

namespace pwstore {

namespace {

/// `path` itself, not what it points to; nullopt when nothing is there, or a symlink has taken its parent's
/// place.
std::optional<Fd> try_open_itself(int root, const std::string& path) {
    try {
        return try_open_beneath(root, path, O_PATH | O_NOFOLLOW);
    } catch (const Error& error) {
        if (error.error_number() == ELOOP) return std::nullopt;
        throw;
    }
}

EntryKind kind_of(mode_t type) {
    switch (type & S_IFMT) {
        case S_IFDIR:
            return EntryKind::directory;
        case S_IFREG:
            return EntryKind::file;
        case S_IFLNK:
            return EntryKind::symlink;
        case S_IFIFO:
            return EntryKind::fifo;
        default:
            return EntryKind::whiteout;  // nothing that a tree can have
    }
}

/// `seen` is what a root shows of `entry`'s mode.
bool shows_mode(const Entry* entry, EntryKind kind, uint32_t seen) {
    if (entry == nullptr || entry->kind != kind) return false;
    return seen ==
           (kind == EntryKind::directory ? root_directory_mode(entry->mode) : inode_mode(entry->mode));
}

class DeltaBuilder {
 public:
    DeltaBuilder(const ReadTxn& txn, Ingestor& ingestor, int root, const Tree& layers, const Tree& start,
                 std::optional<int64_t> latest)
        : txn_(txn), ingestor_(ingestor), root_(root), layers_(layers), start_(start), latest_(latest) {}

    /// The entry that makes the layers equal the root at `path`; nullopt when they are equal already.
    /// @param touch null when nothing was done there in this transaction
    std::optional<Entry> difference(const std::string& path, const Touch* touch) {
        if (is_generated(layers_, path)) return std::nullopt;
        const TreeEntry* layer = layers_.find(path);
        const Entry* below = layer != nullptr ? &layer->entry : nullptr;
        const auto handle = try_open_itself(root_, path);
        if (!handle) return is_placed_again(path, layer) ? std::nullopt : absent(path, below);
        const struct stat info = stat_fd(handle->get(), path);
        const TreeEntry* start =
            start_.find(touch == nullptr || touch->moved_from.empty() ? path : touch->moved_from);
        const Entry* was = start != nullptr ? &start->entry : nullptr;
        Entry entry;
        entry.path = path;
        entry.kind = kind_of(info.st_mode);
        if (entry.kind == EntryKind::whiteout) return absent(path, below);
        entry.mode = true_mode(entry.kind, info.st_mode & 07777, touch, below, was);
        entry.uid = below != nullptr ? below->uid : 0;
        entry.gid = below != nullptr ? below->gid : 0;
        entry.mtime = info.st_mtim.tv_sec;
        entry.mtime_ns = static_cast<uint32_t>(info.st_mtim.tv_nsec);
        bool differs = false;
        switch (entry.kind) {
            case EntryKind::directory:
            case EntryKind::fifo:
                differs = below == nullptr || below->kind != entry.kind || below->mode != entry.mode;
                break;
            case EntryKind::file:
                differs = take_file(entry, layer);
                break;
            case EntryKind::symlink:
                differs = take_symlink(entry, below);
                break;
            case EntryKind::whiteout:
                break;
        }
        if (!differs && !has_other_time(entry, touch, below, was)) return std::nullopt;
        settle_time(entry, touch, below, was);
        return entry;
    }

 private:
    /// Every root has it, whatever was done to it here.
    [[nodiscard]] bool is_placed_again(const std::string& path, const TreeEntry* layer) const {
        return layer != nullptr && names::is_mount_point_file(path) &&
               layers_.layers[layer->layer] == kMountPointLayer;
    }

    static std::optional<Entry> absent(const std::string& path, const Entry* below) {
        if (below == nullptr) return std::nullopt;
        Entry entry;
        entry.path = path;
        entry.kind = EntryKind::whiteout;
        return entry;
    }

    static uint32_t true_mode(EntryKind kind, uint32_t seen, const Touch* touch, const Entry* below,
                              const Entry* was) {
        if (kind == EntryKind::symlink) return 0777;
        if (touch != nullptr && touch->mode) {
            if (touch->cause == Cause::engine) return *touch->mode;
            seen = *touch->mode;
        }
        // A script that did not set another mode left that of the file that it found, which is a layer's.
        // What the engine did not lay down is as it was.
        if (touch != nullptr && touch->cause != Cause::engine && shows_mode(below, kind, seen))
            return below->mode;
        if (shows_mode(was, kind, seen)) return was->mode;
        return shows_mode(below, kind, seen) ? below->mode : seen;
    }

    bool take_file(Entry& entry, const TreeEntry* layer) {
        const Entry* below =
            layer != nullptr && layer->entry.kind == EntryKind::file ? &layer->entry : nullptr;
        const Fd content = open_beneath(root_, entry.path, O_RDONLY | O_NONBLOCK);
        entry.size = static_cast<uint64_t>(stat_fd(content.get(), entry.path).st_size);
        const bool same_text = below != nullptr && below->object == 0 && below->size == entry.size &&
                               read_all(content.get(), entry.path) == layer->inlined;
        if (same_text && below->mode == entry.mode) return false;
        const std::optional<int64_t> time =
            keeps_time(entry.path) ? std::optional(entry.mtime) : std::nullopt;
        entry.object = ingestor_.add_file(content.get(), entry.path, entry.mode, time);
        return below == nullptr || below->object != entry.object || below->mode != entry.mode;
    }

    bool take_symlink(Entry& entry, const Entry* below) const {
        const auto [parent, name] = split_path(entry.path);
        const Fd directory = parent.empty()
                                 ? open_dir(root_, ".")
                                 : open_beneath(root_, std::string(parent), O_RDONLY | O_DIRECTORY);
        entry.target = read_link_at(directory.get(), std::string(name));
        return below == nullptr || below->kind != EntryKind::symlink || below->target != entry.target;
    }

    /// An inode with the time of the store's objects was not written: it has the content of what is there by
    /// the layers or was there before, and with it that one's time.
    static const Entry* unwritten(const Entry& entry, const Entry* below, const Entry* was) {
        if (entry.kind != EntryKind::file || entry.mtime != kObjectTime) return nullptr;
        for (const Entry* one : {below, was}) {
            if (one != nullptr && one->kind == EntryKind::file && one->size == entry.size) return one;
        }
        return nullptr;
    }

    /// A script changed the mode of what a package had laid down: its content and time are the package's,
    /// although another version of it left the same object. Of recorded objects only.
    bool is_packaged(const Entry& entry, const Touch* touch, const Entry* below) const {
        return touch != nullptr && touch->cause != Cause::engine && entry.kind == EntryKind::file &&
               entry.object != 0 && entry.mtime == kObjectTime && below != nullptr && below->object != 0 &&
               below->size == entry.size && row_of(below->object).sha256 == row_of(entry.object).sha256;
    }
    ObjectRow row_of(ObjectId id) const { return txn_.object(id).second; }

    bool is_as_it_was(const Entry& entry, const Touch* touch, const Entry* below, const Entry* was) const {
        return was != nullptr && was->kind == entry.kind && was->object == entry.object &&
               was->size == entry.size && was->target == entry.target &&
               (touch == nullptr || entry.mtime == kObjectTime || entry.mtime == was->mtime ||
                !touch->moved_from.empty()) &&
               !is_packaged(entry, touch, below);
    }

    /// What is in the layers as well, but from another time.
    bool has_other_time(const Entry& entry, const Touch* touch, const Entry* below, const Entry* was) const {
        if (below == nullptr || entry.kind == EntryKind::directory) return false;
        if (touch != nullptr && touch->mtime) return *touch->mtime != below->mtime;
        return is_as_it_was(entry, touch, below, was) && was->mtime != below->mtime;
    }

    /// Of what is as it was: time and owner. Nothing new is later than `latest_`.
    void settle_time(Entry& entry, const Touch* touch, const Entry* below, const Entry* was) const {
        if (touch != nullptr && touch->mtime) {
            entry.mtime = *touch->mtime;
            entry.mtime_ns = 0;
        } else if (is_as_it_was(entry, touch, below, was)) {
            entry.mtime = was->mtime;
            entry.mtime_ns = was->mtime_ns;
            entry.uid = was->uid;
            entry.gid = was->gid;
        } else if (const Entry* same = unwritten(entry, below, was)) {
            entry.mtime = same->mtime;
            entry.mtime_ns = same->mtime_ns;
        } else if (latest_ && entry.mtime >= *latest_) {
            entry.mtime = *latest_;
            entry.mtime_ns = 0;
        }
    }

    const ReadTxn& txn_;
    Ingestor& ingestor_;
    int root_;
    const Tree& layers_;
    const Tree& start_;
    std::optional<int64_t> latest_;
};

}  // namespace

Delta build_delta(const ReadTxn& txn, Ingestor& ingestor, int root, const Tree& layers, const Tree& start,
                  const Delta& before, const ActLog& log, std::optional<int64_t> latest) {
    std::set<std::string> paths;
    for (const DeltaEntry& entry : before.entries)
        paths.insert(entry.entry.path);
    for (const auto& [path, touch] : log.paths())
        paths.insert(path);
    DeltaBuilder builder(txn, ingestor, root, layers, start, latest);
    Delta delta;
    for (const std::string& path : paths) {
        const auto found = log.paths().find(path);
        const Touch* touch = found != log.paths().end() ? &found->second : nullptr;
        const DeltaEntry* earlier = before.find(path);
        auto entry = builder.difference(path, touch);
        if (!entry) continue;
        DeltaEntry result;
        if (earlier != nullptr && (touch == nullptr || touch->cause == Cause::engine)) {
            result.cause = earlier->cause;
            result.agent = earlier->agent;
        } else if (touch != nullptr) {
            result.cause = touch->cause;
            result.agent = touch->agent;
        }
        result.entry = std::move(*entry);
        if (const TreeEntry* below = layers.find(path); below != nullptr)
            result.below = entry_digest(txn, *below);
        delta.entries.push_back(std::move(result));
    }
    return delta;
}

std::vector<std::string> describe_changes(const Tree& before, const Tree& after, const ActLog& log) {
    std::vector<std::string> lines;
    for (const auto& [path, touch] : log.paths()) {
        const TreeEntry* old = before.find(path);
        const TreeEntry* now = after.find(path);
        const std::string shown = "/" + printable(path);
        if (old == nullptr && now != nullptr) {
            lines.push_back("+ " + shown);
        } else if (old != nullptr && now == nullptr) {
            lines.push_back("- " + shown);
        } else if (old != nullptr && !(old->entry == now->entry)) {
            lines.push_back("~ " + shown);
        }
    }
    return lines;
}

}  // namespace pwstore
