// SPDX-License-Identifier: GPL-3.0-or-later
// Roots of a synthetic tree, below $PWSTORE_BENCH_DIR (default /tmp). What the file system is decides the
// numbers; bench/peers compares real packages with cp -al on ext4.
#include <benchmark/benchmark.h>
#include <fcntl.h>
#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <random>
#include <string>
#include <vector>

#include "mount/assembler.hpp"
#include "store/base/error.hpp"
#include "store/base/path_at.hpp"
#include "store/ingest.hpp"

namespace pwstore {
namespace {

constexpr size_t kDirectories = 1000;
constexpr size_t kFiles = 10'000;

TreeEntry entry_of(std::string path, EntryKind kind, uint32_t mode) {
    TreeEntry entry;
    entry.entry.path = std::move(path);
    entry.entry.kind = kind;
    entry.entry.mode = mode;
    entry.entry.mtime = 1'700'000'000;
    return entry;
}

/// A store and a tree of it, in the proportions of a distribution: nine files and a symlink for each
/// directory, 2 % of the files below etc/. The same seed gives the same tree.
class Farm {
 public:
    Farm() : path_(base() + "/pwstore-bench.XXXXXX") {
        if (::mkdtemp(path_.data()) == nullptr) throw Error::from_errno("make directory", path_);
        store_ = std::make_unique<Store>(Store::open({path_ + "/data", path_ + "/config", path_ + "/cache"}));
        SilentSink sink;
        Ingestor ingestor(*store_, sink);
        std::mt19937 random(11);
        std::vector<TreeEntry>& entries = tree_.entries;
        entries.push_back(entry_of("etc", EntryKind::directory, 0755));
        entries.push_back(entry_of("usr", EntryKind::directory, 0755));
        for (size_t i = 0; i < kDirectories; ++i) {
            entries.push_back(entry_of(fmt::format("usr/{:04}", i), EntryKind::directory, 0755));
            entries.push_back(entry_of(fmt::format("usr/{:04}/link", i), EntryKind::symlink, 0777));
            entries.back().entry.target = "../some/where";
        }
        for (size_t i = 0; i < kFiles; ++i) {
            const size_t directory = random() % kDirectories;
            entries.push_back(
                entry_of(i % 50 == 0 ? fmt::format("etc/{}", i) : fmt::format("usr/{:04}/{}", directory, i),
                         EntryKind::file, 0644));
            entries.back().entry.object =
                ingestor.add_content(fmt::format("content {}", random()), 0644, std::nullopt);
        }
        std::sort(entries.begin(), entries.end(),
                  [](const TreeEntry& a, const TreeEntry& b) { return a.entry.path < b.entry.path; });
        ingestor.commit(nullptr, true);
        top_ = open_dir(AT_FDCWD, path_);
    }
    Farm(const Farm&) = delete;
    Farm& operator=(const Farm&) = delete;
    ~Farm() {
        store_.reset();
        remove_root_tree(AT_FDCWD, path_);
    }

    [[nodiscard]] const Store& store() const { return *store_; }
    [[nodiscard]] const Tree& tree() const { return tree_; }
    [[nodiscard]] int top() const { return top_.get(); }
    /// A new empty directory: nothing is deleted between timed parts.
    [[nodiscard]] std::string fresh() {
        const std::string name = fmt::format("root-{}", count_++);
        make_directory(top_.get(), name);
        return name;
    }

 private:
    static std::string base() {
        const char* chosen = std::getenv("PWSTORE_BENCH_DIR");
        return chosen != nullptr ? chosen : "/tmp";
    }
    std::string path_;
    std::unique_ptr<Store> store_;
    Tree tree_;
    Fd top_;
    unsigned count_ = 0;
};

void assemble_root(benchmark::State& state) {
    Farm farm;
    AssembleOptions options;
    options.threads = static_cast<unsigned>(state.range(0));
    for (auto _ : state) {
        state.PauseTiming();
        const Fd root = open_dir(farm.top(), farm.fresh());
        state.ResumeTiming();
        benchmark::DoNotOptimize(assemble(farm.store(), farm.tree(), root.get(), options));
    }
    state.SetItemsProcessed(state.iterations() * static_cast<int64_t>(farm.tree().entries.size()));
}
BENCHMARK(assemble_root)
    ->Arg(1)
    ->Arg(2)
    ->Arg(4)
    ->UseRealTime()
    ->Iterations(10)
    ->Unit(benchmark::kMillisecond);

void remove_root(benchmark::State& state) {
    Farm farm;
    for (auto _ : state) {
        state.PauseTiming();
        const std::string name = farm.fresh();
        assemble(farm.store(), farm.tree(), open_dir(farm.top(), name).get());
        state.ResumeTiming();
        remove_root_tree(farm.top(), name, static_cast<unsigned>(state.range(0)));
    }
    state.SetItemsProcessed(state.iterations() * static_cast<int64_t>(farm.tree().entries.size()));
}
BENCHMARK(remove_root)->Arg(1)->Arg(2)->UseRealTime()->Iterations(10)->Unit(benchmark::kMillisecond);

/// One file in twenty is replaced by another object, as an upgrade does.
void replace_in_root(benchmark::State& state) {
    Farm farm;
    std::vector<TreeEntry> changed;
    for (size_t i = 0; i + 20 < farm.tree().entries.size(); i += 20) {
        TreeEntry entry = farm.tree().entries[i];
        if (entry.entry.kind != EntryKind::file) continue;
        const auto other = std::find_if(farm.tree().entries.begin() + static_cast<std::ptrdiff_t>(i) + 1,
                                        farm.tree().entries.end(),
                                        [](const TreeEntry& e) { return e.entry.kind == EntryKind::file; });
        if (other == farm.tree().entries.end()) break;
        entry.entry.object = other->entry.object;
        changed.push_back(std::move(entry));
    }
    for (auto _ : state) {
        state.PauseTiming();
        const Fd root = open_dir(farm.top(), farm.fresh());
        assemble(farm.store(), farm.tree(), root.get());
        RootWriter writer(farm.store(), root.get(), LinkPolicy::link);
        state.ResumeTiming();
        for (const TreeEntry& entry : changed)
            writer.place(entry);
        writer.settle_times(farm.tree());
    }
    state.SetItemsProcessed(state.iterations() * static_cast<int64_t>(changed.size()));
}
BENCHMARK(replace_in_root)->Iterations(10)->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace pwstore
