// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "store/base/events.hpp"
#include "store/gc/gc.hpp"
#include "store/gc/retention.hpp"
#include "store/store.hpp"

namespace pwstore {

/// What a garbage collection is to do.
struct CollectRequest {
    RetentionPolicy keep{.last = 3, .daily = 7, .weekly = 4};
    int64_t min_dead = 0;  ///< seconds that a thing must have been unused
    std::optional<uint64_t>
        budget;  ///< bytes that the objects may take; of what `keep` lets go, only that goes
    bool package_cache = true;
    int64_t now = 0;  ///< seconds since the epoch
};

/// A file that was downloaded.
struct CachedFile {
    std::string name;  ///< below the package cache
    uint64_t size = 0;
    int64_t mtime = 0;
    bool operator==(const CachedFile&) const = default;
};

/// Exactly what a collection will remove, and what that frees. A value that can be printed, stored, and
/// carried out later (or not).
struct CollectPlan {
    struct Drop {
        DroppedGeneration generation;
        Sha256 digest;       ///< of the generation: another one of this number is not meant
        std::string reason;  ///< for people
        uint64_t bytes = 0;  ///< of objects that only it, and those that go before it, needed
        bool operator==(const Drop&) const = default;
    };
    int64_t time = 0;
    std::vector<Drop> generations;
    std::vector<GenerationRef> roots;  ///< no longer current, nothing runs on them; all can be rebuilt
    Garbage garbage;
    std::vector<CachedFile> cache;
    uint64_t inodes = 0, bytes = 0;            ///< that are free afterwards, index and lock files apart
    uint64_t held_inodes = 0, held_bytes = 0;  ///< of garbage that something outside the store links to
    uint64_t stored = 0;                       ///< bytes of the objects that are left
    bool is_over_budget = false;               ///< the budget cannot be met, so no generation goes
    [[nodiscard]] bool is_empty() const;
    bool operator==(const CollectPlan&) const = default;

    /// JSON, versioned (docs/json.md). @throws Error (usage) for what is no plan of this version
    [[nodiscard]] std::string encode() const;
    static CollectPlan decode(std::string_view text);
};

/// Look for what can go. Takes no lock and writes nothing: a store that is open for reading is enough.
///
/// Never dropped: current generations, those that a snapshot pins or a program runs on, what lies below one
/// that stays, and those that were current less than `min_dead` ago.
[[nodiscard]] CollectPlan plan_collection(const Store& store, const CollectRequest& request,
                                          ProgressSink& sink);

struct CollectReport {
    SweepReport swept;
    uint64_t generations = 0, roots = 0, cached = 0;
    uint64_t inodes = 0, bytes = 0;    ///< freed, of all
    std::vector<std::string> skipped;  ///< one sentence each: what is in use again, or changed
    uint64_t gone = 0;                 ///< generations, roots and archives of the plan that went before
    bool is_busy = false;              ///< some of it was skipped because a lock was not free in time
};

/// Do what `plan` says and nothing else: what is in use by now, or is no longer what the plan saw, is
/// skipped. Locks: each container for a moment, then the ingest lock in slices; each waited for up to
/// `patience`. A second collection, installs, imports and running programs go on beside it. Killed at any
/// point it leaves a good store.
CollectReport collect(const Store& store, const CollectPlan& plan, std::chrono::milliseconds patience,
                      ProgressSink& sink);

/// Something to collect has piled up: the file system has less than a tenth free, or `plan` frees at least
/// 1 GiB or a tenth of what is stored.
[[nodiscard]] bool is_collection_needed(const Store& store, const CollectPlan& plan);

}  // namespace pwstore
