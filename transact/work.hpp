// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "mount/script_sandbox.hpp"
#include "resolver/repositories.hpp"
#include "resolver/session.hpp"
#include "store/base/error.hpp"
#include "store/base/lock.hpp"
#include "store/ingest.hpp"
#include "store/lease.hpp"
#include "store/local_database.hpp"
#include "store/store.hpp"
#include "store/tree.hpp"
#include "transact/act_log.hpp"
#include "transact/request.hpp"

namespace pwstore {

/// One package of a container as it will be. Before its archive is ingested there is no manifest, only a
/// description.
struct PlannedPackage {
    InstalledPackage installed;
    std::optional<PackageDescription> description;  ///< set while `installed.manifest` is 0
    std::string container = {};                     ///< it is from; set by upstream_packages()
};

/// One container under transaction.
struct Work {
    ContainerName name;
    ContainerRow row;
    std::optional<Generation> before;
    ContainerRequest request;
    std::vector<std::string> upstream;  ///< every container below this one, lowest first
    Asker asker;  ///< shared by all sessions of this container: nobody is asked the same thing twice

    // Filled stage by stage:
    Plan plan;              ///< what its own packages do
    bool affected = false;  ///< it gets a new generation
    /// Packages of the plan that the store has had before and that need not be read again, by name.
    std::map<std::string, IngestedArchive> known;
    std::vector<PlannedPackage> packages;  ///< its own, as they will be
    Generation after;
    Delta delta;
    std::string staged_root;  ///< name of the finished root in the staging folder
    ActLog log;
    std::set<std::string> activated;  ///< triggers of dpkg, by name

    explicit Work(ContainerName container) : name(std::move(container)) {}
};

/// What the stages of one transaction hand on. Stages run in the order of the members of Stage; each needs
/// what the ones before it filled in. Nothing of a container changes before the last stage's commit.
struct TransactionState {
    TransactionState(const Store& store, const TransactionRequest& request, Dialogue& dialogue, int64_t now);

    const Store& store;
    const TransactionRequest& request;
    Dialogue& dialogue;
    int64_t now;  ///< seconds; SOURCE_DATE_EPOCH when set
    Fd sync_fd;   ///< of the data directory, open since before the first write: its syncfs sees every write
                  ///< error

    std::vector<FileLock> locks;
    std::vector<Work> works;  ///< dependencies before dependents
    PacmanConfig config;
    std::optional<Staging> staging;
    std::optional<Lease> lease;
    LeaseRow leased;
    IngestStats stats;
    TransactionReport report;

    [[nodiscard]] Work* find(const std::string& name);
    /// A generation below some work: the pending one when that container is in this transaction, else the
    /// current one.
    [[nodiscard]] Generation upstream_generation(const ReadTxn& txn, const std::string& name);
    /// Resolves references to generations that are not committed yet; for tree_of().
    [[nodiscard]] GenerationSource generation_source();
    /// Packages below `work`, nearest first, each name once.
    [[nodiscard]] std::vector<PlannedPackage> upstream_packages(const ReadTxn& txn, const Work& work);
    /// The same as they are before the transaction.
    [[nodiscard]] std::vector<PlannedPackage> upstream_packages_before(const ReadTxn& txn,
                                                                       const Work& work) const;
    [[nodiscard]] bool upstream_affected(const Work& work);
    void hint_at_target_only(const Work& work, Error& error) const;
};

/// Stage 0: clean up after the dead, lock the named containers and everything built on them, find what lies
/// where, rebuild current roots that are missing.
void begin_stage(TransactionState& state);
/// Stages 1 to 3: refresh, resolve each container in its merged view. Fills plan, affected and packages.
void plan_stage(TransactionState& state);
/// Stage 4: download, check, look for file conflicts. Fills the archives of the plans.
void fetch_stage(TransactionState& state);
/// Before anything is written: the data directory has the space for what stages 5 to 8 will write, as far as
/// it can be known (stage_space.cpp).
/// @throws Error (refused) with both figures
void check_space(TransactionState& state);
/// Stage 5: every archive through the Ingestor, once; recording commit. Fills the manifests of packages.
void ingest_stage(TransactionState& state);
/// Stages 6 to 8: build each affected container's new root aside, scripts and hooks included. Fills after,
/// delta, staged_root.
void build_stage(TransactionState& state);
/// Stages 9 and 10: sync, the one switching commit, clean up.
void commit_stage(TransactionState& state);

/// Recording commit of what `ingestor` was given: the transaction's lease names it from now on.
void record_archives(TransactionState& state, Ingestor& ingestor);

/// Run `act` for `work`. Where a new container waits for the upgrade of `work`, which nobody named, an Error
/// says how it can be made without.
template <typename Act>
void for_container(const TransactionState& state, const Work& work, Act&& act) {
    try {
        std::forward<Act>(act)();
    } catch (Error& error) {
        state.hint_at_target_only(work, error);
        throw;
    }
}

/// Now in seconds, or SOURCE_DATE_EPOCH.
[[nodiscard]] int64_t transaction_time();

/// Order `names` and their upstream so that dependencies come first. @throws Error (usage) on a cycle or an
/// unknown name
[[nodiscard]] std::vector<std::string> dependency_order(
    const std::map<std::string, std::vector<std::string>>& dependencies);

}  // namespace pwstore
