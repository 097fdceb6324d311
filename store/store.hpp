// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "store/base/lock.hpp"
#include "store/digest.hpp"
#include "store/index/index.hpp"
#include "store/layout.hpp"
#include "store/object_store.hpp"

namespace pwstore {

/// Seams for tests; the defaults are what users get.
struct StoreOptions {
    unsigned digest_bits = 128;
    unsigned link_limit = 0;  ///< 0 = the file system's
};

/// The store: layout, index and objects, opened together. Not copied, passed by reference; used from many
/// threads.
class Store {
 public:
    /// Open for change: makes what is missing, then recovers (see recover()).
    /// @throws Error (corrupt) where files of a store are and their index is not (lost_index.hpp)
    static Store open(const Directories& directories, const StoreOptions& options = {});
    /// Open without writing anything; nullopt when there is no store yet. @throws as open()
    static std::optional<Store> open_read_only(const Directories& directories,
                                               const StoreOptions& options = {});

    [[nodiscard]] const Layout& layout() const noexcept { return *layout_; }
    [[nodiscard]] const Index& index() const noexcept { return *index_; }
    [[nodiscard]] const ObjectStore& objects() const noexcept { return *objects_; }
    [[nodiscard]] const DigestFunction& digest() const noexcept { return digest_; }
    /// Opened by open().
    [[nodiscard]] bool may_change() const noexcept { return may_change_; }

    /// What a dead process or another boot left is put right: rows marked unsynced by another boot and their
    /// files, staging folders whose lock is free, dead leases. Called by open(). Lock: ingest (skipped while
    /// another holds it: its holder is alive). Idempotent; a crash inside it is recovered by the next call.
    void recover() const;

    /// The lock under which objects are created, replaced and unlinked. What another boot left unsynced is
    /// put right before it is returned, so that its holder builds on nothing that is lost.
    [[nodiscard]] FileLock lock_ingest(std::chrono::milliseconds patience) const;
    /// Exclusive lock of one container, store/locks/NAME. Take several in name order.
    [[nodiscard]] FileLock lock_container(const ContainerName& name, std::chrono::milliseconds patience,
                                          const std::string& owner) const;

    /// Mark of this boot in unsynced rows: never 0.
    [[nodiscard]] static uint64_t boot_mark();

 private:
    Store() = default;
    std::unique_ptr<Layout> layout_;
    std::unique_ptr<Index> index_;
    std::unique_ptr<ObjectStore> objects_;
    DigestFunction digest_;
    bool may_change_ = false;
};

/// A private working folder store/staging/ID of one transaction, held by a flock on "store/staging/ID.lock";
/// removed by the destructor, or by recovery when the lock is free.
class Staging {
 public:
    static Staging create(const Store& store, const std::string& owner);
    Staging(Staging&&) noexcept = default;
    Staging& operator=(Staging&&) = delete;
    ~Staging();
    [[nodiscard]] int fd() const noexcept { return dir_.get(); }
    [[nodiscard]] const std::string& id() const noexcept { return id_; }
    /// Relative to the data directory.
    [[nodiscard]] std::string name() const;

 private:
    Staging(int data_dir, std::string id, Fd dir, FileLock lock);
    int data_dir_;
    std::string id_;
    Fd dir_;
    std::unique_ptr<FileLock> lock_;
};

}  // namespace pwstore
