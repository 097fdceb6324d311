// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <functional>
#include <map>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "cli/backend.hpp"
#include "cli/run.hpp"
#include "store/base/error.hpp"

namespace pwstore::test {

/// A backend that remembers what it was asked and answers what the test put in.
class FakeBackend final : public cli::Backend {
 public:
    std::vector<cli::ContainerState> containers() override { return states; }
    cli::ContainerDetails details(const ContainerName& name) override {
        calls.push_back("details " + name.str());
        if (!known)
            throw Error("look up container", name.str(), "there is no such container").as(Fault::usage);
        return detail;
    }
    StoreUsage usage() override { return use; }
    bool has_sync_databases() override { return databases; }
    std::vector<PackageInfo> search(const std::vector<std::string>& expressions, ProgressSink&) override {
        for (const std::string& one : expressions)
            calls.push_back("search " + one);
        return found;
    }
    std::vector<std::string> explain(const ContainerName& name) override {
        return {"/usr read-only of " + name.str()};
    }
    std::vector<std::string> fidelity(const std::vector<ContainerName>& names) override {
        return {"fidelity of " + (names.empty() ? "all" : names.front().str())};
    }
    std::vector<Probe> probes() override { return probed; }
    std::vector<cli::GenerationStep> history(const ContainerName&) override { return generations; }
    std::vector<cli::TransactionStep> transactions() override { return done; }
    cli::GenerationDiff diff(const cli::GenerationName& before, const cli::GenerationName& after) override {
        calls.push_back("diff " + before.container.str() + "@" + std::to_string(before.generation) + " " +
                        after.container.str() + "@" + std::to_string(after.generation));
        return difference;
    }
    std::vector<ReadTxn::Switch> plan_rollback(RollbackRequest& request) override {
        if (failure) throw Error(*failure);
        if (request.kind == RollbackRequest::Kind::undo && request.transaction == 0) request.transaction = 9;
        rolled = request;
        return switched;
    }
    cli::PacmanView pacman_view(const ContainerName& name) override {
        calls.push_back("pacman view of " + name.str());
        return view;
    }
    TransactionReport transact(const TransactionRequest& request, Dialogue& dialogue) override {
        requests.push_back(request);
        if (on_transact) on_transact(dialogue);
        if (failure) throw Error(*failure);
        TransactionReport result = report;
        if (!plans.empty()) result.declined = !dialogue.confirm(plans);
        return result;
    }
    TransactionReport roll_back(const RollbackRequest& request, const std::vector<ReadTxn::Switch>&,
                                Dialogue&) override {
        calls.push_back("roll back " + std::to_string(request.transaction));
        return report;
    }
    void remove_containers(const std::vector<ContainerName>& names, bool with_home, bool with_config,
                           bool force, ProgressSink&) override {
        for (const ContainerName& name : names) {
            calls.push_back("delete " + name.str() + (with_home ? " home" : "") +
                            (with_config ? " config" : "") + (force ? " force" : ""));
            if (name.str() == in_use && !force) throw Error("delete", in_use, "busy").as(Fault::busy);
        }
    }
    std::vector<std::pair<std::string, ReadTxn::Snapshot>> snapshots() override { return pinned; }
    void add_snapshot(const std::string& label, const cli::GenerationName& generation,
                      const std::string& note) override {
        calls.push_back("snapshot " + label + " of " + generation.container.str() + "@" +
                        std::to_string(generation.generation) + ": " + note);
    }
    void remove_snapshot(const std::string& label) override { calls.push_back("remove snapshot " + label); }
    TransactionReport clone(const cli::GenerationName& source, const ContainerName& name, const std::string&,
                            ProgressSink&) override {
        calls.push_back("clone " + source.container.str() + "@" + std::to_string(source.generation) + " as " +
                        name.str());
        return report;
    }
    MarginalUsage marginal(const std::vector<ContainerName>&) override { return margin; }
    StoreStatistics statistics(ProgressSink&) override { return numbers; }
    std::optional<PathStory> story(const cli::GenerationName&, const std::string& path) override {
        calls.push_back("story of " + path);
        return told;
    }
    std::vector<ContentPlace> places(const std::string& text) override {
        calls.push_back("places of " + text);
        return found_at;
    }
    std::vector<PathOwner> owners(const std::string& path) override {
        calls.push_back("owners of " + path);
        return owned_by;
    }
    std::vector<Sha256> contents() override { return had; }
    PolicyState policy(const ContainerName&) override { return policies; }
    void settle_policy(const ContainerName& name, bool accept) override {
        calls.push_back((accept ? "accept policy of " : "reject policy of ") + name.str());
    }
    image::ExportResult export_image(const image::ExportRequest& request, int, ProgressSink&) override {
        exported.push_back(request.generation);
        if (on_export) on_export();
        if (request.sign) signature = request.sign("text");
        return export_result;
    }
    ImportResult import_image(const ImportRequest& request, ProgressSink&) override {
        imported_as = request.name ? request.name->str() : "";
        return import_result;
    }
    CollectPlan plan_collection(const CollectRequest& request, ProgressSink&) override {
        collect_requests.push_back(request);
        return collection;
    }
    bool is_collection_needed(const CollectPlan&) override { return collection_needed; }
    CollectReport collect(const CollectPlan& plan, std::chrono::milliseconds, ProgressSink&) override {
        collected.push_back(plan);
        return collect_report;
    }
    VerifyReport verify(const cli::VerifyRequest& request, ProgressSink&) override {
        verified = request;
        return findings;
    }
    std::shared_ptr<void> hold_trial(const ContainerName& name) override {
        calls.push_back("hold " + name.str());
        return nullptr;
    }
    std::vector<ContainerName> abandoned_trials() override { return abandoned; }
    void log(const std::string& line) override { logged.push_back(line); }
    cli::RunOutcome run(const cli::RunRequest& request, ProgressSink&) override {
        ran = request;
        if (on_run) on_run();
        return {status, not_started};
    }
    RootShellResult root_shell(const RootShellRequest& request, ProgressSink&) override {
        rooted = request;
        return shell;
    }

