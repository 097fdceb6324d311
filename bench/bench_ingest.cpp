// SPDX-License-Identifier: GPL-3.0-or-later
// Ingest of made-up packages below the tests' directory, which is usually tmpfs: the own cost, without a
// disk's. 24 packages of 250 files, a fifth of them shared, sizes as packages have them. bench/peers does it
// with real packages beside other tools.
#include <benchmark/benchmark.h>
#include <fcntl.h>

#include <memory>
#include <random>
#include <string>
#include <vector>

#include "store/base/path_at.hpp"
#include "store/ingest.hpp"
#include "tests/support/package_builder.hpp"
#include "tests/support/test_dir.hpp"

namespace pwstore {
namespace {

constexpr int kPackages = 24;
constexpr int kFiles = 250;

/// Text-like bytes: they compress to about a third.
std::string text_of(std::mt19937& random, size_t size) {
    static constexpr std::string_view kWords[] = {"the ",   "store ", "of ",   "objects ",
                                                  "links ", "a ",     "root ", "\n"};
    std::string text;
    while (text.size() < size) {
        text += kWords[random() % std::size(kWords)];
        if (random() % 4 == 0) text += std::to_string(random());
    }
    text.resize(size);
    return text;
}

/// The corpus in two packings: the same files under another build date.
struct Corpus {
    Corpus() {
        std::lognormal_distribution<double> sizes(8.3, 1.6);
        std::mt19937 random(42);
        std::vector<std::string> shared;
        for (int i = 0; i < kFiles / 5; ++i)
            shared.push_back(text_of(random, static_cast<size_t>(sizes(random))));
        for (int number = 0; number < kPackages; ++number) {
            test::PackageSpec spec{.name = "p" + std::to_string(number)};
            for (int file = 0; file < kFiles; ++file) {
                const auto size = std::min<size_t>(static_cast<size_t>(sizes(random)), 4U << 20U);
                const std::string path = "usr/share/" + spec.name + "/" + std::to_string(file);
                spec.files[path] = {file % 5 == 0 ? shared[static_cast<size_t>(file / 5)]
                                                  : text_of(random, size)};
            }
            first.push_back({test::build_package(dir.path("first"), spec), std::nullopt});
            spec.build_date += 1;
            again.push_back({test::build_package(dir.path("again"), spec), std::nullopt});
        }
    }
    test::TestDir dir;
    std::vector<ArchiveSource> first;
    std::vector<ArchiveSource> again;
};

const Corpus& corpus() {
    static const Corpus made;
    return made;
}

/// A store that holds the corpus.
const Store& filled_store() {
    static const test::TestDir dir;
    static const Store store = [] {
        Store opened = Store::open(dir.directories());
        SilentSink sink;
        Ingestor ingestor(opened, sink);
        ingestor.add_archives(corpus().first);
        ingestor.commit(nullptr, true);
        return opened;
    }();
    return store;
}

void count(benchmark::State& state, const IngestStats& stats) {
    state.SetItemsProcessed(static_cast<int64_t>(stats.files) * state.iterations());
    state.SetBytesProcessed(static_cast<int64_t>(stats.bytes) * state.iterations());
}

Ingestor::Options threads_of(const benchmark::State& state) {
    Ingestor::Options options;
    options.threads = static_cast<unsigned>(state.range(0));
    return options;
}

void ingest_new(benchmark::State& state) {
    SilentSink sink;
    IngestStats stats;
    (void)corpus();
    for (auto _ : state) {
        state.PauseTiming();
        auto dir = std::make_unique<test::TestDir>();
        auto store = std::make_unique<Store>(Store::open(dir->directories()));
        state.ResumeTiming();
        {
            Ingestor ingestor(*store, sink, threads_of(state));
            ingestor.add_archives(corpus().first);
            ingestor.commit(nullptr, false);
            stats = ingestor.stats();
        }
        state.PauseTiming();
        store.reset();
        dir.reset();
        state.ResumeTiming();
    }
    count(state, stats);
}

void ingest_present(benchmark::State& state) {
    SilentSink sink;
    IngestStats stats;
    const Store& store = filled_store();
    for (auto _ : state) {
        Ingestor ingestor(store, sink, threads_of(state));
        ingestor.add_archives(corpus().again);
        stats = ingestor.stats();  // not committed: the archives stay unknown
    }
    count(state, stats);
}

void ingest_identical(benchmark::State& state) {
    SilentSink sink;
    const Store& store = filled_store();
    int64_t bytes = 0;
    for (const ArchiveSource& source : corpus().first)
        bytes += stat_at(AT_FDCWD, source.path).st_size;
    for (auto _ : state) {
        Ingestor ingestor(store, sink, threads_of(state));
        benchmark::DoNotOptimize(ingestor.add_archives(corpus().first));
    }
    state.SetItemsProcessed(kPackages * state.iterations());
    state.SetBytesProcessed(bytes * state.iterations());
}

BENCHMARK(ingest_new)->Arg(1)->Arg(2)->Unit(benchmark::kMillisecond)->UseRealTime();
BENCHMARK(ingest_present)->Arg(1)->Arg(2)->Unit(benchmark::kMillisecond)->UseRealTime();
BENCHMARK(ingest_identical)->Arg(1)->Arg(2)->Unit(benchmark::kMillisecond)->UseRealTime();

}  // namespace
}  // namespace pwstore
