// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "store/base/events.hpp"
#include "store/object_set.hpp"
#include "store/store.hpp"

namespace pwstore {

/// Garbage collection of records and objects. What lives: every generation that is not dropped, with its
/// manifests and its delta; what leases name; what has been unused for too short a time. Everything else is
/// garbage. Roots, containers' locks and the package cache: transact/collect.

/// A manifest or delta, and since when nothing has referred to it.
struct UnusedRecord {
    uint32_t id = 0;
    int64_t since = 0;
    auto operator<=>(const UnusedRecord&) const = default;
};

struct UnusedObject {
    ObjectId id = 0;
    std::string path;  ///< of copy 0, below store/objects: its key in words
    uint16_t copies = 1;
    bool operator==(const UnusedObject&) const = default;
    [[nodiscard]] std::string path_of(uint16_t copy) const;
};

/// Each list sorted by id.
struct Garbage {
    std::vector<UnusedRecord> manifests;
    std::vector<UnusedRecord> deltas;
    std::vector<UnusedObject> objects;
    std::vector<std::string> strays;  ///< files below store/objects without a record, sorted
    bool operator==(const Garbage&) const = default;
};

/// What is garbage once `dropped` are gone. Manifests and deltas count only when unused since `unused_before`
/// or longer. Reads the index within `txn` and, for strays, the names below store/objects. Nothing is
/// written, no lock is taken.
/// @throws Error (refused) when a dropped generation is current, pinned, or below one that stays; (corrupt)
/// for an index that cannot be read
[[nodiscard]] Garbage find_garbage(const ReadTxn& txn, const ObjectStore& objects,
                                   const std::vector<DroppedGeneration>& dropped, int64_t unused_before);

/// Why one of `dropped` may not go: it is current, pinned, or below one that stays. nullopt when all may.
struct NeededGeneration {
    GenerationRef which;
    std::string reason;
};
[[nodiscard]] std::optional<NeededGeneration> find_needed(const ReadTxn& txn,
                                                          const std::vector<DroppedGeneration>& dropped);

/// Every object that a manifest, a delta or a lease of the index refers to. (10 million references:
/// docs/performance.md)
[[nodiscard]] ObjectSet mark(const ReadTxn& txn);

struct SweepReport {
    uint64_t manifests = 0, deltas = 0, objects = 0;
    uint64_t inodes = 0;       ///< files whose last link went
    uint64_t bytes = 0;        ///< their blocks
    uint64_t held_inodes = 0;  ///< files that something outside the store still links to
    uint64_t held_bytes = 0;
    uint64_t skipped = 0;  ///< records and objects that are in use again, or changed, or gone
    SweepReport& operator+=(const SweepReport& other);
};

/// Remove what is still garbage of `garbage`: a record or object that is in use by now, whose id leads to
/// something else or whose time is another one is skipped. In slices, each under the ingest lock for a moment
/// (waited for up to `patience`): rows first, in one commit, files after it. Safe beside everything else. A
/// crash leaves a good store; files whose rows are gone are strays, which the next collection finds.
/// @throws Error (busy) when the lock is not free in time: what was done stays done
SweepReport sweep(const Store& store, const Garbage& garbage, std::chrono::milliseconds patience,
                  ProgressSink& sink);

}  // namespace pwstore
