// SPDX-License-Identifier: GPL-3.0-or-later
#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "mount/root.hpp"
#include "store/base/error.hpp"
#include "store/base/failpoint.hpp"
#include "transact/cleanup.hpp"
#include "transact/no_such_container.hpp"
#include "transact/work.hpp"

namespace pwstore {

namespace {

using Dependencies = std::map<std::string, std::vector<std::string>>;

Dependencies all_dependencies(const ReadTxn& txn, const TransactionRequest& request) {
    Dependencies dependencies;
    for (const ContainerName& name : txn.containers()) {
        const auto row = txn.container(name);
        if (row && row->type != ContainerType::symbolic) dependencies[name.str()] = row->dependencies;
    }
    for (const ContainerRequest& wanted : request.containers) {
        if (wanted.create) dependencies[wanted.name] = wanted.dependencies;
    }
    return dependencies;
}

/// Everything below `name`, lowest first.
void add_upstream(const Dependencies& dependencies, const std::string& name,
                  std::vector<std::string>& upstream) {
    for (const std::string& below : dependencies.at(name)) {
        add_upstream(dependencies, below, upstream);
        if (std::find(upstream.begin(), upstream.end(), below) == upstream.end()) upstream.push_back(below);
    }
}

void check_creation(const ReadTxn& txn, const ContainerRequest& wanted, const Dependencies& known) {
    const auto refuse = [&](std::string_view cause) {
        throw Error("create container", wanted.name, cause).as(Fault::usage);
    };
    const auto row = txn.container(ContainerName(wanted.name));
    if (row) refuse("it exists already");
    std::set<std::string> below;
    for (const std::string& name : wanted.dependencies) {
        if (!below.insert(name).second) refuse(fmt::format("the dependency '{}' is named twice", name));
        if (!known.contains(name)) throw no_such_container(txn, "find container", name);
    }
    switch (wanted.type) {
        case ContainerType::base:
            if (!wanted.dependencies.empty())
                refuse("a base container is built on nothing, it takes no dependencies");
            break;
        case ContainerType::slice:
        case ContainerType::aggregate:
            if (wanted.dependencies.empty()) refuse("it needs at least one dependency (--dep=NAME)");
            break;
        case ContainerType::symbolic:
            refuse("a symbolic container cannot be transacted");
            break;
    }
}

void check_request(const ReadTxn& txn, const TransactionRequest& request, const Dependencies& dependencies) {
    std::set<std::string> names;
    for (const ContainerRequest& wanted : request.containers) {
        if (!names.insert(wanted.name).second) {
            throw Error("read request", wanted.name, "the container is named twice").as(Fault::usage);
        }
        if (wanted.create) {
            check_creation(txn, wanted, dependencies);
        } else if (!dependencies.contains(wanted.name)) {
            if (!txn.container(ContainerName(wanted.name)))
                throw no_such_container(txn, "find container", wanted.name);
            throw Error("find container", wanted.name, "it is symbolic and cannot be transacted")
                .as(Fault::usage);
        }
    }
}

/// The named containers, those built on them, and with upgrade_all or a rebuilding of nobody in particular
/// every other one; dependencies first.
std::vector<std::string> members(const TransactionRequest& request, const Dependencies& dependencies) {
    std::set<std::string> named;
    for (const ContainerRequest& wanted : request.containers)
        named.insert(wanted.name);
    const bool everyone =
        (request.upgrade_all && !request.target_only) || (request.force_rebuild && named.empty());
    std::vector<std::string> chosen;
    for (const std::string& name : dependency_order(dependencies)) {
        std::vector<std::string> upstream;
        add_upstream(dependencies, name, upstream);
        const bool dependent = std::any_of(upstream.begin(), upstream.end(),
                                           [&](const std::string& below) { return named.contains(below); });
        if (everyone || dependent || named.contains(name)) chosen.push_back(name);
    }
    return chosen;
}

Work make_work(const ReadTxn& txn, const TransactionRequest& request, const Dependencies& dependencies,
               const std::string& name) {
    Work work{ContainerName(name)};
    const auto wanted = std::find_if(request.containers.begin(), request.containers.end(),
                                     [&](const ContainerRequest& item) { return item.name == name; });
    const bool is_named = wanted != request.containers.end();
    const bool upgrades = request.upgrade_all && (!request.target_only || is_named);
    if (is_named) {
        work.request = *wanted;
    } else if (upgrades) {
        work.request.packages = request.everyone;
    }
    work.request.name = name;
    work.request.packages.upgrade = work.request.packages.upgrade || upgrades;
    if (const auto row = txn.container(work.name)) {
        work.row = *row;
        if (row->current != 0) {
            work.before = txn.generation(work.name, row->current);
            if (!work.before)
                throw Error("read current generation", name, "its record is missing").as(Fault::corrupt);
        }
    } else {
        work.row.type = work.request.type;
        work.row.dependencies = work.request.dependencies;
    }
    add_upstream(dependencies, name, work.upstream);
    return work;
}

Asker asker_of(const TransactionState& state) {
    if (state.request.no_confirm && !state.request.as_pacman) return {};
    return remembering(
        [&dialogue = state.dialogue](const Question& question) { return dialogue.ask(question); });
}

/// Lock all members, by name; nullopt when they are others by the time that they are locked.
std::optional<ReadTxn> lock_members(TransactionState& state, std::chrono::milliseconds patience) {
    std::vector<std::string> names;
    {
        const ReadTxn txn = state.store.index().read();
        const Dependencies dependencies = all_dependencies(txn, state.request);
        check_request(txn, state.request, dependencies);
        names = members(state.request, dependencies);
    }
    std::vector<std::string> by_name = names;
    std::sort(by_name.begin(), by_name.end());
    for (const std::string& name : by_name) {
        state.locks.push_back(
            state.store.lock_container(ContainerName(name), patience, state.request.command));
    }
    failpoint("begin.locked");
    ReadTxn txn = state.store.index().read();  // what the locks now keep as it is
    if (members(state.request, all_dependencies(txn, state.request)) == names) return txn;
    state.locks.clear();
    return std::nullopt;
}

/// Who is created or removed at this moment ends its transaction; then the members are looked for anew, as
/// long as the request has patience.
ReadTxn lock_members_that_stay(TransactionState& state) {
    const auto deadline =
        std::chrono::steady_clock::now() + std::chrono::seconds(state.request.lock_patience_seconds);
    do {
        const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(
            deadline - std::chrono::steady_clock::now());
        if (auto txn = lock_members(state, std::max(left, std::chrono::milliseconds(0))))
            return std::move(*txn);
    } while (std::chrono::steady_clock::now() < deadline);
    throw Error("lock containers", "", "containers were created or removed at this moment")
        .as(Fault::busy)
        .with_hint("try again, or wait longer with --wait");
}

}  // namespace

void begin_stage(TransactionState& state) {
    clean_up_after_the_dead(state.store);
    {
        const ReadTxn txn = lock_members_that_stay(state);
        const Dependencies dependencies = all_dependencies(txn, state.request);
        for (const std::string& name : members(state.request, dependencies)) {
            state.works.push_back(make_work(txn, state.request, dependencies, name));
            state.works.back().asker = asker_of(state);
        }
    }
    for (const Work& work : state.works) {
        remove_unrecorded_roots(state.store, work.name);
        if (work.before) ensure_root(state.store, work.name, work.before->number, state.dialogue);
    }
    state.staging.emplace(Staging::create(state.store, state.request.command));
    state.lease.emplace(
        Lease::create(state.store.index(), state.store.layout().data(), state.request.command));
    failpoint("begin.done");
}

}  // namespace pwstore
