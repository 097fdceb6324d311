// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <set>
#include <string>

#include "store/base/events.hpp"
#include "store/image/image_format.hpp"
#include "store/image/image_reader.hpp"
#include "store/image/portable.hpp"
#include "store/store.hpp"

namespace pwstore::image {

struct ExportRequest {
    GenerationRef generation;
    std::string policy;  ///< the container's, as it is to travel
    RunDescription run;  ///< what other programs are told; empty parts = the usual
    unsigned threads = 0;
    /// Contents that the receiver has: then only the others are written, and only pwstore can read the
    /// result.
    std::optional<std::set<Sha256>> against;
    /// Of these the contents come in layers of about so many bytes.
    uint64_t part_bytes = 32ULL << 20U;
    LayerPacking packing = LayerPacking::zstd;  ///< of a whole image
    bool with_home = false;  ///< the container's home goes along, if it has one; as it is now
    /// Called with what is to be signed; its answer goes into the image. Empty function = no signature.
    std::function<std::string(const std::string& text)> sign;
};

struct ExportResult {
    Sha256 manifest;  ///< of the image: what registries and `--expect` know it by
    Sha256 content;   ///< equal wherever the same packages, policy and delta are
    uint64_t bytes = 0;
    size_t layers = 0;
    size_t contents = 0, left_out = 0;
    bool has_home = false;
    size_t home_left_out = 0;  ///< sockets
};

/// Write a generation to `out` as an OCI image: an image-layout tar (docs/format.md,
/// "Image"). The same generation gives the same bytes, on every host, with one version of libzstd (or of
/// zlib). `out` may be a pipe. Lock: none; a lease protects what is read. Needs space for the compressed
/// layers in the store's staging directory.
ExportResult write_image(const Store& store, const ExportRequest& request, int out, ProgressSink& sink);

}  // namespace pwstore::image
