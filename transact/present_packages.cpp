// SPDX-License-Identifier: GPL-3.0-or-later
#include "transact/present_packages.hpp"

namespace pwstore {

bool PresentPackages::has_directory_of_another(std::string_view path, std::string_view package) {
    std::optional<ReadTxn> txn;
    for (auto& [name, present] : packages_) {
        if (name == package || present.id == 0) continue;
        if (!present.manifest) {
            if (!txn) txn.emplace(index_.read());
            present.manifest = txn->manifest(present.id);
        }
        const Entry* entry = present.manifest->find(path);
        if (entry != nullptr && entry->kind == EntryKind::directory) return true;
    }
    return false;
}

}  // namespace pwstore
