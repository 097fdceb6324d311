// SPDX-License-Identifier: GPL-3.0-or-later
#include <dirent.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/statvfs.h>

#include <algorithm>
#include <map>
#include <set>

#include "mount/root.hpp"
#include "store/base/error.hpp"
#include "store/base/path_at.hpp"
#include "store/gc/budget.hpp"
#include "store/lease.hpp"
#include "transact/cache_use.hpp"
#include "transact/collect.hpp"
#include "transact/link_census.hpp"

namespace pwstore {

namespace {

constexpr uint64_t kMuch = uint64_t{1} << 30U;
constexpr uint64_t kShare = 10;  ///< one part in so many

/// When a generation was last current, by the record of transactions; what that does not know (any more)
/// ended with the next generation.
class LastUse {
 public:
    explicit LastUse(const ReadTxn& txn) {
        const uint64_t last = txn.last_transaction();
        for (uint64_t id = 1; id <= last; ++id) {
            const auto transaction = txn.transaction(id);
            if (!transaction) continue;
            for (const auto& one : transaction->switches) {
                if (one.from == 0) continue;
                int64_t& time = times_[{one.container, one.from}];
                time = std::max(time, transaction->time);
            }
        }
    }
    [[nodiscard]] int64_t of(const GenerationRef& which, int64_t otherwise) const {
        const auto found = times_.find(which);
        return found == times_.end() ? otherwise : found->second;
    }

 private:
    std::map<GenerationRef, int64_t> times_;
};

std::string ago(int64_t seconds) {
    constexpr int64_t kDay = 86400;
    if (seconds < kDay) return "today";
    return fmt::format("{} day{} ago", seconds / kDay, seconds / kDay == 1 ? "" : "s");
}

/// Splits the generations into those that stay, each for a reason, and those that may go.
class Choice {
 public:
    Choice(const Store& store, const ReadTxn& txn, const CollectRequest& request)
        : txn_(txn), request_(request), last_use_(txn) {
        for (const ContainerName& name : txn.containers())
            look_at(store, name);
        for (const auto& [name, snapshot] : txn.snapshots())
            stay_.insert({snapshot.container, snapshot.generation});
        for (const auto& [id, bytes] : txn.leases()) {  // an export reads it
            for (const auto& [container, number] : LeaseRow::decode(bytes).generations)
                stay_.insert({container, number});
        }
        keep_what_lies_below(stay_);
    }

    /// All that the policy does not keep.
    [[nodiscard]] std::vector<GenerationRef> candidates() const {
        std::set<GenerationRef> kept = kept_;
        kept.insert(stay_.begin(), stay_.end());
        keep_what_lies_below(kept);
        std::vector<GenerationRef> found;
        for (const auto& [which, generation] : all_) {
            if (!kept.contains(which)) found.push_back(which);
        }
        return found;
    }

    [[nodiscard]] CollectPlan::Drop drop(const BudgetChoice::Drop& chosen, std::string_view why) const {
        const GenerationRef& which = chosen.generation;
        return {{which, unused_since(which)},
                all_.at(which).digest,
                fmt::format("last used {}, {}", ago(request_.now - unused_since(which)), why),
                chosen.bytes};
    }
    /// It was current less than `min_dead` ago.
    [[nodiscard]] bool is_young(const GenerationRef& which) const {
        return request_.min_dead != 0 && unused_since(which) > request_.now - request_.min_dead;
    }

 private:
    void look_at(const Store& store, const ContainerName& name) {
        const auto row = txn_.container(name);
        std::vector<Dated> dated;
        for (const uint64_t number : txn_.generation_numbers(name)) {
            Generation generation = *txn_.generation(name, number);
            dated.push_back({number, generation.time});
            all_.emplace(GenerationRef{name.str(), number}, std::move(generation));
        }
        for (const Dated& one : dated) {
            const GenerationRef which{name.str(), one.number};
            const bool is_current = row && row->current == one.number;
            const bool is_running =
                !is_lock_free(store.layout().data(), Layout::run_lease_name(name, one.number));
            if (is_current || is_running || is_young(which)) stay_.insert(which);
        }
        for (const auto& [number, rule] : kept_by(request_.keep, dated, request_.now))
            kept_.insert({name.str(), number});
    }

    [[nodiscard]] int64_t unused_since(const GenerationRef& which) const {
        const auto next = all_.upper_bound(which);
        const bool has_next = next != all_.end() && next->first.container == which.container;
        const auto self = all_.find(which);
        const int64_t made = self != all_.end() ? self->second.time : 0;
        return last_use_.of(which, has_next ? next->second.time : made);
    }

    void keep_what_lies_below(std::set<GenerationRef>& kept) const {
        std::vector<GenerationRef> open(kept.begin(), kept.end());
        while (!open.empty()) {
            const auto found = all_.find(open.back());
            open.pop_back();
            if (found == all_.end()) continue;
            for (const GenerationRef& below : found->second.upstream) {
                if (kept.insert(below).second) open.push_back(below);
            }
        }
    }

