// SPDX-License-Identifier: GPL-3.0-or-later
#include "store/package_history.hpp"

#include "store/manifest.hpp"

namespace pwstore {

std::optional<StoredObject> PackageHistory::large_file(const std::string& name, const std::string& path) {
    const std::scoped_lock lock(guard_);
    if (!is_loaded_) load_names();
    const auto id = newest_.find(name);
    if (id == newest_.end()) return std::nullopt;
    auto files = files_.find(name);
    if (files == files_.end()) files = files_.emplace(name, load_files(id->second)).first;
    const auto found = files->second.find(path);
    if (found == files->second.end()) return std::nullopt;
    return found->second;
}

void PackageHistory::load_names() {
    const ReadTxn txn = index_.read();
    for (const ManifestId id : txn.manifest_ids())
        newest_[Manifest::decode_head(txn.manifest_bytes(id)).name] = id;  // ids grow
    is_loaded_ = true;
}

PackageHistory::Files PackageHistory::load_files(ManifestId id) const {
    Files files;
    const ReadTxn txn = index_.read();
    for (const Entry& entry : txn.manifest(id).entries) {
        if (entry.kind != EntryKind::file || entry.size <= ObjectIntake::kBufferLimit) continue;
        if (const auto key = txn.object_key(entry.object))
            files.emplace(entry.path, StoredObject{entry.object, *key});
    }
    return files;
}

}  // namespace pwstore
