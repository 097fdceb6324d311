// SPDX-License-Identifier: GPL-3.0-or-later
// Marking what is in use: 10 million references, beside a hash set of the same ids.
#include <benchmark/benchmark.h>

#include <unordered_set>

#include "store/gc/gc.hpp"
#include "store/store.hpp"
#include "tests/support/test_dir.hpp"

namespace pwstore {
namespace {

constexpr uint32_t kManifests = 1000;
constexpr uint32_t kEntries = 10'000;
constexpr ObjectId kObjects = 4'000'000;

/// A store with 10 million references to 4 million objects; rows of objects do not matter to marking.
const Store& marked_store() {
    static const test::TestDir dir;
    static const Store store = [] {
        Store made = Store::open(dir.directories());
        uint64_t state = 1;
        for (uint32_t number = 0; number < kManifests; ++number) {
            Manifest manifest;
            manifest.name = "p" + std::to_string(number);
            manifest.version = "1-1";
            manifest.arch = "any";
            for (uint32_t at = 0; at < kEntries; ++at) {
                Entry entry;
                entry.path = "f" + std::to_string(10'000'000 + at);
                entry.size = 1;
                state = state * 6364136223846793005ULL + 1442695040888963407ULL;
                entry.object = static_cast<ObjectId>((state >> 33U) % kObjects) + 1;
                manifest.entries.push_back(std::move(entry));
            }
            WriteTxn txn = made.index().write();
            txn.add_manifest(manifest, false);
            txn.commit();
        }
        return made;
    }();
    return store;
}

void BM_Mark(benchmark::State& state) {
    const Store& store = marked_store();
    for (auto _ : state) {
        const ReadTxn txn = store.index().read();
        const ObjectSet marked = mark(txn);
        benchmark::DoNotOptimize(marked.contains(17));
    }
    state.SetItemsProcessed(state.iterations() * int64_t{kManifests} * kEntries);
}
BENCHMARK(BM_Mark)->Unit(benchmark::kMillisecond);

void BM_MarkWithAHashSet(benchmark::State& state) {
    const Store& store = marked_store();
    for (auto _ : state) {
        const ReadTxn txn = store.index().read();
        std::unordered_set<ObjectId> marked;
        const auto insert = [](void* set, ObjectId id) {
            static_cast<std::unordered_set<ObjectId>*>(set)->insert(id);
        };
        for (const ManifestId id : txn.manifest_ids())
            Manifest::for_each_object(txn.manifest_front(id), insert, &marked);
        benchmark::DoNotOptimize(marked.contains(17));
    }
    state.SetItemsProcessed(state.iterations() * int64_t{kManifests} * kEntries);
}
BENCHMARK(BM_MarkWithAHashSet)->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace pwstore
