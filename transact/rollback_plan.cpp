// SPDX-License-Identifier: GPL-3.0-or-later
#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "store/base/error.hpp"
#include "transact/no_such_container.hpp"
#include "transact/rollback.hpp"
#include "transact/work.hpp"

namespace pwstore {

namespace {

using Switches = std::vector<ReadTxn::Switch>;

Error refused(const std::string& container, const std::string& cause) {
    return Error("roll back", container, cause).as(Fault::refused);
}

Switches switches_of(const ReadTxn& txn, uint64_t id) {
    const auto transaction = txn.transaction(id);
    if (!transaction || transaction->switches.empty())
        throw Error("roll back", "", fmt::format("there is no transaction {}", id)).as(Fault::usage);
    return transaction->switches;
}

/// Finds a state of all containers in which each stands on what the others are.
class Consistency {
 public:
    Consistency(const ReadTxn& txn, bool with_below) : txn_(txn), with_below_(with_below) {
        for (const ContainerName& name : txn.containers()) {
            const ContainerRow row = *txn.container(name);
            now_[name.str()] = row.current;
            dependencies_[name.str()] = row.dependencies;
        }
    }

    /// `container` is to be at `generation`.
    void want(const std::string& container, uint64_t generation) {
        if (!now_.contains(container)) throw refused(container, "it was deleted; deletion cannot be undone");
        const auto [chosen, first] = chosen_.emplace(container, generation);
        if (!first && chosen->second != generation) {
            throw refused(container, fmt::format("it would have to be at generation {} and at {}",
                                                 chosen->second, generation));
        }
        if (first) unchecked_.push_back(container);
    }

    /// Find what else that needs: what lies below what is wanted, and everything built on any of it.
    void settle() {
        while (!unchecked_.empty()) {
            const std::string container = unchecked_.back();
            unchecked_.pop_back();
            look_below(container);
        }
        for (const std::string& name : dependency_order(dependencies_)) {
            if (now_[name] == 0 || fits(name, at(name))) continue;
            if (chosen_.contains(name)) throw refused(name, "what it was built on cannot all be taken back");
            chosen_[name] = newest_that_fits(name);
        }
    }

    [[nodiscard]] Switches switches() const {
        Switches result;
        for (const auto& [name, generation] : chosen_) {
            if (now_.at(name) != generation) result.push_back({name, now_.at(name), generation});
        }
        return result;
    }

 private:
    void look_below(const std::string& container) {
        const uint64_t number = chosen_.at(container);
        if (number == 0) return;
        const auto generation = txn_.generation(ContainerName(container), number);
        if (!generation) throw refused(container, fmt::format("generation {} is no longer kept", number));
        for (const GenerationRef& below : generation->upstream) {
            if (at(below.container) == below.generation) continue;
            if (!with_below_) {
                throw refused(container,
                              fmt::format("generation {} was built on {}@{}, which is at {} now", number,
                                          below.container, below.generation, at(below.container)))
                    .with_hint(
                        fmt::format("--with-dependencies takes '{}' back too, with everything else on it",
                                    below.container));
            }
            want(below.container, below.generation);
        }
    }

    [[nodiscard]] uint64_t at(const std::string& name) const {
        if (const auto chosen = chosen_.find(name); chosen != chosen_.end()) return chosen->second;
        const auto now = now_.find(name);
        return now == now_.end() ? 0 : now->second;
    }

    [[nodiscard]] bool fits(const std::string& name, uint64_t number) const {
        if (number == 0) return true;
        const auto generation = txn_.generation(ContainerName(name), number);
        return generation && std::all_of(generation->upstream.begin(), generation->upstream.end(),
                                         [&](const GenerationRef& below) {
                                             return at(below.container) == below.generation;
                                         });
    }

    [[nodiscard]] uint64_t newest_that_fits(const std::string& name) const {
        const std::vector<uint64_t> numbers = txn_.generation_numbers(ContainerName(name));
        const auto found = std::find_if(numbers.rbegin(), numbers.rend(),
                                        [&](uint64_t number) { return fits(name, number); });
        if (found != numbers.rend()) return *found;
        throw refused(name, "it is built on what would be taken back, and was not there then or is not kept")
            .with_hint(fmt::format("'pwstore delete {}' drops it", name));
    }

    const ReadTxn& txn_;
    bool with_below_;
    std::map<std::string, uint64_t> now_;
    std::map<std::string, std::vector<std::string>> dependencies_;
    std::map<std::string, uint64_t> chosen_;
    std::vector<std::string> unchecked_;
};

/// Undoing what took a container away: its deletion, or the undoing of what had made it.
Error not_to_be_undone(const ReadTxn& txn, uint64_t id, const std::string& container) {
    const std::string cause = txn.transaction(id)->cause;
    if (cause.starts_with("delete")) {
        return refused(container, "it was deleted by that transaction; deletion cannot be undone")
            .with_hint("'pwstore undo NUMBER' takes back an earlier one");
    }
    Error error = refused(container, fmt::format("transaction {} ('{}') took back its creation, which cannot "
                                                 "be undone",
                                                 id, printable(cause)));
    for (uint64_t made = id - 1; made > 0; --made) {
        const auto transaction = txn.transaction(made);
        if (!transaction) continue;
        for (const ReadTxn::Switch& one : transaction->switches) {
            if (one.container != container || one.from != 0) continue;
            return error.with_hint(
                fmt::format("what made it can be given again: {}", printable(transaction->cause)));
        }
    }
    return error;
}

/// Every container still is what that transaction made of it.
void check_unchanged(const ReadTxn& txn, uint64_t id, const Switches& switches) {
    for (const auto& item : switches) {
        if (item.to == 0) throw not_to_be_undone(txn, id, item.container);
        const auto row = txn.container(ContainerName(item.container));
        if (!row || row->current != item.to) {
            throw refused(item.container, "it was changed again since then")
                .with_hint("'pwstore rollback --txn NUMBER' takes that back as well");
        }
    }
}

uint64_t parent_of(const ReadTxn& txn, const ContainerName& name, uint64_t current) {
    const auto generation = txn.generation(name, current);
    if (!generation || generation->parent == 0)
        throw refused(name.str(), "there is no generation before the current one");
    return generation->parent;
}

}  // namespace

std::vector<ReadTxn::Switch> plan_rollback(const ReadTxn& txn, const RollbackRequest& request) {
    Consistency consistency(txn, request.with_below);
    if (request.kind == RollbackRequest::Kind::container) {
        const ContainerName name(request.container);
        const auto row = txn.container(name);
        if (!row) throw no_such_container(txn, "roll back", name.str());
        if (request.generation != 0 && !txn.generation(name, request.generation)) {
            throw Error("roll back", name.str(), fmt::format("there is no generation {}", request.generation))
                .as(Fault::usage)
                .with_hint(fmt::format("'pwstore history {}' lists them", name.str()));
        }
        consistency.want(name.str(),
                         request.generation != 0 ? request.generation : parent_of(txn, name, row->current));
    } else {
        const Switches switches = switches_of(txn, request.transaction);
        if (request.kind == RollbackRequest::Kind::undo) check_unchanged(txn, request.transaction, switches);
        for (const auto& item : switches) {
            if (item.to == 0) throw not_to_be_undone(txn, request.transaction, item.container);
            consistency.want(item.container, item.from);
        }
    }
    consistency.settle();
    return consistency.switches();
}

}  // namespace pwstore
