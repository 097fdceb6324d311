// SPDX-License-Identifier: GPL-3.0-or-later
#include "store/store.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>

#include <set>

#include "store/base/error.hpp"
#include "store/base/failpoint.hpp"
#include "store/base/path_at.hpp"
#include "store/base/random_id.hpp"
#include "store/boot_mark.hpp"
#include "store/lease.hpp"
#include "store/lost_index.hpp"

namespace pwstore {

namespace {

constexpr std::chrono::seconds kStagingPatience{10};
constexpr std::string_view kLockSuffix = ".lock";
constexpr const char* kIngestOwner = "a pwstore command that adds files";

std::string staging_path(const std::string& id) {
    return fmt::format("{}/{}", names::kStaging, id);
}
std::string staging_lock(const std::string& id) {
    return staging_path(id) + std::string(kLockSuffix);
}

/// Remove what dead processes left below store/staging.
void sweep_staging(int data) {
    std::set<std::string> ids;
    for (DirectoryItem& item : list_directory(open_dir(data, names::kStaging).get())) {
        if (item.name.ends_with(kLockSuffix)) item.name.resize(item.name.size() - kLockSuffix.size());
        ids.insert(std::move(item.name));
    }
    for (const std::string& id : ids) {
        const auto lock = FileLock::try_acquire(data, staging_lock(id), LockMode::exclusive, "recovery");
        if (!lock) continue;
        try {
            remove_tree(data, staging_path(id));
        } catch (const Error& error) {
            // Files of other users (a sandbox with several) need more rights than this process may have. They
            // are in nobody's way; whoever can remove them does.
            if (error.error_number() != EPERM && error.error_number() != EACCES) throw;
            continue;
        }
        remove_file(data, staging_lock(id));
    }
}

/// Rows of another boot that no sync covered: first the rows, then the files. A crash between the two leaves
/// files without a record, which are garbage. For the holder of the ingest lock.
void remove_unsynced(const Index& index, const ObjectStore& objects) {
    ReadTxn::Unsynced lost;
    {
        const ReadTxn txn = index.read();
        lost = txn.unsynced_of_other_boots();
    }
    if (lost.empty()) return;
    WriteTxn txn = index.write();
    for (const ManifestId id : lost.manifests)
        txn.remove_manifest(id);
    for (const uint32_t id : lost.deltas)
        txn.remove_delta(id);
    for (const auto& [key, row] : lost.objects)
        txn.remove_object(key);
    txn.commit();
    failpoint("recovery.committed");
    for (const auto& [key, row] : lost.objects) {
        for (uint16_t copy = 0; copy < row.copies; ++copy)
            objects.remove(key, copy);
    }
}

void refuse_lost_index(const Directories& directories) {
    if (const auto lost = lost_index(directories)) throw Error(*lost);
}

}  // namespace

// --- Store ---------------------------------------------------------------------------------------

Store Store::open(const Directories& directories, const StoreOptions& options) {
    Store store;
    store.layout_ = std::make_unique<Layout>(Layout::create(directories));
    const int data = store.layout_->data();
    if (!Index::exists(data)) refuse_lost_index(directories);
    store.index_ = std::make_unique<Index>(Index::open(data, Index::Mode::read_write));
    store.digest_ = DigestFunction(options.digest_bits);
    store.objects_ =
        std::make_unique<ObjectStore>(open_dir(data, names::kObjects), options.link_limit, store.digest_);
    store.may_change_ = true;
    store.recover();
    return store;
}

std::optional<Store> Store::open_read_only(const Directories& directories, const StoreOptions& options) {
    if (!exists_at(AT_FDCWD, fmt::format("{}/{}", directories.data, names::kIndex))) {
        refuse_lost_index(directories);
        return std::nullopt;
    }
    Store store;
    store.layout_ = std::make_unique<Layout>(Layout::open(directories));
    const int data = store.layout_->data();
    try {
        store.index_ = std::make_unique<Index>(Index::open(data, Index::Mode::read_only));
    } catch (const Error& error) {
        if (error.error_number() != ENOENT) throw;
        refuse_lost_index(directories);
        return std::nullopt;
    }
    store.digest_ = DigestFunction(options.digest_bits);
    store.objects_ =
        std::make_unique<ObjectStore>(open_dir(data, names::kObjects), options.link_limit, store.digest_);
    return store;
}

void Store::recover() const {
    const int data = layout_->data();
    bool has_lost = false;
    {
        const ReadTxn txn = index_->read();
        has_lost = !txn.unsynced_of_other_boots().empty();
    }
    if (has_lost) {
        const auto lock = FileLock::try_acquire(data, names::kIngestLock, LockMode::exclusive, kIngestOwner);
        if (lock) remove_unsynced(*index_, *objects_);
    }
    sweep_staging(data);
    Lease::sweep(*index_, data);
}

FileLock Store::lock_ingest(std::chrono::milliseconds patience) const {
    FileLock lock =
        FileLock::acquire(layout_->data(), names::kIngestLock, LockMode::exclusive, patience, kIngestOwner);
    remove_unsynced(*index_, *objects_);
    return lock;
}

FileLock Store::lock_container(const ContainerName& name, std::chrono::milliseconds patience,
                               const std::string& owner) const {
    const std::string path = fmt::format("{}/{}", names::kContainerLocks, name.str());
    return FileLock::acquire(layout_->data(), path, LockMode::exclusive, patience, owner);
}

uint64_t Store::boot_mark() {
    return pwstore::boot_mark();
}

// --- Staging -------------------------------------------------------------------------------------

Staging Staging::create(const Store& store, const std::string& owner) {
    const int data = store.layout().data();
    std::string id = random_id();
    FileLock lock = FileLock::acquire(data, staging_lock(id), LockMode::exclusive, kStagingPatience, owner);
    make_directory(data, staging_path(id), 0700);
    Fd dir = open_dir(data, staging_path(id));
    return {data, std::move(id), std::move(dir), std::move(lock)};
}

Staging::Staging(int data_dir, std::string id, Fd dir, FileLock lock)
    : data_dir_(data_dir),
      id_(std::move(id)),
      dir_(std::move(dir)),
      lock_(std::make_unique<FileLock>(std::move(lock))) {}

Staging::~Staging() {
    if (!lock_) return;  // moved from
    try {
        remove_tree(data_dir_, name());
        remove_file(data_dir_, staging_lock(id_));
    } catch (const std::exception&) {
        // The lock ends with this object, and recovery removes what is left.
    }
}

std::string Staging::name() const {
    return staging_path(id_);
}

}  // namespace pwstore
