// SPDX-License-Identifier: GPL-3.0-or-later
#include "store/index/state.hpp"

#include <algorithm>
#include <limits>

#include "store/base/bytes.hpp"

namespace pwstore {

namespace index_records {

namespace {

template <typename Unsigned>
std::string big_endian_key(Unsigned number) {
    std::string key(sizeof number, '\0');
    for (size_t at = key.size(); at-- > 0; number = static_cast<Unsigned>(number >> 8U)) {
        key[at] = static_cast<char>(number & 0xFFU);
    }
    return key;
}

template <typename Unsigned>
Unsigned from_big_endian(std::string_view key) {
    if (key.size() != sizeof(Unsigned))
        throw Error("decode index key", "", "wrong length").as(Fault::corrupt);
    Unsigned number = 0;
    for (const char byte : key)
        number = static_cast<Unsigned>(number << 8U | static_cast<uint8_t>(byte));
    return number;
}

}  // namespace

std::string number_key(uint32_t number) {
    return big_endian_key(number);
}
std::string number_key(uint64_t number) {
    return big_endian_key(number);
}
uint32_t id_from(std::string_view key) {
    return from_big_endian<uint32_t>(key);
}
uint64_t number_from(std::string_view key) {
    return from_big_endian<uint64_t>(key);
}

// No name contains NUL.
std::string name_prefix(const ContainerName& name) {
    return name.str() + '\0';
}

std::string generation_key(const ContainerName& name, uint64_t number) {
    return name_prefix(name) + number_key(number);
}

std::string marked_key(Marked what, uint32_t id) {
    return static_cast<char>(what) + number_key(id);
}

std::string encode_number(uint64_t number) {
    ByteWriter out;
    out.put(number);
    return out.take();
}

uint64_t decode_number(std::string_view value) {
    ByteReader in(value, "number");
    const auto number = in.get<uint64_t>();
    in.expect_end();
    return number;
}

uint32_t decode_id(std::string_view value) {
    const uint64_t number = decode_number(value);
    if (number > std::numeric_limits<uint32_t>::max())
        throw Error("decode id", "", "too large").as(Fault::corrupt);
    return static_cast<uint32_t>(number);
}

std::string encode_object(std::string_view key, const ObjectRow& row) {
    ByteWriter out;
    out.put_bytes(key);
    out.put(row.copies);
    out.put_bytes(bytes_of(row.sha256));
    return out.take();
}

ObjectKey decode_object_key(std::string_view value) {
    return ObjectKey::decode(value.substr(0, ObjectKey::kEncodedSize));
}

ObjectRow decode_object_row(std::string_view value, ObjectId id) {
    ByteReader in(value, "object");
    (void)in.get_bytes(ObjectKey::kEncodedSize);
    ObjectRow row;
    row.id = id;
    row.copies = in.get<uint16_t>();
    if (row.copies == 0) in.fail("object without a copy");
    const std::string_view raw = in.get_bytes(row.sha256.bytes.size());
    std::transform(raw.begin(), raw.end(), row.sha256.bytes.begin(),
                   [](char c) { return static_cast<uint8_t>(c); });
    in.expect_end();
    return row;
}

std::string encode_snapshot(const ReadTxn::Snapshot& snapshot) {
    ByteWriter out;
    out.put_string(snapshot.container);
    out.put(snapshot.generation);
    out.put(snapshot.time);
    out.put_string(snapshot.note);
    return out.take();
}

ReadTxn::Snapshot decode_snapshot(std::string_view value) {
    ByteReader in(value, "snapshot");
    ReadTxn::Snapshot snapshot;
    snapshot.container = in.get_string();
    snapshot.generation = in.get<uint64_t>();
    snapshot.time = in.get<int64_t>();
    snapshot.note = in.get_string();
    in.expect_end();
    return snapshot;
}

std::string encode_transaction(const ReadTxn::Transaction& transaction) {
    ByteWriter out;
    out.put(static_cast<uint32_t>(transaction.switches.size()));
    for (const auto& one : transaction.switches) {
        out.put_string(one.container);
        out.put(one.from);
        out.put(one.to);
    }
    out.put(transaction.time);
    out.put_string(transaction.cause);
    return out.take();
}

ReadTxn::Transaction decode_transaction(std::string_view value) {
    ByteReader in(value, "transaction");
    ReadTxn::Transaction transaction;
    transaction.switches.resize(in.get_count(sizeof(uint32_t) + 2 * sizeof(uint64_t)));
    for (auto& one : transaction.switches) {
        one.container = in.get_string();
        one.from = in.get<uint64_t>();
        one.to = in.get<uint64_t>();
    }
    if (in.remaining() != 0) {  // earlier versions ended here
        transaction.time = in.get<int64_t>();
        transaction.cause = in.get_string();
    }
    in.expect_end();
    return transaction;
}

std::string_view bytes_of(const Sha256& sha256) {
    return {reinterpret_cast<const char*>(sha256.bytes.data()), sha256.bytes.size()};
}

std::vector<std::string> keys_of(const lmdb::Transaction& txn, lmdb::Table table, std::string_view prefix) {
    std::vector<std::string> keys;
    txn.for_each_key(table, prefix, [&](std::string_view key) { keys.emplace_back(key); });
    return keys;
}

}  // namespace index_records

using namespace index_records;
using lmdb::Table;

uint64_t ReadTxn::State::counter(Counter which) const {
    const auto index = static_cast<size_t>(which);
    if (counters.at(index)) return *counters.at(index);
    const auto stored = txn.get(Table::meta, kCounterKeys.at(index));
    return stored ? decode_number(*stored) : 0;
}

void ReadTxn::State::raise_counter(Counter which, uint64_t number) {
    if (number > counter(which)) counters.at(static_cast<size_t>(which)) = number;
}

uint64_t ReadTxn::State::next(Counter which, uint64_t limit) {
    const uint64_t last = counter(which);
    const auto index = static_cast<size_t>(which);
    if (last >= limit)
        throw Error("go on from", kCounterKeys.at(index), "all numbers are used").as(Fault::unsupported);
    counters.at(index) = last + 1;
    return last + 1;
}

void ReadTxn::State::set_unused(index_records::Marked what, uint32_t id, int64_t since) {
    using namespace index_records;
    txn.put(lmdb::Table::unused, marked_key(what, id), encode_number(static_cast<uint64_t>(since)));
}

uint64_t ReadTxn::State::mark_of(ObjectId id) const {
    if (txn.size(Table::unsynced) == 0) return 0;
    const auto mark = txn.get(Table::unsynced, marked_key(Marked::object, id));
    return mark ? decode_number(*mark) : 0;
}

}  // namespace pwstore
