// SPDX-License-Identifier: GPL-3.0-or-later
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <map>

#include "store/base/error.hpp"
#include "store/base/failpoint.hpp"
#include "store/boot_mark.hpp"
#include "store/index/index.hpp"
#include "store/index/state.hpp"

namespace pwstore {

using namespace index_records;
using lmdb::Table;

namespace {

int64_t now() {
    return std::chrono::duration_cast<std::chrono::seconds>(
               std::chrono::system_clock::now().time_since_epoch())
        .count();
}

}  // namespace

WriteTxn::WriteTxn(std::unique_ptr<State> state) : ReadTxn(std::move(state)) {}
WriteTxn::WriteTxn(WriteTxn&&) noexcept = default;
WriteTxn::~WriteTxn() = default;

// --- Write: objects and manifests ----------------------------------------------------------------

ObjectId WriteTxn::next_object_id() {
    return static_cast<ObjectId>(state_->next(Counter::object, UINT32_MAX));
}

void WriteTxn::put_object(const ObjectKey& key, const ObjectRow& row) {
    const std::string encoded = key.encode();
    const std::string id_key = number_key(row.id);
    const auto conflict = [&](std::string_view cause) {
        throw Error("record object", key.path(0), cause).as(Fault::refused);
    };
    if (row.id == 0 || row.copies == 0) conflict("an object needs an id and a copy");
    if (!state_->txn.insert(Table::objects, encoded, encode_number(row.id)) &&
        decode_id(*state_->txn.get(Table::objects, encoded)) != row.id) {
        conflict("it has another id");
    }
    const std::string record = encode_object(encoded, row);
    const bool is_new = state_->txn.insert(Table::ids, id_key, record);
    if (!is_new) {
        if (!state_->txn.get(Table::ids, id_key)->starts_with(encoded))
            conflict("its id belongs to another object");
        state_->txn.put(Table::ids, id_key, record);
    }
    state_->raise_counter(Counter::object, row.id);
    const std::string mark_key = marked_key(Marked::object, row.id);
    if (row.unsynced == 0) {
        if (state_->txn.size(Table::unsynced) != 0) state_->txn.erase(Table::unsynced, mark_key);
    } else if (is_new || state_->txn.get(Table::unsynced, mark_key)) {
        state_->txn.put(Table::unsynced, mark_key, encode_number(row.unsynced));
    }
}

bool WriteTxn::remove_object(const ObjectKey& key) {
    const std::string encoded = key.encode();
    const auto stored = state_->txn.get(Table::objects, encoded);
    if (!stored) return false;
    const auto id = decode_id(*stored);
    state_->txn.erase(Table::objects, encoded);
    state_->txn.erase(Table::ids, number_key(id));
    state_->txn.erase(Table::unsynced, marked_key(Marked::object, id));
    return true;
}

namespace {

/// Keys of archives that lead to manifest `id`: the one that it names, or, when it cannot be read, any.
template <typename State>
std::vector<std::string> archives_of(const ReadTxn& txn, const State& state, ManifestId id) {
    std::vector<std::string> archives;
    try {
        const auto bytes = state.txn.get(Table::manifests, number_key(id));
        if (!bytes) return archives;
        const auto archive = Manifest::decode_head(*bytes).archive_sha256;
        if (archive && txn.manifest_of_archive(*archive) == id) archives.emplace_back(bytes_of(*archive));
    } catch (const Error&) {
        state.txn.for_each(Table::archives, "", [&](std::string_view archive, std::string_view value) {
            if (decode_id(value) == id) archives.emplace_back(archive);
            return true;
        });
    }
    return archives;
}

}  // namespace

ManifestId WriteTxn::add_manifest(const Manifest& manifest, bool record_archive) {
    const std::string bytes = manifest.encode();
    const auto id = static_cast<ManifestId>(state_->next(Counter::manifest, UINT32_MAX));
    state_->txn.put(Table::manifests, number_key(id), bytes);
    if (record_archive) {
        if (!manifest.archive_sha256 || manifest.origin != Origin::archive) {
            throw Error("record archive of", manifest.name, "it was not read from an archive")
                .as(Fault::refused);
        }
        state_->txn.put(Table::archives, bytes_of(*manifest.archive_sha256), encode_number(id));
    }
    state_->new_manifests.push_back(id);
    state_->set_unused(Marked::manifest, id, now());
    return id;
}

bool WriteTxn::remove_manifest(ManifestId id) {
    for (const std::string& archive : archives_of(*this, *state_, id))
        state_->txn.erase(Table::archives, archive);
    state_->txn.erase(Table::unsynced, marked_key(Marked::manifest, id));
    state_->txn.erase(Table::unused, marked_key(Marked::manifest, id));
    std::erase(state_->new_manifests, id);
    return state_->txn.erase(Table::manifests, number_key(id));
}

// --- Write: containers and generations -----------------------------------------------------------

void WriteTxn::put_container(const ContainerName& name, const ContainerRow& row) {
    state_->txn.put(Table::containers, name.str(), row.encode());
}

void WriteTxn::remove_container(const ContainerName& name) {
    std::vector<DroppedGeneration> all;
    for (const uint64_t number : generation_numbers(name))
        all.push_back({{name.str(), number}, now()});
    remove_generations(all);
    state_->txn.erase(Table::launch, name.str());
    state_->txn.erase(Table::containers, name.str());
}

void WriteTxn::put_generation(const Generation& generation) {
    const ContainerName name(generation.container);
    const std::string key = generation_key(name, generation.number);
    if (generation.delta != 0) (void)delta_bytes(generation.delta);
    if (!state_->txn.insert(Table::generations, key, generation.encode())) {
        throw Error("record generation", fmt::format("{}@{}", name.str(), generation.number), "it exists")
            .as(Fault::refused);
    }
    for (const InstalledPackage& package : generation.packages)
        state_->txn.erase(Table::unused, marked_key(Marked::manifest, package.manifest));
    if (generation.delta != 0) state_->txn.erase(Table::unused, marked_key(Marked::delta, generation.delta));
    state_->switches = true;
}

void WriteTxn::remove_generations(const std::vector<DroppedGeneration>& dropped) {
    std::map<std::pair<Marked, uint32_t>, int64_t> left;  // what they referred to
    const auto leave = [&](Marked what, uint32_t id, int64_t since) {
        int64_t& latest = left.try_emplace({what, id}, since).first->second;
        latest = std::max(latest, since);
    };
    for (const DroppedGeneration& one : dropped) {
        const ContainerName name(one.generation.container);
        const auto found = generation(name, one.generation.generation);
        if (!found) continue;
        const int64_t since = std::min(one.unused_since, now());
        for (const InstalledPackage& package : found->packages)
            leave(Marked::manifest, package.manifest, since);
        if (found->delta != 0) leave(Marked::delta, found->delta, since);
        state_->txn.erase(Table::generations, generation_key(name, found->number));
    }
    if (left.empty()) return;
    state_->txn.for_each(Table::generations, "", [&](std::string_view, std::string_view bytes) {
        const Generation other = Generation::decode(bytes);
        for (const InstalledPackage& package : other.packages)
            left.erase({Marked::manifest, package.manifest});
        left.erase({Marked::delta, other.delta});
        return !left.empty();
    });
    for (const auto& [record, since] : left)
        state_->set_unused(record.first, record.second, since);
}

uint32_t WriteTxn::add_delta(const Delta& delta) {
    if (delta.entries.empty()) return 0;
    const std::string bytes = delta.encode();
    const auto id = static_cast<uint32_t>(state_->next(Counter::delta, UINT32_MAX));
    state_->txn.put(Table::deltas, number_key(id), bytes);
    state_->new_deltas.push_back(id);
    state_->set_unused(Marked::delta, id, now());
    return id;
}

bool WriteTxn::remove_delta(uint32_t id) {
    state_->txn.erase(Table::unsynced, marked_key(Marked::delta, id));
    state_->txn.erase(Table::unused, marked_key(Marked::delta, id));
    std::erase(state_->new_deltas, id);
    return state_->txn.erase(Table::deltas, number_key(id));
}

// --- Write: snapshots ----------------------------------------------------------------------------

void WriteTxn::add_snapshot(const std::string& name, const Snapshot& snapshot) {
    if (!generation(ContainerName(snapshot.container), snapshot.generation)) {
        throw Error("make snapshot", name,
                    fmt::format("{}@{} does not exist", snapshot.container, snapshot.generation))
            .as(Fault::usage);
    }
    if (state_->txn.insert(Table::snapshots, name, encode_snapshot(snapshot))) return;
    throw Error("make snapshot", name, "there is one of this name")
        .as(Fault::usage)
        .with_hint("choose another name, or remove that one first");
}

bool WriteTxn::remove_snapshot(const std::string& name) {
    return state_->txn.erase(Table::snapshots, name);
}

// --- Write: leases, transactions, launch records -------------------------------------------------

void WriteTxn::put_lease(const std::string& id, std::string_view row) {
    state_->txn.put(Table::leases, id, row);
}

void WriteTxn::remove_lease(const std::string& id) {
    state_->txn.erase(Table::leases, id);
}

uint64_t WriteTxn::next_transaction() {
    return state_->next(Counter::transaction, UINT64_MAX);
}

void WriteTxn::put_transaction(uint64_t id, const Transaction& transaction) {
    state_->txn.put(Table::transactions, number_key(id), encode_transaction(transaction));
    state_->raise_counter(Counter::transaction, id);
}

void WriteTxn::remove_transaction(uint64_t id) {
    state_->txn.erase(Table::transactions, number_key(id));
}

void WriteTxn::put_launch_record(const ContainerName& name, std::string_view record) {
    state_->txn.put(Table::launch, name.str(), record);
}

// --- Write: not yet synced -----------------------------------------------------------------------

void WriteTxn::mark_all_synced(uint64_t boot_mark) {
    const size_t marks = state_->txn.size(Table::unsynced);
    if (marks == 0) return;
    std::vector<std::string> keys;
    state_->txn.for_each(Table::unsynced, "", [&](std::string_view key, std::string_view value) {
        if (decode_number(value) == boot_mark) keys.emplace_back(key);
        return true;
    });
    if (keys.size() == marks) {
        state_->txn.clear(Table::unsynced);
    } else {
        for (const std::string& key : keys)
            state_->txn.erase(Table::unsynced, key);
    }
    state_->new_manifests.clear();
    state_->new_deltas.clear();
}

void WriteTxn::commit() {
    if (state_->txn.size(Table::unsynced) != 0) {
        if (state_->switches) {
            throw Error("commit index", "", "a generation would refer to data that is not synced")
                .as(Fault::refused);
        }
        const std::string mark = encode_number(boot_mark());
        for (const ManifestId id : state_->new_manifests) {
            state_->txn.put(Table::unsynced, marked_key(Marked::manifest, id), mark);
        }
        for (const uint32_t id : state_->new_deltas) {
            state_->txn.put(Table::unsynced, marked_key(Marked::delta, id), mark);
        }
    }
    for (size_t which = 0; which < kCounterKeys.size(); ++which) {
        const auto& number = state_->counters.at(which);
        if (number) state_->txn.put(Table::meta, kCounterKeys.at(which), encode_number(*number));
    }
    failpoint("index.before-commit");
    state_->txn.commit();
    failpoint("index.committed");
}

}  // namespace pwstore
