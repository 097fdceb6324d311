// SPDX-License-Identifier: GPL-3.0-or-later
#include "store/image/intake_rounds.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "store/base/failpoint.hpp"

namespace pwstore::image {

namespace {

/// Every object once, by names that mean nothing.
Delta delta_of(const ReadTxn& txn, std::vector<ObjectId> ids) {
    std::sort(ids.begin(), ids.end());
    ids.erase(std::unique(ids.begin(), ids.end()), ids.end());
    Delta delta;
    for (const ObjectId id : ids) {
        const ObjectKey key = txn.object(id).first;
        DeltaEntry& one = delta.entries.emplace_back();
        one.entry.path = fmt::format("{:010}", id);
        one.entry.mode = key.mode;
        one.entry.object = id;
        one.entry.size = key.size;
        one.agent = "import";
    }
    return delta;
}

}  // namespace

void IntakeRounds::add(const Take& take) {
    Ingestor ingestor(store_, sink_);
    take(ingestor);
    const IngestStats stats = ingestor.stats();
    ingestor.commit(&lease_, false, [&](WriteTxn& txn) {
        const uint32_t part = txn.add_delta(delta_of(txn, ingestor.contents()));
        if (part != 0) parts_.push_back(part);
        LeaseRow row;
        row.deltas = parts_;
        lease_.record(txn, row);
    });
    stats_ += stats;
    failpoint("import.part-recorded");
}

void IntakeRounds::finish(const Take& take, const std::function<void(WriteTxn&, LeaseRow&)>& record) {
    Ingestor ingestor(store_, sink_);
    take(ingestor);
    const IngestStats stats = ingestor.stats();
    ingestor.commit(&lease_, false, [&](WriteTxn& txn) {
        LeaseRow row;
        record(txn, row);
        for (const uint32_t part : parts_)
            txn.remove_delta(part);
        lease_.record(txn, row);
    });
    stats_ += stats;
}

}  // namespace pwstore::image
