// SPDX-License-Identifier: GPL-3.0-or-later
#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "store/base/error.hpp"
#include "store/base/failpoint.hpp"
#include "store/debian/version.hpp"
#include "store/ingest.hpp"
#include "transact/file_claims.hpp"
#include "transact/hook.hpp"
#include "transact/interrupt.hpp"
#include "transact/overlaps.hpp"
#include "transact/resolve.hpp"
#include "transact/work.hpp"

namespace pwstore {

namespace {

std::optional<Sha256> expected_digest(const PlanStep& step) {
    if (step.package.sha256.size() != 64) return std::nullopt;
    return Sha256::from_hex(step.package.sha256);
}

std::vector<ArchiveSource> archives_of(const TransactionState& state) {
    std::map<std::string, ArchiveSource> by_path;
    for (const Work& work : state.works) {
        for (const PlanStep& step : work.plan.steps) {
            if (step.kind == StepKind::remove || work.known.contains(step.package.name)) continue;
            ArchiveSource& source = by_path[step.archive];
            source.path = step.archive;
            source.expected = expected_digest(step);
            // Who asks for what is there already wants its files to be right.
            source.again = source.again || step.kind == StepKind::reinstall;
        }
    }
    std::vector<ArchiveSource> sources;
    for (auto& [path, source] : by_path)
        sources.push_back(std::move(source));
    return sources;
}

/// Of a configuration file that is not laid down libalpm has no hash.
void note_left_out(const TransactionState& state, InstalledPackage& package) {
    if (state.config.no_extract.empty()) return;
    for (const Entry& entry : state.store.index().read().manifest(package.manifest).entries) {
        if (!entry.backup_md5.empty() && match_patterns(state.config.no_extract, entry.path) == 1)
            package.backup_md5[entry.path] = "";
    }
}

void assign_manifests(const TransactionState& state, Work& work,
                      const std::map<std::string, IngestedArchive>& ingested) {
    for (const PlanStep& step : work.plan.steps) {
        if (step.kind == StepKind::remove) continue;
        const auto known = work.known.find(step.package.name);
        const IngestedArchive& archive =
            known != work.known.end() ? known->second : ingested.at(step.archive);
        if (archive.name != step.package.name || archive.version != step.package.version) {
            throw Error("ingest", step.archive,
                        fmt::format("it holds {} {}, not {} {}", archive.name, archive.version,
                                    step.package.name, step.package.version))
                .as(Fault::corrupt);
        }
        for (PlannedPackage& package : work.packages) {
            if (package.installed.name != step.package.name) continue;
            package.installed.manifest = archive.id;
            package.description.reset();
            note_left_out(state, package.installed);
        }
    }
}

bool brings(const Work& work, const std::string& package) {
    return std::any_of(work.plan.steps.begin(), work.plan.steps.end(), [&](const PlanStep& step) {
        return step.kind != StepKind::remove && step.package.name == package;
    });
}

/// Paths that a package of this container and one below it both bring, where libalpm cannot see these. What
/// lay over each other before stays.
void check_layer_conflicts(TransactionState& state, const Work& work) {
    if (work.upstream.empty() || !work.affected || shows_its_root(state, work)) return;
    const ReadTxn txn = state.store.index().read();
    struct Owner {
        std::string package;
        bool is_new;
    };
    std::map<std::string, Owner> owner_below;
    for (const PlannedPackage& package : state.upstream_packages(txn, work)) {
        const Manifest manifest = txn.manifest(package.installed.manifest);
        const Work* below = state.find(package.container);
        const bool is_new = !work.before || (below != nullptr && brings(*below, manifest.name));
        for (const Entry& entry : manifest.entries) {
            if (entry.kind != EntryKind::directory)
                owner_below.try_emplace(entry.path, Owner{manifest.name, is_new});
        }
    }
    const SharedBefore before(state.store, work.before);
    std::string conflicts;
    for (const PlannedPackage& package : work.packages) {
        const Manifest manifest = txn.manifest(package.installed.manifest);
        if (is_deb_version(manifest.version)) continue;  // dpkg's rules: FileClaims
        const bool is_new = brings(work, manifest.name);
        for (const Entry& entry : manifest.entries) {
            const auto below = owner_below.find(entry.path);
            if (entry.kind == EntryKind::directory || below == owner_below.end()) continue;
            if (below->second.package == manifest.name || !(is_new || below->second.is_new)) continue;
            if (match_patterns(work.request.packages.overwrite, entry.path) == 1) continue;
            if (before.allows(entry.path, manifest.name, below->second.package)) continue;
            conflicts += fmt::format("{}{}: /{} is owned by {}", conflicts.empty() ? "" : "\n", manifest.name,
                                     printable(entry.path), below->second.package);
        }
    }
    if (!conflicts.empty()) {
        throw Error("lay packages of container over what it is built on", work.name.str(), "files conflict")
            .with_hint(conflicts);
    }
}

/// Those that could not be known when the plan was shown.
void warn_of_overlaps(TransactionState& state, const Work& work) {
    if (!work.affected || (work.before && !state.upstream_affected(work))) return;
    const std::vector<std::string>& shown = work.plan.notes;
    for (const std::string& overlap : overlaps_below(state, work)) {
        if (std::find(shown.begin(), shown.end(), overlap) == shown.end())
            state.dialogue.message(Severity::warning, fmt::format("{}: {}", work.name.str(), overlap));
    }
}

}  // namespace

void record_archives(TransactionState& state, Ingestor& ingestor) {
    ingestor.commit(&*state.lease, false, [&](WriteTxn& txn) {
        for (const IngestedArchive& archive : ingestor.results())
            state.leased.manifests.push_back(archive.id);
        state.lease->record(txn, state.leased);
    });
}

void ingest_stage(TransactionState& state) {
    const std::vector<ArchiveSource> sources = archives_of(state);
    std::map<std::string, IngestedArchive> ingested;
    stop_if_interrupted("ingest packages");
    if (!sources.empty()) {
        Ingestor ingestor(state.store, state.dialogue);
        ingestor.add_archives(sources);
        failpoint("ingest.read");
        state.stats += ingestor.stats();
        record_archives(state, ingestor);
        for (size_t i = 0; i < sources.size(); ++i)
            ingested[sources[i].path] = ingestor.results()[i];
    }
    for (Work& work : state.works)
        assign_manifests(state, work, ingested);
    for (const std::string& finding : state.stats.findings)
        state.dialogue.message(Severity::warning, finding);
    if (state.stats.healed != 0) {
        state.dialogue.message(
            Severity::warning,
            "'pwstore verify --heal' puts the good files into the other containers as well");
    }
    for (const Work& work : state.works) {
        check_layer_conflicts(state, work);
        warn_of_overlaps(state, work);
    }
    failpoint("ingest.done");
}

}  // namespace pwstore
