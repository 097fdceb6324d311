// SPDX-License-Identifier: GPL-3.0-or-later
// The stages of a transaction one at a time, for bench/peers:
//
//     pwstore-stages ingest DATA [--sync] @LIST  archives named in LIST, one per line, into the store DATA
//     pwstore-stages decode @LIST                read and digest them, keep nothing: an ingest's floor
//     pwstore-stages container DATA              record a container of every package that the store holds
//     pwstore-stages assemble DATA ROOT          the root of this container, at ROOT
//     pwstore-stages change DATA ROOT            make of the root at ROOT one with 5 % other files
//     pwstore-stages remove ROOT                 a root or any other tree
//     pwstore-stages verify DATA                 re-hash every object
//     pwstore-stages read DATA                   only read every object: a verification's floor
//     pwstore-stages references DATA             a store of packages with 10 million references
//     pwstore-stages mark DATA                   mark what is referred to, as a collection does
//     pwstore-stages prefault MEGABYTES          touch memory, so that the machine has it
//
// Each prints one line of JSON with what it did and the seconds of its phases.
#include <fcntl.h>
#include <fmt/core.h>
#include <malloc.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "mount/assembler.hpp"
#include "mount/twin.hpp"
#include "store/base/error.hpp"
#include "store/base/parallel.hpp"
#include "store/base/path_at.hpp"
#include "store/gc/gc.hpp"
#include "store/ingest.hpp"
#include "store/package/tar_io.hpp"
#include "store/verify/verify.hpp"

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

std::vector<std::string> listed(const std::string& argument) {
    if (argument.empty() || argument.front() != '@')
        throw Error("read the command line", argument, "@LIST is wanted");
    std::vector<std::string> lines;
    const std::string text = read_file(AT_FDCWD, argument.substr(1));
    for (size_t from = 0; from < text.size();) {
        const size_t end = std::min(text.find('\n', from), text.size());
        if (end > from) lines.push_back(text.substr(from, end - from));
        from = end + 1;
    }
    return lines;
}

void ingest(const std::string& data, const std::vector<std::string>& archives, bool sync) {
    Clock clock;
    make_directories(AT_FDCWD, data);
    const Store store = Store::open(directories_of(data));
    const double opened = clock.lap();
    SilentSink sink;
    std::vector<ArchiveSource> sources;
    for (const std::string& archive : archives)
        sources.push_back({archive, {}});
    Ingestor ingestor(store, sink);
    ingestor.add_archives(sources);
    const double read = clock.lap();
    ingestor.commit(nullptr, sync);
    const IngestStats stats = ingestor.stats();
    fmt::print(
        R"({{"open": {:.4f}, "read": {:.4f}, "commit": {:.4f}, "files": {}, "bytes": {}, "new_objects": {}}})"
        "\n",
        opened, read, clock.lap(), stats.files, stats.bytes, stats.new_objects);
}

void decode(const std::vector<std::string>& archives) {
    const DigestFunction digest;
    std::vector<uint64_t> bytes(archives.size());
    parallel_for(archives.size(), default_threads(), [&](size_t i) {
        const Fd file = open_at(AT_FDCWD, archives[i], O_RDONLY);
        TarReader reader(file.get(), archives[i]);
        while (const auto entry = reader.next()) {
            if (entry->kind != TarEntry::Kind::file) continue;
            DigestStream stream(digest);
            for (auto piece = reader.read(); !piece.empty(); piece = reader.read())
                stream.update(piece);
            (void)stream.finish();
            bytes[i] += entry->size;
        }
    });
    uint64_t sum = 0;
    for (const uint64_t each : bytes)
        sum += each;
    fmt::print("{{\"bytes\": {}}}\n", sum);
}

constexpr const char* kContainer = "bench";

/// A container of every package that the store holds, each once: an archive that was packed again has a
/// manifest of its own.
void record_container(const std::string& data) {
    const Store store = Store::open(directories_of(data));
    Generation generation;
    generation.container = kContainer;
    generation.number = 1;
    {
        const ReadTxn txn = store.index().read();
        std::map<std::string, InstalledPackage> packages;
        for (const ManifestId id : txn.manifest_ids()) {
            const Manifest manifest = txn.manifest(id);
            InstalledPackage& package = packages[manifest.name];
            package.manifest = id;
            package.name = manifest.name;
            package.version = manifest.version;
        }
        for (auto& [name, package] : packages)
            generation.packages.push_back(std::move(package));
    }
    WriteTxn txn = store.index().write();
    txn.put_generation(generation);
    txn.commit();
    fmt::print("{{\"packages\": {}}}\n", generation.packages.size());
}

