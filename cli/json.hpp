// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <string>
#include <vector>

#include "cli/backend.hpp"
#include "cli/repo.hpp"
#include "store/repository/check.hpp"

namespace pwstore::cli {

/// The JSON that `--json` prints: one object with "schema": "pwstore.KIND/1" and a newline (docs/json.md).
/// Bytes that are not UTF-8 appear as printable() shows them.
[[nodiscard]] std::string list_json(const std::vector<ContainerState>& containers, const StoreUsage& usage);
[[nodiscard]] std::string usage_json(const StoreUsage& usage);
[[nodiscard]] std::string details_json(const ContainerDetails& details);
[[nodiscard]] std::string history_json(const std::string& container,
                                       const std::vector<GenerationStep>& steps);
[[nodiscard]] std::string transactions_json(const std::vector<TransactionStep>& steps);
[[nodiscard]] std::string diff_json(const std::string& before, const std::string& after,
                                    const GenerationDiff& diff);
[[nodiscard]] std::string query_json(const std::string& container,
                                     const std::vector<InstalledPackage>& packages);
[[nodiscard]] std::string explain_json(const std::string& container, const std::vector<std::string>& lines);
[[nodiscard]] std::string search_json(const std::vector<PackageInfo>& packages);
[[nodiscard]] std::string gc_report_json(const CollectPlan& plan, const CollectReport& report);
[[nodiscard]] std::string marginal_json(const MarginalUsage& usage);
[[nodiscard]] std::string statistics_json(const StoreStatistics& numbers);
[[nodiscard]] std::string snapshots_json(
    const std::vector<std::pair<std::string, ReadTxn::Snapshot>>& snapshots);
[[nodiscard]] std::string story_json(const PathStory& story);
[[nodiscard]] std::string places_json(const std::vector<ContentPlace>& places);
[[nodiscard]] std::string owners_json(const std::string& path, const std::vector<PathOwner>& owners);
[[nodiscard]] std::string export_json(const image::ExportResult& result);
/// `kind`: "import" or "pull".
[[nodiscard]] std::string import_json(const char* kind, const ImportResult& result);
[[nodiscard]] std::string verify_json(const VerifyReport& report);
[[nodiscard]] std::string probes_json(const std::vector<Probe>& probes, bool usable);

struct RepositoryContent {
    std::string name;
    std::vector<RepositoryPackage> packages;
};
[[nodiscard]] std::string repositories_json(const std::string& directory,
                                            const std::vector<RepositoryContent>& repositories);
[[nodiscard]] std::string repository_changes_json(const RepositoryChanges& changes);
struct RepositoryVerdict {
    std::string name;
    std::vector<RepositoryFinding> findings;
};
[[nodiscard]] std::string repository_verdicts_json(const std::string& directory,
                                                   const std::vector<RepositoryVerdict>& verdicts);
[[nodiscard]] std::string version_json();

}  // namespace pwstore::cli
