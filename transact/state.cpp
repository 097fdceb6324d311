// SPDX-License-Identifier: GPL-3.0-or-later
#include <algorithm>
#include <functional>
#include <set>

#include "store/base/error.hpp"
#include "store/base/path_at.hpp"
#include "store/base/similar.hpp"
#include "transact/work.hpp"

namespace pwstore {

namespace {

std::vector<PlannedPackage> planned(const std::vector<InstalledPackage>& installed) {
    std::vector<PlannedPackage> packages;
    for (const InstalledPackage& package : installed)
        packages.push_back({package, {}});
    return packages;
}

std::vector<PlannedPackage> nearest_first(
    const Work& work, const std::function<std::vector<PlannedPackage>(const std::string&)>& packages_of) {
    std::vector<PlannedPackage> packages;
    std::set<std::string> names;
    for (auto name = work.upstream.rbegin(); name != work.upstream.rend(); ++name) {
        std::vector<PlannedPackage> own = packages_of(*name);
        for (PlannedPackage& package : own) {
            if (!names.insert(package.installed.name).second) continue;
            package.container = *name;
            packages.push_back(std::move(package));
        }
    }
    return packages;
}

}  // namespace

TransactionState::TransactionState(const Store& the_store, const TransactionRequest& the_request,
                                   Dialogue& the_dialogue, int64_t time)
    : store(the_store),
      request(the_request),
      dialogue(the_dialogue),
      now(time),
      sync_fd(open_dir(the_store.layout().data(), ".")) {}

Work* TransactionState::find(const std::string& name) {
    const auto found =
        std::find_if(works.begin(), works.end(), [&](const Work& work) { return work.name.str() == name; });
    return found == works.end() ? nullptr : &*found;
}

Generation TransactionState::upstream_generation(const ReadTxn& txn, const std::string& name) {
    if (const Work* work = find(name); work != nullptr) {
        if (work->affected) return work->after;
        if (work->before) return *work->before;
        throw Error("find what lies below", name, "nothing is installed in it yet").as(Fault::usage);
    }
    const ContainerName container(name);
    const auto row = txn.container(container);
    auto generation = row ? txn.generation(container, row->current) : std::nullopt;
    if (!generation)
        throw Error("find what lies below", name, "there is no such container with anything installed")
            .as(Fault::usage);
    return std::move(*generation);
}

GenerationSource TransactionState::generation_source() {
    return [this](const GenerationRef& reference) -> std::optional<Generation> {
        const Work* work = find(reference.container);
        if (work == nullptr || !work->affected || work->after.number != reference.generation)
            return std::nullopt;
        return work->after;
    };
}

std::vector<PlannedPackage> TransactionState::upstream_packages(const ReadTxn& txn, const Work& work) {
    return nearest_first(work, [&](const std::string& name) {
        if (const Work* below = find(name); below != nullptr) return below->packages;
        return planned(upstream_generation(txn, name).packages);
    });
}

std::vector<PlannedPackage> TransactionState::upstream_packages_before(const ReadTxn& txn,
                                                                       const Work& work) const {
    return nearest_first(work, [&](const std::string& name) {
        const ContainerName container(name);
        const auto row = txn.container(container);
        const auto generation = row ? txn.generation(container, row->current) : std::nullopt;
        return generation ? planned(generation->packages) : std::vector<PlannedPackage>();
    });
}

bool TransactionState::upstream_affected(const Work& work) {
    return std::any_of(work.upstream.begin(), work.upstream.end(), [&](const std::string& name) {
        const Work* below = find(name);
        return below != nullptr && below->affected;
    });
}

void TransactionState::hint_at_target_only(const Work& work, Error& error) const {
    const auto is_named = [&](const ContainerRequest& wanted) { return wanted.name == work.name.str(); };
    const auto& named = request.containers;
    const bool creates = std::any_of(named.begin(), named.end(), [](const auto& one) { return one.create; });
    if (!creates || !request.upgrade_all || error.fault() == Fault::interrupted ||
        std::any_of(named.begin(), named.end(), is_named))
        return;
    const std::string before = error.hint().empty() ? "" : error.hint() + "\n";
    error.with_hint(before + "'--target-only' makes the new container and leaves the others as they are");
}

std::vector<std::string> dependency_order(
    const std::map<std::string, std::vector<std::string>>& dependencies) {
    std::vector<std::string> order;
    std::set<std::string> done;
    std::set<std::string> open;
    const std::function<void(const std::string&)> visit = [&](const std::string& name) {
        if (done.contains(name)) return;
        const auto entry = dependencies.find(name);
        if (entry == dependencies.end()) {
            std::vector<std::string> names;
            for (const auto& [known, below] : dependencies)
                names.push_back(known);
            throw Error("find container", name, "there is no such container")
                .as(Fault::usage)
                .with_hint(did_you_mean(name, names));
        }
        if (!open.insert(name).second)
            throw Error("order containers", name, "it depends on itself").as(Fault::usage);
        for (const std::string& below : entry->second)
            visit(below);
        done.insert(name);
        order.push_back(name);
    };
    for (const auto& [name, below] : dependencies)
        visit(name);
    return order;
}

}  // namespace pwstore
