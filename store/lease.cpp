// SPDX-License-Identifier: GPL-3.0-or-later
#include "store/lease.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "store/base/bytes.hpp"
#include "store/base/path_at.hpp"
#include "store/base/random_id.hpp"
#include "store/layout.hpp"

namespace pwstore {

namespace {

constexpr uint32_t kMagic = 0x534C5750U;  // "PWLS"
constexpr uint16_t kVersion = 2;
constexpr std::chrono::seconds kPatience{10};
/// Descriptors held at once while sweeping; what is beyond is swept next time.
constexpr size_t kSweepLimit = 128;

std::string file_of(const std::string& id) {
    return fmt::format("{}/{}", names::kLeases, id);
}

/// A row's id names a file, so a strange one must not lead elsewhere.
bool is_id(std::string_view id) {
    return !id.empty() && id.size() <= 64 && std::all_of(id.begin(), id.end(), [](char c) {
        return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z');
    });
}

void put_ids(ByteWriter& out, const std::vector<uint32_t>& ids) {
    out.put(static_cast<uint32_t>(ids.size()));
    for (const uint32_t id : ids)
        out.put(id);
}

std::vector<uint32_t> get_ids(ByteReader& in) {
    std::vector<uint32_t> ids(in.get_count(sizeof(uint32_t)));
    for (uint32_t& id : ids)
        id = in.get<uint32_t>();
    return ids;
}

}  // namespace

std::string LeaseRow::encode() const {
    ByteWriter out;
    out.put(kMagic);
    out.put(kVersion);
    put_ids(out, manifests);
    put_ids(out, deltas);
    put_ids(out, objects);
    out.put(static_cast<uint32_t>(generations.size()));
    for (const auto& [container, number] : generations) {
        out.put_string(container);
        out.put(number);
    }
    return out.take();
}

LeaseRow LeaseRow::decode(std::string_view bytes) {
    ByteReader in(bytes, "lease");
    if (in.get<uint32_t>() != kMagic) in.fail("not a record of this kind");
    if (in.get<uint16_t>() != kVersion) in.fail("unknown version");
    LeaseRow row;
    row.manifests = get_ids(in);
    row.deltas = get_ids(in);
    row.objects = get_ids(in);
    row.generations.resize(in.get_count(sizeof(uint32_t) + sizeof(uint64_t)));
    for (auto& [container, number] : row.generations) {
        container = in.get_string();
        number = in.get<uint64_t>();
    }
    in.expect_end();
    return row;
}

Lease Lease::create(const Index& index, int data_dir, const std::string& owner) {
    std::string id = random_id();
    FileLock lock = FileLock::acquire(data_dir, file_of(id), LockMode::exclusive, kPatience, owner);
    Lease lease(&index, data_dir, std::move(id), std::move(lock));
    WriteTxn txn = index.write();
    lease.record(txn, {});
    txn.commit();
    return lease;
}

Lease::~Lease() {
    if (!lock_) return;  // moved from
    try {
        WriteTxn txn = index_->write();
        txn.remove_lease(id_);
        txn.commit();
        remove_file(data_dir_, file_of(id_));
    } catch (const std::exception&) {
        // The lock ends with this process, and then the lease is dead: the next sweep removes what is left.
    }
}

void Lease::record(WriteTxn& txn, const LeaseRow& row) const {
    txn.put_lease(id_, row.encode());
}

size_t Lease::sweep(const Index& index, int data_dir) {
    std::set<std::string> rows;
    {
        const ReadTxn txn = index.read();
        for (const auto& [id, row] : txn.leases())
            rows.insert(id);
    }
    std::set<std::string> ids = rows;
    for (const DirectoryItem& item : list_directory(open_dir(data_dir, names::kLeases).get()))
        ids.insert(item.name);
    std::vector<FileLock> locks;
    std::vector<std::string> dead;
    for (const std::string& id : ids) {
        if (locks.size() == kSweepLimit) break;
        if (!is_id(id)) {
            if (rows.contains(id)) dead.push_back(id);
            continue;
        }
        auto lock = FileLock::try_acquire(data_dir, file_of(id), LockMode::exclusive, "sweep of leases");
        if (!lock) continue;
        locks.push_back(std::move(*lock));
        dead.push_back(id);
    }
    if (std::any_of(dead.begin(), dead.end(), [&](const std::string& id) { return rows.contains(id); })) {
        WriteTxn txn = index.write();
        for (const std::string& id : dead)
            txn.remove_lease(id);
        txn.commit();
    }
    for (const std::string& id : dead) {
        if (is_id(id)) remove_file(data_dir, file_of(id));
    }
    return dead.size();
}

}  // namespace pwstore
