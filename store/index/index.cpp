// SPDX-License-Identifier: GPL-3.0-or-later
#include "store/index/index.hpp"

#include <fcntl.h>
#include <fmt/format.h>

#include "store/base/error.hpp"
#include "store/base/path_at.hpp"
#include "store/boot_mark.hpp"
#include "store/index/state.hpp"
#include "store/layout.hpp"

namespace pwstore {

using namespace index_records;
using lmdb::Access;
using lmdb::Table;

namespace {

constexpr const char* kBallast = "ballast";
constexpr off_t kBallastSize = off_t{4} << 20U;

Error missing(std::string_view what, uint64_t id) {
    return Error("read index", fmt::format("{} {}", what, id), "it is referred to and not there")
        .as(Fault::corrupt);
}

}  // namespace

ReadTxn::ReadTxn(std::unique_ptr<State> state) : state_(std::move(state)) {}
ReadTxn::ReadTxn(ReadTxn&&) noexcept = default;
ReadTxn::~ReadTxn() = default;

// --- Read: objects -------------------------------------------------------------------------------

std::optional<ObjectRow> ReadTxn::find_object(const ObjectKey& key) const {
    const std::string encoded = key.encode();
    const auto stored = state_->txn.get(Table::objects, encoded);
    if (!stored) return std::nullopt;
    const auto id = decode_id(*stored);
    const auto record = state_->txn.get_near(Table::ids, number_key(id));
    if (!record) throw missing("object", id);
    if (!record->starts_with(encoded)) {
        throw Error("read index", fmt::format("object {}", id), "two objects have this id")
            .as(Fault::corrupt);
    }
    ObjectRow row = decode_object_row(*record, id);
    row.unsynced = state_->mark_of(id);
    return row;
}

std::optional<ObjectKey> ReadTxn::object_key(ObjectId id) const {
    const auto record = state_->txn.get_near(Table::ids, number_key(id));
    if (!record) return std::nullopt;
    return decode_object_key(*record);
}

std::pair<ObjectKey, ObjectRow> ReadTxn::object(ObjectId id) const {
    const auto record = state_->txn.get_near(Table::ids, number_key(id));
    if (!record) throw missing("object", id);
    std::pair<ObjectKey, ObjectRow> found{decode_object_key(*record), decode_object_row(*record, id)};
    found.second.unsynced = state_->mark_of(id);
    return found;
}

void ReadTxn::for_each_object(const std::function<void(const ObjectKey&, const ObjectRow&)>& visit) const {
    state_->txn.for_each(Table::ids, "", [&](std::string_view key, std::string_view record) {
        const auto id = id_from(key);
        ObjectRow row = decode_object_row(record, id);
        row.unsynced = state_->mark_of(id);
        visit(decode_object_key(record), row);
        return true;
    });
}

void ReadTxn::for_each_object_name(const std::function<void(const ObjectKey&, ObjectId)>& visit) const {
    state_->txn.for_each(Table::objects, "", [&](std::string_view name, std::string_view value) {
        visit(ObjectKey::decode(name), decode_id(value));
        return true;
    });
}

uint64_t ReadTxn::object_count() const {
    return state_->txn.size(Table::ids);
}

ObjectId ReadTxn::last_object_id() const {
    return static_cast<ObjectId>(state_->counter(Counter::object));
}

// --- Read: manifests -----------------------------------------------------------------------------

Manifest ReadTxn::manifest(ManifestId id) const {
    return in_step(fmt::format("read manifest {}", id), [&] { return Manifest::decode(manifest_bytes(id)); });
}

std::string_view ReadTxn::manifest_bytes(ManifestId id) const {
    const auto bytes = state_->txn.get(Table::manifests, number_key(id));
    if (!bytes) throw missing("manifest", id);
    return *bytes;
}

std::string_view ReadTxn::manifest_front(ManifestId id) const {
    const auto bytes = state_->txn.peek(Table::manifests, number_key(id));
    if (!bytes) throw missing("manifest", id);
    return *bytes;
}

std::optional<ManifestId> ReadTxn::manifest_of_archive(const Sha256& archive) const {
    const auto id = state_->txn.get(Table::archives, bytes_of(archive));
    if (!id) return std::nullopt;
    return decode_id(*id);
}

std::vector<ManifestId> ReadTxn::manifest_ids() const {
    std::vector<ManifestId> ids;
    for (const std::string& key : keys_of(state_->txn, Table::manifests, "")) {
        ids.push_back(id_from(key));
    }
    return ids;
}

ReadTxn::Unsynced ReadTxn::unsynced_of_other_boots() const {
    Unsynced found;
    if (state_->txn.size(Table::unsynced) == 0) return found;
    const uint64_t own = boot_mark();
    std::vector<ObjectId> objects;
    state_->txn.for_each(Table::unsynced, "", [&](std::string_view key, std::string_view value) {
        if (decode_number(value) == own) return true;
        const auto id = id_from(key.substr(1));
        if (key.front() == static_cast<char>(Marked::manifest)) {
            found.manifests.push_back(id);
        } else if (key.front() == static_cast<char>(Marked::delta)) {
            found.deltas.push_back(id);
        } else {
            objects.push_back(id);
        }
        return true;
    });
    for (const ObjectId id : objects)
        found.objects.push_back(object(id));
    return found;
}

// --- Read: containers and generations ------------------------------------------------------------

std::vector<ContainerName> ReadTxn::containers() const {
    std::vector<ContainerName> names;
    for (const std::string& key : keys_of(state_->txn, Table::containers, ""))
        names.emplace_back(key);
    return names;
}

std::optional<ContainerRow> ReadTxn::container(const ContainerName& name) const {
    const auto row = state_->txn.get(Table::containers, name.str());
    if (!row) return std::nullopt;
    return ContainerRow::decode(*row);
}

std::optional<Generation> ReadTxn::generation(const ContainerName& name, uint64_t number) const {
    const auto bytes = state_->txn.get(Table::generations, generation_key(name, number));
    if (!bytes) return std::nullopt;
    return in_step(fmt::format("read generation {}@{}", name.str(), number),
                   [&] { return Generation::decode(*bytes); });
}

std::vector<uint64_t> ReadTxn::generation_numbers(const ContainerName& name) const {
    const std::string prefix = name_prefix(name);
    std::vector<uint64_t> numbers;
    for (const std::string& key : keys_of(state_->txn, Table::generations, prefix)) {
        numbers.push_back(number_from(std::string_view(key).substr(prefix.size())));
    }
    return numbers;
}

Delta ReadTxn::delta(uint32_t id) const {
    if (id == 0) return {};
    return in_step(fmt::format("read delta {}", id), [&] { return Delta::decode(delta_bytes(id)); });
}

std::string_view ReadTxn::delta_bytes(uint32_t id) const {
    const auto bytes = state_->txn.get(Table::deltas, number_key(id));
    if (!bytes) throw missing("delta", id);
    return *bytes;
}

std::string_view ReadTxn::delta_front(uint32_t id) const {
    const auto bytes = state_->txn.peek(Table::deltas, number_key(id));
    if (!bytes) throw missing("delta", id);
    return *bytes;
}

std::vector<uint32_t> ReadTxn::delta_ids() const {
    std::vector<uint32_t> ids;
    for (const std::string& key : keys_of(state_->txn, Table::deltas, "")) {
        ids.push_back(id_from(key));
    }
    return ids;
}

ReadTxn::Unused ReadTxn::unused() const {
    Unused found;
    state_->txn.for_each(Table::unused, "", [&](std::string_view key, std::string_view value) {
        const auto since = static_cast<int64_t>(decode_number(value));
        auto& kind = key.front() == static_cast<char>(Marked::manifest) ? found.manifests : found.deltas;
        kind.emplace_back(id_from(key.substr(1)), since);
        return true;
    });
    return found;
}

// --- Read: snapshots -----------------------------------------------------------------------------

std::optional<ReadTxn::Snapshot> ReadTxn::snapshot(const std::string& name) const {
    const auto value = state_->txn.get(Table::snapshots, name);
    if (!value) return std::nullopt;
    return decode_snapshot(*value);
}

std::vector<std::pair<std::string, ReadTxn::Snapshot>> ReadTxn::snapshots() const {
    std::vector<std::pair<std::string, Snapshot>> found;
    state_->txn.for_each(Table::snapshots, "", [&](std::string_view name, std::string_view value) {
        found.emplace_back(name, decode_snapshot(value));
        return true;
    });
    return found;
}

// --- Read: leases, transactions, launch records --------------------------------------------------

std::vector<std::pair<std::string, std::string>> ReadTxn::leases() const {
    std::vector<std::pair<std::string, std::string>> found;
    state_->txn.for_each(Table::leases, "", [&](std::string_view id, std::string_view row) {
        found.emplace_back(id, row);
        return true;
    });
    return found;
}

std::optional<ReadTxn::Transaction> ReadTxn::transaction(uint64_t id) const {
    const auto value = state_->txn.get(Table::transactions, number_key(id));
    if (!value) return std::nullopt;
    return decode_transaction(*value);
}

uint64_t ReadTxn::last_transaction() const {
    return state_->counter(Counter::transaction);
}

std::optional<std::string> ReadTxn::launch_record(const ContainerName& name) const {
    const auto record = state_->txn.get(Table::launch, name.str());
    if (!record) return std::nullopt;
    return std::string(*record);
}

// --- Index ---------------------------------------------------------------------------------------

struct Index::State {
    std::shared_ptr<lmdb::Environment> environment;
};

Index::Index(std::unique_ptr<State> state) : state_(std::move(state)) {}
Index::Index(Index&&) noexcept = default;
Index::~Index() = default;

Index Index::open(int data_dir, Mode mode) {
    const Access access = mode == Mode::read_only ? Access::read_only : Access::read_write;
    auto environment = lmdb::Environment::open(data_dir, access);
    if (!environment) throw Error::from_errno("open index", names::kIndex, ENOENT);
    Index index(std::make_unique<State>(State{std::move(environment)}));
    if (access == Access::read_write) (void)index.restore_ballast();
    return index;
}

bool Index::exists(int data_dir) {
    return lmdb::Environment::open(data_dir, Access::read_only) != nullptr;
}

ReadTxn Index::read() const {
    return ReadTxn(std::make_unique<ReadTxn::State>(state_->environment, Access::read_only));
}

WriteTxn Index::write() const {
    return WriteTxn(std::make_unique<ReadTxn::State>(state_->environment, Access::read_write));
}

void Index::release_ballast() const {
    remove_file(state_->environment->directory(), kBallast);
}

bool Index::restore_ballast() const {
    const int directory = state_->environment->directory();
    if (const auto there = try_stat_at(directory, kBallast); there && there->st_size == kBallastSize)
        return true;
    const Fd file(::openat(directory, kBallast, O_WRONLY | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600));
    const int result = file ? ::posix_fallocate(file.get(), 0, kBallastSize) : errno;
    if (result == 0) return true;
    remove_file(directory, kBallast);
    if (result == ENOSPC || result == EDQUOT) return false;
    throw Error::from_errno("reserve space", kBallast, result);
}

}  // namespace pwstore
