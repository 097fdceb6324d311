// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <string>

#include "store/digest.hpp"

/// Words of the OCI image format (https://github.com/opencontainers/image-spec, v1.0) and our own beside
/// them.
namespace pwstore::image {

inline constexpr const char* kIndexType = "application/vnd.oci.image.index.v1+json";
inline constexpr const char* kManifestType = "application/vnd.oci.image.manifest.v1+json";
inline constexpr const char* kConfigType = "application/vnd.oci.image.config.v1+json";
inline constexpr const char* kLayerType = "application/vnd.oci.image.layer.v1.tar+zstd";
inline constexpr const char* kGzipLayerType = "application/vnd.oci.image.layer.v1.tar+gzip";
/// Of a bundle that leaves out what its receiver has: the records, and a home. No other program can use
/// it, and none should take it for an image.
inline constexpr const char* kPartialType = "application/vnd.pwstore.image.partial.v1.tar+zstd";

/// Of those with contents; the other layers of a bundle come before them.
inline constexpr const char* kContentsType = "application/vnd.pwstore.image.contents.v1.tar+zstd";

/// How the layers of a whole image are compressed; those of a bundle always with zstd.
enum class LayerPacking { zstd, gzip };

/// What describes a bundle: no other program looks for it. Earlier versions wrote `index.json` and
/// `oci-layout`, as for an image, and that is still read.
inline constexpr const char* kBundleIndexFile = "pwstore-bundle.json";

inline constexpr const char* kNameAnnotation = "org.opencontainers.image.ref.name";
inline constexpr const char* kSignatureAnnotation = "org.pwstore.signature";
inline constexpr const char* kContentLabel = "org.pwstore.content";
/// Says that the last layer is a home, and which one: its diff_id.
inline constexpr const char* kHomeLabel = "org.pwstore.home";

/// What a signature of an image is made over: its manifest's digest, and through it everything.
[[nodiscard]] inline std::string signed_text(const Sha256& manifest) {
    return "pwstore image 1\nsha256:" + manifest.hex() + "\n";
}

}  // namespace pwstore::image
