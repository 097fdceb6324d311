// SPDX-License-Identifier: GPL-3.0-or-later
#include "store/package/packed_stream.hpp"

#include <archive.h>
#include <archive_entry.h>
#include <unistd.h>

#include <algorithm>
#include <exception>

#include "store/base/error.hpp"
#include "store/base/path_at.hpp"
#include "store/package/form.hpp"

namespace pwstore {

namespace {

constexpr size_t kReadSize = 256 * 1024;

}  // namespace

// --- Files ---------------------------------------------------------------------------------------

namespace {

/// pread(2) until `to` is full or the file ends; returns what was read.
size_t read_fully(int fd, std::span<char> to, uint64_t offset, const std::string& path) {
    size_t filled = 0;
    while (filled < to.size()) {
        const ssize_t got =
            ::pread(fd, to.data() + filled, to.size() - filled, static_cast<off_t>(offset + filled));
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) throw Error::from_errno("read archive", path);
        if (got == 0) break;
        filled += static_cast<size_t>(got);
    }
    return filled;
}

}  // namespace

PackedFile::PackedFile(int fd, std::string path, const PackedBuffer& buffer)
    : fd_(fd), path_(std::move(path)), size_(static_cast<uint64_t>(stat_fd(fd, path_).st_size)) {
    if (size_ >= buffer.bytes().size()) return;
    const size_t got = read_fully(fd, buffer.bytes(), 0, path_);
    if (got == buffer.bytes().size()) return;  // it grows
    is_held_ = true;
    size_ = got;
    held_ = {buffer.bytes().data(), got};
}

std::string_view PackedFile::read(uint64_t offset, std::span<char> scratch) const {
    if (is_held_) return held_.substr(std::min<uint64_t>(offset, size_));
    return {scratch.data(), read_fully(fd_, scratch, offset, path_)};
}

Fingerprint fingerprint(const PackedFile& file) {
    const auto scratch = std::make_unique_for_overwrite<char[]>(kReadSize);
    Sha256Stream sha256;
    DigestStream digest{DigestFunction()};
    uint64_t offset = 0;
    for (;;) {
        const std::string_view piece = file.read(offset, {scratch.get(), kReadSize});
        if (piece.empty()) break;
        sha256.update(piece);
        if (!file.is_held()) digest.update(piece);
        offset += piece.size();
    }
    return {sha256.finish(), digest.finish()};
}

// --- Streams -------------------------------------------------------------------------------------

struct PackedStream::State {
    explicit State(const PackedFile& packed) : file(packed) {}

    const PackedFile& file;
    std::unique_ptr<archive, int (*)(archive*)> reader{archive_read_new(), archive_read_free};
    uint64_t offset = 0;
    bool ended = false;
    DigestStream digest{DigestFunction()};
    std::exception_ptr read_error;  ///< kept while it passes through libarchive
    std::unique_ptr<char[]> scratch = std::make_unique_for_overwrite<char[]>(kReadSize);

    /// Read on; libarchive gets the bytes, the digest sees them first.
    la_ssize_t read_some(const void** block) {
        try {
            const std::string_view bytes = file.read(offset, {scratch.get(), kReadSize});
            if (!file.is_held()) digest.update(bytes);
            offset += bytes.size();
            *block = bytes.data();
            return static_cast<la_ssize_t>(bytes.size());
        } catch (...) {
            read_error = std::current_exception();
            archive_set_error(reader.get(), EIO, "reading failed");
            return ARCHIVE_FATAL;
        }
    }

    [[noreturn]] void fail() const {
        if (read_error) std::rethrow_exception(read_error);
        const char* text = archive_error_string(reader.get());
        throw unreadable_archive(file.path(), "", text != nullptr ? text : "cannot be unpacked");
    }

    void check(int result) const {
        if (result != ARCHIVE_OK) fail();
    }
};

PackedStream::PackedStream(const PackedFile& file) : state_(std::make_unique<State>(file)) {
    State& state = *state_;
    archive* const reader = state.reader.get();
    if (reader == nullptr) throw Error::from_errno("read archive", file.path(), ENOMEM);
    support_compressions(reader);
    state.check(archive_read_support_format_raw(reader));
    state.check(archive_read_support_format_empty(reader));
    const auto read_block = [](archive*, void* context, const void** block) {
        return static_cast<State*>(context)->read_some(block);
    };
    state.check(archive_read_open(reader, &state, nullptr, read_block, nullptr));
    archive_entry* entry = nullptr;
    const int result = archive_read_next_header(reader, &entry);
    state.ended = result == ARCHIVE_EOF;  // nothing at all
    if (!state.ended) state.check(result);
    // The innermost "filter" is the file itself. More than one compression only multiplies what a bomb can
    // do.
    if (archive_filter_count(reader) > 2) {
        throw Error("read archive", file.path(), "compressed more than once").as(Fault::refused);
    }
}

PackedStream::~PackedStream() = default;

std::string_view PackedStream::next() {
    State& state = *state_;
    while (!state.ended) {
        const void* block = nullptr;
        size_t size = 0;
        la_int64_t offset = 0;
        const int result = archive_read_data_block(state.reader.get(), &block, &size, &offset);
        if (result == ARCHIVE_EOF) {
            state.ended = true;
        } else if (result != ARCHIVE_OK) {
            state.fail();
        } else if (size != 0) {
            return {static_cast<const char*>(block), size};
        }
    }
    // The decompressor may have stopped before the end of the file: what follows belongs to its digest too.
    const void* rest = nullptr;
    while (true) {
        const la_ssize_t got = state.read_some(&rest);
        if (got < 0) state.fail();
        if (got == 0) return {};
    }
}

bool PackedStream::was(const Fingerprint& print) {
    return state_->file.is_held() || state_->digest.finish() == print.digest;
}

}  // namespace pwstore
