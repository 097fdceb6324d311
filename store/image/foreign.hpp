// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "store/image/image_import.hpp"

namespace pwstore::image {

/// import_image() for one that another program made.
[[nodiscard]] ImportedImage import_foreign(const Store& store, const Image& image, const Lease& lease,
                                           ProgressSink& sink);

}  // namespace pwstore::image
