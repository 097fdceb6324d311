// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <cstdint>
#include <string>

#include "store/base/events.hpp"
#include "store/generation.hpp"
#include "store/image/image_reader.hpp"
#include "store/ingest.hpp"
#include "store/lease.hpp"
#include "store/store.hpp"

namespace pwstore::image {

/// What an image of another program has and a container cannot.
struct LeftOut {
    uint64_t devices = 0;
    uint64_t overlay_attributes = 0;  ///< an overlay would obey them
};

struct ImportedImage {
    /// With the ids of this store; no number, no container and, of a foreign image, no packages yet.
    Generation generation;
    std::string policy;       ///< as it travelled; empty in a foreign image
    bool is_foreign = false;  ///< another program made it: all of it is one delta
    LeftOut left_out;
    IngestStats stats;
};

struct ImportOptions {
    /// Layers of about so many bytes (packed) are taken in at once, and then recorded.
    uint64_t part_bytes = 64ULL << 20U;
};

/// Take the content of an image into the store, through the Ingestor: every content is hashed (SHA-256),
/// those that the image leaves out and the store has as well. The records are committed under `lease`;
/// nothing is switched. Packages get the origin `import`, unless just that package was read from its archive
/// here. Layers of other programs are laid over each other (see LayerStack); device files are left out. Of an
/// image that is still on its way
/// (Image::Arrival::later) contents are taken in as they come. Lock: ingest, by parts. On failure, and killed
/// at any point, no record is there but those of the parts that were complete (IntakeRounds): contents that
/// nothing uses, which the next import finds.
[[nodiscard]] ImportedImage import_image(const Store& store, const Image& image, const Lease& lease,
                                         ProgressSink& sink, const ImportOptions& options = {});

}  // namespace pwstore::image
