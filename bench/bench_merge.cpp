// SPDX-License-Identifier: GPL-3.0-or-later
#include <benchmark/benchmark.h>
#include <fmt/format.h>

#include <algorithm>
#include <cstdint>
#include <random>
#include <string>
#include <vector>

#include "store/manifest.hpp"
#include "store/tree.hpp"

namespace pwstore {
namespace {

constexpr size_t kPackages = 300;

/// Packages as distributions have them: a few entries in directories that all share, most in a directory of
/// their own, an eighth symlinks. The same seed gives the same packages.
std::vector<Manifest> make_packages(size_t entries) {
    std::mt19937 random(7);
    std::vector<Manifest> packages(kPackages);
    for (size_t number = 0; number < kPackages; ++number) {
        std::vector<Entry>& list = packages[number].entries;
        const auto add = [&](std::string path, EntryKind kind) {
            Entry& entry = list.emplace_back();
            entry.path = std::move(path);
            entry.kind = kind;
            entry.mode = kind == EntryKind::directory ? 0755 : 0644;
            entry.mtime = 1700000000;
            if (kind == EntryKind::symlink) entry.target = "../lib/some-library.so.1";
            if (kind != EntryKind::file) return;
            entry.object = static_cast<ObjectId>(random() % 60000 + 1);
            entry.size = random() % 40000;
        };
        const std::string own = fmt::format("usr/share/package-{:03}", number);
        for (const char* shared : {"usr", "usr/bin", "usr/lib", "usr/share", "usr/share/doc", "usr/share/man",
                                   "usr/share/man/man1"}) {
            add(shared, EntryKind::directory);
        }
        add(own, EntryKind::directory);
        add(fmt::format("usr/bin/tool-{:03}", number), EntryKind::file);
        add(fmt::format("usr/share/man/man1/tool-{:03}.1.gz", number), EntryKind::file);
        for (size_t at = list.size(); at < entries / kPackages; ++at) {
            if (at % 12 == 0) {
                add(fmt::format("{}/part-{:04}", own, at / 12), EntryKind::directory);
            } else {
                add(fmt::format("{}/part-{:04}/file-{:05}.ext", own, at / 12, at),
                    at % 8 == 0 ? EntryKind::symlink : EntryKind::file);
            }
        }
        std::sort(list.begin(), list.end(), [](const Entry& a, const Entry& b) { return a.path < b.path; });
        list.erase(std::unique(list.begin(), list.end(),
                               [](const Entry& a, const Entry& b) { return a.path == b.path; }),
                   list.end());
    }
    return packages;
}

std::vector<TreeLayer> layers_of(const std::vector<Manifest>& packages) {
    std::vector<TreeLayer> layers;
    for (const Manifest& package : packages)
        layers.push_back({"package", &package.entries, LayerKind::package, nullptr});
    return layers;
}

void count_entries(benchmark::State& state, size_t per_round) {
    state.SetItemsProcessed(static_cast<int64_t>(per_round) * static_cast<int64_t>(state.iterations()));
}

void BM_MergeLayers(benchmark::State& state) {
    const std::vector<Manifest> packages = make_packages(static_cast<size_t>(state.range(0)));
    const std::vector<TreeLayer> layers = layers_of(packages);
    size_t entries = 0;
    for (auto _ : state) {
        const Tree tree = merge_layers(layers);
        entries = tree.entries.size();
        benchmark::DoNotOptimize(tree.entries.data());
    }
    count_entries(state, entries);
}
BENCHMARK(BM_MergeLayers)->Arg(10'000)->Arg(100'000)->Arg(400'000)->Unit(benchmark::kMillisecond);

/// A whole root twice: every file of the second set replaces one, as an aggregate over a base may do.
void BM_MergeReplacingEverything(benchmark::State& state) {
    const std::vector<Manifest> packages = make_packages(static_cast<size_t>(state.range(0)));
    std::vector<TreeLayer> layers = layers_of(packages);
    const std::vector<TreeLayer> again = layers;
    layers.insert(layers.end(), again.begin(), again.end());
    for (auto _ : state) {
        const Tree tree = merge_layers(layers);
        benchmark::DoNotOptimize(tree.entries.data());
    }
}
BENCHMARK(BM_MergeReplacingEverything)->Arg(100'000)->Unit(benchmark::kMillisecond);

/// From the encoded records, as tree_of() reads them from the index.
void BM_DecodeAndMerge(benchmark::State& state) {
    std::vector<std::string> records;
    for (const Manifest& package : make_packages(static_cast<size_t>(state.range(0))))
        records.push_back(package.encode());
    for (auto _ : state) {
        std::vector<Manifest> packages;
        for (const std::string& record : records)
            packages.push_back(Manifest::decode(record));
        const Tree tree = merge_layers(layers_of(packages));
        benchmark::DoNotOptimize(tree.entries.data());
    }
}
BENCHMARK(BM_DecodeAndMerge)->Arg(100'000)->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace pwstore
