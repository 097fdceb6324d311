// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <condition_variable>
#include <cstdint>
#include <exception>
#include <mutex>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "store/image/blob.hpp"
#include "store/package/tar_io.hpp"

namespace pwstore::image {

/// The archive that an image is: blobs by their digests, and what describes them (OCI image layout).
class OuterArchive {
 public:
    /// @param out written from its current offset; not owned
    explicit OuterArchive(int out);

    void add(const std::string& path, std::string_view bytes);
    /// Once for each digest.
    void add(const Blob& blob);
    /// @returns how many bytes there are in all
    uint64_t finish();

 private:
    uint64_t bytes_ = 0;
    std::set<Sha256> seen_;
    TarWriter tar_;
};

/// Adds blobs to an archive in a given order, on a thread of its own, while others make the next ones. What
/// was added is closed: only its digests are left.
class BlobQueue {
 public:
    /// @param blobs filled by the callers of ready(), at the places that `order` names, one for each turn
    BlobQueue(OuterArchive& outer, std::span<Blob> blobs, std::vector<size_t> order);
    BlobQueue(const BlobQueue&) = delete;
    BlobQueue& operator=(const BlobQueue&) = delete;
    /// Without finish(): what was not added yet is left out.
    ~BlobQueue();

    /// The blob of this turn is complete. @throws what adding an earlier one threw
    void ready(size_t turn);
    /// Wait until all are added. @throws what adding one threw
    void finish();

 private:
    void add_in_turn();
    bool wait_for(size_t turn);

    OuterArchive& outer_;
    std::span<Blob> blobs_;
    std::vector<size_t> order_;
    std::mutex guard_;  ///< of what follows
    std::condition_variable changed_;
    std::vector<bool> is_ready_;
    bool is_stopped_ = false;
    std::exception_ptr failure_;
    std::thread thread_;
};

}  // namespace pwstore::image
