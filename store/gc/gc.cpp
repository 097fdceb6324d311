// SPDX-License-Identifier: GPL-3.0-or-later
#include "store/gc/gc.hpp"

#include <dirent.h>
#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>
#include <unordered_set>

#include "store/base/error.hpp"
#include "store/base/path_at.hpp"
#include "store/gc/parts.hpp"
#include "store/lease.hpp"

namespace pwstore {

using collecting::in_use;
using collecting::InUse;

namespace {

void visit_generations(const ReadTxn& txn, const std::function<void(const Generation&)>& visit) {
    for (const ContainerName& name : txn.containers()) {
        for (const uint64_t number : txn.generation_numbers(name))
            visit(*txn.generation(name, number));
    }
}

GenerationRef ref_of(const Generation& generation) {
    return {generation.container, generation.number};
}

void insert_into(void* set, ObjectId id) {
    static_cast<ObjectSet*>(set)->insert(id);
}

void mark_manifest(const ReadTxn& txn, ManifestId id, ObjectSet& marked) {
    Manifest::for_each_object(txn.manifest_front(id), insert_into, &marked);
}
void mark_delta(const ReadTxn& txn, uint32_t id, ObjectSet& marked) {
    Delta::for_each_object(txn.delta_front(id), insert_into, &marked);
}

/// Since when each manifest and delta has been unused, once `dropped` are gone.
struct UnusedSince {
    std::map<ManifestId, int64_t> manifests;
    std::map<uint32_t, int64_t> deltas;
};

void raise(std::map<uint32_t, int64_t>& times, uint32_t id, int64_t time) {
    const auto [at, added] = times.try_emplace(id, time);
    if (!added) at->second = std::max(at->second, time);
}

UnusedSince unused_since(const ReadTxn& txn, const std::vector<DroppedGeneration>& dropped) {
    UnusedSince since;
    const ReadTxn::Unused unused = txn.unused();
    since.manifests.insert(unused.manifests.begin(), unused.manifests.end());
    since.deltas.insert(unused.deltas.begin(), unused.deltas.end());
    for (const DroppedGeneration& one : dropped) {
        const auto generation =
            txn.generation(ContainerName(one.generation.container), one.generation.generation);
        if (!generation) continue;
        for (const InstalledPackage& package : generation->packages)
            raise(since.manifests, package.manifest, one.unused_since);
        if (generation->delta != 0) raise(since.deltas, generation->delta, one.unused_since);
    }
    return since;
}

/// Split `ids` into garbage and what lives on. A record without a time (of an older index) has been unused
/// for ever.
template <typename Keep>
std::vector<UnusedRecord> garbage_of(const std::vector<uint32_t>& ids,
                                     const std::unordered_set<uint32_t>& used,
                                     const std::map<uint32_t, int64_t>& since, int64_t unused_before,
                                     const Keep& keep) {
    std::vector<UnusedRecord> garbage;
    for (const uint32_t id : ids) {
        const auto time = since.find(id);
        const UnusedRecord record{id, time == since.end() ? 0 : time->second};
        if (used.contains(id) || record.since > unused_before) {
            keep(id);
        } else {
            garbage.push_back(record);
        }
    }
    return garbage;
}

std::vector<std::string> find_strays(const ObjectStore& objects,
                                     const std::unordered_set<std::string>& known) {
    std::vector<std::string> strays;
    for (const DirectoryItem& shard : list_directory(objects.fd())) {
        if (shard.type != DT_DIR) continue;
        for (const DirectoryItem& item : list_directory(open_dir(objects.fd(), shard.name).get())) {
            std::string path = shard.name + "/" + item.name;
            if (item.type == DT_REG && !known.contains(path)) strays.push_back(std::move(path));
        }
    }
    std::sort(strays.begin(), strays.end());
    return strays;
}

}  // namespace

InUse collecting::leased(const ReadTxn& txn) {
    InUse used;
    for (const auto& [id, bytes] : txn.leases()) {
        const LeaseRow row = LeaseRow::decode(bytes);
        used.manifests.insert(row.manifests.begin(), row.manifests.end());
        used.deltas.insert(row.deltas.begin(), row.deltas.end());
        used.objects.insert(used.objects.end(), row.objects.begin(), row.objects.end());
    }
    return used;
}

InUse collecting::in_use(const ReadTxn& txn, const std::set<GenerationRef>& dropped) {
    InUse used = leased(txn);
    visit_generations(txn, [&](const Generation& generation) {
        if (dropped.contains(ref_of(generation))) return;
        for (const InstalledPackage& package : generation.packages)
            used.manifests.insert(package.manifest);
        used.deltas.insert(generation.delta);
    });
    return used;
}

ObjectSet mark(const ReadTxn& txn) {
    ObjectSet marked(txn.last_object_id());
    for (const ManifestId id : txn.manifest_ids())
        mark_manifest(txn, id, marked);
    for (const uint32_t id : txn.delta_ids())
        mark_delta(txn, id, marked);
    for (const ObjectId id : in_use(txn, {}).objects)
        marked.insert(id);
    return marked;
}

std::optional<NeededGeneration> find_needed(const ReadTxn& txn,
                                            const std::vector<DroppedGeneration>& dropped) {
    std::set<GenerationRef> chosen;
    for (const DroppedGeneration& one : dropped)
        chosen.insert(one.generation);
    for (const GenerationRef& one : chosen) {
        const auto row = txn.container(ContainerName(one.container));
        if (row && row->current == one.generation) return NeededGeneration{one, "it is the current one"};
    }
    for (const auto& [name, snapshot] : txn.snapshots()) {
        const GenerationRef pinned{snapshot.container, snapshot.generation};
        if (chosen.contains(pinned))
            return NeededGeneration{pinned, fmt::format("snapshot '{}' pins it", name)};
    }
    for (const auto& [id, bytes] : txn.leases()) {
        for (const auto& [container, number] : LeaseRow::decode(bytes).generations) {
            const GenerationRef leased{container, number};
            if (chosen.contains(leased)) return NeededGeneration{leased, "another command reads it"};
        }
    }
    std::optional<NeededGeneration> needed;
    visit_generations(txn, [&](const Generation& generation) {
        if (needed || chosen.contains(ref_of(generation))) return;
        for (const GenerationRef& below : generation.upstream) {
            if (!chosen.contains(below)) continue;
            needed = {below, fmt::format("{}@{} is built on it", generation.container, generation.number)};
        }
    });
    return needed;
}

std::string UnusedObject::path_of(uint16_t copy) const {
    return copy == 0 ? path : fmt::format("{}~{}", path, copy);
}

Garbage find_garbage(const ReadTxn& txn, const ObjectStore& objects,
                     const std::vector<DroppedGeneration>& dropped, int64_t unused_before) {
    if (const auto needed = find_needed(txn, dropped)) {
        throw Error("drop generation",
                    fmt::format("{}@{}", needed->which.container, needed->which.generation), needed->reason)
            .as(Fault::refused);
    }
    std::set<GenerationRef> gone;
    for (const DroppedGeneration& one : dropped)
        gone.insert(one.generation);
    const InUse used = in_use(txn, gone);
    const UnusedSince since = unused_since(txn, dropped);
    ObjectSet marked(txn.last_object_id());
    for (const ObjectId id : used.objects)
        marked.insert(id);
    Garbage garbage;
    garbage.manifests = garbage_of(txn.manifest_ids(), used.manifests, since.manifests, unused_before,
                                   [&](ManifestId id) { mark_manifest(txn, id, marked); });
    garbage.deltas = garbage_of(txn.delta_ids(), used.deltas, since.deltas, unused_before,
                                [&](uint32_t id) { mark_delta(txn, id, marked); });
    std::unordered_set<std::string> known;
    known.reserve(txn.object_count());
    txn.for_each_object([&](const ObjectKey& key, const ObjectRow& row) {
        for (uint16_t copy = 0; copy < row.copies; ++copy)
            known.insert(key.path(copy));
        if (!marked.contains(row.id)) garbage.objects.push_back({row.id, key.path(0), row.copies});
    });
    garbage.strays = find_strays(objects, known);
    return garbage;
}

}  // namespace pwstore
