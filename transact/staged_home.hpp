// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "store/generation.hpp"
#include "store/store.hpp"

namespace pwstore {

/// @throws Error (refused) when `name` has a home already with something in it
void expect_no_home(const Store& store, const ContainerName& name);

/// A home that came with a new container, as it is to be once `generation` is current. It lies beside its
/// place before the commit that makes the container known, so that the sync before that covers it; vanishes
/// unless published. A crash leaves `home/.NAME@GENERATION.staged`, which settle_home() publishes or drops.
/// Lock: the container's, held by the caller.
class StagedHome {
 public:
    /// Takes the directory `from` of `staging`.
    StagedHome(const Store& store, const ContainerName& name, uint64_t generation, int staging,
               const std::string& from);
    StagedHome(const StagedHome&) = delete;
    StagedHome& operator=(const StagedHome&) = delete;
    ~StagedHome();
    /// @throws Error (refused) when there is something at its place meanwhile
    void publish();

 private:
    Fd homes_;
    std::string name_;
    std::string staged_;
};

/// Containers of which a killed command (or one that is under way) left such a directory.
[[nodiscard]] std::vector<std::string> unsettled_homes(const Store& store);
/// What a killed command left of `name`, whose current generation is `current`. Lock: the container's.
void settle_home(const Store& store, const ContainerName& name, uint64_t current);

}  // namespace pwstore
