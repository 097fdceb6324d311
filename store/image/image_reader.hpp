// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "store/base/events.hpp"
#include "store/base/fd.hpp"
#include "store/digest.hpp"
#include "store/image/platform.hpp"
#include "store/package/archive.hpp"

namespace pwstore::image {

/// Limits against hostile images; generous for real ones.
struct ImageLimits {
    uint64_t bytes = 256ULL << 30;     ///< of the whole image, packed
    uint64_t json_bytes = 32U << 20U;  ///< of one of its JSON files
    size_t members = 4096;
};

class ImageMembers;

/// What an image says about how its programs are to be started. All of it came from elsewhere.
struct RunDescription {
    std::vector<std::string> environment;  ///< NAME=VALUE
    std::vector<std::string> entrypoint;
    std::vector<std::string> command;
    std::string working_directory;
    std::string user;
    std::vector<std::string> others;  ///< names of what else is there: "Volumes"
};

/// An image that was taken apart: its blobs lie in a directory, each checked against the digest that names
/// it.
class Image {
 public:
    struct Layer {
        std::string member;             ///< name in the outer archive
        std::string type;               ///< media type, empty in a docker archive
        std::optional<Sha256> diff_id;  ///< of what it unpacks to, as the configuration says
    };

    /// Read an OCI image-layout tar (also of `podman save --format oci-archive`, skopeo, umoci) or the tar of
    /// `docker save` from `in`, front to back: it may be a pipe.
    /// @param directory where the blobs are put; whatever is there on failure is the caller's to remove
    /// @param arrival `later`: of a bundle, only what comes before its contents is read; receive() reads on
    /// @param which one of several images that the archive has, see ImageCatalog::choose()
    /// @throws Error (corrupt) for anything that is cut short or not what its digest says, (refused) for a
    /// rule, (usage) when it is not clear which image is meant
    enum class Arrival { at_once, later };
    static Image read(int in, int directory, const ImageLimits& limits, ProgressSink& sink,
                      Arrival arrival = Arrival::at_once, std::string_view which = {});
    /// Read on until this layer is there. Until then it cannot be opened. @throws as read()
    void receive(const Layer& layer) const;
    /// Read to the end. @throws as read()
    void receive_rest() const;

    /// Those of the root, from the lowest.
    [[nodiscard]] const std::vector<Layer>& layers() const noexcept { return layers_; }
    /// The one with a home, when there is one.
    [[nodiscard]] const std::optional<Layer>& home() const noexcept { return home_; }
    [[nodiscard]] Fd open(const Layer& layer) const;
    /// Digest of the manifest; of a docker archive, of the configuration.
    [[nodiscard]] const Sha256& digest() const noexcept { return digest_; }
    [[nodiscard]] const std::string& name() const noexcept {
        return name_;
    }  ///< as its maker calls it, or empty
    [[nodiscard]] const std::string& signature() const noexcept { return signature_; }
    [[nodiscard]] const Platform& platform() const noexcept { return platform_; }
    [[nodiscard]] const RunDescription& run() const noexcept { return run_; }
    /// It leaves out what the maker was told that we have.
    [[nodiscard]] bool is_partial() const;

 private:
    class Loader;
    std::shared_ptr<ImageMembers> members_;
    std::vector<Layer> layers_;
    std::optional<Layer> home_;
    Sha256 digest_;
    std::string name_;
    std::string signature_;
    Platform platform_;
    RunDescription run_;
};

/// Give those of `wanted` that a layer of the image has, each as an unlinked file at its start.
void extract_contents(const Image& image, const std::set<Sha256>& wanted, int directory,
                      const std::function<void(const Sha256& content, int fd)>& give);

/// A layer that was read to its end is what the configuration says. @throws Error (corrupt)
void check_layer(ArchiveReader& reader, const Image::Layer& layer);

}  // namespace pwstore::image
