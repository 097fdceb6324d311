// SPDX-License-Identifier: GPL-3.0-or-later
#include "transact/rollback.hpp"

#include <algorithm>
#include <memory>

#include "mount/root.hpp"
#include "store/base/error.hpp"
#include "store/base/failpoint.hpp"
#include "store/base/path_at.hpp"
#include "transact/cleanup.hpp"
#include "transact/staged_config.hpp"
#include "transact/work.hpp"

namespace pwstore {

namespace {

constexpr std::chrono::seconds kPatience(10);

using Switches = std::vector<ReadTxn::Switch>;

/// In the order of their names, which is that of the switches.
std::vector<FileLock> lock_all(const Store& store, const Switches& switches, const std::string& command) {
    std::vector<FileLock> locks;
    for (const auto& item : switches)
        locks.push_back(store.lock_container(ContainerName(item.container), kPatience, command));
    return locks;
}

void check_plan(const ReadTxn& txn, const RollbackRequest& request, const Switches& expected) {
    if (plan_rollback(txn, request) == expected) return;
    throw Error("roll back", "", "a container was changed at this moment")
        .as(Fault::busy)
        .with_hint("run the command again");
}

void check_not_pinned(const ReadTxn& txn, const ContainerName& name) {
    for (const auto& [label, snapshot] : txn.snapshots()) {
        if (snapshot.container != name.str()) continue;
        throw Error("roll back", name.str(),
                    "it did not exist then, and snapshot '" + label + "' keeps a generation of it")
            .as(Fault::refused)
            .with_hint("remove the snapshot first: pwstore snapshot rm " + label);
    }
}

void switch_back(WriteTxn& txn, const Switches& switches) {
    for (const auto& item : switches) {
        const ContainerName name(item.container);
        if (item.to == 0) {
            check_not_pinned(txn, name);
            txn.remove_container(name);
            continue;
        }
        ContainerRow row = *txn.container(name);
        row.current = item.to;
        txn.put_container(name, row);
    }
}

/// What a configuration says is installed follows; the rest of it stays.
std::vector<std::unique_ptr<StagedConfig>> stage_configurations(const Store& store,
                                                                const Switches& switches) {
    const std::string& directory = store.layout().directories().config;
    std::vector<std::unique_ptr<StagedConfig>> staged;
    for (const auto& item : switches) {
        const ContainerName name(item.container);
        auto config = load_config(directory, name);
        if (item.to == 0 || !config) continue;
        config->explicit_packages = explicit_packages(*store.index().read().generation(name, item.to));
        config->meta_version = transaction_time();
        staged.push_back(std::make_unique<StagedConfig>(directory, name, *config, item.to));
    }
    return staged;
}

}  // namespace

TransactionReport roll_back(const Store& store, const RollbackRequest& request, const Switches& expected,
                            Dialogue& dialogue) {
    clean_up_after_the_dead(store);
    const std::vector<FileLock> locks = lock_all(store, expected, request.command);
    check_plan(store.index().read(), request, expected);
    const Fd data = open_dir(store.layout().data(), ".");
    for (const auto& item : expected) {
        if (item.to != 0) ensure_root(store, ContainerName(item.container), item.to, dialogue);
    }
    const auto configurations = stage_configurations(store, expected);
    failpoint("rollback.rebuilt");
    sync_filesystem(data.get(), "data directory");
    failpoint("rollback.synced");
    TransactionReport report;
    {
        WriteTxn txn = store.index().write();
        check_plan(txn, request, expected);
        report.transaction = txn.next_transaction();
        switch_back(txn, expected);
        txn.put_transaction(report.transaction, {transaction_time(), request.command, expected});
        failpoint("rollback.before-switch");
        txn.commit();
    }
    failpoint("rollback.switched");
    report.changed = true;
    for (const auto& item : expected) {
        report.containers.push_back({item.container, item.to, 0, 0, 0});
        if (item.to == 0) remove_unrecorded_roots(store, ContainerName(item.container));
    }
    for (const auto& staged : configurations)
        staged->publish();
    failpoint("rollback.configured");
    repair_root_links(store);
    remove_retired_roots(store, true);
    return report;
}

}  // namespace pwstore
