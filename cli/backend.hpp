// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "mount/container_config.hpp"
#include "mount/probe.hpp"
#include "resolver/package.hpp"
#include "store/base/error.hpp"
#include "store/generation.hpp"
#include "store/index/index.hpp"
#include "store/provenance.hpp"
#include "store/tree_diff.hpp"
#include "store/usage.hpp"
#include "store/verify/verify.hpp"
#include "transact/collect.hpp"
#include "transact/import.hpp"
#include "transact/request.hpp"
#include "transact/rollback.hpp"
#include "transact/transaction.hpp"

namespace pwstore::cli {

/// One container, as lists show it.
struct ContainerState {
    std::string name;
    ContainerType type = ContainerType::base;
    uint64_t generation = 0;  ///< 0 = nothing installed yet
    int64_t time = 0;         ///< of the generation
    std::vector<std::string> dependencies;
    size_t packages = 0;  ///< its own
};

/// All that `info` says of one container.
struct ContainerDetails {
    ContainerState state;
    std::string cause;
    std::string origin;  ///< the command that brought it here from elsewhere
    uint64_t parent = 0;
    uint64_t transaction = 0;
    std::string root;  ///< absolute path, empty without a generation
    std::string home;
    std::string configuration;
    std::string policy_digest, tree_digest, generation_digest;  ///< hexadecimal
    std::vector<GenerationRef> upstream;
    std::vector<InstalledPackage> packages;
    std::vector<TransactionNote> notes;
    std::vector<uint64_t> generations;
};

/// One generation, and what it changed of the one that it was made from.
struct GenerationStep {
    uint64_t number = 0, parent = 0, transaction = 0;
    int64_t time = 0;
    std::string cause;
    bool current = false;
    size_t installed = 0, removed = 0, changed = 0;  ///< of its own packages
    std::vector<GenerationRef> upstream;
    size_t notes = 0;         ///< scripts that failed
    bool parent_kept = true;  ///< or there is none; else what it changed is not known any more
};

struct TransactionStep {
    uint64_t number = 0;
    ReadTxn::Transaction transaction;
};

/// NAME@N; `generation` 0 = the current one.
struct GenerationName {
    ContainerName container;
    uint64_t generation = 0;
};

/// Two generations, what is below them included.
struct GenerationDiff {
    uint64_t before = 0, after = 0;  ///< their numbers
    std::vector<PackageChange> packages;
    std::vector<TreeChange> files;
};

struct RunRequest {
    ContainerName container;
    std::vector<std::string> argv;
    bool says_where = false;       ///< tell where the program starts if that is not where the caller stands
    std::optional<Volume> here{};  ///< the only thing of the host that is visible, and the working directory
};

struct RunOutcome {
    int status = 0;              ///< the program's, 128 + signal, or with `error` one of mount/launch.hpp
    std::optional<Error> error;  ///< why the program could not be started
};

/// A name for the container of `try`: "try-" and eight hexadecimal digits.
[[nodiscard]] std::string new_trial_name();
[[nodiscard]] bool is_trial_name(const std::string& name);

struct VerifyRequest {
    bool heal = false;
    bool quick = false;
    double sample = 1.0;
    std::optional<std::string> bundle = {};  ///< an image that has good bytes
};

/// A container's files and databases, as pacman's queries look at them.
struct PacmanView {
    std::string root;      ///< absolute
    std::string database;  ///< DBPath: its packages, and the sync databases of the store
    std::string config;    ///< repositories.conf
    std::string cache;     ///< where archives of all containers lie
    std::string gnupg_dir, log_file;
    /// (name, version) of the packages of all containers.
    std::set<std::pair<std::string, std::string>> installed_anywhere;
    std::shared_ptr<void> hold;  ///< keeps all that there; the paths are good while it lives
};

/// What the command line asks of the rest of pwstore. Commands know only this; tests put their own in its
/// place.
class Backend {
 public:
    virtual ~Backend() = default;

