// SPDX-License-Identifier: GPL-3.0-or-later
#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <set>

#include "mount/root.hpp"
#include "store/base/error.hpp"
#include "store/base/failpoint.hpp"
#include "store/base/path_at.hpp"
#include "transact/cleanup.hpp"
#include "transact/staged_config.hpp"
#include "transact/transaction.hpp"
#include "transact/work.hpp"

namespace pwstore {

namespace {

constexpr std::chrono::seconds kPatience(10);

using Switches = std::vector<ReadTxn::Switch>;

[[noreturn]] void refuse(const std::string& container, const std::string& cause) {
    throw Error("undo", container, cause).as(Fault::refused);
}

std::vector<FileLock> lock_all(const Store& store, const Switches& switches) {
    std::set<std::string> names;
    for (const auto& item : switches)
        names.insert(item.container);
    std::vector<FileLock> locks;
    for (const std::string& name : names)
        locks.push_back(store.lock_container(ContainerName(name), kPatience, "undo"));
    return locks;
}

/// Every container still is what that transaction made of it, and nobody outside it stands on it.
void check_unchanged(const ReadTxn& txn, const Switches& switches) {
    std::set<std::string> names;
    for (const auto& item : switches)
        names.insert(item.container);
    for (const auto& item : switches) {
        if (item.to == 0)
            refuse(item.container, "it was deleted by that transaction; deletion cannot be undone");
        const auto row = txn.container(ContainerName(item.container));
        if (!row || row->current != item.to) refuse(item.container, "it was changed again since then");
        if (item.from != 0 && !txn.generation(ContainerName(item.container), item.from)) {
            refuse(item.container, fmt::format("generation {} is no longer kept", item.from));
        }
    }
    for (const ContainerName& other : txn.containers()) {
        const auto row = txn.container(other);
        for (const std::string& below : row->dependencies) {
            if (names.contains(below) && !names.contains(other.str())) {
                refuse(below, fmt::format("'{}' was built on it since then", other.str()));
            }
        }
    }
}

void switch_back(WriteTxn& txn, const Switches& switches, uint64_t id) {
    Switches back;
    for (const auto& item : switches) {
        const ContainerName name(item.container);
        back.push_back({item.container, item.to, item.from});
        if (item.from == 0) {
            txn.remove_container(name);
            continue;
        }
        ContainerRow row = *txn.container(name);
        row.current = item.from;
        txn.put_container(name, row);
    }
    txn.put_transaction(id, back);
}

std::vector<std::unique_ptr<StagedConfig>> stage_configurations(const Store& store,
                                                                const Switches& switches) {
    const std::string& directory = store.layout().directories().config;
    std::vector<std::unique_ptr<StagedConfig>> staged;
    for (const auto& item : switches) {
        const ContainerName name(item.container);
        auto config = load_config(directory, name);
        if (item.from == 0 || !config) continue;
        config->explicit_packages = explicit_packages(*store.index().read().generation(name, item.from));
        config->meta_version = transaction_time();
        staged.push_back(std::make_unique<StagedConfig>(directory, name, *config));
    }
    return staged;
}

}  // namespace

TransactionReport undo_transaction(const Store& store, uint64_t id, Dialogue& dialogue) {
    Switches switches;
    {
        const ReadTxn txn = store.index().read();
        if (id == 0) id = txn.last_transaction();
        if (id != 0) switches = txn.transaction(id);
    }
    if (switches.empty())
        throw Error("undo", "",
                    id == 0 ? "nothing was done yet" : fmt::format("there is no transaction {}", id))
            .as(Fault::usage);
    const std::vector<FileLock> locks = lock_all(store, switches);
    check_unchanged(store.index().read(), switches);
    const Fd data = open_dir(store.layout().data(), ".");
    for (const auto& item : switches) {
        if (item.from != 0) ensure_root(store, ContainerName(item.container), item.from, dialogue);
    }
    const auto configurations = stage_configurations(store, switches);
    failpoint("undo.rebuilt");
    sync_filesystem(data.get(), "data directory");
    TransactionReport report;
    {
        WriteTxn txn = store.index().write();
        check_unchanged(txn, switches);
        report.transaction = txn.next_transaction();
        switch_back(txn, switches, report.transaction);
        failpoint("undo.before-switch");
        txn.commit();
    }
    failpoint("undo.switched");
    report.changed = true;
    for (const auto& item : switches) {
        const ContainerName name(item.container);
        report.containers.push_back({item.container, item.from, 0, 0, 0});
        if (item.from == 0) remove_unrecorded_roots(store, name);
    }
    for (const auto& staged : configurations)
        staged->publish();
    repair_root_links(store);
    remove_retired_roots(store, true);
    return report;
}

}  // namespace pwstore
