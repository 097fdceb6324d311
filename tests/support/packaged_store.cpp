// SPDX-License-Identifier: GPL-3.0-or-later
#include "tests/support/packaged_store.hpp"

#include <algorithm>
#include <stdexcept>

#include "store/ingest.hpp"

namespace pwstore::test {

PackagedStore::PackagedStore(const StoreOptions& options) : store(Store::open(dir.directories(), options)) {}

InstalledPackage PackagedStore::add(const PackageSpec& spec) {
    const std::string archive = build_package(dir.path("packages"), spec);
    archives_[spec.name + " " + spec.version] = archive;
    SilentSink sink;
    Ingestor ingestor(store, sink);
    (void)ingestor.add_archives({{archive, std::nullopt}});
    ingestor.commit(nullptr, true);
    InstalledPackage installed;
    installed.manifest = ingestor.results().front().id;
    installed.name = spec.name;
    installed.version = spec.version;
    installed.install_date = kBuildDate + 1000;
    installed.validation = 1;
    return installed;
}

Generation PackagedStore::install(const std::string& container, const std::vector<InstalledPackage>& packages,
                                  const std::vector<DeltaEntry>& delta,
                                  const std::vector<GenerationRef>& upstream) {
    const ContainerName name(container);
    WriteTxn txn = store.index().write();
    ContainerRow row = txn.container(name).value_or(ContainerRow{});
    Generation generation;
    generation.container = container;
    generation.cause = "install made for a test";
    generation.number = ++row.last_number;
    generation.parent = row.current;
    generation.packages = packages;
    generation.upstream = upstream;
    Delta changes{delta};
    std::sort(changes.entries.begin(), changes.entries.end(),
              [](const DeltaEntry& a, const DeltaEntry& b) { return a.entry.path < b.entry.path; });
    generation.delta = txn.add_delta(changes);
    row.current = generation.number;
    txn.put_generation(generation);
    txn.put_container(name, row);
    txn.commit();
    return generation;
}

std::optional<std::string> PackagedStore::archive_of(const Manifest& manifest) const {
    const auto found = archives_.find(manifest.name + " " + manifest.version);
    return found != archives_.end() ? std::optional(found->second) : std::nullopt;
}

ObjectKey PackagedStore::key_of(const InstalledPackage& package, const std::string& path) const {
    const ReadTxn txn = store.index().read();
    const Manifest manifest = txn.manifest(package.manifest);
    const Entry* entry = manifest.find(path);
    if (entry == nullptr) throw std::runtime_error("no such file in the package: " + path);
    return txn.object(entry->object).first;
}

std::string PackagedStore::object_path(const ObjectKey& key, uint16_t copy) const {
    return store.layout().path(std::string(names::kObjects) + "/" + key.path(copy));
}

}  // namespace pwstore::test
