// SPDX-License-Identifier: GPL-3.0-or-later
#include "store/package/tar_io.hpp"

#include <archive.h>
#include <archive_entry.h>
#include <locale.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <utility>

#include "store/base/error.hpp"
#include "store/base/path_at.hpp"
#include "store/package/form.hpp"

namespace pwstore {

namespace {

constexpr size_t kBlock = 128 * 1024;

/// libarchive converts names by the character set of the locale; in plain C it drops what is not ASCII. While
/// this lives the calling thread's is UTF-8, whatever the program chose.
class Utf8Locale {
 public:
    Utf8Locale() : locale_(::newlocale(LC_CTYPE_MASK, "C.UTF-8", nullptr)) {
        if (locale_ != nullptr) before_ = ::uselocale(locale_);
    }
    Utf8Locale(const Utf8Locale&) = delete;
    Utf8Locale& operator=(const Utf8Locale&) = delete;
    ~Utf8Locale() {
        if (locale_ == nullptr) return;
        ::uselocale(before_);
        ::freelocale(locale_);
    }

 private:
    locale_t locale_;
    locale_t before_ = nullptr;
};

/// Under Utf8Locale.
bool is_utf8(const std::string& text) {
    return std::mbstowcs(nullptr, text.c_str(), 0) != static_cast<size_t>(-1);
}

struct ReadCloser {
    void operator()(archive* handle) const { archive_read_free(handle); }
};
struct WriteCloser {
    void operator()(archive* handle) const { archive_write_free(handle); }
};
struct EntryCloser {
    void operator()(archive_entry* entry) const { archive_entry_free(entry); }
};
using Reader = std::unique_ptr<archive, ReadCloser>;
using Writer = std::unique_ptr<archive, WriteCloser>;
using EntryHandle = std::unique_ptr<archive_entry, EntryCloser>;

[[noreturn]] void fail_reading(archive* handle, const std::string& path) {
    const char* cause = archive_error_string(handle);
    throw Error("read archive", path, cause != nullptr ? cause : "unreadable").as(Fault::corrupt);
}

[[noreturn]] void fail_writing(archive* handle, const std::string& path) {
    const int error_number = archive_errno(handle);
    if (error_number > 0) throw Error::from_errno("write archive", path, error_number);
    const char* cause = archive_error_string(handle);
    throw Error("write archive", path, cause != nullptr ? cause : "refused");
}

TarEntry::Kind kind_of(archive_entry* entry) {
    if (archive_entry_hardlink(entry) != nullptr) return TarEntry::Kind::hard_link;
    switch (archive_entry_filetype(entry)) {
        case AE_IFREG:
            return TarEntry::Kind::file;
        case AE_IFDIR:
            return TarEntry::Kind::directory;
        case AE_IFLNK:
            return TarEntry::Kind::symlink;
        case AE_IFIFO:
            return TarEntry::Kind::fifo;
        case AE_IFCHR:
        case AE_IFBLK:
            return TarEntry::Kind::device;
        default:
            return TarEntry::Kind::other;
    }
}

TarEntry entry_from(archive_entry* entry, const std::string& path_for_errors) {
    const char* path = archive_entry_pathname(entry);
    if (path == nullptr)
        throw Error("read archive", path_for_errors, "an entry without a name").as(Fault::corrupt);
    TarEntry result;
    result.path = path;
    result.kind = kind_of(entry);
    result.mode = static_cast<uint32_t>(archive_entry_perm(entry)) & 07777U;
    result.uid = owner_of_archive(archive_entry_uid(entry));
    result.gid = owner_of_archive(archive_entry_gid(entry));
    result.mtime = archive_entry_mtime(entry);
    if (result.kind == TarEntry::Kind::file) {
        if (archive_entry_size(entry) < 0)
            throw Error("read archive", path_for_errors, "a negative size").as(Fault::corrupt);
        result.size = static_cast<uint64_t>(archive_entry_size(entry));
    }
    if (const char* link = archive_entry_hardlink(entry); link != nullptr) result.target = link;
    if (const char* link = archive_entry_symlink(entry); link != nullptr) result.target = link;
    return result;
}

unsigned file_type(TarEntry::Kind kind) {
    switch (kind) {
        case TarEntry::Kind::directory:
            return AE_IFDIR;
        case TarEntry::Kind::symlink:
            return AE_IFLNK;
        case TarEntry::Kind::file:
        case TarEntry::Kind::hard_link:
            return AE_IFREG;
        case TarEntry::Kind::fifo:
            return AE_IFIFO;
        case TarEntry::Kind::device:
        case TarEntry::Kind::other:
            break;
    }
    throw Error("write archive", "", "a kind of file that packages do not have");
}

/// Next header of `handle`; nullptr at the end. A warning (a name in another character set) keeps the name's
/// bytes.
archive_entry* next_header(archive* handle, const std::string& path) {
    archive_entry* entry = nullptr;
    const int result = archive_read_next_header(handle, &entry);
    if (result == ARCHIVE_EOF) return nullptr;
    if (result != ARCHIVE_OK && result != ARCHIVE_WARN) fail_reading(handle, path);
    return entry;
}

std::string_view next_piece(archive* handle, std::array<char, kBlock>& buffer, const std::string& path) {
    const la_ssize_t got = archive_read_data(handle, buffer.data(), buffer.size());
    if (got < 0) fail_reading(handle, path);
    return {buffer.data(), static_cast<size_t>(got)};
}

la_ssize_t append_to_string(archive*, void* context, const void* bytes, size_t size) {
    static_cast<std::string*>(context)->append(static_cast<const char*>(bytes), size);
    return static_cast<la_ssize_t>(size);
}

}  // namespace

// --- TarWriter
// -----------------------------------------------------------------------------------------------

struct TarWriter::State {
    Writer handle;
    std::string path;
    EntryHandle entry;
    Sink sink = {};
    std::exception_ptr failure = {};  ///< what the sink threw: it may not pass through libarchive

