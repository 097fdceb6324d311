// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <string>
#include <vector>

#include "resolver/package.hpp"
#include "store/index/index.hpp"
#include "transact/work.hpp"

namespace pwstore {

/// Write a local package database for libalpm to read: `packages` below `directory`/local, `directory`/sync a
/// link to the shared sync databases. `dir` is the open parent. A throw-away: nothing is synced.
void write_view(const ReadTxn& txn, const ObjectStore& objects, int dir, const std::string& directory,
                const std::string& shared_sync, const std::vector<PlannedPackage>& packages);

/// What `packages` become by `plan`.
[[nodiscard]] std::vector<PlannedPackage> packages_after(std::vector<PlannedPackage> packages,
                                                         const Plan& plan, int64_t now);

/// `provides=` of a package that the store has, or is to have.
[[nodiscard]] std::vector<std::string> provisions(const Store& store, const ReadTxn& txn,
                                                  const PlannedPackage& package);

[[nodiscard]] PackageDescription description_of(const PackageInfo& info);

}  // namespace pwstore
