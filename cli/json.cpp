// SPDX-License-Identifier: GPL-3.0-or-later
#include "cli/json.hpp"

#include <map>
#include <nlohmann/json.hpp>

#include "cli/build_config.hpp"
#include "cli/dialogue.hpp"
#include "cli/render.hpp"
#include "store/base/error.hpp"
#include "store/debian/version.hpp"

namespace pwstore::cli {

namespace {

using Json = nlohmann::ordered_json;

Json begin(const char* kind) {
    return Json{{"schema", std::string("pwstore.") + kind + "/1"}};
}

std::string finish(const Json& json) {
    return json.dump(2) + "\n";
}

Json texts(const std::vector<std::string>& values) {
    Json array = Json::array();
    for (const std::string& value : values)
        array.push_back(shown(value));
    return array;
}

/// `version` as its distribution writes it; what alpm has instead, where that is another.
void put_version(Json& json, const std::string& version) {
    json["version"] = shown(version);
    if (is_deb_version(version)) json["alpm_version"] = printable(version);
}

const char* reason_name(InstallReason reason) {
    switch (reason) {
        case InstallReason::explicitly:
            return "explicit";
        case InstallReason::dependency:
            return "dependency";
    }
    return "unknown";
}

Json installed_json(const InstalledPackage& package) {
    Json json{{"name", printable(package.name)}};
    put_version(json, package.version);
    json["reason"] = reason_name(package.reason);
    json["install_date"] = package.install_date;
    return json;
}

Json state_json(const ContainerState& state) {
    return {{"name", state.name}, {"type", type_word(state.type)},      {"generation", state.generation},
            {"time", state.time}, {"dependencies", state.dependencies}, {"packages", state.packages}};
}

const char* finding_name(FindingKind kind) {
    switch (kind) {
        case FindingKind::damaged_object:
            return "damaged-object";
        case FindingKind::missing_object:
            return "missing-object";
        case FindingKind::stray_file:
            return "stray-file";
        case FindingKind::bad_record:
            return "bad-record";
        case FindingKind::damaged_root:
            return "damaged-root";
        case FindingKind::missing_root:
            return "missing-root";
        case FindingKind::set_id_file:
            return "set-id-file";
    }
    return "unknown";
}

const char* finding_name(RepositoryFinding::Kind kind) {
    switch (kind) {
        case RepositoryFinding::Kind::missing_archive:
            return "missing-archive";
        case RepositoryFinding::Kind::damaged_archive:
            return "damaged-archive";
        case RepositoryFinding::Kind::unsatisfied:
            return "unsatisfied-dependency";
        case RepositoryFinding::Kind::missing_library:
            return "missing-library";
    }
    return "unknown";
}

}  // namespace

std::string list_json(const std::vector<ContainerState>& containers, const StoreUsage& usage) {
    std::map<std::string, const ContainerUsage*> sizes;
    for (const ContainerUsage& one : usage.containers)
        sizes[one.container] = &one;
    Json json = begin("ls");
    json["containers"] = Json::array();
    for (const ContainerState& state : containers) {
        Json one = state_json(state);
        const auto found = sizes.find(state.name);
        one["apparent_bytes"] = found == sizes.end() ? 0 : found->second->apparent;
        one["exclusive_bytes"] = found == sizes.end() ? 0 : found->second->exclusive;
        json["containers"].push_back(std::move(one));
    }
    return finish(json);
}

std::string usage_json(const StoreUsage& usage) {
    Json json = begin("du");
    json["containers"] = Json::array();
    for (const ContainerUsage& one : usage.containers) {
        json["containers"].push_back({{"name", one.container},
                                      {"files", one.files},
                                      {"apparent_bytes", one.apparent},
                                      {"shared_bytes", one.shared},
                                      {"exclusive_bytes", one.exclusive}});
    }
    json["store"] = {{"objects", usage.objects},
                     {"stored_bytes", usage.stored},
                     {"referenced_bytes", usage.referenced},
                     {"apparent_bytes", usage.apparent}};
    return finish(json);
}

std::string details_json(const ContainerDetails& details) {
    Json json = begin("info");
    json.update(state_json(details.state));
    json["cause"] = printable(details.cause);
    if (!details.origin.empty()) json["origin"] = printable(details.origin);
    json["parent"] = details.parent;
    json["transaction"] = details.transaction;
    json["generations"] = details.generations;
    json["root"] = printable(details.root);
    json["home"] = printable(details.home);
    json["configuration"] = printable(details.configuration);
    json["policy_digest"] = details.policy_digest;
    json["tree_digest"] = details.tree_digest;
    json["generation_digest"] = details.generation_digest;
    json["built_on"] = Json::array();
    for (const GenerationRef& below : details.upstream) {
        json["built_on"].push_back({{"name", below.container}, {"generation", below.generation}});
    }
    json["installed"] = Json::array();
    for (const InstalledPackage& package : details.packages)
        json["installed"].push_back(installed_json(package));
    json["notes"] = Json::array();
    for (const TransactionNote& note : details.notes) {
        json["notes"].push_back({{"subject", shown(note.subject)}, {"text", shown(note.text)}});
    }
    return finish(json);
}

std::string history_json(const std::string& container, const std::vector<GenerationStep>& steps) {
    Json json = begin("history");
    json["container"] = container;
    json["generations"] = Json::array();
    for (const GenerationStep& step : steps) {
        Json one = {
            {"number", step.number},       {"parent", step.parent},     {"transaction", step.transaction},
            {"time", step.time},           {"current", step.current},   {"cause", printable(step.cause)},
            {"installed", step.installed}, {"removed", step.removed},   {"changed", step.changed},
            {"notes", step.notes},         {"built_on", Json::array()}, {"parent_kept", step.parent_kept}};
        for (const GenerationRef& below : step.upstream)
            one["built_on"].push_back({{"name", below.container}, {"generation", below.generation}});
        json["generations"].push_back(std::move(one));
    }
    return finish(json);
}

std::string transactions_json(const std::vector<TransactionStep>& steps) {
    Json json = begin("transactions");
    json["transactions"] = Json::array();
    for (const TransactionStep& step : steps) {
        Json one = {{"number", step.number},
                    {"time", step.transaction.time},
                    {"cause", printable(step.transaction.cause)},
                    {"containers", Json::array()}};
        for (const ReadTxn::Switch& item : step.transaction.switches)
            one["containers"].push_back({{"name", item.container}, {"from", item.from}, {"to", item.to}});
        json["transactions"].push_back(std::move(one));
    }
    return finish(json);
}

std::string diff_json(const std::string& before, const std::string& after, const GenerationDiff& diff) {
    Json json = begin("diff");
    json["before"] = {{"container", before}, {"generation", diff.before}};
    json["after"] = {{"container", after}, {"generation", diff.after}};
    json["packages"] = Json::array();
    for (const PackageChange& change : diff.packages) {
        json["packages"].push_back({{"name", change.name},
                                    {"before", change.before.empty() ? Json() : Json(shown(change.before))},
                                    {"after", change.after.empty() ? Json() : Json(shown(change.after))},
                                    {"reason_changed", change.reason_changed},
                                    {"rebuilt", change.rebuilt}});
    }
    json["files"] = Json::array();
    for (const TreeChange& change : diff.files) {
        const char* kind = change.kind == TreeChange::Kind::added     ? "added"
                           : change.kind == TreeChange::Kind::removed ? "removed"
                                                                      : "changed";
        json["files"].push_back(
            {{"path", "/" + printable(change.path)}, {"kind", kind}, {"what", change.what}});
    }
    return finish(json);
}

std::string query_json(const std::string& container, const std::vector<InstalledPackage>& packages) {
    Json json = begin("query");
    json["container"] = container;
    json["packages"] = Json::array();
    for (const InstalledPackage& package : packages)
        json["packages"].push_back(installed_json(package));
    return finish(json);
}

std::string explain_json(const std::string& container, const std::vector<std::string>& lines) {
    Json json = begin("explain");
    json["container"] = container;
    json["lines"] = texts(lines);
    return finish(json);
}

std::string search_json(const std::vector<PackageInfo>& packages) {
    Json json = begin("search");
    json["packages"] = Json::array();
    for (const PackageInfo& package : packages) {
        Json one{{"repository", printable(package.repository)}, {"name", printable(package.name)}};
        put_version(one, package.version);
        one.update({{"description", printable(package.description)},
                    {"url", printable(package.url)},
                    {"arch", printable(package.arch)},
                    {"download_bytes", package.download_size},
                    {"installed_bytes", package.installed_size},
                    {"licenses", texts(package.licenses)},
                    {"groups", texts(package.groups)},
                    {"depends", texts(package.depends)},
                    {"optdepends", texts(package.optdepends)},
                    {"conflicts", texts(package.conflicts)},
                    {"provides", texts(package.provides)},
                    {"replaces", texts(package.replaces)}});
        json["packages"].push_back(std::move(one));
    }
    return finish(json);
}

std::string gc_report_json(const CollectPlan& plan, const CollectReport& report) {
    Json json = begin("gc");
    json["freed_bytes"] = report.bytes;
    json["freed_files"] = report.inodes;
    json["planned_bytes"] = plan.bytes;
    json["planned_files"] = plan.inodes;
    json["held_outside_bytes"] = plan.held_bytes;
    json["held_outside_files"] = plan.held_inodes;
    json["generations"] = report.generations;
    json["roots"] = report.roots;
    json["objects"] = report.swept.objects;
    json["packages"] = report.swept.manifests;
    json["deltas"] = report.swept.deltas;
    json["archives"] = report.cached;
    json["skipped"] = texts(report.skipped);
    json["over_budget"] = plan.is_over_budget;
    json["busy"] = report.is_busy;
    return finish(json);
}

std::string marginal_json(const MarginalUsage& usage) {
    Json json = begin("du-marginal");
    json["containers"] = Json::array();
    for (const MarginalUsage::Share& one : usage.containers) {
        json["containers"].push_back({{"name", one.container},
                                      {"exclusive_bytes", one.exclusive},
                                      {"among_them_bytes", one.among_them},
                                      {"with_others_bytes", one.with_others}});
    }
    json["freed_bytes"] = usage.freed;
    json["freed_objects"] = usage.freed_objects;
    return finish(json);
}

std::string statistics_json(const StoreStatistics& numbers) {
    Json json = begin("stats");
    json["containers"] = numbers.containers;
    json["generations"] = numbers.generations;
    json["packages"] = numbers.packages;
    json["objects"] = numbers.objects;
    json["copies"] = numbers.copies;
    json["links"] = numbers.links;
    json["stored_bytes"] = numbers.stored;
    json["disk_bytes"] = numbers.on_disk;
    json["apparent_bytes"] = numbers.apparent;
    json["dedup_ratio"] = numbers.stored == 0
                              ? 1.0
                              : static_cast<double>(numbers.apparent) / static_cast<double>(numbers.stored);
    json["unused_objects"] = numbers.unused_objects;
    json["unused_bytes"] = numbers.unused;
    json["dead_objects"] = numbers.dead_objects;
    json["dead_bytes"] = numbers.dead;
    json["held_outside_objects"] = numbers.held_outside;
    json["held_outside_bytes"] = numbers.held_outside_bytes;
    json["distinct_bytes"] = numbers.distinct;
    json["left_homes"] = Json::array();
    for (const auto& [name, bytes] : numbers.left_homes)
        json["left_homes"].push_back({{"name", name}, {"bytes", bytes}});
    return finish(json);
}

std::string snapshots_json(const std::vector<std::pair<std::string, ReadTxn::Snapshot>>& snapshots) {
    Json json = begin("snapshot");
    json["snapshots"] = Json::array();
    for (const auto& [name, snapshot] : snapshots) {
        json["snapshots"].push_back({{"name", name},
                                     {"container", snapshot.container},
                                     {"generation", snapshot.generation},
                                     {"time", snapshot.time},
                                     {"note", printable(snapshot.note)}});
    }
    return finish(json);
}

namespace {

const char* cause_name(Cause cause) {
    switch (cause) {
        case Cause::engine:
            return "engine";
        case Cause::scriptlet:
            return "scriptlet";
        case Cause::hook:
            return "hook";
        case Cause::ldconfig:
            return "ldconfig";
        case Cause::user:
            return "user";
    }
    return "unknown";
}

}  // namespace

std::string story_json(const PathStory& story) {
    Json json = begin("why");
    json["path"] = printable(story.path);
    json["mode"] = story.entry.mode;
    json["uid"] = story.entry.uid;
    json["gid"] = story.entry.gid;
    if (story.entry.kind == EntryKind::symlink) json["target"] = printable(story.entry.target);
    if (story.sha256) {
        json["size"] = story.entry.size;
        json["sha256"] = story.sha256->hex();
        json["object"] = story.object;
    }
    json["layers"] = Json::array();
    for (const LayerClaim& claim : story.claims) {
        Json one{{"container", claim.container}, {"generation", claim.generation}};
        if (claim.change) {
            one["cause"] = cause_name(claim.change->cause);
            one["agent"] = printable(claim.change->agent);
            one["removed"] = claim.entry.kind == EntryKind::whiteout;
        } else {
            one["package"] = printable(claim.package);
            put_version(one, claim.version);
        }
        json["layers"].push_back(std::move(one));
    }
    json["since"] = {{"generation", story.since_generation},
                     {"transaction", story.since_transaction},
                     {"time", story.since},
                     {"command", printable(story.cause)}};
    json["since"]["or_earlier"] = story.is_older;
    return finish(json);
}

std::string places_json(const std::vector<ContentPlace>& places) {
    Json json = begin("where");
    json["places"] = Json::array();
    for (const ContentPlace& one : places) {
        Json place{{"container", one.container},
                   {"generation", one.generation},
                   {"current", one.is_current},
                   {"path", printable(one.path)}};
        if (!one.package.empty()) {
            place["package"] = printable(one.package);
            put_version(place, one.version);
        }
        json["places"].push_back(std::move(place));
    }
    return finish(json);
}

std::string owners_json(const std::string& path, const std::vector<PathOwner>& owners) {
    Json json = begin("owns");
    json["path"] = printable(path);
    json["owners"] = Json::array();
    for (const PathOwner& one : owners) {
        Json owner{{"container", one.container}, {"package", printable(one.package)}};
        put_version(owner, one.version);
        json["owners"].push_back(std::move(owner));
    }
    return finish(json);
}

std::string export_json(const image::ExportResult& result) {
    Json json = begin("export");
    json["image"] = "sha256:" + result.manifest.hex();
    json["content"] = "sha256:" + result.content.hex();
    json["bytes"] = result.bytes;
    json["layers"] = result.layers;
    json["contents"] = result.contents;
    json["left_out"] = result.left_out;
    json["home"] = result.has_home;
    json["home_left_out"] = result.home_left_out;
    return finish(json);
}

std::string import_json(const char* kind, const ImportResult& result) {
    Json json = begin(kind);
    json["container"] = result.container;
    json["generation"] = result.generation;
    json["image"] = "sha256:" + result.digest.hex();
    json["foreign"] = result.is_foreign;
    json["home"] = result.has_home;
    json["policy_proposed"] = result.has_proposal;
    json["platform"] = result.platform;
    json["notes"] = Json::array();
    for (const std::string& note : result.notes)
        json["notes"].push_back(printable(note));
    json["file_bytes"] = result.stats.bytes;
    json["new_bytes"] = result.stats.new_bytes;
    return finish(json);
}

std::string verify_json(const VerifyReport& report) {
    Json json = begin("verify");
    json["clean"] = report.clean();
    json["objects"] = report.objects;
    json["bytes"] = report.bytes;
    json["roots"] = report.roots;
    json["findings"] = Json::array();
    for (const Finding& finding : report.findings) {
        json["findings"].push_back({{"kind", finding_name(finding.kind)},
                                    {"path", printable(finding.path)},
                                    {"text", shown(finding.text)},
                                    {"healed", finding.healed},
                                    {"source", shown(finding.source)}});
    }
    return finish(json);
}

std::string probes_json(const std::vector<Probe>& probes, bool usable) {
    Json json = begin("doctor");
    json["usable"] = usable;
    json["probes"] = Json::array();
    for (const Probe& probe : probes) {
        json["probes"].push_back({{"name", probe.name},
                                  {"works", probe.works},
                                  {"detail", printable(probe.detail)},
                                  {"effect", printable(probe.effect)},
                                  {"remedy", printable(probe.remedy)}});
    }
    return finish(json);
}

std::string repositories_json(const std::string& directory,
                              const std::vector<RepositoryContent>& repositories) {
    Json json = begin("repo");
    json["answer"] = "packages";
    json["directory"] = printable(directory);
    json["repositories"] = Json::array();
    for (const RepositoryContent& repository : repositories) {
        Json one{{"name", repository.name}, {"packages", Json::array()}};
        for (const RepositoryPackage& package : repository.packages) {
            Json entry{{"name", printable(package.description.name)}};
            put_version(entry, package.description.version);
            entry.update({{"description", printable(package.description.description)},
                          {"arch", printable(package.description.arch)},
                          {"file", printable(package.filename)},
                          {"download_bytes", package.packed_size},
                          {"installed_bytes", package.description.installed_size},
                          {"sha256", package.sha256.hex()},
                          {"depends", texts(package.description.depends)},
                          {"provides", texts(package.description.provides)}});
            one["packages"].push_back(std::move(entry));
        }
        json["repositories"].push_back(std::move(one));
    }
    return finish(json);
}

std::string repository_changes_json(const RepositoryChanges& changes) {
    Json json = begin("repo");
    json["answer"] = "changes";
    json["repository"] = changes.place.name;
    json["directory"] = printable(changes.place.directory);
    json["preview"] = changes.preview;
    json["converted"] = changes.import.converted;
    json["kept"] = changes.import.kept;
    json["changes"] = Json::array();
    for (const RepositoryChange& change : changes.changes) {
        json["changes"].push_back({{"name", printable(change.name)},
                                   {"old_version", shown(change.old_version)},
                                   {"version", shown(change.new_version)}});
    }
    json["unsatisfied"] = texts(changes.import.unsatisfied);
    return finish(json);
}

std::string repository_verdicts_json(const std::string& directory,
                                     const std::vector<RepositoryVerdict>& verdicts) {
    Json json = begin("repo");
    json["answer"] = "findings";
    json["directory"] = printable(directory);
    json["findings"] = Json::array();
    for (const RepositoryVerdict& verdict : verdicts) {
        for (const RepositoryFinding& finding : verdict.findings) {
            json["findings"].push_back({{"kind", finding_name(finding.kind)},
                                        {"repository", verdict.name},
                                        {"package", printable(finding.package)},
                                        {"text", shown(finding.text)}});
        }
    }
    return finish(json);
}

std::string version_json() {
    Json json = begin("version");
    json["version"] = kVersion;
    json["license"] = "GPL-3.0-or-later";
    return finish(json);
}

}  // namespace pwstore::cli