    static la_ssize_t write(archive* handle, void* context, const void* bytes, size_t size) {
        auto& state = *static_cast<State*>(context);
        try {
            if (!state.failure) state.sink({static_cast<const char*>(bytes), size});
        } catch (...) {
            state.failure = std::current_exception();
        }
        if (!state.failure) return static_cast<la_ssize_t>(size);
        archive_set_error(handle, EIO, "the archive cannot be written on");
        return ARCHIVE_FATAL;
    }
    [[noreturn]] void fail() {
        if (failure) std::rethrow_exception(failure);
        fail_writing(handle.get(), path);
    }
};

TarWriter::TarWriter(Sink sink, std::string path_for_errors, TarCompression compression)
    : state_(std::make_unique<State>(State{Writer(archive_write_new()), std::move(path_for_errors),
                                           EntryHandle(archive_entry_new()), std::move(sink)})) {
    set_up(*state_, compression);
    archive_write_set_bytes_per_block(state_->handle.get(), kBlock);
    archive_write_set_bytes_in_last_block(state_->handle.get(), 1);
    if (archive_write_open(state_->handle.get(), state_.get(), nullptr, &State::write, nullptr) != ARCHIVE_OK)
        state_->fail();
}

TarWriter::TarWriter(int fd, std::string path_for_errors, TarCompression compression)
    : state_(std::make_unique<State>(
          State{Writer(archive_write_new()), std::move(path_for_errors), EntryHandle(archive_entry_new())})) {
    set_up(*state_, compression);
    if (archive_write_open_fd(state_->handle.get(), fd) != ARCHIVE_OK) state_->fail();
}

void TarWriter::set_up(State& state, TarCompression compression) {
    archive* handle = state.handle.get();
    int result = archive_write_set_format_pax_restricted(handle);
    if (result == ARCHIVE_OK && compression == TarCompression::gzip) {
        result = archive_write_add_filter_gzip(handle);
        if (result == ARCHIVE_OK)
            result = archive_write_set_filter_option(handle, "gzip", "timestamp", nullptr);
    }
    if (result == ARCHIVE_OK && compression == TarCompression::bzip2)
        result = archive_write_add_filter_bzip2(handle);
    if (result == ARCHIVE_OK && compression == TarCompression::xz)
        result = archive_write_add_filter_xz(handle);
    if (result == ARCHIVE_OK && compression == TarCompression::zstd)
        result = archive_write_add_filter_zstd(handle);
    if (result == ARCHIVE_OK)
        result = archive_write_set_format_option(handle, nullptr, "xattrheader", "SCHILY");
    if (result != ARCHIVE_OK) state.fail();
}

TarWriter::TarWriter(TarWriter&&) noexcept = default;
TarWriter::~TarWriter() = default;

void TarWriter::add(const TarEntry& entry) {
    const Utf8Locale locale;
    archive_entry* header = archive_entry_clear(state_->entry.get());
    archive_entry_copy_pathname(header, entry.path.c_str());
    archive_entry_set_filetype(header, file_type(entry.kind));
    archive_entry_set_perm(header, static_cast<mode_t>(entry.mode));
    archive_entry_set_uid(header, entry.uid);
    archive_entry_set_gid(header, entry.gid);
    if (entry.uid == 0) archive_entry_copy_uname(header, "root");
    if (entry.gid == 0) archive_entry_copy_gname(header, "root");
    archive_entry_set_mtime(header, entry.mtime, static_cast<long>(entry.mtime_ns));
    archive_entry_set_size(header,
                           entry.kind == TarEntry::Kind::file ? static_cast<la_int64_t>(entry.size) : 0);
    if (entry.kind == TarEntry::Kind::symlink) archive_entry_copy_symlink(header, entry.target.c_str());
    if (entry.kind == TarEntry::Kind::hard_link) archive_entry_copy_hardlink(header, entry.target.c_str());
    for (const auto& [name, value] : entry.xattrs)
        archive_entry_xattr_add_entry(header, name.c_str(), value.data(), value.size());
    const int result = archive_write_header(state_->handle.get(), header);
    // A name that is not UTF-8 is written as it is, marked as such, and warned about.
    const bool is_expected = result == ARCHIVE_WARN && !(is_utf8(entry.path) && is_utf8(entry.target));
    if (result != ARCHIVE_OK && !is_expected) state_->fail();
}

void TarWriter::append(std::string_view piece) {
    const la_ssize_t put = archive_write_data(state_->handle.get(), piece.data(), piece.size());
    if (put < 0) state_->fail();
    if (static_cast<size_t>(put) != piece.size()) {
        throw Error("write archive", state_->path, "more content than its header says");
    }
}

void TarWriter::add_file(const TarEntry& entry, std::string_view content) {
    TarEntry sized = entry;
    sized.kind = TarEntry::Kind::file;
    sized.size = content.size();
    add(sized);
    append(content);
}

void TarWriter::finish() {
    if (archive_write_close(state_->handle.get()) != ARCHIVE_OK) state_->fail();
}

// --- TarReader
// -----------------------------------------------------------------------------------------------

struct TarReader::State {
    Source source;
    std::string path;
    std::exception_ptr source_error;  ///< what `source` threw: exceptions do not pass through libarchive
    Reader handle;
    std::string beginning;  ///< of what `source` gives, to tell what it is
    std::array<char, kBlock> buffer{};

