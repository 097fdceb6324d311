// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <optional>
#include <string>

#include "mount/container_config.hpp"
#include "store/store.hpp"
#include "transact/request.hpp"

namespace pwstore {

/// A container that begins with a generation which exists as records already.
struct NewContainer {
    ContainerRow row;       ///< type and dependencies; numbers are filled in
    Generation generation;  ///< container and number are set; digests, but for the tree's, are filled in
    ContainerConfig config;
    /// Comes with it: a finished directory of this name in the folder `staging`.
    struct Home {
        int staging = -1;
        std::string name;
    };
    std::optional<Home> home;
};

/// Build its root, and make it known in one commit. `command` goes into the record of transactions.
/// Locks: the container's is the caller's; ingest for a moment, LMDB. A crash leaves it whole or not at all.
/// @throws Error (usage) when the container exists; (refused) when a home comes with it and there is one;
/// (corrupt) when its tree is not what the generation says
TransactionReport add_container(const Store& store, NewContainer container, const std::string& command,
                                ProgressSink& sink);

/// A new container that is what `source` is: same packages, same changes, same configuration, built on the
/// same; nothing is copied but what roots always copy. Its home is empty.
/// @throws Error (usage) when `source` does not exist or `name` does; (refused) when `source` stands on
/// something that is not current
TransactionReport clone_container(const Store& store, const GenerationRef& source, const ContainerName& name,
                                  const std::string& command, ProgressSink& sink);

}  // namespace pwstore
