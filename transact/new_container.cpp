// SPDX-License-Identifier: GPL-3.0-or-later
#include "transact/new_container.hpp"

#include <fmt/format.h>

#include <memory>

#include "mount/root.hpp"
#include "store/base/error.hpp"
#include "store/base/failpoint.hpp"
#include "store/base/path_at.hpp"
#include "transact/cleanup.hpp"
#include "transact/no_such_container.hpp"
#include "transact/recipe.hpp"
#include "transact/recorded_config.hpp"
#include "transact/staged_config.hpp"
#include "transact/staged_home.hpp"
#include "transact/work.hpp"

namespace pwstore {

namespace {

constexpr std::chrono::seconds kPatience(10);

void check_new(const ReadTxn& txn, const ContainerName& name) {
    if (!txn.container(name)) return;
    throw Error("create container", name.str(), "it exists already")
        .as(Fault::usage)
        .with_hint("choose another name, or delete it first");
}

/// Everything below is what it is to be built on.
void check_ground(const ReadTxn& txn, const Generation& generation) {
    for (const GenerationRef& below : generation.upstream) {
        const auto row = txn.container(ContainerName(below.container));
        if (row && row->current == below.generation) continue;
        throw Error("create container", generation.container,
                    fmt::format("what it would be built on, {}@{}, is not current", below.container,
                                below.generation))
            .as(Fault::refused)
            .with_hint("choose a generation that is built on the current ones");
    }
}

/// Its root, finished, at roots/NAME@N.
void build_root(const Store& store, const ContainerName& name, const Generation& generation,
                ProgressSink& sink) {
    const std::string label = fmt::format("{}@{}", name.str(), generation.number);
    const Tree tree = [&] {
        const ReadTxn txn = store.index().read();
        Tree found = tree_of(txn, store.objects(), generation);
        if (tree_digest(txn, found) != generation.tree_digest)
            throw Error("build root", label, "its tree is not what its record says").as(Fault::corrupt);
        return found;
    }();
    const Staging staging = Staging::create(store, "build root " + label);
    make_directory(staging.fd(), "root", 0700);
    sink.progress("assemble", label, 0, tree.entries.size());
    assemble(store, tree, open_dir(staging.fd(), "root").get());
    publish_root(store, staging.fd(), "root", name, generation.number);
    sink.progress("assemble", label, tree.entries.size(), tree.entries.size());
}

}  // namespace

TransactionReport add_container(const Store& store, NewContainer container, const std::string& command,
                                ProgressSink& sink) {
    Generation& generation = container.generation;
    const ContainerName name(generation.container);
    const Fd data = open_dir(store.layout().data(), ".");
    {
        const ReadTxn txn = store.index().read();
        check_new(txn, name);
        generation.parent = 0;
        generation.policy = container.config.policy_digest();
        generation.recipe_digest = recipe_digest(txn, container.row.type, generation, {});
        generation.digest = generation_digest(generation, {});
    }
    build_root(store, name, generation, sink);
    std::optional<StagedHome> home;
    if (container.home)
        home.emplace(store, name, generation.number, container.home->staging, container.home->name);
    // The holder of this lock knows that every object of a recorded row was written before the sync below.
    const FileLock ingest = store.lock_ingest(std::chrono::minutes(10));
    const std::string kept = keep_configuration(store.layout().directories().config, name);
    if (!kept.empty()) {
        sink.message(Severity::warning,
                     fmt::format("the configuration of an earlier '{}' is kept as {}", name.str(), kept));
    }
    StagedConfig config(store.layout().directories().config, name, container.config, generation.number);
    sync_filesystem(data.get(), "data directory");
    failpoint("new-container.synced");
    TransactionReport report;
    {
        WriteTxn txn = store.index().write();
        check_new(txn, name);
        check_ground(txn, generation);
        report.transaction = generation.transaction = txn.next_transaction();
        container.row.current = container.row.last_number = generation.number;
        txn.put_generation(generation);
        txn.put_container(name, container.row);
        txn.put_transaction(report.transaction,
                            {transaction_time(), command, {{name.str(), 0, generation.number}}});
        txn.mark_all_synced(Store::boot_mark());
        failpoint("new-container.before-switch");
        txn.commit();
    }
    failpoint("new-container.switched");
    config.publish();
    if (home) home->publish();
    failpoint("new-container.published");
    repair_root_links(store);
    report.changed = true;
    report.containers.push_back({name.str(), generation.number, generation.packages.size(), 0, 0});
    return report;
}

TransactionReport clone_container(const Store& store, const GenerationRef& source, const ContainerName& name,
                                  const std::string& command, ProgressSink& sink) {
    clean_up_after_the_dead(store);
    const ContainerName from(source.container);
    // In the order of their names.
    const ContainerName& first = std::min(from, name);
    const ContainerName& second = std::max(from, name);
    if (from == name) check_new(store.index().read(), name);
    const FileLock lock = store.lock_container(first, kPatience, command);
    const FileLock other = store.lock_container(second, kPatience, command);
    NewContainer made;
    {
        const ReadTxn txn = store.index().read();
        const auto row = txn.container(from);
        if (!row) throw no_such_container(txn, "clone", from.str());
        const uint64_t number = source.generation != 0 ? source.generation : row->current;
        const auto generation = txn.generation(from, number);
        if (!generation) {
            throw Error("clone", fmt::format("{}@{}", from.str(), number), "there is no such generation")
                .as(Fault::usage);
        }
        check_new(txn, name);
        check_ground(txn, *generation);
        made.row.type = row->type;
        made.row.dependencies = row->dependencies;
        made.generation = *generation;
    }
    made.generation.container = name.str();
    made.generation.number = 1;
    made.generation.cause = command;
    made.generation.time = transaction_time();
    made.generation.notes.clear();
    made.config = recorded_config(store.layout().directories().config, from, made.row, sink);
    made.config.type = made.row.type;
    made.config.dependencies = made.row.dependencies;
    made.config.explicit_packages = explicit_packages(made.generation);
    made.config.meta_version = made.generation.time;
    return add_container(store, std::move(made), command, sink);
}

}  // namespace pwstore