Tree tree_of_container(const Store& store, const std::string& data) {
    const ReadTxn txn = store.index().read();
    const auto generation = txn.generation(ContainerName(kContainer), 1);
    if (!generation) throw Error("read container", data, "there is none: pwstore-stages container makes it");
    return tree_of(txn, store.objects(), *generation);
}

void assemble_root(const std::string& data, const std::string& root) {
    Clock clock;
    const auto store = Store::open_read_only(directories_of(data));
    if (!store) throw Error("open store", data, "there is none");
    const Tree tree = tree_of_container(*store, data);
    const double planned = clock.lap();
    make_directory(AT_FDCWD, root, 0755);
    const AssembleStats stats = assemble(*store, tree, open_dir(AT_FDCWD, root).get());
    fmt::print(R"({{"plan": {:.4f}, "assemble": {:.4f}, "entries": {}, "linked": {}, "copied": {}}})"
               "\n",
               planned, clock.lap(), tree.entries.size(), stats.linked, stats.copied);
}

/// `tree` with another content in every twentieth file.
Tree with_changes(Tree tree) {
    const std::vector<bool> copied = copied_entries(tree);
    std::vector<Entry*> files;
    for (size_t at = 0; at < tree.entries.size(); ++at) {
        Entry& entry = tree.entries[at].entry;
        if (entry.kind == EntryKind::file && entry.link_group == 0 && !copied[at]) files.push_back(&entry);
    }
    for (size_t at = 0; at + 10 < files.size(); at += 20) {
        files[at]->object = files[at + 10]->object;
        files[at]->size = files[at + 10]->size;
    }
    return tree;
}

void change(const std::string& data, const std::string& root) {
    const auto store = Store::open_read_only(directories_of(data));
    if (!store) throw Error("open store", data, "there is none");
    const Tree before = tree_of_container(*store, data);
    const Tree after = with_changes(before);
    const Fd fd = open_dir(AT_FDCWD, root);
    Clock clock;
    const RootSeal checked = seal_of(before, fd.get(), 0);
    const double looked_at = clock.lap();
    const AssembleStats stats = change_root(*store, before, after, fd.get());
    const double changed = clock.lap();
    const RootSeal made = seal_of(after, fd.get(), 0);
    const double sealed = clock.lap();
    if (made.text() == checked.text()) throw Error("change", root, "nothing changed");
    fmt::print(R"({{"check": {:.4f}, "change": {:.4f}, "seal": {:.4f}, "together": {:.4f}, "linked": {}}})"
               "\n",
               looked_at, changed, sealed, looked_at + changed + sealed, stats.linked);
}

int verify_store(const std::string& data) {
    const auto store = Store::open_read_only(directories_of(data));
    if (!store) throw Error("open store", data, "there is none");
    SilentSink sink;
    const VerifyReport report = verify(*store, VerifyOptions{}, sink);
    fmt::print("{{\"objects\": {}, \"bytes\": {}, \"findings\": {}}}\n", report.objects, report.bytes,
               report.findings.size());
    return report.clean() ? 0 : 1;
}

/// Objects in the order of their ids, as verify takes them.
void read_objects(const std::string& data) {
    const auto store = Store::open_read_only(directories_of(data));
    if (!store) throw Error("open store", data, "there is none");
    std::vector<std::pair<ObjectId, std::string>> files;
    store->index().read().for_each_object([&](const ObjectKey& key, const ObjectRow& row) {
        for (uint16_t copy = 0; copy < row.copies; ++copy)
            files.emplace_back(row.id, key.path(copy));
    });
    std::sort(files.begin(), files.end());
    constexpr size_t kBuffer = 128 * 1024;  // nothing was faster
    constexpr size_t kChunk = 64;
    std::atomic<uint64_t> bytes{0};
    parallel_for((files.size() + kChunk - 1) / kChunk, default_threads(), [&](size_t chunk) {
        std::array<char, kBuffer> buffer;
        uint64_t read = 0;
        for (size_t at = chunk * kChunk; at < std::min(files.size(), (chunk + 1) * kChunk); ++at) {
            const Fd file = open_at(store->objects().fd(), files[at].second, O_RDONLY | O_NOFOLLOW);
            (void)stat_fd(file.get(), files[at].second);  // as cat does
            while (const size_t got = read_some(file.get(), buffer, files[at].second))
                read += got;
        }
        bytes += read;
    });
    fmt::print("{{\"objects\": {}, \"bytes\": {}}}\n", files.size(), bytes.load());
}

