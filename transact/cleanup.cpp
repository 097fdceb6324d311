// SPDX-License-Identifier: GPL-3.0-or-later
#include "transact/cleanup.hpp"

#include <dirent.h>

#include <charconv>
#include <optional>

#include "mount/root.hpp"
#include "store/base/error.hpp"
#include "store/base/path_at.hpp"
#include "transact/staged_config.hpp"
#include "transact/staged_home.hpp"

namespace pwstore {

namespace {

/// N of "NAME@N", nullopt when `file` is not a root of `name`.
std::optional<uint64_t> generation_of(std::string_view file, const ContainerName& name) {
    const std::string prefix = name.str() + "@";
    if (!file.starts_with(prefix)) return std::nullopt;
    file.remove_prefix(prefix.size());
    uint64_t number = 0;
    const auto [end, error] = std::from_chars(file.data(), file.data() + file.size(), number);
    if (error != std::errc{} || end != file.data() + file.size()) return std::nullopt;
    return number;
}

}  // namespace

bool remove_unrecorded_roots(const Store& store, const ContainerName& name) {
    const Fd roots = open_dir(store.layout().data(), names::kRoots);
    const ReadTxn txn = store.index().read();
    bool all_gone = true;
    for (const DirectoryItem& item : list_directory(roots.get())) {
        const auto number = generation_of(item.name, name);
        if (!number || txn.generation(name, *number) || item.type != DT_DIR) continue;
        all_gone = remove_root(store, name, *number) && all_gone;
    }
    return all_gone;
}

bool is_switch_unfinished(const Store& store) {
    return are_root_links_behind(store) ||
           !unsettled_configurations(store.layout().directories().config).empty() ||
           !unsettled_homes(store).empty();
}

void finish_switches(const Store& store) {
    refuse_older_index(store);
    const std::string& config = store.layout().directories().config;
    std::vector<std::string> unsettled = unsettled_configurations(config);
    const std::vector<std::string> homes = unsettled_homes(store);
    unsettled.insert(unsettled.end(), homes.begin(), homes.end());
    for (const std::string& text : unsettled) {
        const ContainerName name(text);
        try {
            const FileLock lock = store.lock_container(name, std::chrono::milliseconds(0), "clean up");
            const auto row = store.index().read().container(name);
            settle_configuration(config, name, row ? row->current : 0);
            settle_home(store, name, row ? row->current : 0);
        } catch (const Error& error) {
            if (error.fault() != Fault::busy) throw;
        }
    }
    repair_root_links(store);
}

void clean_up_after_the_dead(const Store& store) {
    finish_switches(store);
    remove_retired_roots(store, true);
}

}  // namespace pwstore
