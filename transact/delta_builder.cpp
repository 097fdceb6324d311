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

class DeltaBuilder {
 public:
    DeltaBuilder(Ingestor& ingestor, int root, const Tree& layers, std::optional<int64_t> latest)
        : ingestor_(ingestor), root_(root), layers_(layers), latest_(latest) {}

    /// The entry that makes the layers equal the root at `path`; nullopt when they are equal already.
    std::optional<Entry> difference(const std::string& path, std::optional<uint32_t> true_mode) {
        if (is_generated(layers_, path)) return std::nullopt;
        const TreeEntry* layer = layers_.find(path);
        const Entry* below = layer != nullptr ? &layer->entry : nullptr;
        const auto handle = try_open_beneath(root_, path, O_PATH | O_NOFOLLOW);
        if (!handle) return below != nullptr ? whiteout(path) : std::nullopt;
        const struct stat info = stat_fd(handle->get(), path);
        Entry entry;
        entry.path = path;
        entry.mode = true_mode.value_or(info.st_mode & 07777);
        entry.uid = below != nullptr ? below->uid : 0;
        entry.gid = below != nullptr ? below->gid : 0;
        entry.mtime = latest_ ? std::min<int64_t>(*latest_, info.st_mtim.tv_sec) : info.st_mtim.tv_sec;
        entry.mtime_ns = latest_ && entry.mtime == *latest_ ? 0 : static_cast<uint32_t>(info.st_mtim.tv_nsec);
        switch (info.st_mode & S_IFMT) {
            case S_IFDIR:
                return directory(std::move(entry), below);
            case S_IFREG:
                return file(std::move(entry), layer);
            case S_IFLNK:
                return symlink(std::move(entry), below);
            case S_IFIFO:
                return fifo(std::move(entry), below);
            default:
                return below != nullptr ? whiteout(path) : std::nullopt;
        }
    }

 private:
    static std::optional<Entry> whiteout(const std::string& path) {
        Entry entry;
        entry.path = path;
        entry.kind = EntryKind::whiteout;
        return entry;
    }

    static std::optional<Entry> directory(Entry entry, const Entry* below) {
        entry.kind = EntryKind::directory;
        const bool same = below != nullptr && below->kind == EntryKind::directory &&
                          (below->mode == entry.mode || root_directory_mode(below->mode) == entry.mode);
        if (same) return std::nullopt;
        return entry;
    }

    std::optional<Entry> file(Entry entry, const TreeEntry* layer) {
        const Entry* below = layer != nullptr ? &layer->entry : nullptr;
        entry.kind = EntryKind::file;
        const Fd content = open_beneath(root_, entry.path, O_RDONLY | O_NONBLOCK);
        entry.size = static_cast<uint64_t>(stat_fd(content.get(), entry.path).st_size);
        const bool same_text = below != nullptr && below->kind == EntryKind::file && below->object == 0 &&
                               below->size == entry.size &&
                               read_all(content.get(), entry.path) == layer->inlined;
        if (same_text && inode_mode(below->mode) == inode_mode(entry.mode)) return std::nullopt;
        const std::optional<int64_t> time =
            keeps_time(entry.path) ? std::optional(entry.mtime) : std::nullopt;
        entry.object = ingestor_.add_file(content.get(), entry.path, entry.mode, time);
        const bool same_object =
            below != nullptr && below->kind == EntryKind::file && below->object == entry.object;
        // The root carries the reduced mode: a script that did not set another one left it as it was.
        if (same_object && (below->mode == entry.mode || inode_mode(below->mode) == entry.mode))
            return std::nullopt;
        return entry;
    }

    static std::optional<Entry> symlink_of(Entry entry, const Entry* below) {
        const bool same =
            below != nullptr && below->kind == EntryKind::symlink && below->target == entry.target;
        if (same) return std::nullopt;
        return entry;
    }

    std::optional<Entry> symlink(Entry entry, const Entry* below) {
        entry.kind = EntryKind::symlink;
        entry.mode = 0777;
        const auto [parent, name] = split_path(entry.path);
        const Fd directory = parent.empty()
                                 ? open_dir(root_, ".")
                                 : open_beneath(root_, std::string(parent), O_RDONLY | O_DIRECTORY);
        entry.target = read_link_at(directory.get(), std::string(name));
        return symlink_of(std::move(entry), below);
    }

    static std::optional<Entry> fifo(Entry entry, const Entry* below) {
        entry.kind = EntryKind::fifo;
        if (below != nullptr && below->kind == EntryKind::fifo &&
            inode_mode(below->mode) == inode_mode(entry.mode))
            return std::nullopt;
        return entry;
    }

    Ingestor& ingestor_;
    int root_;
    const Tree& layers_;
    std::optional<int64_t> latest_;
};

}  // namespace

Delta build_delta(const ReadTxn& txn, Ingestor& ingestor, int root, const Tree& layers, const Delta& before,
                  const ActLog& log, std::optional<int64_t> latest) {
    std::set<std::string> paths;
    for (const DeltaEntry& entry : before.entries)
        paths.insert(entry.entry.path);
    for (const auto& [path, touch] : log.paths())
        paths.insert(path);
    DeltaBuilder builder(ingestor, root, layers, latest);
    Delta delta;
    for (const std::string& path : paths) {
        const auto touch = log.paths().find(path);
        const DeltaEntry* earlier = before.find(path);
        const bool is_new = touch != log.paths().end();
        std::optional<uint32_t> mode;
        if (is_new && touch->second.mode) {
            mode = touch->second.mode;
        } else if (earlier != nullptr && earlier->entry.kind != EntryKind::whiteout) {
            mode = earlier->entry.mode;
        }
        auto entry = builder.difference(path, mode);
        if (!entry) continue;
        DeltaEntry result;
        const bool kept = earlier != nullptr && (!is_new || touch->second.cause == Cause::engine);
        result.cause = kept ? earlier->cause : touch->second.cause;
        result.agent = kept ? earlier->agent : touch->second.agent;
        if (earlier != nullptr && !is_new) {  // nobody touched it: its time and owner are as they were
            entry->mtime = earlier->entry.mtime;
            entry->mtime_ns = earlier->entry.mtime_ns;
            entry->uid = earlier->entry.uid;
            entry->gid = earlier->entry.gid;
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
