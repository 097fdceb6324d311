// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <cstddef>

#include "store/image/blob.hpp"
#include "store/image/image_reader.hpp"

namespace pwstore::image {

/// Where a home lies in its layer: to other programs a folder that means nothing.
inline constexpr const char* kHomeDirectory = "var/lib/pwstore-image/home";

struct HomeCount {
    size_t files = 0;     ///< and directories, links, fifos
    size_t left_out = 0;  ///< sockets, which mean nothing elsewhere
};

/// Everything below `home` as a layer: modes without set-id bits, times in seconds, hard links; not owners
/// and attributes. An equal home gives equal bytes. Programs may write in it meanwhile: no symlink is
/// followed.
/// @throws Error (busy) when a file became shorter while it was read
[[nodiscard]] Blob write_home(int home, int directory, HomeCount& count,
                              LayerPacking packing = LayerPacking::zstd);

/// Make the home that `image` brings in `directory`, which is empty and nobody else's yet. What the layer
/// says is hostile: names, kinds and sizes as in any archive, nothing outside of `directory`, no symlink on
/// the way, nothing twice. On failure something may lie in `directory`.
void restore_home(const Image& image, int directory);

}  // namespace pwstore::image
