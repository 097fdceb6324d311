// SPDX-License-Identifier: GPL-3.0-or-later
#include "store/image/outer_archive.hpp"

#include <unistd.h>

#include <array>
#include <utility>

#include "store/base/error.hpp"
#include "store/base/path_at.hpp"

namespace pwstore::image {

// --- Archive -------------------------------------------------------------------------------------

OuterArchive::OuterArchive(int out)
    : tar_(
          [this, out](std::string_view piece) {
              write_all(out, piece, "image");
              bytes_ += piece.size();
          },
          "image", TarCompression::none) {
    // Some readers make directories that have no member as root's, and cannot.
    for (const char* path : {"blobs", "blobs/sha256"}) {
        TarEntry directory;
        directory.path = path;
        directory.kind = TarEntry::Kind::directory;
        directory.mode = 0755;
        tar_.add(directory);
    }
}

void OuterArchive::add(const std::string& path, std::string_view bytes) {
    TarEntry header;
    header.path = path;
    tar_.add_file(header, bytes);
}

void OuterArchive::add(const Blob& blob) {
    if (!seen_.insert(blob.digest).second) return;
    TarEntry header;
    header.path = "blobs/sha256/" + blob.digest.hex();
    header.size = blob.size;
    tar_.add(header);
    if (::lseek(blob.file.get(), 0, SEEK_SET) != 0) throw Error::from_errno("read back", header.path);
    std::array<char, 1U << 17U> buffer;  // NOLINT(cppcoreguidelines-pro-type-member-init): read into
    for (size_t got = 0; (got = read_some(blob.file.get(), buffer, header.path)) != 0;)
        tar_.append({buffer.data(), got});
}

uint64_t OuterArchive::finish() {
    tar_.finish();
    return bytes_;
}

// --- Queue ---------------------------------------------------------------------------------------

BlobQueue::BlobQueue(OuterArchive& outer, std::span<Blob> blobs, std::vector<size_t> order)
    : outer_(outer), blobs_(blobs), order_(std::move(order)), is_ready_(order_.size(), false) {
    thread_ = std::thread([this] { add_in_turn(); });
}

BlobQueue::~BlobQueue() {
    {
        const std::scoped_lock lock(guard_);
        is_stopped_ = true;
    }
    changed_.notify_one();
    if (thread_.joinable()) thread_.join();
}

void BlobQueue::ready(size_t turn) {
    {
        const std::scoped_lock lock(guard_);
        if (failure_) std::rethrow_exception(failure_);
        is_ready_[turn] = true;
    }
    changed_.notify_one();
}

void BlobQueue::finish() {
    thread_.join();
    if (failure_) std::rethrow_exception(failure_);
}

void BlobQueue::add_in_turn() {
    try {
        for (size_t turn = 0; turn < order_.size() && wait_for(turn); ++turn) {
            Blob& blob = blobs_[order_[turn]];
            outer_.add(blob);
            blob.file = Fd();
        }
    } catch (...) {
        const std::scoped_lock lock(guard_);
        failure_ = std::current_exception();
    }
}

/// False when nobody waits for the rest.
bool BlobQueue::wait_for(size_t turn) {
    std::unique_lock lock(guard_);
    changed_.wait(lock, [&] { return is_stopped_ || is_ready_[turn]; });
    return !is_stopped_;
}

}  // namespace pwstore::image