    static la_ssize_t pull(archive* handle, void* context, const void** bytes) {
        auto* state = static_cast<State*>(context);
        try {
            const std::string_view piece = state->source();
            if (state->beginning.size() < kFormBytes) state->beginning += piece.substr(0, kFormBytes);
            *bytes = piece.data();
            return static_cast<la_ssize_t>(piece.size());
        } catch (...) {
            state->source_error = std::current_exception();
            archive_set_error(handle, -1, "its container cannot be read");
            return -1;
        }
    }
    [[noreturn]] void fail() {
        if (source_error) std::rethrow_exception(source_error);
        const char* cause = archive_error_string(handle.get());
        throw unreadable_archive(path, beginning, cause != nullptr ? cause : "unreadable");
    }
};

TarReader::TarReader(Source source, std::string path_for_errors) : state_(std::make_unique<State>()) {
    const Utf8Locale locale;
    state_->source = std::move(source);
    state_->path = std::move(path_for_errors);
    state_->handle.reset(archive_read_new());
    archive* handle = state_->handle.get();
    archive_read_support_format_tar(handle);
    support_compressions(handle);
    if (archive_read_open(handle, state_.get(), nullptr, State::pull, nullptr) != ARCHIVE_OK) state_->fail();
}

TarReader::TarReader(int fd, const std::string& path_for_errors)
    : TarReader(
          [fd, path = path_for_errors, buffer = std::make_shared<std::array<char, kBlock>>()] {
              ssize_t got = ::read(fd, buffer->data(), buffer->size());
              while (got < 0 && errno == EINTR)
                  got = ::read(fd, buffer->data(), buffer->size());
              if (got < 0) throw Error::from_errno("read", path);
              return std::string_view(buffer->data(), static_cast<size_t>(got));
          },
          path_for_errors) {}

TarReader::TarReader(TarReader&&) noexcept = default;
TarReader::~TarReader() = default;

std::optional<TarEntry> TarReader::next() {
    const Utf8Locale locale;
    archive_entry* entry = nullptr;
    const int result = archive_read_next_header(state_->handle.get(), &entry);
    if (result == ARCHIVE_EOF) return std::nullopt;
    // A warning (a name in another character set) keeps the name's bytes.
    if (result != ARCHIVE_OK && result != ARCHIVE_WARN) state_->fail();
    return entry_from(entry, state_->path);
}

std::string_view TarReader::read() {
    const la_ssize_t got =
        archive_read_data(state_->handle.get(), state_->buffer.data(), state_->buffer.size());
    if (got < 0) state_->fail();
    return {state_->buffer.data(), static_cast<size_t>(got)};
}

std::string TarReader::read_whole(uint64_t limit) {
    std::string content;
    for (std::string_view piece = read(); !piece.empty(); piece = read()) {
        if (content.size() + piece.size() > limit) {
            throw Error("read archive", state_->path, "a file that is longer than it may be")
                .as(Fault::refused);
        }
        content += piece;
    }
    return content;
}

// --- ArReader
// ------------------------------------------------------------------------------------------------

struct ArReader::State {
    Reader handle;
    std::string path;
    std::array<char, kBlock> buffer{};
};

ArReader::ArReader(int fd, std::string path_for_errors) : state_(std::make_unique<State>()) {
    state_->path = std::move(path_for_errors);
    state_->handle.reset(archive_read_new());
    archive_read_support_format_ar(state_->handle.get());
    if (archive_read_open_fd(state_->handle.get(), fd, kBlock) != ARCHIVE_OK)
        fail_reading(state_->handle.get(), state_->path);
}

ArReader::ArReader(ArReader&&) noexcept = default;
ArReader::~ArReader() = default;

std::optional<std::string> ArReader::next() {
    archive_entry* entry = next_header(state_->handle.get(), state_->path);
    if (entry == nullptr) return std::nullopt;
    const char* name = archive_entry_pathname(entry);
    return name != nullptr ? std::string(name) : std::string();
}

std::string_view ArReader::read() {
    return next_piece(state_->handle.get(), state_->buffer, state_->path);
}

std::optional<std::string> cleaned_path(std::string_view name) {
    const bool from_root = name.starts_with('/');
    std::string path;
    while (!name.empty()) {
        const std::string_view component = name.substr(0, name.find('/'));
        name.remove_prefix(std::min(name.size(), component.size() + 1));
        if (component.empty() || component == ".") continue;
        if (component == "..") {
            if (path.empty() && !from_root) return std::nullopt;
            const size_t slash = path.rfind('/');
            path.resize(slash == std::string::npos ? 0 : slash);
            continue;
        }
        if (!path.empty()) path += '/';
        path += component;
    }
    return path;
}

std::string gzip(std::string_view bytes) {
    std::string packed;
    const Writer handle(archive_write_new());
    const EntryHandle entry(archive_entry_new());
    archive_entry_copy_pathname(entry.get(), "data");
    archive_entry_set_filetype(entry.get(), AE_IFREG);
    archive_entry_set_size(entry.get(), static_cast<la_int64_t>(bytes.size()));
    archive_write_set_bytes_in_last_block(handle.get(), 1);
    const bool written =
        archive_write_set_format_raw(handle.get()) == ARCHIVE_OK &&
        archive_write_add_filter_gzip(handle.get()) == ARCHIVE_OK &&
        archive_write_set_filter_option(handle.get(), "gzip", "timestamp", nullptr) == ARCHIVE_OK &&
        archive_write_open(handle.get(), &packed, nullptr, append_to_string, nullptr) == ARCHIVE_OK &&
        archive_write_header(handle.get(), entry.get()) == ARCHIVE_OK &&
        archive_write_data(handle.get(), bytes.data(), bytes.size()) ==
            static_cast<la_ssize_t>(bytes.size()) &&
        archive_write_close(handle.get()) == ARCHIVE_OK;
    if (!written) fail_writing(handle.get(), "gzip");
    return packed;
}

}  // namespace pwstore
