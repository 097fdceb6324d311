// SPDX-License-Identifier: GPL-3.0-or-later
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <map>
#include <set>
#include <thread>

#include "mount/container_config.hpp"
#include "mount/root.hpp"
#include "store/base/error.hpp"
#include "store/base/failpoint.hpp"
#include "store/base/path_at.hpp"
#include "transact/cleanup.hpp"
#include "transact/no_such_container.hpp"
#include "transact/transaction.hpp"
#include "transact/work.hpp"

namespace pwstore {

namespace {

void check_deletable(const ReadTxn& txn, const std::set<std::string>& names) {
    for (const std::string& name : names) {
        if (!txn.container(ContainerName(name))) throw no_such_container(txn, "delete container", name);
    }
    std::map<std::string, std::vector<std::string>> above;  // of the chosen ones, what would lose its ground
    for (const ContainerName& other : txn.containers()) {
        if (names.contains(other.str())) continue;
        const auto row = txn.container(other);
        for (const std::string& below : row->dependencies) {
            if (names.contains(below)) above[below].push_back(other.str());
        }
    }
    if (above.empty()) return;
    const auto& [name, dependents] = *above.begin();
    throw Error("delete container", name,
                fmt::format("'{}' {} built on it", fmt::join(dependents, "', '"),
                            dependents.size() == 1 ? "is" : "are"))
        .as(Fault::refused)
        .with_hint("delete what is built on it as well, or before it");
}

/// Snapshots are there to keep something; they are given up only on purpose.
void release_snapshots(WriteTxn& txn, const ContainerName& name, bool force) {
    for (const auto& [label, snapshot] : txn.snapshots()) {
        if (snapshot.container != name.str()) continue;
        if (!force) {
            throw Error("delete container", name.str(),
                        fmt::format("snapshot '{}' keeps a generation of it", label))
                .as(Fault::refused)
                .with_hint(fmt::format("remove it first: pwstore snapshot rm {}; or pass --force", label));
        }
        txn.remove_snapshot(label);
    }
}

void check_idle(const Store& store, const ReadTxn& txn, const ContainerName& name) {
    for (const uint64_t number : txn.generation_numbers(name)) {
        if (is_lock_free(store.layout().data(), Layout::run_lease_name(name, number))) continue;
        throw Error("delete container", name.str(), "programs are running in it")
            .as(Fault::busy)
            .with_hint("end them first, or pass --force");
    }
}

/// The last process of a sandbox gives its lease back a moment after its end is seen. What is in use longer
/// is removed by the next transaction.
void remove_roots_soon(const Store& store, const ContainerName& name) {
    constexpr unsigned kTries = 40;
    for (unsigned attempt = 0; !remove_unrecorded_roots(store, name) && attempt < kTries; ++attempt) {
        std::this_thread::sleep_for(std::chrono::milliseconds(25));
    }
}

}  // namespace

void delete_containers(const Store& store, const std::vector<ContainerName>& names, bool with_home,
                       bool with_config, bool force, ProgressSink& sink) {
    clean_up_after_the_dead(store);
    std::set<std::string> chosen;
    for (const ContainerName& name : names)
        chosen.insert(name.str());
    std::vector<FileLock> locks;
    for (const std::string& name : chosen) {
        locks.push_back(store.lock_container(ContainerName(name), std::chrono::seconds(10), "delete"));
    }
    {
        WriteTxn txn = store.index().write();
        check_deletable(txn, chosen);
        ReadTxn::Transaction transaction{transaction_time(), "delete", {}};
        for (const std::string& name : chosen) {
            const ContainerName container(name);
            if (!force) check_idle(store, txn, container);
            release_snapshots(txn, container, force);
            transaction.cause += " " + name;
            transaction.switches.push_back({name, txn.container(container)->current, 0});
            txn.remove_container(container);
        }
        txn.put_transaction(txn.next_transaction(), transaction);
        failpoint("delete.before-switch");
        txn.commit();
    }
    failpoint("delete.switched");
    for (const std::string& name : chosen) {
        const ContainerName container(name);
        sink.progress("remove", name, 0, 0);
        remove_roots_soon(store, container);
        if (with_home) {
            remove_tree(open_dir(store.layout().data(), names::kHome).get(), name);
            remove_tree(open_dir(store.layout().data(), names::kUpper).get(), name);
        }
        if (with_config)
            remove_file(AT_FDCWD, store.layout().directories().config + "/" + config_name(container));
    }
    repair_root_links(store);
}

}  // namespace pwstore
