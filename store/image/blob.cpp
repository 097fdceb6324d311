// SPDX-License-Identifier: GPL-3.0-or-later
#include "store/image/blob.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>
#include <zstd.h>

#include <memory>
#include <span>
#include <vector>

#include "store/base/error.hpp"
#include "store/base/path_at.hpp"
#include "store/package/gzip_stream.hpp"

namespace pwstore::image {

namespace {

constexpr int kLevel = 3;
constexpr size_t kPiece = 256 * 1024;

Fd unlinked_file(int directory) {
    return open_at(directory, ".", O_TMPFILE | O_RDWR, 0600);
}

size_t check(size_t result) {
    if (ZSTD_isError(result) != 0) throw Error("compress layer", "", ZSTD_getErrorName(result));
    return result;
}

/// This thread's, at the start of a frame. It has memory and a thread of its own, worth keeping for the next
/// layer.
ZSTD_CCtx* thread_context() {
    static thread_local const std::unique_ptr<ZSTD_CCtx, size_t (*)(ZSTD_CCtx*)> context(ZSTD_createCCtx(),
                                                                                         ZSTD_freeCCtx);
    if (!context) throw Error("compress layer", "", "no memory");
    check(ZSTD_CCtx_reset(context.get(), ZSTD_reset_session_and_parameters));
    check(ZSTD_CCtx_setParameter(context.get(), ZSTD_c_compressionLevel, kLevel));
    check(ZSTD_CCtx_setParameter(context.get(), ZSTD_c_checksumFlag, 1));
    // One worker gives what several give, and not what none gives.
    check(ZSTD_CCtx_setParameter(context.get(), ZSTD_c_nbWorkers, 1));
    return context.get();
}

class Codec {
 public:
    virtual ~Codec() = default;
    /// Takes what is ready to be written.
    using Sink = std::function<void(std::string_view made)>;
    virtual void put(std::string_view piece, const Sink& sink) = 0;
    virtual void finish(const Sink& sink) = 0;
};

/// One at a time in a thread.
class Zstd final : public Codec {
 public:
    Zstd() : context_(thread_context()), out_(ZSTD_CStreamOutSize()) {}
    void put(std::string_view piece, const Sink& sink) override { run(piece, ZSTD_e_continue, sink); }
    void finish(const Sink& sink) override { run({}, ZSTD_e_end, sink); }

 private:
    void run(std::string_view piece, ZSTD_EndDirective mode, const Sink& sink) {
        ZSTD_inBuffer in{piece.data(), piece.size(), 0};
        for (;;) {
            ZSTD_outBuffer out{out_.data(), out_.size(), 0};
            const size_t left = check(ZSTD_compressStream2(context_, &out, &in, mode));
            sink({out_.data(), out.pos});
            const bool is_done = mode == ZSTD_e_end ? left == 0 : in.pos == in.size;
            if (is_done) return;
        }
    }

    ZSTD_CCtx* context_;
    std::vector<char> out_;
};

class Gzip final : public Codec {
 public:
    void put(std::string_view piece, const Sink& sink) override { sink(stream_.put(piece)); }
    void finish(const Sink& sink) override { sink(stream_.finish()); }

 private:
    GzipStream stream_;
};

std::unique_ptr<Codec> codec_for(LayerPacking packing) {
    if (packing == LayerPacking::gzip) return std::make_unique<Gzip>();
    return std::make_unique<Zstd>();
}

/// Compresses what it is given into a file, digesting both sides.
class Compressor {
 public:
    Compressor(int directory, LayerPacking packing) : codec_(codec_for(packing)) {
        blob_.file = unlinked_file(directory);
    }

    void put(std::string_view piece) {
        unpacked_.update(piece);
        blob_.unpacked += piece.size();
        codec_->put(piece, sink_);
    }
    Blob finish() {
        codec_->finish(sink_);
        blob_.digest = packed_.finish();
        blob_.diff_id = unpacked_.finish();
        return std::move(blob_);
    }

 private:
    std::unique_ptr<Codec> codec_;
    Sha256Stream packed_, unpacked_;
    Blob blob_;
    const Codec::Sink sink_ = [this](std::string_view made) {
        packed_.update(made);
        blob_.size += made.size();
        write_all(blob_.file.get(), made, "layer of image");
    };
};

TarEntry header_of(const LayerMember& member) {
    TarEntry header;
    const Entry& entry = member.entry;
    header.path = entry.path;
    header.mode = entry.mode;
    header.uid = entry.uid;
    header.gid = entry.gid;
    header.mtime = entry.mtime;
    header.mtime_ns = entry.mtime_ns;
    header.xattrs = entry.xattrs;
    switch (entry.kind) {
        case EntryKind::directory:
            header.kind = TarEntry::Kind::directory;
            break;
        case EntryKind::symlink:
            header.kind = TarEntry::Kind::symlink;
            header.target = entry.target;
            break;
        case EntryKind::fifo:
            header.kind = TarEntry::Kind::fifo;
            break;
        case EntryKind::file:
            header.kind = TarEntry::Kind::file;
            header.size = entry.object != 0 ? entry.size : member.inlined.size();
            break;
        case EntryKind::whiteout:
            throw Error("write layer", entry.path, "a whiteout is no file");
    }
    if (!member.hard_link.empty()) {
        header.kind = TarEntry::Kind::hard_link;
        header.target = member.hard_link;
        header.size = 0;
        header.xattrs.clear();
    }
    return header;
}

}  // namespace

Blob write_archive(const std::function<void(TarWriter&)>& fill, int directory, LayerPacking packing) {
    Compressor compressor(directory, packing);
    TarWriter tar([&](std::string_view piece) { compressor.put(piece); }, "layer of image",
                  TarCompression::none);
    fill(tar);
    tar.finish();
    return compressor.finish();
}

Blob write_layer(const Layer& layer, const ContentSource& contents, int directory, LayerPacking packing) {
    const auto buffer = std::make_unique_for_overwrite<char[]>(kPiece);
    const auto fill = [&](TarWriter& tar) {
        for (const LayerMember& member : layer) {
            const TarEntry header = header_of(member);
            tar.add(header);
            if (header.kind != TarEntry::Kind::file) continue;
            if (member.entry.object == 0) {
                tar.append(member.inlined);
            } else {
                in_step(fmt::format("export '{}'", printable(header.path)), [&] {
                    contents(member.entry.object - 1, {buffer.get(), kPiece},
                             [&](std::string_view piece) { tar.append(piece); });
                });
            }
        }
    };
    return write_archive(fill, directory, packing);
}

Blob plain_blob(std::string_view bytes, int directory) {
    Blob blob;
    blob.file = unlinked_file(directory);
    write_all(blob.file.get(), bytes, "blob of image");
    blob.digest = blob.diff_id = sha256_of(bytes);
    blob.size = blob.unpacked = bytes.size();
    return blob;
}

}  // namespace pwstore::image