    // What it answers.
    bool known = true;
    bool databases = true;
    std::vector<cli::ContainerState> states;
    cli::ContainerDetails detail;
    StoreUsage use;
    std::vector<PackageInfo> found;
    std::vector<Probe> probed;
    cli::PacmanView view;
    std::vector<ReadTxn::Switch> switched;
    std::vector<cli::GenerationStep> generations;
    std::vector<cli::TransactionStep> done;
    cli::GenerationDiff difference;
    std::vector<ContainerName> abandoned;
    std::string in_use;  ///< a container that cannot be deleted
    std::vector<ContainerPlan> plans;
    std::function<void(Dialogue&)> on_transact;
    std::function<void()> on_run, on_export;
    std::optional<Error> failure, not_started;
    TransactionReport report;
    VerifyReport findings;
    CollectPlan collection;
    std::vector<std::pair<std::string, ReadTxn::Snapshot>> pinned;
    MarginalUsage margin;
    StoreStatistics numbers;
    std::optional<PathStory> told;
    std::vector<ContentPlace> found_at;
    std::vector<PathOwner> owned_by;
    std::vector<Sha256> had;
    PolicyState policies;
    image::ExportResult export_result;
    ImportResult import_result;
    CollectReport collect_report;
    bool collection_needed = true;
    RootShellResult shell;
    int status = 0;

    // What it was asked.
    std::vector<std::string> calls, logged;
    std::vector<TransactionRequest> requests;
    std::optional<RollbackRequest> rolled;
    std::optional<cli::RunRequest> ran;
    std::optional<RootShellRequest> rooted;
    std::optional<cli::VerifyRequest> verified;
    std::vector<GenerationRef> exported;
    std::string signature, imported_as;
    std::vector<CollectRequest> collect_requests;
    std::vector<CollectPlan> collected;
};

/// One command line against a FakeBackend, with all that it printed.
class Cli {
 public:
    int operator()(const std::vector<std::string>& words) {
        out_.str("");
        err_.str("");
        cli::Io io{out_,
                   err_,
                   [this]() -> std::optional<std::string> {
                       if (answers.empty()) return std::nullopt;
                       std::string line = answers.front();
                       answers.erase(answers.begin());
                       return line;
                   },
                   [this](const std::string& name) -> std::optional<std::string> {
                       const auto at = environment.find(name);
                       return at == environment.end() ? std::nullopt : std::optional(at->second);
                   },
                   [this] { return width; },
                   tty,
                   tty,
                   tty};
        return cli::run(words, io, backend);
    }
    [[nodiscard]] std::string out() const { return out_.str(); }
    [[nodiscard]] std::string err() const { return err_.str(); }

    FakeBackend backend;
    std::vector<std::string> answers;  ///< lines that the user types
    std::map<std::string, std::string> environment;
    unsigned width = 80;
    bool tty = false;

 private:
    std::ostringstream out_, err_;
};

}  // namespace pwstore::test
