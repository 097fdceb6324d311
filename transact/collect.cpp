// SPDX-License-Identifier: GPL-3.0-or-later
#include "transact/collect.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>
#include <map>
#include <optional>

#include "mount/root.hpp"
#include "store/base/error.hpp"
#include "store/base/failpoint.hpp"
#include "store/base/path_at.hpp"
#include "transact/cache_use.hpp"
#include "transact/cleanup.hpp"
#include "transact/link_census.hpp"

namespace pwstore {

namespace {

std::string label_of(const GenerationRef& which) {
    return fmt::format("{}@{}", which.container, which.generation);
}

class Collection {
 public:
    Collection(const Store& store, const CollectPlan& plan, std::chrono::milliseconds patience,
               ProgressSink& sink)
        : store_(store), plan_(plan), patience_(patience), sink_(sink) {}

    CollectReport run() {
        clean_up_after_the_dead(store_);
        drop_generations();
        failpoint("gc.generations-dropped");
        remove_roots();
        failpoint("gc.roots-removed");
        try {
            report_.swept = sweep(store_, plan_.garbage, patience_, sink_);
        } catch (const Error& error) {
            if (error.fault() != Fault::busy) throw;
            skip_busy(error.what());
        }
        report_.inodes += report_.swept.inodes;
        report_.bytes += report_.swept.bytes;
        if (!plan_.cache.empty()) clean_cache();
        return std::move(report_);
    }

 private:
    void skip(std::string text) { report_.skipped.push_back(std::move(text)); }
    void skip_busy(std::string text) {
        report_.is_busy = true;
        skip(std::move(text));
    }

    /// All of them in one commit, under the locks of their containers.
    void drop_generations() {
        std::map<std::string, std::optional<FileLock>> locks;
        for (const CollectPlan::Drop& one : plan_.generations)
            locks.emplace(one.generation.generation.container, std::nullopt);
        for (auto& [name, lock] : locks) {
            try {
                lock = store_.lock_container(ContainerName(name), patience_, "gc");
            } catch (const Error& error) {
                if (error.fault() != Fault::busy) throw;
                skip_busy(error.what());
            }
        }
        WriteTxn txn = store_.index().write();
        std::vector<DroppedGeneration> dropped;
        for (const CollectPlan::Drop& one : plan_.generations) {
            const GenerationRef& which = one.generation.generation;
            if (!locks.at(which.container)) continue;
            const ContainerName name(which.container);
            const auto generation = txn.generation(name, which.generation);
            if (!generation) {
                ++report_.gone;
            } else if (generation->digest != one.digest) {
                skip(fmt::format("{} is not what the plan saw", label_of(which)));
            } else if (!is_lock_free(store_.layout().data(),
                                     Layout::run_lease_name(name, which.generation))) {
                skip(fmt::format("a program runs on {}", label_of(which)));
            } else {
                dropped.push_back(one.generation);
            }
        }
        leave_out_what_is_needed(txn, dropped);
        if (dropped.empty()) return;
        txn.remove_generations(dropped);
        txn.commit();
        report_.generations = dropped.size();
    }

    /// One that became current, pinned or the ground of another since the plan was made is skipped, and what
    /// lies below it as well.
    void leave_out_what_is_needed(const ReadTxn& txn, std::vector<DroppedGeneration>& dropped) {
        for (;;) {
            const auto needed = find_needed(txn, dropped);
            if (!needed) return;
            skip(fmt::format("{} is in use again: {}", label_of(needed->which), needed->reason));
            std::erase_if(dropped,
                          [&](const DroppedGeneration& one) { return one.generation == needed->which; });
        }
    }

    void remove_roots() {
        const int data = store_.layout().data();
        for (size_t at = 0; at < plan_.roots.size(); ++at) {
            const GenerationRef& which = plan_.roots[at];
            sink_.progress("remove", label_of(which), at, plan_.roots.size());
            const ContainerName name(which.container);
            const std::string path = Layout::root_name(name, which.generation);
            std::optional<FileLock> lock;
            try {
                lock = store_.lock_container(name, patience_, "gc");
            } catch (const Error& error) {
                if (error.fault() != Fault::busy) throw;
                skip_busy(error.what());
                continue;
            }
            const auto row = store_.index().read().container(name);
            if (row && row->current == which.generation) continue;
            if (!exists_at(data, path)) {
                ++report_.gone;
                continue;
            }
            LinkCensus links;
            links.add_root(data, which);
            if (!remove_root(store_, name, which.generation)) {
                skip(fmt::format("a program runs on {}", label_of(which)));
                continue;
            }
            ++report_.roots;
            const LinkCensus::Sum sum = links.sum();
            report_.inodes += sum.inodes;
            report_.bytes += sum.bytes;
        }
    }

    /// A transaction at work may be about to read what it downloaded.
    void clean_cache() {
        if (!store_.index().read().leases().empty()) {
            skip("the package cache, because a transaction is under way");
            return;
        }
        const auto cache =
            try_open_at(AT_FDCWD, store_.layout().directories().cache + "/pkg", O_RDONLY | O_DIRECTORY);
        if (!cache) return;
        const auto needed = archives_of_other_stores(store_.layout().directories());
        if (!needed) {
            skip("the package cache, because another store that uses it cannot be read");
            return;
        }
        for (const CachedFile& file : plan_.cache) {
            const auto info = try_stat_at(cache->get(), file.name);
            if (!info) {
                ++report_.gone;
                continue;
            }
            if (needed->contains(std::string_view(file.name).substr(0, file.name.find(".pkg.tar")))) {
                skip(fmt::format("'{}' of the package cache is of use to another store",
                                 printable(file.name)));
                continue;
            }
            if (static_cast<uint64_t>(info->st_size) != file.size || info->st_mtime != file.mtime) {
                skip(fmt::format("'{}' of the package cache is another file by now", printable(file.name)));
                continue;
            }
            LinkCensus links;
            links.add_file(cache->get(), file.name);
            if (!remove_file(cache->get(), file.name)) continue;
            ++report_.cached;
            const LinkCensus::Sum sum = links.sum();
            report_.inodes += sum.inodes;
            report_.bytes += sum.bytes;
        }
    }

    const Store& store_;
    const CollectPlan& plan_;
    std::chrono::milliseconds patience_;
    ProgressSink& sink_;
    CollectReport report_;
};

}  // namespace

CollectReport collect(const Store& store, const CollectPlan& plan, std::chrono::milliseconds patience,
                      ProgressSink& sink) {
    return Collection(store, plan, patience, sink).run();
}

}  // namespace pwstore
