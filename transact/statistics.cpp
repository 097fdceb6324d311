// SPDX-License-Identifier: GPL-3.0-or-later
#include "transact/statistics.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>

#include <unordered_map>

#include "store/base/path_at.hpp"
#include "store/gc/gc.hpp"

namespace pwstore {

namespace {

constexpr uint64_t kBlock = 512;  // unit of st_blocks

/// Links of regular files below a directory, by inode.
using LinkCounts = std::unordered_map<uint64_t, uint64_t>;

void count_links(int dir, const std::string& name, LinkCounts& counts) {
    const auto tree = try_open_at(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
    if (!tree) return;
    for (const DirectoryItem& item : list_directory(tree->get())) {
        if (item.type == DT_DIR) {
            count_links(tree->get(), item.name, counts);
        } else if (item.type == DT_REG) {
            if (const auto info = try_stat_at(tree->get(), item.name); info && info->st_nlink > 1)
                ++counts[info->st_ino];
        }
    }
}

/// What only records that no generation uses keep alive.
void count_unused(const ReadTxn& txn, StoreStatistics& statistics) {
    const ObjectSet marked = mark(txn);
    std::vector<DroppedGeneration> none;
    ObjectSet live(txn.last_object_id());
    const auto insert = [](void* set, ObjectId id) { static_cast<ObjectSet*>(set)->insert(id); };
    for (const ContainerName& name : txn.containers()) {
        for (const uint64_t number : txn.generation_numbers(name)) {
            const Generation generation = *txn.generation(name, number);
            ++statistics.generations;
            for (const InstalledPackage& package : generation.packages)
                Manifest::for_each_object(txn.manifest_front(package.manifest), insert, &live);
            if (generation.delta != 0)
                Delta::for_each_object(txn.delta_front(generation.delta), insert, &live);
        }
        ++statistics.containers;
    }
    txn.for_each_object([&](const ObjectKey& key, const ObjectRow& row) {
        const uint64_t bytes = key.size * row.copies;
        if (!marked.contains(row.id)) {
            statistics.dead += bytes;
            ++statistics.dead_objects;
        } else if (!live.contains(row.id)) {
            statistics.unused += bytes;
            ++statistics.unused_objects;
        }
    });
}

uint64_t bytes_below(int dir, const std::string& name) {
    const auto tree = try_open_at(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
    if (!tree) return 0;
    uint64_t bytes = 0;
    for (const DirectoryItem& item : list_directory(tree->get())) {
        if (item.type == DT_DIR) {
            bytes += bytes_below(tree->get(), item.name);
        } else if (const auto info = try_stat_at(tree->get(), item.name)) {
            bytes += static_cast<uint64_t>(info->st_blocks) * kBlock;
        }
    }
    return bytes;
}

/// Deleting a container leaves its home, and nothing else tells of it.
std::vector<std::pair<std::string, uint64_t>> left_homes(const ReadTxn& txn, int data) {
    std::vector<std::pair<std::string, uint64_t>> homes;
    const auto all = try_open_at(data, names::kHome, O_RDONLY | O_DIRECTORY);
    if (!all) return homes;
    for (const DirectoryItem& item : list_directory(all->get())) {
        if (item.type != DT_DIR || !is_container_name(item.name)) continue;
        if (txn.container(ContainerName(item.name))) continue;
        homes.emplace_back(item.name, bytes_below(all->get(), item.name));
    }
    return homes;
}

}  // namespace

StoreStatistics statistics_of(const Store& store, ProgressSink& sink) {
    StoreStatistics statistics;
    const int data = store.layout().data();
    LinkCounts in_roots;
    sink.progress("count", "roots", 0, 0);
    for (const char* place : {names::kRoots, names::kStaging})
        count_links(data, place, in_roots);
    const ReadTxn txn = store.index().read();
    statistics.packages = txn.manifest_ids().size();
    const StoreUsage usage = usage_of(txn);
    statistics.apparent = usage.apparent;
    statistics.distinct = usage.distinct;
    statistics.left_homes = left_homes(txn, data);
    count_unused(txn, statistics);
    sink.progress("count", "objects", 0, 0);
    txn.for_each_object([&](const ObjectKey& key, const ObjectRow& row) {
        ++statistics.objects;
        statistics.copies += row.copies - 1U;
        statistics.stored += key.size * row.copies;
        for (uint16_t copy = 0; copy < row.copies; ++copy) {
            const auto info = try_stat_at(store.objects().fd(), key.path(copy));
            if (!info) continue;
            const uint64_t links = info->st_nlink - 1U;
            statistics.links += links;
            statistics.on_disk += static_cast<uint64_t>(info->st_blocks) * kBlock;
            const auto known = in_roots.find(info->st_ino);
            if (links <= (known == in_roots.end() ? 0 : known->second)) continue;
            ++statistics.held_outside;
            statistics.held_outside_bytes += key.size;
        }
    });
    return statistics;
}

}  // namespace pwstore
