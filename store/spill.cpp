// SPDX-License-Identifier: GPL-3.0-or-later
#include "store/spill.hpp"

#include <fcntl.h>

#include <limits>

#include "store/base/error.hpp"
#include "store/base/failpoint.hpp"
#include "store/base/path_at.hpp"

namespace pwstore {

namespace {

constexpr std::chrono::minutes kLockPatience{10};

uint16_t intact_copy(const Store& store, const ObjectKey& key, uint16_t copies) {
    for (uint16_t copy = 0; copy < copies; ++copy) {
        if (store.objects().is_intact(key, copy, store.digest())) return copy;
    }
    throw Error("copy object", key.path(0), "none of its copies is intact")
        .as(Fault::corrupt)
        .with_hint("run 'pwstore verify --heal'");
}

void sync_copy(const ObjectStore& objects, const ObjectKey& key, uint16_t copy) {
    const std::string path = key.path(copy);
    sync_fd(objects.open(key, copy).get(), path);
    const std::string shard(split_path(path).first);
    sync_fd(open_dir(objects.fd(), shard).get(), shard);
}

}  // namespace

uint16_t add_object_copy(const Store& store, ObjectId id, uint16_t known_copies) {
    const FileLock lock = store.lock_ingest(kLockPatience);
    const auto [key, row] = store.index().read().object(id);
    if (row.copies > known_copies) return row.copies;
    if (row.copies == std::numeric_limits<uint16_t>::max()) {
        throw Error("copy object", key.path(0), "it has as many copies as can be counted");
    }
    const uint16_t added = row.copies;
    store.objects().add_copy(key, intact_copy(store, key, row.copies), added);
    sync_copy(store.objects(), key, added);
    failpoint("spill.before-commit");

    WriteTxn txn = store.index().write();
    ObjectRow grown = txn.object(id).second;
    grown.copies = static_cast<uint16_t>(added + 1);
    txn.put_object(key, grown);
    txn.commit();
    return grown.copies;
}

}  // namespace pwstore
