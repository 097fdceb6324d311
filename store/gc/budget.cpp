// SPDX-License-Identifier: GPL-3.0-or-later
#include "store/gc/budget.hpp"

#include <algorithm>
#include <map>
#include <optional>
#include <set>
#include <unordered_map>

#include "store/gc/parts.hpp"
#include "store/lease.hpp"

namespace pwstore {

namespace {

constexpr uint64_t kBlock = 4096;

/// A manifest or a delta.
struct RecordId {
    bool is_delta = false;
    uint32_t id = 0;
    auto operator<=>(const RecordId&) const = default;
};

void append(void* list, ObjectId id) {
    static_cast<std::vector<ObjectId>*>(list)->push_back(id);
}

/// How many generations use each record, and how many used records each object.
class UseCounts {
 public:
    explicit UseCounts(const ReadTxn& txn) : txn_(txn) {
        txn.for_each_object([&](const ObjectKey& key, const ObjectRow& row) {
            if (row.id >= bytes_.size()) bytes_.resize(row.id + size_t{1});
            bytes_[row.id] = (key.size + kBlock - 1) / kBlock * kBlock * row.copies;
        });
        users_.resize(std::max<size_t>(bytes_.size(), txn.last_object_id() + size_t{1}));
        bytes_.resize(users_.size());
    }

    void add(RecordId record) {
        if (++records_[record] == 1) change(record, +1);
    }
    void remove(RecordId record) {
        if (--records_[record] == 0) change(record, -1);
    }
    void add_object(ObjectId id) { count(id, +1); }
    [[nodiscard]] uint64_t stored() const { return stored_; }

 private:
    void change(RecordId record, int by) {
        for (const ObjectId id : objects_of(record))
            count(id, by);
    }
    void count(ObjectId id, int by) {
        if (id >= users_.size()) return;
        const bool was_used = users_[id] != 0;
        users_[id] = static_cast<uint32_t>(static_cast<int64_t>(users_[id]) + by);
        const bool is_used = users_[id] != 0;
        if (is_used && !was_used) stored_ += bytes_[id];
        if (!is_used && was_used) stored_ -= bytes_[id];
    }
    const std::vector<ObjectId>& objects_of(RecordId record) {
        const auto [at, added] = objects_.try_emplace(record);
        if (added && record.is_delta) {
            Delta::for_each_object(txn_.delta_front(record.id), append, &at->second);
        } else if (added) {
            Manifest::for_each_object(txn_.manifest_front(record.id), append, &at->second);
        }
        return at->second;
    }

    const ReadTxn& txn_;
    std::vector<uint64_t> bytes_;  ///< by object id
    std::vector<uint32_t> users_;
    std::map<RecordId, uint32_t> records_;
    std::map<RecordId, std::vector<ObjectId>> objects_;
    uint64_t stored_ = 0;
};

class Budget {
 public:
    Budget(const ReadTxn& txn, const std::vector<GenerationRef>& candidates)
        : counts_(txn), candidates_(candidates.begin(), candidates.end()) {
        for (const ContainerName& name : txn.containers()) {
            for (const uint64_t number : txn.generation_numbers(name))
                hold(*txn.generation(name, number));
        }
        const collecting::InUse leased = collecting::leased(txn);
        for (const ManifestId id : leased.manifests)
            counts_.add({false, id});
        for (const uint32_t id : leased.deltas)
            counts_.add({true, id});
        for (const ObjectId id : leased.objects)
            counts_.add_object(id);
    }

    BudgetChoice choose(uint64_t budget) {
        BudgetChoice choice;
        while (counts_.stored() > budget) {
            const std::optional<GenerationRef> best = most_costly();
            if (!best) break;
            for (const GenerationRef& one : with_what_stands_on(*best)) {
                const uint64_t before = counts_.stored();
                for (const RecordId& record : records_.at(one))
                    counts_.remove(record);
                records_.erase(one);
                candidates_.erase(one);
                choice.drops.push_back({one, before - counts_.stored()});
            }
        }
        choice.stored = counts_.stored();
        choice.is_reachable = choice.stored <= budget;
        return choice;
    }

 private:
    void hold(const Generation& generation) {
        const GenerationRef self{generation.container, generation.number};
        std::vector<RecordId>& records = records_[self];
        for (const InstalledPackage& package : generation.packages)
            records.push_back({false, package.manifest});
        if (generation.delta != 0) records.push_back({true, generation.delta});
        for (const RecordId& record : records)
            counts_.add(record);
        for (const GenerationRef& below : generation.upstream)
            above_[below].push_back(self);
        times_[self] = generation.time;
    }

    /// `one` and every generation on it that is still there, those on top first; empty when one of them
    /// stays.
    std::vector<GenerationRef> with_what_stands_on(const GenerationRef& one) const {
        std::vector<GenerationRef> found{one};
        for (size_t at = 0; at < found.size(); ++at) {
            if (!candidates_.contains(found[at])) return {};
            const auto above = above_.find(found[at]);
            if (above == above_.end()) continue;
            for (const GenerationRef& other : above->second) {
                if (records_.contains(other) && std::find(found.begin(), found.end(), other) == found.end())
                    found.push_back(other);
            }
        }
        std::reverse(found.begin(), found.end());
        return found;
    }

    /// The candidate that frees most, with what stands on it; nothing when none can go.
    std::optional<GenerationRef> most_costly() {
        std::optional<GenerationRef> best;
        uint64_t most = 0;
        for (const GenerationRef& one : candidates_) {
            const std::vector<GenerationRef> all = with_what_stands_on(one);
            if (all.empty()) continue;
            const uint64_t before = counts_.stored();
            visit_records(all, [&](const RecordId& record) { counts_.remove(record); });
            const uint64_t freed = before - counts_.stored();
            visit_records(all, [&](const RecordId& record) { counts_.add(record); });
            const bool is_better =
                !best || freed > most || (freed == most && times_.at(one) < times_.at(*best));
            if (!is_better) continue;
            best = one;
            most = freed;
        }
        return best;
    }

    template <typename Visit>
    void visit_records(const std::vector<GenerationRef>& generations, const Visit& visit) const {
        for (const GenerationRef& one : generations) {
            for (const RecordId& record : records_.at(one))
                visit(record);
        }
    }

    UseCounts counts_;
    std::set<GenerationRef> candidates_;
    std::map<GenerationRef, std::vector<RecordId>> records_;  ///< of all that are still there
    std::map<GenerationRef, std::vector<GenerationRef>> above_;
    std::map<GenerationRef, int64_t> times_;
};

}  // namespace

BudgetChoice fit_budget(const ReadTxn& txn, const std::vector<GenerationRef>& candidates, uint64_t budget) {
    return Budget(txn, candidates).choose(budget);
}

}  // namespace pwstore