/// References as they are spread when packages share a third of their files.
void make_references(const std::string& data) {
    constexpr uint32_t kManifests = 1000;
    constexpr uint32_t kEntries = 10'000;
    constexpr ObjectId kObjects = 4'000'000;
    make_directories(AT_FDCWD, data);
    const Store store = Store::open(directories_of(data));
    uint64_t state = 1;
    Manifest manifest;
    manifest.version = "1-1";
    manifest.arch = "any";
    manifest.entries.resize(kEntries);
    for (uint32_t number = 0; number < kManifests; ++number) {
        manifest.name = fmt::format("p{}", number);
        for (uint32_t at = 0; at < kEntries; ++at) {
            Entry& entry = manifest.entries[at];
            entry.path = fmt::format("f{:05}", at);
            entry.size = 1;
            state = state * 6364136223846793005ULL + 1442695040888963407ULL;
            entry.object = static_cast<ObjectId>((state >> 33U) % kObjects) + 1;
        }
        WriteTxn txn = store.index().write();
        txn.add_manifest(manifest, false);
        txn.commit();
    }
    fmt::print("{{\"references\": {}}}\n", uint64_t{kManifests} * kEntries);
}

/// Memory of this process that is in no file.
size_t anonymous_bytes() {
    constexpr std::string_view kLabel = "RssAnon:";
    const std::string status = read_file(AT_FDCWD, "/proc/self/status");
    return std::strtoul(status.c_str() + status.find(kLabel) + kLabel.size(), nullptr, 10) * 1024;
}

/// Nothing that was allocated is given back, so that what is there at the end is what was there at most.
void mark_references(const std::string& data) {
    ::mallopt(M_MMAP_MAX, 0);
    ::mallopt(M_TRIM_THRESHOLD, 1 << 30);
    const auto store = Store::open_read_only(directories_of(data));
    if (!store) throw Error("open store", data, "there is none");
    const size_t before = anonymous_bytes();
    Clock clock;
    const ReadTxn txn = store->index().read();
    const ObjectSet marked = mark(txn);
    const double passed = clock.lap();
    const size_t memory = anonymous_bytes() - before;
    fmt::print(R"({{"mark": {:.4f}, "memory": {}, "has_17": {}}})"
               "\n",
               passed, memory, marked.contains(17));
}

void prefault(size_t bytes) {
    constexpr size_t kPage = 4096;
    std::vector<char> memory(bytes);
    for (size_t at = 0; at < memory.size(); at += kPage)
        memory[at] = 1;
    fmt::print("{{\"bytes\": {}}}\n", memory.size());
}

int run(const std::vector<std::string>& words) {
    const std::string verb = words.empty() ? "" : words[0];
    if (verb == "ingest" && words.size() == 3) {
        ingest(words[1], listed(words[2]), false);
    } else if (verb == "ingest" && words.size() == 4 && words[2] == "--sync") {
        ingest(words[1], listed(words[3]), true);
    } else if (verb == "decode" && words.size() == 2) {
        decode(listed(words[1]));
    } else if (verb == "container" && words.size() == 2) {
        record_container(words[1]);
    } else if (verb == "assemble" && words.size() == 3) {
        assemble_root(words[1], words[2]);
    } else if (verb == "change" && words.size() == 3) {
        change(words[1], words[2]);
    } else if (verb == "remove" && words.size() == 2) {
        remove_root_tree(AT_FDCWD, words[1]);
    } else if (verb == "verify" && words.size() == 2) {
        return verify_store(words[1]);
    } else if (verb == "read" && words.size() == 2) {
        read_objects(words[1]);
    } else if (verb == "references" && words.size() == 2) {
        make_references(words[1]);
    } else if (verb == "mark" && words.size() == 2) {
        mark_references(words[1]);
    } else if (verb == "prefault" && words.size() == 2) {
        prefault(std::strtoul(words[1].c_str(), nullptr, 10) << 20U);
    } else {
        fmt::print(stderr, "pwstore-stages: see the first lines of bench/main_stages.cpp\n");
        return 2;
    }
    return 0;
}

}  // namespace
}  // namespace pwstore

int main(int argc, char** argv) {
    try {
        return pwstore::run({argv + 1, argv + argc});
    } catch (const std::exception& error) {
        fmt::print(stderr, "pwstore-stages: {}\n", error.what());
        return 1;
    }
}
