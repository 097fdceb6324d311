// SPDX-License-Identifier: GPL-3.0-or-later
#include "store/usage.hpp"

#include <algorithm>
#include <map>
#include <set>
#include <utility>

#include "store/base/error.hpp"
#include "store/object_set.hpp"

namespace pwstore {

namespace {

/// What one manifest or delta adds to every container that has it.
struct Part {
    std::vector<ObjectId> objects;  ///< of its files
    std::vector<ObjectId> sides;    ///< what the package database has of it
    uint64_t files = 0;
    uint64_t bytes = 0;
};

template <typename Entries, typename EntryOf>
Part part_of(const Entries& entries, const EntryOf& entry_of) {
    Part part;
    std::set<uint32_t> groups;  // hard links of one another are one file
    for (const auto& item : entries) {
        const Entry& entry = entry_of(item);
        if (entry.kind != EntryKind::file) continue;
        if (entry.link_group != 0 && !groups.insert(entry.link_group).second) continue;
        ++part.files;
        part.bytes += entry.size;
        if (entry.object != 0) part.objects.push_back(entry.object);
    }
    return part;
}

/// Reads every manifest and delta once, however many containers share it.
class Parts {
 public:
    explicit Parts(const ReadTxn& txn) : txn_(&txn) {}

    const Part& manifest(ManifestId id) {
        auto [at, added] = manifests_.try_emplace(id);
        if (added) {
            const Manifest manifest = txn_->manifest(id);
            at->second = part_of(manifest.entries, [](const Entry& entry) -> const Entry& { return entry; });
            for (const ObjectId side :
                 {manifest.pkginfo, manifest.install, manifest.mtree, manifest.changelog}) {
                if (side != 0) at->second.sides.push_back(side);
            }
        }
        return at->second;
    }
    const Part& delta(uint32_t id) {
        auto [at, added] = deltas_.try_emplace(id);
        if (added) {
            at->second = part_of(txn_->delta(id).entries,
                                 [](const DeltaEntry& it) -> const Entry& { return it.entry; });
        }
        return at->second;
    }

 private:
    const ReadTxn* txn_;
    std::map<ManifestId, Part> manifests_;
    std::map<uint32_t, Part> deltas_;
};

struct Counted {
    ContainerUsage usage;
    ObjectSet objects;
    ObjectSet files;  ///< those of them that `usage.apparent` counts
};

void add(Counted& counted, const Part& part) {
    counted.usage.files += part.files;
    counted.usage.apparent += part.bytes;
    for (const ObjectId id : part.objects) {
        counted.objects.insert(id);
        counted.files.insert(id);
    }
    for (const ObjectId id : part.sides)
        counted.objects.insert(id);
}

using Key = std::pair<std::string, uint64_t>;

/// A generation and all those below it, each once.
void add_generation(Counted& counted, std::set<Key>& seen, const ReadTxn& txn, Parts& parts, const Key& key) {
    if (!seen.insert(key).second) return;
    const auto generation = txn.generation(ContainerName(key.first), key.second);
    if (!generation) {
        throw Error("count what is used", key.first,
                    "generation " + std::to_string(key.second) + " is missing in the index")
            .as(Fault::corrupt);
    }
    for (const GenerationRef& below : generation->upstream) {
        add_generation(counted, seen, txn, parts, {below.container, below.generation});
    }
    for (const InstalledPackage& package : generation->packages)
        add(counted, parts.manifest(package.manifest));
    if (generation->delta != 0) add(counted, parts.delta(generation->delta));
}

}  // namespace

StoreUsage usage_of(const ReadTxn& txn) {
    StoreUsage total;
    Parts parts(txn);
    std::vector<Counted> all;
    for (const ContainerName& name : txn.containers()) {
        Counted& counted = all.emplace_back();
        counted.usage.container = name.str();
        const auto row = txn.container(name);
        std::set<Key> seen;
        if (row && row->current != 0) add_generation(counted, seen, txn, parts, {name.str(), row->current});
        total.apparent += counted.usage.apparent;
    }
    txn.for_each_object([&](const ObjectKey& key, const ObjectRow& row) {
        ++total.objects;
        total.stored += key.size * row.copies;
        Counted* only = nullptr;
        size_t users = 0;
        for (Counted& counted : all) {
            if (!counted.objects.contains(row.id)) continue;
            ++users;
            only = &counted;
        }
        if (users == 0) return;
        total.referenced += key.size;
        if (std::any_of(all.begin(), all.end(),
                        [&](const Counted& counted) { return counted.files.contains(row.id); }))
            total.distinct += key.size;
        if (users == 1) {
            only->usage.exclusive += key.size;
            return;
        }
        for (Counted& counted : all) {
            if (counted.objects.contains(row.id)) counted.usage.shared += key.size;
        }
    });
    for (Counted& counted : all)
        total.containers.push_back(std::move(counted.usage));
    return total;
}

MarginalUsage marginal_usage(const ReadTxn& txn, const std::vector<ContainerName>& names) {
    Parts parts(txn);
    const auto all_of = [&](const ContainerName& name) {
        Counted counted;
        std::set<Key> seen;
        for (const uint64_t number : txn.generation_numbers(name))
            add_generation(counted, seen, txn, parts, {name.str(), number});
        return counted;
    };
    std::vector<Counted> named;
    for (const ContainerName& name : names) {
        if (!txn.container(name))
            throw Error("count what is used", name.str(), "there is no such container").as(Fault::usage);
        named.push_back(all_of(name));
        named.back().usage.container = name.str();
    }
    std::vector<Counted> others;
    for (const ContainerName& name : txn.containers()) {
        if (std::find(names.begin(), names.end(), name) == names.end()) others.push_back(all_of(name));
    }
    MarginalUsage usage;
    for (const Counted& one : named)
        usage.containers.push_back({one.usage.container});
    txn.for_each_object([&](const ObjectKey& key, const ObjectRow& row) {
        const uint64_t bytes = key.size * row.copies;
        const auto has = [&](const Counted& one) { return one.objects.contains(row.id); };
        const bool stays = std::any_of(others.begin(), others.end(), has);
        const auto users = std::count_if(named.begin(), named.end(), has);
        if (users == 0) return;
        if (!stays) {
            usage.freed += bytes;
            ++usage.freed_objects;
        }
        for (size_t at = 0; at < named.size(); ++at) {
            if (!has(named[at])) continue;
            MarginalUsage::Share& share = usage.containers[at];
            (stays ? share.with_others : users == 1 ? share.exclusive : share.among_them) += bytes;
        }
    });
    return usage;
}

}  // namespace pwstore
