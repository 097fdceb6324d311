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

    /// Everything goes that has to, then what turns out not to be needed for it comes back: two generations
    /// may free only together what they share. Out of reach, nothing goes.
    BudgetChoice choose(uint64_t budget) {
        std::vector<GenerationRef> gone;
        while (counts_.stored() > budget) {
            const std::optional<GenerationRef> best = most_costly();
            if (!best) break;
            for (const GenerationRef& one : with_what_stands_on(*best)) {
                remove(one);
                gone.push_back(one);
            }
        }
        BudgetChoice choice;
        choice.is_reachable = counts_.stored() <= budget;
        std::vector<GenerationRef> stay;
        for (auto one = gone.rbegin(); one != gone.rend(); ++one) {
            if (stands_on_any(*one, gone, stay)) continue;
            add(*one);
            if (choice.is_reachable && counts_.stored() > budget) {
                remove(*one);
            } else {
                stay.push_back(*one);
            }
        }
        std::erase_if(gone, [&](const GenerationRef& one) { return contains(stay, one); });
        for (const GenerationRef& one : gone)
            add(one);
        choice.drops = removed(gone);
        choice.stored = counts_.stored();
        return choice;
    }

    std::vector<BudgetChoice::Drop> removed(const std::vector<GenerationRef>& generations) {
        std::vector<BudgetChoice::Drop> drops;
        for (const GenerationRef& one : generations) {
            const uint64_t before = counts_.stored();
            remove(one);
            drops.push_back({one, before - counts_.stored()});
        }
        return drops;
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
        there_.insert(self);
    }

    void add(const GenerationRef& one) {
        there_.insert(one);
        for (const RecordId& record : records_.at(one))
            counts_.add(record);
    }
    void remove(const GenerationRef& one) {
        there_.erase(one);
        for (const RecordId& record : records_.at(one))
            counts_.remove(record);
    }
    static bool contains(const std::vector<GenerationRef>& all, const GenerationRef& one) {
        return std::find(all.begin(), all.end(), one) != all.end();
    }
    /// One of `gone` that does not `stay` lies below `one`.
    [[nodiscard]] bool stands_on_any(const GenerationRef& one, const std::vector<GenerationRef>& gone,
                                     const std::vector<GenerationRef>& stay) const {
        return std::any_of(gone.begin(), gone.end(), [&](const GenerationRef& below) {
            const auto above = above_.find(below);
            return above != above_.end() && contains(above->second, one) && !contains(stay, below);
        });
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
                if (there_.contains(other) && !contains(found, other)) found.push_back(other);
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
            if (!there_.contains(one)) continue;
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
    std::set<GenerationRef> there_;
    std::map<GenerationRef, std::vector<RecordId>> records_;
    std::map<GenerationRef, std::vector<GenerationRef>> above_;
    std::map<GenerationRef, int64_t> times_;
};

}  // namespace

std::vector<BudgetChoice::Drop> freed_by(const ReadTxn& txn, const std::vector<GenerationRef>& generations) {
    if (generations.empty()) return {};
    return Budget(txn, generations).removed(generations);
}

BudgetChoice fit_budget(const ReadTxn& txn, const std::vector<GenerationRef>& candidates, uint64_t budget) {
    return Budget(txn, candidates).choose(budget);
}

}  // namespace pwstore
