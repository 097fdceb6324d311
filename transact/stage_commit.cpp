// SPDX-License-Identifier: GPL-3.0-or-later
#include <fmt/format.h>

#include <algorithm>
#include <memory>

#include "mount/root.hpp"
#include "store/base/error.hpp"
#include "store/base/failpoint.hpp"
#include "store/base/path_at.hpp"
#include "transact/interrupt.hpp"
#include "transact/recorded_config.hpp"
#include "transact/staged_config.hpp"
#include "transact/work.hpp"

namespace pwstore {

namespace {

/// Nobody changed what the new generations are built on. (Their own records are held by this transaction's
/// locks.)
void check_ground(const WriteTxn& txn, TransactionState& state) {
    for (const Work& work : state.works) {
        if (!work.affected) continue;
        for (const GenerationRef& reference : work.after.upstream) {
            if (const Work* below = state.find(reference.container); below != nullptr && below->affected)
                continue;
            const auto row = txn.container(ContainerName(reference.container));
            if (row && row->current == reference.generation) continue;
            throw Error("commit", work.name.str(),
                        fmt::format("'{}', which it is built on, changed meanwhile", reference.container))
                .as(Fault::busy)
                .with_hint("run the command again");
        }
    }
    for (const ContainerName& name : txn.containers()) {
        if (state.find(name.str()) != nullptr) continue;
        const auto row = txn.container(name);
        for (const std::string& below : row->dependencies) {
            const Work* work = state.find(below);
            if (work == nullptr || !work->affected || row->type == ContainerType::symbolic) continue;
            throw Error("commit", below, fmt::format("'{}' was built on it meanwhile", name.str()))
                .as(Fault::busy)
                .with_hint("run the command again");
        }
    }
}

void switch_generations(WriteTxn& txn, TransactionState& state) {
    const uint64_t id = txn.next_transaction();
    ReadTxn::Transaction transaction{state.now, state.request.command, {}};
    for (Work& work : state.works) {
        if (!work.affected) continue;
        work.after.transaction = id;
        txn.put_generation(work.after);
        transaction.switches.push_back({work.name.str(), work.row.current, work.after.number});
        work.row.current = work.after.number;
        work.row.last_number = work.after.number;
        txn.put_container(work.name, work.row);
    }
    txn.put_transaction(id, transaction);
    txn.mark_all_synced(Store::boot_mark());
    state.report.transaction = id;
}

/// The YAML file of a container keeps step with what is installed; a new container gets one. Nothing when the
/// file says all of it already.
std::unique_ptr<StagedConfig> stage_configuration(TransactionState& state, const Work& work) {
    const std::string& directory = state.store.layout().directories().config;
    const auto found = load_config(directory, work.name);
    const ContainerConfig nothing;
    ContainerConfig config = work.before ? recorded_config(directory, work.name, work.row, state.dialogue)
                                         : found.value_or(nothing);
    const std::vector<std::string> names = explicit_packages(work.after);
    if (work.before && found == config && config.explicit_packages == names) return {};
    if (!work.before) {  // what an earlier container of this name left may say something else
        config.type = work.row.type;
        config.dependencies = work.row.dependencies;
        if (found) {
            state.dialogue.message(
                Severity::warning,
                fmt::format("'{}' has the permissions that an earlier container of this name left in {}/{}",
                            work.name.str(), directory, config_name(work.name)));
        }
    }
    config.explicit_packages = names;
    config.meta_version = state.now;
    return std::make_unique<StagedConfig>(directory, work.name, config, work.after.number);
}

/// Bytes of all files of the packages that were installed or upgraded, new in the store or not.
uint64_t installed_bytes(const TransactionState& state) {
    const ReadTxn txn = state.store.index().read();
    uint64_t bytes = 0;
    for (const Work& work : state.works) {
        for (const PlanStep& step : work.plan.steps) {
            const InstalledPackage* package = work.after.find_package(step.package.name);
            if (step.kind == StepKind::remove || package == nullptr) continue;
            for (const Entry& entry : txn.manifest(package->manifest).entries)
                bytes += entry.size;
        }
    }
    return bytes;
}

void report_changes(TransactionState& state) {
    for (const Work& work : state.works) {
        if (!work.affected) continue;
        TransactionReport::Changed changed;
        changed.container = work.name.str();
        changed.generation = work.after.number;
        for (const PlanStep& step : work.plan.steps) {
            if (step.kind == StepKind::remove) {
                ++changed.removed;
            } else if (step.kind == StepKind::install) {
                ++changed.installed;
            } else {
                ++changed.upgraded;
            }
        }
        state.report.containers.push_back(changed);
        for (const TransactionNote& note : work.after.notes)
            state.report.notes.push_back(note);
    }
    state.report.changed = true;
    state.report.file_bytes = installed_bytes(state);
    state.report.new_disk_bytes = state.stats.new_bytes;
}

}  // namespace

void commit_stage(TransactionState& state) {
    // The holder of this lock knows that every object of a recorded row was written before the sync below.
    const FileLock ingest = state.store.lock_ingest(std::chrono::minutes(10));
    std::vector<std::unique_ptr<StagedConfig>> configurations;
    for (const Work& work : state.works) {
        if (!work.affected) continue;
        if (auto staged = stage_configuration(state, work)) configurations.push_back(std::move(staged));
        publish_root(state.store, state.staging->fd(), work.staged_root, work.name, work.after.number);
        failpoint("commit.root-published");
    }
    sync_filesystem(state.sync_fd.get(), "data directory");
    failpoint("commit.synced");
    stop_if_interrupted("commit");
    {
        WriteTxn txn = state.store.index().write();
        check_ground(txn, state);
        switch_generations(txn, state);
        failpoint("commit.before-switch");
        txn.commit();
    }
    failpoint("commit.switched");
    for (const auto& staged : configurations)
        staged->publish();
    failpoint("commit.configured");
    repair_root_links(state.store);
    report_changes(state);
    remove_retired_roots(state.store, true);
    failpoint("commit.done");
}

}  // namespace pwstore
