// SPDX-License-Identifier: GPL-3.0-or-later
#include <chrono>

#include "mount/launch.hpp"
#include "mount/root.hpp"
#include "store/base/error.hpp"
#include "store/base/path_at.hpp"
#include "transact/no_such_container.hpp"
#include "transact/recorded_config.hpp"
#include "transact/transaction.hpp"

namespace pwstore {

namespace {

uint64_t current_generation(const Store& store, const ContainerName& name) {
    const ReadTxn txn = store.index().read();
    const auto row = txn.container(name);
    if (!row) throw no_such_container(txn, "run in", name.str());
    if (row->type == ContainerType::slice) {
        throw Error("run in", name.str(), "it is a slice, a layer for other containers")
            .as(Fault::usage)
            .with_hint("run in an aggregate that is built on it, or use 'pwstore shell -r'");
    }
    if (row->current == 0) {
        throw Error("run in", name.str(), "nothing is installed in it yet").as(Fault::usage);
    }
    return row->current;
}

}  // namespace

void prepare_launch(const Store& store, const ContainerName& name, ProgressSink& sink) {
    // A transaction holds this lock for long, but what is current meanwhile has its root on disk.
    if (!exists_at(store.layout().data(), Layout::root_name(name, current_generation(store, name)))) {
        const FileLock lock = store.lock_container(name, std::chrono::minutes(5), "run");
        ensure_root(store, name, current_generation(store, name), sink);
        repair_root_links(store);
    }
    const std::string config_path = store.layout().directories().config + "/" + config_name(name);
    const FileStamp stamp = FileStamp::of(config_path);
    const uint64_t generation = current_generation(store, name);
    const auto row = store.index().read().container(name);
    if (!row) throw no_such_container(store.index().read(), "run in", name.str());
    const ContainerConfig config = recorded_config(store.layout().directories().config, name, *row, sink);
    const LaunchRecord record = make_launch_record(store.layout(), name, generation, config, stamp);
    const std::string encoded = record.encode();
    if (store.index().read().launch_record(name) == encoded) return;
    WriteTxn txn = store.index().write();
    txn.put_launch_record(name, encoded);
    txn.commit();
}

}  // namespace pwstore
