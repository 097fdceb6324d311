// SPDX-License-Identifier: GPL-3.0-or-later
// The index at the size of a well-filled store: 100 000 objects. On tmpfs a commit costs no disk;
// `index_commit` on a real disk is what fdatasync costs there.
#include <benchmark/benchmark.h>

#include <memory>
#include <random>
#include <vector>

#include "store/boot_mark.hpp"
#include "store/index/index.hpp"
#include "store/layout.hpp"
#include "store/store.hpp"
#include "tests/support/test_dir.hpp"

namespace pwstore {
namespace {

constexpr ObjectId kObjects = 100'000;

ObjectKey key_of(uint64_t number) {
    ObjectKey key;
    key.digest = DigestFunction()(std::to_string(number));
    key.size = number;
    key.mode = 0644;
    return key;
}

void put_objects(WriteTxn& txn, uint64_t first, uint64_t count, uint64_t unsynced) {
    for (uint64_t number = first; number < first + count; ++number) {
        ObjectRow row;
        row.id = txn.next_object_id();
        row.unsynced = unsynced;
        txn.put_object(key_of(number), row);
    }
}

Manifest big_manifest(ObjectId objects) {
    Manifest manifest;
    manifest.name = "big";
    manifest.version = "1-1";
    manifest.entries.resize(objects);
    for (ObjectId i = 0; i < objects; ++i) {
        Entry& entry = manifest.entries[i];
        entry.path = "usr/share/some/common/prefix/" + std::to_string(1'000'000 + i);
        entry.mode = 0644;
        entry.size = 1;
        entry.object = i + 1;
    }
    return manifest;
}

/// One index for all benchmarks that only read.
struct Filled {
    Filled() {
        WriteTxn txn = index.write();
        put_objects(txn, 0, kObjects, 0);
        manifest = txn.add_manifest(big_manifest(kObjects), false);
        txn.commit();
        for (ObjectId i = 0; i < kObjects; ++i)
            keys.push_back(key_of(i));
    }
    test::TestDir dir;
    Layout layout = Layout::create(dir.directories());
    Index index = Index::open(layout.data(), Index::Mode::read_write);
    ManifestId manifest = 0;
    std::vector<ObjectKey> keys;
};

Filled& filled() {
    static const auto made = std::make_unique<Filled>();
    return *made;
}

void index_find_object(benchmark::State& state) {
    const Filled& store = filled();
    const ReadTxn txn = store.index.read();
    size_t at = 0;
    for (auto _ : state)
        benchmark::DoNotOptimize(txn.find_object(store.keys[at++ % kObjects]));
    state.SetItemsProcessed(state.iterations());
}

void index_find_missing(benchmark::State& state) {
    const Filled& store = filled();
    const ReadTxn txn = store.index.read();
    ObjectKey key = store.keys[0];
    key.mode = 0755;
    for (auto _ : state)
        benchmark::DoNotOptimize(txn.find_object(key));
    state.SetItemsProcessed(state.iterations());
}

void index_object_in_order(benchmark::State& state) {
    const ReadTxn txn = filled().index.read();
    ObjectId id = 0;
    for (auto _ : state)
        benchmark::DoNotOptimize(txn.object(id++ % kObjects + 1));
    state.SetItemsProcessed(state.iterations());
}

void index_object_at_random(benchmark::State& state) {
    const ReadTxn txn = filled().index.read();
    std::minstd_rand random(1);  // NOLINT(cert-msc51-cpp): the same order each time
    for (auto _ : state)
        benchmark::DoNotOptimize(txn.object(static_cast<ObjectId>(random() % kObjects) + 1));
    state.SetItemsProcessed(state.iterations());
}

void index_read_transaction(benchmark::State& state) {
    const Filled& store = filled();
    for (auto _ : state)
        benchmark::DoNotOptimize(store.index.read().last_object_id());
}

void index_manifest_decode(benchmark::State& state) {
    const ReadTxn txn = filled().index.read();
    for (auto _ : state)
        benchmark::DoNotOptimize(txn.manifest(filled().manifest));
    state.SetItemsProcessed(state.iterations() * kObjects);
}

void index_manifest_mark(benchmark::State& state) {
    const ReadTxn txn = filled().index.read();
    std::vector<bool> used(kObjects + 1);
    for (auto _ : state) {
        Manifest::for_each_object(
            txn.manifest_bytes(filled().manifest),
            [](void* context, ObjectId id) { (*static_cast<std::vector<bool>*>(context))[id] = true; },
            &used);
    }
    state.SetItemsProcessed(state.iterations() * kObjects);
}

/// A package of 1 000 files recorded in one commit.
void index_record_package(benchmark::State& state) {
    const test::TestDir dir;
    const Layout layout = Layout::create(dir.directories());
    const Index index = Index::open(layout.data(), Index::Mode::read_write);
    uint64_t next = 0;
    for (auto _ : state) {
        WriteTxn txn = index.write();
        put_objects(txn, next, 1000, boot_mark());
        txn.commit();
        next += 1000;
    }
    state.SetItemsProcessed(state.iterations() * 1000);
}

void index_mark_all_synced(benchmark::State& state) {
    const test::TestDir dir;
    const Layout layout = Layout::create(dir.directories());
    const Index index = Index::open(layout.data(), Index::Mode::read_write);
    uint64_t next = 0;
    for (auto _ : state) {
        state.PauseTiming();
        {
            WriteTxn txn = index.write();
            put_objects(txn, next, 10'000, boot_mark());
            txn.commit();
        }
        next += 10'000;
        state.ResumeTiming();
        WriteTxn txn = index.write();
        txn.mark_all_synced(boot_mark());
        txn.commit();
    }
    state.SetItemsProcessed(state.iterations() * 10'000);
}

/// What every command pays before it does anything: layout, index, recovery with nothing to recover.
void store_open(benchmark::State& state) {
    const test::TestDir dir;
    { (void)Store::open(dir.directories()); }
    for (auto _ : state)
        benchmark::DoNotOptimize(Store::open(dir.directories()).digest().bits());
}

void store_open_read_only(benchmark::State& state) {
    const test::TestDir dir;
    { (void)Store::open(dir.directories()); }
    for (auto _ : state)
        benchmark::DoNotOptimize(Store::open_read_only(dir.directories())->digest().bits());
}

BENCHMARK(store_open)->Unit(benchmark::kMicrosecond);
BENCHMARK(store_open_read_only)->Unit(benchmark::kMicrosecond);
BENCHMARK(index_find_object);
BENCHMARK(index_find_missing);
BENCHMARK(index_object_in_order);
BENCHMARK(index_object_at_random);
BENCHMARK(index_read_transaction);
BENCHMARK(index_manifest_decode)->Unit(benchmark::kMillisecond);
BENCHMARK(index_manifest_mark)->Unit(benchmark::kMillisecond);
BENCHMARK(index_record_package)->Unit(benchmark::kMillisecond);
BENCHMARK(index_mark_all_synced)->Unit(benchmark::kMillisecond)->Iterations(20);

}  // namespace
}  // namespace pwstore
