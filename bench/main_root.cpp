// SPDX-License-Identifier: GPL-3.0-or-later
// Measures roots with real packages; bench/roots drives it and its peers.
//
//     pwstore_bench_root convert REPOSITORY DEB…      Debian packages → alpm packages
//     pwstore_bench_root fill DATA PACKAGE…           a store with one container, "bench", of these packages
//     pwstore_bench_root build DATA DESTINATION [THREADS]
//     pwstore_bench_root remove DIRECTORY [THREADS]
//     pwstore_bench_root prefault MEGABYTES           touch memory, so that the machine has it at hand
#include <fcntl.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include "mount/assembler.hpp"
#include "store/base/error.hpp"
#include "store/base/path_at.hpp"
#include "store/deb_package.hpp"
#include "store/ingest.hpp"

namespace pwstore {
namespace {

class Clock {
 public:
    double lap() {
        const auto now = std::chrono::steady_clock::now();
        const double passed = std::chrono::duration<double>(now - last_).count();
        last_ = now;
        return passed;
    }

 private:
    std::chrono::steady_clock::time_point last_ = std::chrono::steady_clock::now();
};

Directories directories_of(const std::string& data) {
    return {data + "/data", data + "/config", data + "/cache"};
}

void convert(const std::string& directory, const std::vector<std::string>& debs) {
    SilentSink sink;
    const DebImportReport report = import_debs(directory, "bench", debs, sink);
    std::printf("{\"converted\": %zu, \"kept\": %zu}\n", report.converted, report.kept);
}

void fill(const std::string& data, const std::vector<std::string>& packages) {
    make_directories(AT_FDCWD, data);
    const Store store = Store::open(directories_of(data));
    SilentSink sink;
    std::vector<ArchiveSource> sources;
    for (const std::string& package : packages)
        sources.push_back({package, {}});
    Ingestor ingestor(store, sink);
    ingestor.add_archives(sources);
    const ContainerName name("bench");
    ingestor.commit(nullptr, true, [&](WriteTxn& txn) {
        Generation generation;
        generation.container = name.str();
        generation.number = 1;
        generation.cause = "bench";
        for (const IngestedArchive& archive : ingestor.results()) {
            InstalledPackage package;
            package.manifest = archive.id;
            package.name = archive.name;
            package.version = archive.version;
            generation.packages.push_back(package);
        }
        ContainerRow row;
        row.current = row.last_number = 1;
        txn.put_container(name, row);
        txn.put_generation(generation);
    });
    const IngestStats stats = ingestor.stats();
    std::printf("{\"files\": %lu, \"bytes\": %lu, \"new_objects\": %lu}\n", stats.files, stats.bytes,
                stats.new_objects);
}

void build(const std::string& data, const std::string& destination, unsigned threads) {
    Clock clock;
    const auto store = Store::open_read_only(directories_of(data));
    if (!store) throw Error("open store", data, "there is none");
    const double opened = clock.lap();
    const Tree tree = [&] {
        const ReadTxn txn = store->index().read();
        return tree_of(txn, store->objects(), txn.generation(ContainerName("bench"), 1).value());
    }();
    const double planned = clock.lap();
    make_directory(AT_FDCWD, destination, 0755);
    AssembleOptions options;
    options.threads = threads;
    const AssembleStats stats = assemble(*store, tree, open_dir(AT_FDCWD, destination).get(), options);
    const double assembled = clock.lap();
    std::printf(
        "{\"open\": %.4f, \"tree\": %.4f, \"assemble\": %.4f, \"entries\": %zu, \"linked\": %lu, \"copied\": "
        "%lu, "
        "\"copied_bytes\": %lu, \"directories\": %lu, \"symlinks\": %lu}\n",
        opened, planned, assembled, tree.entries.size(), stats.linked, stats.copied, stats.copied_bytes,
        stats.directories, stats.symlinks);
}

void prefault(size_t bytes) {
    constexpr size_t kPage = 4096;
    std::vector<char> memory(bytes);
    for (size_t at = 0; at < memory.size(); at += kPage)
        memory[at] = 1;
}

int run(const std::vector<std::string>& arguments) {
    if (arguments.size() < 2) return 2;
    const std::vector<std::string> rest(arguments.begin() + 2, arguments.end());
    const unsigned threads =
        rest.empty() ? 0U : static_cast<unsigned>(std::strtoul(rest.back().c_str(), nullptr, 10));
    if (arguments[0] == "convert")
        convert(arguments[1], rest);
    else if (arguments[0] == "fill")
        fill(arguments[1], rest);
    else if (arguments[0] == "build" && !rest.empty())
        build(arguments[1], rest[0], rest.size() > 1 ? threads : 0);
    else if (arguments[0] == "remove")
        remove_root_tree(AT_FDCWD, arguments[1], threads);
    else if (arguments[0] == "prefault")
        prefault(std::strtoul(arguments[1].c_str(), nullptr, 10) << 20U);
    else
        return 2;
    return 0;
}

}  // namespace
}  // namespace pwstore

int main(int argc, char** argv) {
    try {
        return pwstore::run({argv + 1, argv + argc});
    } catch (const std::exception& error) {
        std::fprintf(stderr, "pwstore_bench_root: %s\n", error.what());
        return 1;
    }
}
