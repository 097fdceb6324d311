// SPDX-License-Identifier: GPL-3.0-or-later
// What identity costs: the digests that each file goes through, by size. Contents stay in the cache, so these
// are the speeds of the functions, not of memory or disk.
#include <benchmark/benchmark.h>

#include <string>

#include "store/digest.hpp"

namespace pwstore {
namespace {

std::string content_of(const benchmark::State& state) {
    return std::string(static_cast<size_t>(state.range(0)), 'x');
}

void count(benchmark::State& state) {
    state.SetItemsProcessed(state.iterations());
    state.SetBytesProcessed(state.iterations() * state.range(0));
}

void digest_xxh3(benchmark::State& state) {
    const std::string content = content_of(state);
    const DigestFunction digest;
    for (auto _ : state)
        benchmark::DoNotOptimize(digest(content));
    count(state);
}

void digest_sha256(benchmark::State& state) {
    const std::string content = content_of(state);
    for (auto _ : state)
        benchmark::DoNotOptimize(sha256_of(content));
    count(state);
}

void digest_md5(benchmark::State& state) {
    const std::string content = content_of(state);
    for (auto _ : state)
        benchmark::DoNotOptimize(md5_hex(content));
    count(state);
}

void digest_stream(benchmark::State& state) {
    const std::string content = content_of(state);
    const DigestFunction function;
    for (auto _ : state) {
        DigestStream stream(function);
        for (size_t at = 0; at < content.size(); at += 65536)
            stream.update(std::string_view(content).substr(at, 65536));
        benchmark::DoNotOptimize(stream.finish());
    }
    count(state);
}

BENCHMARK(digest_xxh3)->RangeMultiplier(32)->Range(64, 8 << 20);
BENCHMARK(digest_stream)->RangeMultiplier(32)->Range(64, 8 << 20);
BENCHMARK(digest_sha256)->RangeMultiplier(32)->Range(64, 8 << 20);
BENCHMARK(digest_md5)->RangeMultiplier(32)->Range(64, 8 << 20);

}  // namespace
}  // namespace pwstore
