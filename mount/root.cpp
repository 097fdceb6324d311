// SPDX-License-Identifier: GPL-3.0-or-later
#include "mount/root.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>
#include <charconv>
#include <future>
#include <map>
#include <set>

#include "mount/twin.hpp"
#include "store/base/error.hpp"
#include "store/base/failpoint.hpp"
#include "store/base/path_at.hpp"
#include "store/lost_index.hpp"
#include "store/replacements.hpp"

namespace pwstore {

namespace {

constexpr std::chrono::seconds kLinksPatience{60};
constexpr std::string_view kLeaseSuffix = ".lock";
/// Guards the symlinks in roots/. No container has a name that starts with a dot.
const std::string kLinksLock = std::string(names::kContainerLocks) + "/.links";

std::string root_label(const ContainerName& name, uint64_t generation) {
    return fmt::format("{}@{}", name.str(), generation);
}

/// A lease file has to be there before anyone can run on its root.
void make_lease_file(const Store& store, const ContainerName& name, uint64_t generation) {
    (void)open_at(store.layout().data(), Layout::run_lease_name(name, generation),
                  O_RDWR | O_CREAT | O_NOFOLLOW, 0600);
}

bool is_directory(int dir, const std::string& path) {
    const auto info = try_stat_at(dir, path);
    return info && S_ISDIR(info->st_mode);
}

/// Take `path` of the data directory away at once and remove it at leisure. A crash leaves staging garbage
/// only.
void discard(const Store& store, const std::string& path, const std::string& owner) {
    const Staging staging = Staging::create(store, owner);
    rename_at(store.layout().data(), path, staging.fd(), "root");
    failpoint("root.discarded");
    remove_root_tree(staging.fd(), "root");
}

/// One root in roots/, or the lease file of one.
struct RootName {
    std::string container;
    uint64_t generation = 0;
    auto operator<=>(const RootName&) const = default;
};

/// "NAME@N" or "NAME@N.lock"; nullopt for everything else.
std::optional<RootName> parse_root_name(std::string_view text) {
    if (text.ends_with(kLeaseSuffix)) text.remove_suffix(kLeaseSuffix.size());
    const size_t at = text.rfind('@');
    if (at == std::string_view::npos || at == 0) return std::nullopt;
    RootName name{std::string(text.substr(0, at)), 0};
    const std::string_view digits = text.substr(at + 1);
    const auto [end, fault] = std::from_chars(digits.data(), digits.data() + digits.size(), name.generation);
    if (fault != std::errc{} || end != digits.data() + digits.size() || name.generation == 0)
        return std::nullopt;
    if (digits.front() == '0') return std::nullopt;
    return name;
}

/// Roots, also those of which only the lease file is left, by container and ascending number.
std::map<std::string, std::set<uint64_t>> roots_on_disk(const Store& store) {
    std::map<std::string, std::set<uint64_t>> found;
    const Fd roots = open_dir(store.layout().data(), names::kRoots);
    for (const DirectoryItem& item : list_directory(roots.get())) {
        if (item.type == DT_LNK) continue;
        if (const auto name = parse_root_name(item.name)) found[name->container].insert(name->generation);
    }
    return found;
}

/// The highest generation of `name` that the index has ever known; what was deleted is in the record of
/// transactions.
uint64_t last_known(const ReadTxn& txn, const std::string& name) {
    uint64_t last = 0;
    if (const auto row = txn.container(ContainerName(name))) last = row->last_number;
    for (uint64_t id = txn.last_transaction(); id > 0; --id) {
        const auto transaction = txn.transaction(id);
        if (!transaction) continue;
        for (const ReadTxn::Switch& one : transaction->switches) {
            if (one.container == name) last = std::max({last, one.from, one.to});
        }
    }
    return last;
}

/// By container the generation whose root is there and that roots/NAME leads to: it was committed, whatever
/// an index says. `with_unlinked`: any root that is there.
std::map<std::string, uint64_t> committed_roots(const Store& store, bool with_unlinked) {
    std::map<std::string, uint64_t> found;
    const Fd roots = open_dir(store.layout().data(), names::kRoots);
    for (const DirectoryItem& item : list_directory(roots.get())) {
        const bool is_link = item.type == DT_LNK;
        if (!is_link && !(with_unlinked && item.type == DT_DIR)) continue;
        const std::string target =
            is_link ? try_read_link_at(roots.get(), item.name).value_or("") : item.name;
        const auto name = parse_root_name(target);
        if (!name || target.ends_with(kLeaseSuffix) || !is_container_name(name->container)) continue;
        if (is_link && name->container != item.name) continue;  // not in its place yet
        if (!is_directory(roots.get(), target)) continue;
        uint64_t& number = found[name->container];
        number = std::max(number, name->generation);
    }
    return found;
}

/// Which of a container's roots may go.
struct Retirement {
    std::vector<uint64_t> recorded;  ///< of numbers that were committed once; newest first
    std::vector<uint64_t> unknown;   ///< never committed: garbage, or a transaction's that is at work
};

Retirement retirement_of(const std::set<uint64_t>& numbers, const std::optional<ContainerRow>& row) {
    Retirement result;
    for (auto number = numbers.rbegin(); number != numbers.rend(); ++number) {
        if (row && *number == row->current) continue;
        (row && *number <= row->last_number ? result.recorded : result.unknown).push_back(*number);
    }
    return result;
}

/// Roots whose number was never committed. Whoever builds one holds the container's lock until its number is.
void remove_unknown_roots(const Store& store, const ContainerName& name, const std::set<uint64_t>& numbers) {
    const int data = store.layout().data();
    const std::string path = fmt::format("{}/{}", names::kContainerLocks, name.str());
    const auto lock = FileLock::try_acquire(data, path, LockMode::exclusive, "remove roots without a record");
    if (!lock) return;
    const auto row = store.index().read().container(name);
    for (const uint64_t number : retirement_of(numbers, row).unknown)
        (void)remove_root(store, name, number);
    if (!row) remove_file(data, path);
}

}  // namespace

void refuse_older_index(const Store& store) {
    const auto is_empty = [&] {
        const ReadTxn txn = store.index().read();
        return txn.last_object_id() == 0 && txn.last_transaction() == 0;
    };
    const auto roots = committed_roots(store, is_empty());
    const ReadTxn txn = store.index().read();  // later than what was seen of the roots
    for (const auto& [name, number] : roots) {
        const auto row = txn.container(ContainerName(name));
        if (row && number <= row->last_number) continue;
        const uint64_t last = last_known(txn, name);
        if (number <= last) continue;
        throw older_index(store.layout().directories(),
                          fmt::format("'{}' is there, and of '{}' it knows {}",
                                      Layout::root_name(ContainerName(name), number), name,
                                      last == 0 ? "nothing" : fmt::format("no generation after {}", last)));
    }
}

// --- Publish ---

void publish_root(const Store& store, int dir, const std::string& staged, const ContainerName& name,
                  uint64_t generation) {
    const int data = store.layout().data();
    const std::string root = Layout::root_name(name, generation);
    in_step("publish root '" + root_label(name, generation) + "'", [&] {
        make_lease_file(store, name, generation);
        if (try_stat_at(data, root)) discard(store, root, "replace root " + root_label(name, generation));
        publish_seal(store, dir, staged, name, generation);
        rename_at(dir, staged, data, root, RENAME_NOREPLACE);
        failpoint("root.published");
    });
}

bool ensure_root(const Store& store, const ContainerName& name, uint64_t generation, ProgressSink& sink) {
    const std::string label = root_label(name, generation);
    if (is_directory(store.layout().data(), Layout::root_name(name, generation))) {
        make_lease_file(store, name, generation);
        return false;
    }
    in_step("build root '" + label + "'", [&] {
        const Tree tree = [&] {
            const ReadTxn txn = store.index().read();
            const auto record = txn.generation(name, generation);
            if (!record)
                throw Error("look up generation", label, "the index does not know it").as(Fault::corrupt);
            return tree_of(txn, store.objects(), *record);
        }();
        sink.progress("assemble", label, 0, tree.entries.size());
        const Staging staging = Staging::create(store, "build root " + label);
        make_directory(staging.fd(), "root", 0700);
        const Fd root = open_dir(staging.fd(), "root");
        const uint64_t replaced = replacements(store);
        const AssembleStats stats = assemble(store, tree, root.get());
        if (stats.fallback_copies != 0) {
            sink.message(Severity::warning,
                         fmt::format("{} files of {} had to be copied: the file system does not link them",
                                     stats.fallback_copies, label));
        }
        // Its generation is recorded already: what lies there after a power cut has to be all of it. A seal
        // that is not, after one, fits no root.
        std::future<void> synced =
            std::async(std::launch::async, [&] { sync_filesystem(root.get(), label); });
        if (stats.fallback_copies == 0)
            write_staged_seal(staging.fd(), "root", seal_of(tree, root.get(), replaced));
        synced.get();
        publish_root(store, staging.fd(), "root", name, generation);
        sink.progress("assemble", label, tree.entries.size(), tree.entries.size());
    });
    return true;
}

// --- Links ---

namespace {

/// What differs between the links in roots/ and the current generations.
struct LinkRepair {
    std::vector<std::string> stale;              ///< of containers that are gone
    std::map<std::string, std::string> missing;  ///< NAME → what it should point to
};

LinkRepair plan_link_repair(const Store& store, int roots) {
    LinkRepair repair;
    {
        const ReadTxn txn = store.index().read();
        for (const ContainerName& name : txn.containers()) {
            const auto row = txn.container(name);
            if (row && row->current != 0) repair.missing.emplace(name.str(), root_label(name, row->current));
        }
    }
    for (const DirectoryItem& item : list_directory(roots)) {
        if (item.type != DT_LNK) continue;
        const auto target = repair.missing.find(item.name);
        const auto found = try_read_link_at(roots, item.name);
        if (!found) continue;  // whoever does not wait for its lock meets a container that is being deleted
        if (target != repair.missing.end() && *found == target->second) {
            repair.missing.erase(target);
        } else if (target == repair.missing.end() && parse_root_name(*found)) {
            // Of a container that is gone, or one that a dead process had not put in its place yet.
            repair.stale.push_back(item.name);
        }
    }
    return repair;
}

}  // namespace

void repair_root_links(const Store& store) {
    refuse_older_index(store);
    const int data = store.layout().data();
    const FileLock lock =
        FileLock::acquire(data, kLinksLock, LockMode::exclusive, kLinksPatience, "repair links of roots");
    const Fd roots = open_dir(data, names::kRoots);
    const LinkRepair repair = plan_link_repair(store, roots.get());
    for (const std::string& name : repair.stale)
        remove_file(roots.get(), name);
    for (const auto& [name, target] : repair.missing)
        replace_symlink(roots.get(), name, target);
}

bool are_root_links_behind(const Store& store) {
    refuse_older_index(store);
    const Fd roots = open_dir(store.layout().data(), names::kRoots);
    const LinkRepair repair = plan_link_repair(store, roots.get());
    return !repair.stale.empty() || !repair.missing.empty();
}

// --- Remove ---

bool remove_root(const Store& store, const ContainerName& name, uint64_t generation) {
    const int data = store.layout().data();
    const std::string label = root_label(name, generation);
    const std::string lease = Layout::run_lease_name(name, generation);
    const auto lock = FileLock::try_acquire(data, lease, LockMode::exclusive, "remove root " + label);
    if (!lock) return false;
    in_step("remove root '" + label + "'", [&] {
        // From here on nobody starts on it: whoever waits for this lease finds its file gone and looks again.
        const std::string root = Layout::root_name(name, generation);
        if (try_stat_at(data, root)) discard(store, root, "remove root " + label);
        remove_file(data, seal_name(name, generation));
        remove_file(data, lease);
    });
    return true;
}

std::optional<uint64_t> newest_retired_root(const Store& store, const ContainerName& name) {
    const auto roots = roots_on_disk(store);
    const auto numbers = roots.find(name.str());
    if (numbers == roots.end()) return std::nullopt;
    const Retirement retirement = retirement_of(numbers->second, store.index().read().container(name));
    const auto twin =
        std::find_if(retirement.recorded.begin(), retirement.recorded.end(), [&](uint64_t number) {
            return is_directory(store.layout().data(), Layout::root_name(name, number));
        });
    return twin != retirement.recorded.end() ? std::optional(*twin) : std::nullopt;
}

void remove_retired_roots(const Store& store, bool keep_twin) {
    refuse_older_index(store);
    const int data = store.layout().data();
    for (const auto& [container, numbers] : roots_on_disk(store)) {
        std::optional<ContainerName> name;
        try {
            name.emplace(container);
        } catch (const Error&) {
            continue;  // not ours
        }
        const ReadTxn txn = store.index().read();
        const Retirement retirement = retirement_of(numbers, txn.container(*name));
        bool keep = keep_twin;
        for (const uint64_t number : retirement.recorded) {
            // A collection may have dropped its generation: nothing can be made of it then.
            if (keep && txn.generation(*name, number) &&
                is_directory(data, Layout::root_name(*name, number))) {
                keep = false;
                continue;
            }
            (void)remove_root(store, *name, number);
        }
        if (!retirement.unknown.empty()) remove_unknown_roots(store, *name, numbers);
    }
}

std::vector<GenerationRef> idle_roots(const Store& store) {
    std::vector<GenerationRef> found;
    const int data = store.layout().data();
    const ReadTxn txn = store.index().read();
    for (const auto& [container, numbers] : roots_on_disk(store)) {
        if (!is_container_name(container)) continue;
        const ContainerName name(container);
        const auto row = txn.container(name);
        for (const uint64_t number : numbers) {
            const bool is_recorded =
                row && number <= row->last_number;  // else a transaction may be building it
            if (!is_recorded || number == row->current) continue;
            if (!exists_at(data, Layout::root_name(name, number))) continue;
            if (is_lock_free(data, Layout::run_lease_name(name, number)))
                found.push_back({container, number});
        }
    }
    return found;
}

}  // namespace pwstore