    const ReadTxn& txn_;
    const CollectRequest& request_;
    LastUse last_use_;
    std::map<GenerationRef, Generation> all_;
    std::set<GenerationRef> stay_;  ///< whatever the policy says
    std::set<GenerationRef> kept_;  ///< by the policy
};

/// Archives that no kept manifest was read from, here or in another store: `verify --heal` needs the others.
std::vector<CachedFile> unneeded_archives(const ReadTxn& txn, const Store& store, const Garbage& garbage,
                                          int64_t unused_before, ProgressSink& sink) {
    std::vector<CachedFile> found;
    const auto cache = try_open_at(AT_FDCWD, store.layout().directories().cache + "/pkg",
                                   O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (!cache) return found;
    std::set<ManifestId> going;
    for (const UnusedRecord& record : garbage.manifests)
        going.insert(record.id);
    auto needed = archives_of_other_stores(store.layout().directories());
    if (!needed) {
        sink.message(Severity::warning,
                     "the package cache is left alone: another store that uses it cannot be read");
        return found;
    }
    needed->merge(archives_of(txn, going));
    for (const DirectoryItem& item : list_directory(cache->get())) {
        const size_t suffix = item.name.find(".pkg.tar");
        if (item.type != DT_REG || suffix == std::string::npos) continue;
        const auto info = try_stat_at(cache->get(), item.name);
        if (!info || needed->contains(std::string_view(item.name).substr(0, suffix))) continue;
        if (info->st_mtime > unused_before) continue;
        found.push_back({item.name, static_cast<uint64_t>(info->st_size), info->st_mtime});
    }
    return found;
}

void count_freed(const Store& store, CollectPlan& plan, ProgressSink& sink) {
    const int data = store.layout().data();
    LinkCensus links;
    for (size_t at = 0; at < plan.roots.size(); ++at) {
        sink.progress("count", "roots", at, plan.roots.size());
        links.add_root(data, plan.roots[at]);
    }
    const std::string objects = std::string(names::kObjects) + "/";
    for (const UnusedObject& object : plan.garbage.objects) {
        for (uint16_t copy = 0; copy < object.copies; ++copy)
            links.add_file(data, objects + object.path_of(copy));
    }
    for (const std::string& stray : plan.garbage.strays)
        links.add_file(data, objects + stray);
    LinkCensus cached;  // perhaps of another file system
    const auto cache = try_open_at(AT_FDCWD, store.layout().directories().cache + "/pkg",
                                   O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    for (const CachedFile& file : plan.cache) {
        if (cache) cached.add_file(cache->get(), file.name);
    }
    const LinkCensus::Sum in_data = links.sum();
    const LinkCensus::Sum in_cache = cached.sum();
    plan.inodes = in_data.inodes + in_cache.inodes;
    plan.bytes = in_data.bytes + in_cache.bytes;
    plan.held_inodes = in_data.held_inodes;
    plan.held_bytes = in_data.held_bytes;
}

}  // namespace

bool CollectPlan::is_empty() const {
    return generations.empty() && roots.empty() && cache.empty() && garbage == Garbage{};
}

CollectPlan plan_collection(const Store& store, const CollectRequest& request, ProgressSink& sink) {
    CollectPlan plan;
    plan.time = request.now;
    const ReadTxn txn = store.index().read();
    const Choice choice(store, txn, request);
    std::vector<BudgetChoice::Drop> drops;
    if (request.budget) {
        BudgetChoice fit = fit_budget(txn, choice.candidates(), *request.budget);
        plan.is_over_budget = !fit.is_reachable;
        plan.stored = fit.stored;
        drops = std::move(fit.drops);
    } else {
        drops = freed_by(txn, choice.candidates());
    }
    for (const BudgetChoice::Drop& one : drops)
        plan.generations.push_back(
            choice.drop(one, request.budget ? "the budget needs it" : "no rule keeps it"));
    std::vector<DroppedGeneration> dropped;
    std::set<GenerationRef> gone;
    for (const CollectPlan::Drop& one : plan.generations) {
        dropped.push_back(one.generation);
        gone.insert(one.generation.generation);
    }
    sink.progress("look for garbage", "", 0, 0);
    plan.garbage = find_garbage(txn, store.objects(), dropped, request.now - request.min_dead);
    plan.roots = idle_roots(store);
    std::erase_if(plan.roots, [&](const GenerationRef& root) { return choice.is_young(root); });
    if (request.package_cache)
        plan.cache = unneeded_archives(txn, store, plan.garbage, request.now - request.min_dead, sink);
    count_freed(store, plan, sink);
    if (!request.budget) {
        ObjectSet unused;
        for (const UnusedObject& object : plan.garbage.objects)
            unused.insert(object.id);
        txn.for_each_object([&](const ObjectKey& key, const ObjectRow& row) {
            if (!unused.contains(row.id)) plan.stored += key.size * row.copies;
        });
    }
    return plan;
}

bool is_collection_needed(const Store& store, const CollectPlan& plan) {
    struct statvfs status {};
    if (::fstatvfs(store.layout().data(), &status) == 0 && status.f_bavail < status.f_blocks / kShare)
        return !plan.is_empty();
    return plan.bytes >= kMuch || plan.bytes * kShare >= plan.stored + plan.bytes;
}

}  // namespace pwstore
