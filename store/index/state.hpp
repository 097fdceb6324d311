// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "store/index/index.hpp"
#include "store/index/lmdb_environment.hpp"

namespace pwstore {

/// Keys and values of the index's tables (docs/format.md, "Index"). Every decode throws Error (corrupt).
namespace index_records {

/// Big-endian, so that keys order as the numbers do.
[[nodiscard]] std::string number_key(uint32_t number);
[[nodiscard]] std::string number_key(uint64_t number);
[[nodiscard]] uint32_t id_from(std::string_view key);
[[nodiscard]] uint64_t number_from(std::string_view key);

/// Starts the keys of one container's generations and of no other's.
[[nodiscard]] std::string name_prefix(const ContainerName& name);
[[nodiscard]] std::string generation_key(const ContainerName& name, uint64_t number);

enum class Marked : char { object = 'o', manifest = 'm', delta = 'd' };
[[nodiscard]] std::string marked_key(Marked what, uint32_t id);

[[nodiscard]] std::string encode_number(uint64_t number);
[[nodiscard]] uint64_t decode_number(std::string_view value);
[[nodiscard]] uint32_t decode_id(std::string_view value);

/// Value of table ids: encoded key, copies u16, SHA-256. The unsynced mark has a table of its own.
[[nodiscard]] std::string encode_object(std::string_view key, const ObjectRow& row);
[[nodiscard]] ObjectKey decode_object_key(std::string_view value);
[[nodiscard]] ObjectRow decode_object_row(std::string_view value, ObjectId id);

[[nodiscard]] std::string encode_snapshot(const ReadTxn::Snapshot& snapshot);
[[nodiscard]] ReadTxn::Snapshot decode_snapshot(std::string_view value);

std::string encode_transaction(const ReadTxn::Transaction& transaction);
ReadTxn::Transaction decode_transaction(std::string_view value);

[[nodiscard]] std::string_view bytes_of(const Sha256& sha256);

[[nodiscard]] std::vector<std::string> keys_of(const lmdb::Transaction& txn, lmdb::Table table,
                                               std::string_view prefix);

/// Numbers that only grow, kept in table meta.
enum class Counter : size_t { object, manifest, delta, transaction };
inline constexpr std::array<const char*, 4> kCounterKeys{"last-object", "last-manifest", "last-delta",
                                                         "last-transaction"};

}  // namespace index_records

/// What ReadTxn and WriteTxn share.
struct ReadTxn::State {
    State(std::shared_ptr<lmdb::Environment> environment, lmdb::Access access)
        : txn(std::move(environment), access) {}

    lmdb::Transaction txn;
    // Of a write transaction:
    std::array<std::optional<uint64_t>, index_records::kCounterKeys.size()>
        counters;  ///< those that it changed
    std::vector<ManifestId> new_manifests;
    std::vector<uint32_t> new_deltas;
    bool switches = false;  ///< it adds a generation, which must refer to synced data only

    [[nodiscard]] uint64_t counter(index_records::Counter which) const;
    void raise_counter(index_records::Counter which, uint64_t number);
    /// @throws Error (unsupported) beyond `limit`
    uint64_t next(index_records::Counter which, uint64_t limit);
    void set_unused(index_records::Marked what, uint32_t id, int64_t since);
    /// Boot mark of an object, 0 when it is synced.
    [[nodiscard]] uint64_t mark_of(ObjectId id) const;
};

}  // namespace pwstore
