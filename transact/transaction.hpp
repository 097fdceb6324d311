// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "store/store.hpp"
#include "transact/request.hpp"

namespace pwstore {

/// Do what `request` says to its containers and everything built on them, in one commit
/// (docs/architecture.md, "A transaction"). Runs libalpm in this process: call it in the worker program only.
/// Locks: containers by name (held throughout), ingest (twice, briefly), LMDB.
/// A crash at any instruction leaves every container in its old or every one in its new state.
TransactionReport run_transaction(const Directories& directories, const TransactionRequest& request,
                                  Dialogue& dialogue);

/// Drop containers: their roots, generations and records; home and configuration stay unless `with_home` /
/// `with_config`.
/// @throws Error (refused) when something is built on one of them, (busy) when programs run in it
void delete_containers(const Store& store, const std::vector<ContainerName>& names, bool with_home,
                       bool with_config, bool force, ProgressSink& sink);

/// A root shell (or command) whose changes become a new generation's delta at its end.
struct RootShellRequest {
    ContainerName container;
    std::vector<std::string> argv;  ///< empty = a shell
    bool discard = false;           ///< throw the changes away
};
struct RootShellResult {
    int status = 0;
    std::vector<std::string> changes;  ///< "+ /etc/foo", "~ /etc/bar", "- /etc/baz"
    uint64_t generation = 0;           ///< the new one, 0 = nothing changed
};
RootShellResult run_root_shell(const Store& store, const RootShellRequest& request, ProgressSink& sink);

/// Write files (path → content, 0644 unless they exist) into a container as its user's changes: one new
/// generation.
RootShellResult put_files(const Store& store, const ContainerName& container,
                          const std::map<std::string, std::string>& files, ProgressSink& sink);

/// Make sure that the current root of `name` is on disk, and write its launch record. Used by the slow path
/// of `run`.
void prepare_launch(const Store& store, const ContainerName& name, ProgressSink& sink);

}  // namespace pwstore
