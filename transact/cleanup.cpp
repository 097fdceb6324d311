// SPDX-License-Identifier: GPL-3.0-or-later
#include "transact/cleanup.hpp"

#include <charconv>
#include <optional>

#include "mount/root.hpp"
#include "store/base/path_at.hpp"

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

void remove_unrecorded_roots(const Store& store, const ContainerName& name) {
    const Fd roots = open_dir(store.layout().data(), names::kRoots);
    const ReadTxn txn = store.index().read();
    for (const DirectoryItem& item : list_directory(roots.get())) {
        const auto number = generation_of(item.name, name);
        if (number && !txn.generation(name, *number)) remove_root(store, name, *number);
    }
}

}  // namespace pwstore
