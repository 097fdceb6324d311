// SPDX-License-Identifier: GPL-3.0-or-later
#include "store/packed_stream.hpp"

#include <archive.h>
#include <archive_entry.h>
#include <unistd.h>

#include <array>

#include "store/base/error.hpp"
#include "store/base/path_at.hpp"

namespace pwstore {

namespace {

constexpr size_t kReadSize = 256 * 1024;

}  // namespace

struct PackedStream::State {
    State(int descriptor, std::string name) : fd(descriptor), path(std::move(name)) {}

    int fd;
    std::string path;
    std::unique_ptr<archive, int (*)(archive*)> reader{archive_read_new(), archive_read_free};
    uint64_t size = 0;
    uint64_t offset = 0;
    bool ended = false;
    DigestStream digest{DigestFunction()};
    int read_error = 0;
    std::array<char, kReadSize> buffer{};

    /// Read on; libarchive gets the bytes, the digest sees them first.
    la_ssize_t read_some(const void** block) {
        ssize_t got = 0;
        do {
            got = ::pread(fd, buffer.data(), buffer.size(), static_cast<off_t>(offset));
        } while (got < 0 && errno == EINTR);
        if (got < 0) {
            read_error = errno;
            archive_set_error(reader.get(), read_error, "read failed");
            return ARCHIVE_FATAL;
        }
        digest.update({buffer.data(), static_cast<size_t>(got)});
        offset += static_cast<uint64_t>(got);
        *block = buffer.data();
        return got;
    }

    [[noreturn]] void fail() const {
        if (read_error != 0) throw Error::from_errno("read archive", path, read_error);
        const char* text = archive_error_string(reader.get());
        throw Error("read archive", path, text != nullptr ? printable(text) : "cannot be unpacked")
            .as(Fault::corrupt);
    }

    void check(int result) const {
        if (result != ARCHIVE_OK) fail();
    }
};

PackedStream::PackedStream(int fd, std::string path) : state_(std::make_unique<State>(fd, std::move(path))) {
    State& state = *state_;
    archive* const reader = state.reader.get();
    if (reader == nullptr) throw Error::from_errno("read archive", state.path, ENOMEM);
    state.size = static_cast<uint64_t>(stat_fd(fd, state.path).st_size);
    // Those that libarchive decompresses itself; for others it would start programs.
    state.check(archive_read_support_filter_zstd(reader));
    state.check(archive_read_support_filter_gzip(reader));
    state.check(archive_read_support_filter_xz(reader));
    state.check(archive_read_support_filter_bzip2(reader));
    state.check(archive_read_support_filter_lz4(reader));
    state.check(archive_read_support_format_raw(reader));
    const auto read_block = [](archive*, void* context, const void** block) {
        return static_cast<State*>(context)->read_some(block);
    };
    if (state.size == 0) throw Error("read archive", state.path, "the file is empty").as(Fault::corrupt);
    state.check(archive_read_open(reader, &state, nullptr, read_block, nullptr));
    archive_entry* entry = nullptr;
    state.check(archive_read_next_header(reader, &entry));
    // The innermost "filter" is the file itself. More than one compression only multiplies what a bomb can
    // do.
    if (archive_filter_count(reader) > 2) {
        throw Error("read archive", state.path, "compressed more than once").as(Fault::refused);
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

uint64_t PackedStream::packed_size() const noexcept {
    return state_->size;
}

Digest PackedStream::packed_digest() {
    return state_->digest.finish();
}

}  // namespace pwstore
