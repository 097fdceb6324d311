// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <functional>
#include <optional>
#include <string>

#include "store/image/image_import.hpp"
#include "store/image/image_writer.hpp"
#include "store/store.hpp"
#include "transact/request.hpp"

namespace pwstore {

struct ImportRequest {
    int in = -1;                        ///< where the image comes from; may be a pipe
    std::optional<ContainerName> name;  ///< nullopt = what its maker calls it
    std::optional<Sha256> expect;       ///< the digest that it must have
    std::string which;                  ///< of several images, see image::ImageCatalog::choose()
    std::string command;                ///< as typed
    /// Sees who made it before anything of it goes into the store; throws to refuse.
    std::function<void(const image::Image&)> vouch;
};

struct ImportResult {
    std::string container;
    uint64_t generation = 0;
    Sha256 digest;  ///< of the image
    bool is_foreign = false;
    bool has_home = false;      ///< one came along
    bool has_proposal = false;  ///< it came with a policy that differs from the one that a new container has
    std::string platform;       ///< that its programs are for: "linux/arm64"
    std::vector<std::string> notes;  ///< on what did not come along, a sentence each
    IngestStats stats;
};

/// Make a container of an image: a base that stands for itself. Everything of the image is hashed before it
/// is used. Its policy is only written down as a proposal (see policy_proposal.hpp); what is active is that
/// of a new container. On failure, and killed at any point, nothing is changed. Locks: the container's,
/// ingest, LMDB.
ImportResult import_container(const Store& store, const ImportRequest& request, ProgressSink& sink);

/// write_image() of a generation (number 0 = the current one), with the policy of its container.
image::ExportResult export_container(const Store& store, image::ExportRequest request, int out,
                                     ProgressSink& sink);

}  // namespace pwstore
