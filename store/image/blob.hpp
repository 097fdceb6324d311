// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "store/base/fd.hpp"
#include "store/digest.hpp"
#include "store/image/image_format.hpp"
#include "store/image/layers.hpp"
#include "store/package/tar_io.hpp"

namespace pwstore::image {

/// A finished blob of an image: an unlinked file, read from its start.
struct Blob {
    Fd file;
    Sha256 digest;          ///< of the file
    uint64_t size = 0;      ///< of the file
    Sha256 diff_id;         ///< of what it unpacks to
    uint64_t unpacked = 0;  ///< bytes of that
};

/// Gives all bytes of a content by its place (from 0) to `take`, through `buffer`. @throws Error (corrupt)
/// when they are not those that were stored
using ContentSource = std::function<void(uint32_t place, std::span<char> buffer,
                                         const std::function<void(std::string_view)>& take)>;

/// What `fill` puts into a tar archive (pax), compressed as `zstd -T1 -3` or `gzip -n` does: the same members
/// give the same bytes, with one version of the library, whatever the number of processors.
/// @param directory where the file is made
[[nodiscard]] Blob write_archive(const std::function<void(TarWriter&)>& fill, int directory,
                                 LayerPacking packing = LayerPacking::zstd);

/// `layer` as such an archive.
[[nodiscard]] Blob write_layer(const Layer& layer, const ContentSource& contents, int directory,
                               LayerPacking packing = LayerPacking::zstd);

/// A file that holds `bytes`, as it is.
[[nodiscard]] Blob plain_blob(std::string_view bytes, int directory);

}  // namespace pwstore::image
