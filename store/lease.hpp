// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "store/base/lock.hpp"
#include "store/index/index.hpp"

namespace pwstore {

/// A temporary GC root of a live process: a row (manifests, deltas, generations, objects) committed before
/// the first look-up, and a flock'ed file store/leases/ID. Dead when the lock can be taken; then its row may
/// be removed by anyone.
struct LeaseRow {
    std::vector<ManifestId> manifests;
    std::vector<uint32_t> deltas;
    std::vector<std::pair<std::string, uint64_t>> generations;
    std::vector<ObjectId> objects;
    [[nodiscard]] std::string encode() const;
    static LeaseRow decode(std::string_view bytes);
};

class Lease {
 public:
    /// Take the lock file and commit an empty row. Durable: row only.
    static Lease create(const Index& index, int data_dir, const std::string& owner);
    Lease(Lease&&) noexcept = default;
    Lease& operator=(Lease&&) = delete;
    /// Removes row and file; a crash leaves both to be swept.
    ~Lease();

    [[nodiscard]] const std::string& id() const noexcept { return id_; }
    /// Put the row into a transaction of the caller (the recording commit).
    void record(WriteTxn& txn, const LeaseRow& row) const;

    /// Remove rows and files of leases whose lock is free. Returns how many. Lock: LMDB write.
    static size_t sweep(const Index& index, int data_dir);

 private:
    Lease(const Index* index, int data_dir, std::string id, FileLock lock)
        : index_(index),
          data_dir_(data_dir),
          id_(std::move(id)),
          lock_(std::make_unique<FileLock>(std::move(lock))) {}
    const Index* index_;
    int data_dir_;
    std::string id_;
    std::unique_ptr<FileLock> lock_;
};

}  // namespace pwstore