    // --- Look, changing nothing
    // ------------------------------------------------------------------------------
    virtual std::vector<ContainerState> containers() = 0;
    virtual ContainerDetails details(const ContainerName& name) = 0;
    virtual StoreUsage usage() = 0;
    virtual bool has_sync_databases() = 0;
    virtual std::vector<PackageInfo> search(const std::vector<std::string>& expressions,
                                            ProgressSink& sink) = 0;
    virtual std::vector<std::string> explain(const ContainerName& name) = 0;
    virtual std::vector<std::string> fidelity(const std::vector<ContainerName>& names) = 0;
    virtual std::vector<Probe> probes() = 0;
    /// Every kept generation, oldest first.
    virtual std::vector<GenerationStep> history(const ContainerName& name) = 0;
    /// Every kept transaction, oldest first.
    virtual std::vector<TransactionStep> transactions() = 0;
    virtual GenerationDiff diff(const GenerationName& before, const GenerationName& after) = 0;
    /// What `request` would switch; an undo of transaction 0 becomes that of the last one which changed
    /// anything but containers of `try`.
    virtual std::vector<ReadTxn::Switch> plan_rollback(RollbackRequest& request) = 0;

    virtual std::vector<std::pair<std::string, ReadTxn::Snapshot>> snapshots() = 0;
    virtual MarginalUsage marginal(const std::vector<ContainerName>& names) = 0;
    virtual StoreStatistics statistics(ProgressSink& sink) = 0;
    /// nullopt when nothing is there. `path` is relative to the root.
    virtual std::optional<PathStory> story(const GenerationName& generation, const std::string& path) = 0;
    /// `text`: the SHA-256 of a content or the digest of an object, or the beginning of one, in hexadecimal;
    /// or an object's path.
    virtual std::vector<ContentPlace> places(const std::string& text) = 0;
    virtual std::vector<PathOwner> owners(const std::string& path) = 0;
    /// SHA-256 of every content that the store has, sorted.
    virtual std::vector<Sha256> contents() = 0;
    struct PolicyState {
        ContainerConfig active;
        std::optional<ContainerConfig> proposed;
    };
    virtual PolicyState policy(const ContainerName& name) = 0;

    /// @throws Error when the container has no generation yet
    virtual PacmanView pacman_view(const ContainerName& name) = 0;

    // --- Change
    // ----------------------------------------------------------------------------------------------
    virtual TransactionReport transact(const TransactionRequest& request, Dialogue& dialogue) = 0;
    virtual TransactionReport roll_back(const RollbackRequest& request,
                                        const std::vector<ReadTxn::Switch>& expected, Dialogue& dialogue) = 0;
    virtual void remove_containers(const std::vector<ContainerName>& names, bool with_home, bool with_config,
                                   bool force, ProgressSink& sink) = 0;
    virtual void add_snapshot(const std::string& label, const GenerationName& generation,
                              const std::string& note) = 0;
    virtual void remove_snapshot(const std::string& label) = 0;
    virtual TransactionReport clone(const GenerationName& source, const ContainerName& name,
                                    const std::string& command, ProgressSink& sink) = 0;
    virtual image::ExportResult export_image(const image::ExportRequest& request, int out,
                                             ProgressSink& sink) = 0;
    virtual ImportResult import_image(const ImportRequest& request, ProgressSink& sink) = 0;
    /// The proposed policy becomes the active one (or is dropped).
    virtual void settle_policy(const ContainerName& name, bool accept) = 0;
    /// What can go; the store is only read. Nothing when there is no store.
    virtual CollectPlan plan_collection(const CollectRequest& request, ProgressSink& sink) = 0;
    virtual bool is_collection_needed(const CollectPlan& plan) = 0;
    virtual CollectReport collect(const CollectPlan& plan, std::chrono::milliseconds patience,
                                  ProgressSink& sink) = 0;
    virtual VerifyReport verify(const VerifyRequest& request, ProgressSink& sink) = 0;
    /// Keep the container of a `try` from being taken for abandoned, until the result is destroyed.
    virtual std::shared_ptr<void> hold_trial(const ContainerName& name) = 0;
    /// Containers of a `try` that no living process holds.
    virtual std::vector<ContainerName> abandoned_trials() = 0;
    /// One line for the log in the data directory; a log that cannot be written changes nothing else.
    virtual void log(const std::string& line) = 0;

    // --- Run
    // -------------------------------------------------------------------------------------------------
    virtual RunOutcome run(const RunRequest& request, ProgressSink& sink) = 0;
    virtual RootShellResult root_shell(const RootShellRequest& request, ProgressSink& sink) = 0;
};

/// The real one, on the directories that the environment names. Opens nothing until it is asked.
[[nodiscard]] std::unique_ptr<Backend> make_backend();

/// Who made a change of a container's files: "the user", "a scriptlet", …
[[nodiscard]] const char* cause_word(Cause cause);

}  // namespace pwstore::cli
