// SPDX-License-Identifier: GPL-3.0-or-later
// What tests/perf/ingest_instructions counts: a re-packed package is ingested whose files are all in the
// store.
//
//     pwstore-ingest-present prepare DIRECTORY    a store with the package, and the package packed anew
//     pwstore-ingest-present measure DIRECTORY    ingest that one on one thread, record nothing
#include <cstdio>
#include <string>

#include "store/ingest.hpp"
#include "tests/support/package_builder.hpp"

namespace pwstore::test {
namespace {

constexpr size_t kFiles = 2000;

/// Sizes as packages have them: many small files, some larger ones. Not compressed, so that what is counted
/// is mostly our own work.
PackageSpec package(const std::string& version) {
    PackageSpec spec{.name = "present", .version = version, .compression = ""};
    uint32_t state = 1;
    for (size_t i = 0; i < kFiles; ++i) {
        state = state * 1664525U + 1013904223U;
        const size_t size = i % 50 == 0 ? 100'000 + state % 100'000 : 200 + (state >> 8U) % 8000;
        const std::string content = std::string(size, static_cast<char>('a' + i % 26)) + std::to_string(i);
        spec.files["usr/share/present/" + std::to_string(i % 40) + "/file-" + std::to_string(i)] = {content};
    }
    return spec;
}

Store open(const std::string& directory) {
    return Store::open({directory + "/data", directory + "/config", directory + "/cache"});
}

void prepare(const std::string& directory) {
    const std::string first = build_package(directory, package("1"));
    build_package(directory, package("2"));
    const Store store = open(directory);
    SilentSink sink;
    Ingestor ingestor(store, sink);
    ingestor.add_archives({{first, std::nullopt}});
    ingestor.commit(nullptr, true);
}

void measure(const std::string& directory) {
    const Store store = open(directory);
    SilentSink sink;
    Ingestor::Options options;
    options.threads = 1;
    Ingestor ingestor(store, sink, options);
    ingestor.add_archives({{directory + "/" + package("2").file_name(), std::nullopt}});
    const IngestStats stats = ingestor.stats();
    std::printf("%llu files, %llu new\n", static_cast<unsigned long long>(stats.files),
                static_cast<unsigned long long>(stats.new_objects));
}

}  // namespace
}  // namespace pwstore::test

int main(int count, char** words) {
    const std::string verb = count == 3 ? words[1] : "";
    try {
        if (verb == "prepare") {
            pwstore::test::prepare(words[2]);
        } else if (verb == "measure") {
            pwstore::test::measure(words[2]);
        } else {
            std::fprintf(stderr, "usage: pwstore-ingest-present prepare|measure DIRECTORY\n");
            return 2;
        }
    } catch (const std::exception& error) {
        std::fprintf(stderr, "%s\n", error.what());
        return 1;
    }
    return 0;
}
