// SPDX-License-Identifier: GPL-3.0-or-later
#include "store/package/gzip_stream.hpp"

#include <archive.h>
#include <archive_entry.h>

#include "store/base/error.hpp"

namespace pwstore {

struct GzipStream::State {
    std::string ready;
    std::unique_ptr<archive, int (*)(archive*)> handle{archive_write_new(), archive_write_free};

    void check(bool is_done) const {
        if (is_done) return;
        const char* cause = handle ? archive_error_string(handle.get()) : nullptr;
        throw Error("compress", "", cause != nullptr ? cause : "no memory");
    }
    static la_ssize_t collect(archive*, void* client, const void* bytes, size_t size) {
        static_cast<State*>(client)->ready.append(static_cast<const char*>(bytes), size);
        return static_cast<la_ssize_t>(size);
    }
};

GzipStream::GzipStream() : state_(std::make_unique<State>()) {
    archive* handle = state_->handle.get();
    const std::unique_ptr<archive_entry, void (*)(archive_entry*)> entry(archive_entry_new(),
                                                                         archive_entry_free);
    state_->check(handle != nullptr && entry);
    archive_entry_copy_pathname(entry.get(), "data");
    archive_entry_set_filetype(entry.get(), AE_IFREG);
    archive_write_set_bytes_in_last_block(handle, 1);
    state_->check(archive_write_set_format_raw(handle) == ARCHIVE_OK &&
                  archive_write_add_filter_gzip(handle) == ARCHIVE_OK &&
                  archive_write_set_filter_option(handle, "gzip", "timestamp", nullptr) == ARCHIVE_OK &&
                  archive_write_open(handle, state_.get(), nullptr, &State::collect, nullptr) == ARCHIVE_OK &&
                  archive_write_header(handle, entry.get()) == ARCHIVE_OK);
}

GzipStream::~GzipStream() = default;

std::string_view GzipStream::put(std::string_view piece) {
    state_->ready.clear();
    while (!piece.empty()) {
        const la_ssize_t taken = archive_write_data(state_->handle.get(), piece.data(), piece.size());
        state_->check(taken > 0);
        piece.remove_prefix(static_cast<size_t>(taken));
    }
    return state_->ready;
}

std::string_view GzipStream::finish() {
    state_->ready.clear();
    state_->check(archive_write_close(state_->handle.get()) == ARCHIVE_OK);
    return state_->ready;
}

}  // namespace pwstore
