// SPDX-License-Identifier: GPL-3.0-or-later
#include "cli/backend.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <set>

#include "cli/log.hpp"
#include "mount/composer.hpp"
#include "mount/launch.hpp"
#include "mount/process.hpp"
#include "mount/root.hpp"
#include "resolver/library.hpp"
#include "resolver/session.hpp"
#include "store/base/error.hpp"
#include "store/base/lock.hpp"
#include "store/base/path_at.hpp"
#include "transact/cleanup.hpp"
#include "transact/databases.hpp"
#include "transact/fetch_archives.hpp"
#include "transact/new_container.hpp"
#include "transact/no_such_container.hpp"
#include "transact/policy_proposal.hpp"
#include "transact/rollback.hpp"
#include "transact/statistics.hpp"
#include "transact/view.hpp"
#include "transact/wire.hpp"
#include "transact/work.hpp"

namespace pwstore::cli {

namespace {

ContainerState state_of(const ReadTxn& txn, const ContainerName& name) {
    const auto row = txn.container(name);
    if (!row) throw no_such_container(txn, "look up container", name.str());
    ContainerState state{name.str(), row->type, row->current, 0, row->dependencies, 0};
    if (row->current == 0) return state;
    const auto generation = txn.generation(name, row->current);
    if (!generation) {
        throw Error("look up container", name.str(), "its current generation is missing in the index")
            .as(Fault::corrupt);
    }
    state.time = generation->time;
    state.packages = generation->packages.size();
    return state;
}

/// The command that brought a container here ready-made; empty for one that was made here.
std::string arrival_of(const ReadTxn& txn, const Generation& generation) {
    if (generation.parent != 0) return "";
    const auto transaction = txn.transaction(generation.transaction);
    return transaction && transaction->cause != generation.cause ? transaction->cause : "";
}

/// A cause of another host does not stand there as if it had been given here.
std::string cause_of(const ReadTxn& txn, const Generation& generation) {
    const std::string arrival = arrival_of(txn, generation);
    return arrival.empty() ? generation.cause : fmt::format("{} (there: {})", arrival, generation.cause);
}

GenerationStep step_of(const ReadTxn& txn, const ContainerName& name, const Generation& generation) {
    GenerationStep step;
    step.number = generation.number;
    step.parent = generation.parent;
    step.transaction = generation.transaction;
    step.time = generation.time;
    step.cause = cause_of(txn, generation);
    step.current = txn.container(name)->current == generation.number;
    step.upstream = generation.upstream;
    step.notes = generation.notes.size();
    const auto parent = txn.generation(name, generation.parent);
    step.parent_kept = generation.parent == 0 || parent.has_value();
    if (!step.parent_kept) return step;
    const std::vector<InstalledPackage> before = parent ? parent->packages : std::vector<InstalledPackage>{};
    for (const PackageChange& change : compare_packages(before, generation.packages)) {
        ++(change.before.empty() ? step.installed : change.after.empty() ? step.removed : step.changed);
    }
    return step;
}

Generation kept_generation(const ReadTxn& txn, const GenerationName& wanted) {
    const auto row = txn.container(wanted.container);
    if (!row) throw no_such_container(txn, "compare generations", wanted.container.str());
    const uint64_t number = wanted.generation != 0 ? wanted.generation : row->current;
    auto generation = txn.generation(wanted.container, number);
    if (generation) return std::move(*generation);
    throw Error(
        "compare generations", wanted.container.str(),
        number == 0 ? "nothing is installed in it yet" : fmt::format("there is no generation {}", number))
        .as(Fault::usage)
        .with_hint(fmt::format("'pwstore history {}' lists them", wanted.container.str()));
}

/// A path that a container had and has no longer.
Error removed(const std::string& path, const LayerClaim& removal) {
    const std::string& agent = removal.change->agent;
    return Error("look for", "/" + path,
                 fmt::format("{}{} removed {} in {}@{}", cause_word(removal.change->cause),
                             agent.empty() ? "" : fmt::format(" ({})", agent),
                             removal.entry.path == path ? "it" : fmt::format("'/{}'", removal.entry.path),
                             removal.container, removal.generation))
        .as(Fault::usage);
}

/// The last transaction that changed anything but containers of `try`.
uint64_t last_of_a_user(const ReadTxn& txn) {
    for (uint64_t id = txn.last_transaction(); id > 0; --id) {
        const auto transaction = txn.transaction(id);
        if (!transaction) continue;
        const auto& switches = transaction->switches;
        if (std::any_of(switches.begin(), switches.end(),
                        [](const ReadTxn::Switch& one) { return !is_trial_name(one.container); })) {
            return id;
        }
    }
    throw Error("undo", "", "there is no transaction to undo").as(Fault::usage);
}

/// The archive of `manifest` in the package cache: by file name, then by its digest.
std::optional<std::string> cached_archive(const std::string& cache, const Manifest& manifest) {
    if (!manifest.archive_sha256) return std::nullopt;
    const std::string stem = fmt::format("{}-{}-{}.pkg.tar", manifest.name, manifest.version, manifest.arch);
    const auto dir = try_open_at(AT_FDCWD, cache, O_RDONLY | O_DIRECTORY);
    if (!dir) return std::nullopt;
    for (const DirectoryItem& item : list_directory(dir->get())) {
        if (item.name.compare(0, stem.size(), stem) != 0 || item.name.ends_with(".sig")) continue;
        const auto file = try_open_at(dir->get(), item.name, O_RDONLY | O_NOFOLLOW);
        if (file && sha256_of_fd(file->get(), item.name) == *manifest.archive_sha256)
            return cache + "/" + item.name;
    }
    return std::nullopt;
}

std::string trial_lock(const ContainerName& name) {
    return fmt::format("{}/{}.trial", names::kContainerLocks, name.str());
}

/// The lock of a trial; its file goes with it.
class TrialHold {
 public:
    TrialHold(Layout layout, std::string path, FileLock lock)
        : layout_(std::move(layout)), path_(std::move(path)), lock_(std::move(lock)) {}
    TrialHold(const TrialHold&) = delete;
    TrialHold& operator=(const TrialHold&) = delete;
    ~TrialHold() { ::unlinkat(layout_.data(), path_.c_str(), 0); }

 private:
    Layout layout_;
    std::string path_;
    FileLock lock_;
};

class RealBackend final : public Backend {
 public:
    std::vector<ContainerState> containers() override {
        std::vector<ContainerState> all;
        if (const auto store = look()) {
            const ReadTxn txn = store->index().read();
            for (const ContainerName& name : txn.containers())
                all.push_back(state_of(txn, name));
        }
        return all;
    }

    ContainerDetails details(const ContainerName& name) override {
        const Store store = look_at(name);
        const ReadTxn txn = store.index().read();
        ContainerDetails details;
        details.state = state_of(txn, name);
        details.home = store.layout().path(std::string(names::kHome) + "/" + name.str());
        details.configuration = store.layout().directories().config + "/" + config_name(name);
        details.generations = txn.generation_numbers(name);
        const auto generation = txn.generation(name, details.state.generation);
        if (!generation) return details;
        details.cause = cause_of(txn, *generation);
        details.parent = generation->parent;
        details.transaction = generation->transaction;
        details.root = store.layout().path(Layout::root_name(name, generation->number));
        details.policy_digest = generation->policy.hex();
        details.tree_digest = generation->tree_digest.hex();
        details.generation_digest = generation->digest.hex();
        details.upstream = generation->upstream;
        details.packages = generation->packages;
        details.notes = generation->notes;
        const auto first = txn.generation(name, details.generations.front());
        if (first) details.origin = arrival_of(txn, *first);
        return details;
    }

    StoreUsage usage() override {
        const auto store = look();
        return store ? usage_of(store->index().read()) : StoreUsage{};
    }

    bool has_sync_databases() override {
        const std::string path = directories().data + "/" + names::kSync;
        const auto dir = try_open_at(AT_FDCWD, path, O_RDONLY | O_DIRECTORY);
        if (!dir) return false;
        const std::vector<DirectoryItem> items = list_directory(dir->get());
        return std::any_of(items.begin(), items.end(),
                           [](const DirectoryItem& item) { return item.name.ends_with(".db"); });
    }

    std::vector<PackageInfo> search(const std::vector<std::string>& expressions,
                                    ProgressSink& sink) override {
        const Store store = Store::open(directories());
        const RepositoriesFile file = ensure_repositories(directories().config, directories().data + "/repo");
        if (!file.origin.empty())
            sink.message(Severity::info, fmt::format("made {} from {}", file.path, file.origin));
        const Staging staging = Staging::create(store, "search");
        write_view(store.index().read(), store.objects(), staging.fd(), "view",
                   store.layout().path(names::kSync), {});
        SessionSpec spec;
        spec.root = store.layout().path(staging.name());
        spec.database = spec.root + "/view";
        spec.gnupg_dir = store.layout().path(names::kGnupg);
        spec.config = parse_pacman_config(file.path);
        for (const std::string& warning : spec.config.warnings)
            sink.message(Severity::warning, warning);
        spec.no_confirm = true;
        if (!has_sync_databases()) refresh_databases(store.layout(), spec, false, sink);
        Session session(spec, sink, {});
        return session.search(expressions);
    }

    std::vector<std::string> explain(const ContainerName& name) override {
        const Store store = look_at(name);
        Composition composition = compose_for(store, name, current_of(store, name), std::nullopt);
        std::vector<std::string> lines = pwstore::explain(composition.spec);
        for (const std::string& warning : composition.warnings)
            lines.push_back("warning: " + warning);
        return lines;
    }

    std::vector<std::string> fidelity(const std::vector<ContainerName>& names) override {
        std::vector<std::string> lines;
        const auto store = look();
        if (!store) return lines;
        const ReadTxn txn = store->index().read();
        for (const ContainerName& name : names.empty() ? txn.containers() : names) {
            const auto generation = txn.generation(name, state_of(txn, name).generation);
            if (!generation) continue;
            // pacman names the root that it was given, its symlinks resolved, in front of each path.
            const std::string root = store->layout().path(Layout::root_name(name, generation->number));
            for (std::string& line : fidelity_lines(txn, *generation)) {
                if (const size_t path = line.find(": /"); path != std::string::npos)
                    line.insert(path + 2, root);
                lines.push_back(std::move(line));
            }
        }
        return lines;
    }

    std::vector<Probe> probes() override {
        const auto tried = [&] {
            try {
                return probe_all(Layout::create(directories()));
            } catch (const Error& error) {
                if (error.error_number() != EROFS) throw;
                return probe_all(Layout::open(directories()));
            }
        };
        std::vector<Probe> all = tried();
        all.push_back({"package-library", true, describe_library(), "", ""});
        return all;
    }

    std::vector<GenerationStep> history(const ContainerName& name) override {
        const Store store = look_at(name);
        const ReadTxn txn = store.index().read();
        std::vector<GenerationStep> steps;
        for (const uint64_t number : txn.generation_numbers(name)) {
            if (const auto generation = txn.generation(name, number))
                steps.push_back(step_of(txn, name, *generation));
        }
        return steps;
    }

    std::vector<TransactionStep> transactions() override {
        std::vector<TransactionStep> steps;
        const auto store = look();
        if (!store) return steps;
        const ReadTxn txn = store->index().read();
        for (uint64_t id = 1; id <= txn.last_transaction(); ++id) {
            if (auto transaction = txn.transaction(id)) steps.push_back({id, std::move(*transaction)});
        }
        return steps;
    }

    GenerationDiff diff(const GenerationName& before, const GenerationName& after) override {
        const Store store = look_at(before.container);
        const ReadTxn txn = store.index().read();
        const Generation old = kept_generation(txn, before);
        const Generation now = kept_generation(txn, after);
        return {old.number, now.number,
                compare_packages(visible_packages(txn, old), visible_packages(txn, now)),
                compare_trees(content_tree(txn, old), content_tree(txn, now))};
    }

    std::vector<ReadTxn::Switch> plan_rollback(RollbackRequest& request) override {
        const Store store = Store::open(directories());
        const ReadTxn txn = store.index().read();
        if (request.kind == RollbackRequest::Kind::undo && request.transaction == 0)
            request.transaction = last_of_a_user(txn);
        return pwstore::plan_rollback(txn, request);
    }

    PacmanView pacman_view(const ContainerName& name) override {
        (void)look_at(name);
        struct Held {
            Store store;
            Staging staging;
            RunLease lease;
        };
        Store store = Store::open(directories());
        const RepositoriesFile file = ensure_repositories(directories().config, directories().data + "/repo");
        auto lease = take_run_lease(store.layout().data(), store.index(), name);
        if (!lease) {
            throw Error("look at packages of", name.str(), "it has no root")
                .with_hint(fmt::format("'pwstore rebuild {}' builds it", name.str()));
        }
        Staging staging = Staging::create(store, "pacman");
        PacmanView view;
        view.root = store.layout().path(Layout::root_name(name, lease->generation));
        view.database = store.layout().path(staging.name());
        view.config = file.path;
        view.cache = store.layout().directories().cache + "/pkg";
        view.gnupg_dir = store.layout().path(names::kGnupg);
        view.log_file = store.layout().path(names::kLog);
        const ReadTxn txn = store.index().read();
        for (const ContainerName& container : txn.containers()) {
            const auto generation = txn.generation(container, state_of(txn, container).generation);
            if (!generation) continue;
            for (const InstalledPackage& package : generation->packages)
                view.installed_anywhere.emplace(package.name, package.version);
        }
        link_to(view.root + "/var/lib/pacman/local", staging.fd(), "local");
        link_to(store.layout().path(names::kSync), staging.fd(), "sync");
        view.hold = std::make_shared<Held>(Held{std::move(store), std::move(staging), std::move(*lease)});
        return view;
    }

    TransactionReport transact(const TransactionRequest& request, Dialogue& dialogue) override {
        try {
            return run_in_worker(find_own_program("pwstore-transact"), request, dialogue);
        } catch (const Error&) {
            if (!request.in_place) recover_store();
            throw;
        }
    }

    TransactionReport roll_back(const RollbackRequest& request, const std::vector<ReadTxn::Switch>& expected,
                                Dialogue& dialogue) override {
        return pwstore::roll_back(Store::open(directories()), request, expected, dialogue);
    }

    void remove_containers(const std::vector<ContainerName>& names, bool with_home, bool with_config,
                           bool force, ProgressSink& sink) override {
        for (const ContainerName& name : names)
            (void)look_at(name);
        delete_containers(Store::open(directories()), names, with_home, with_config, force, sink);
    }

    std::shared_ptr<void> hold_trial(const ContainerName& name) override {
        Layout layout = Layout::create(directories());
        auto lock = FileLock::try_acquire(layout.data(), trial_lock(name), LockMode::exclusive, "try");
        if (!lock) throw Error("try", name.str(), "another process uses this name").as(Fault::busy);
        return std::make_shared<TrialHold>(std::move(layout), trial_lock(name), std::move(*lock));
    }

    std::vector<ContainerName> abandoned_trials() override {
        std::vector<ContainerName> abandoned;
        const auto store = look();
        if (!store) return abandoned;
        for (const ContainerName& name : store->index().read().containers()) {
            if (is_trial_name(name.str()) && is_lock_free(store->layout().data(), trial_lock(name))) {
                abandoned.push_back(name);
            }
        }
        return abandoned;
    }

    std::vector<std::pair<std::string, ReadTxn::Snapshot>> snapshots() override {
        const auto store = look();
        if (!store) return {};
        return store->index().read().snapshots();
    }

    void add_snapshot(const std::string& label, const GenerationName& generation,
                      const std::string& note) override {
        const uint64_t current = current_of(look_at(generation.container), generation.container);
        const Store store = Store::open(directories());
        WriteTxn txn = store.index().write();
        txn.add_snapshot(
            label, {generation.container.str(), generation.generation != 0 ? generation.generation : current,
                    transaction_time(), note});
        txn.commit();
    }

    void remove_snapshot(const std::string& label) override {
        const Store store = Store::open(directories());
        WriteTxn txn = store.index().write();
        if (!txn.remove_snapshot(label))
            throw Error("remove snapshot", label, "there is none of this name").as(Fault::usage);
        txn.commit();
    }

    TransactionReport clone(const GenerationName& source, const ContainerName& name,
                            const std::string& command, ProgressSink& sink) override {
        return clone_container(Store::open(directories()), {source.container.str(), source.generation}, name,
                               command, sink);
    }

    MarginalUsage marginal(const std::vector<ContainerName>& names) override {
        for (const ContainerName& name : names)
            (void)look_at(name);
        const auto store = look();
        return store ? marginal_usage(store->index().read(), names) : MarginalUsage{};
    }

    StoreStatistics statistics(ProgressSink& sink) override {
        const auto store = look();
        return store ? statistics_of(*store, sink) : StoreStatistics{};
    }

    std::optional<PathStory> story(const GenerationName& generation, const std::string& path) override {
        const Store store = look_at(generation.container);
        const ReadTxn txn = store.index().read();
        const uint64_t number =
            generation.generation != 0 ? generation.generation : current_of(store, generation.container);
        const auto found = txn.generation(generation.container, number);
        if (!found) {
            throw Error("look up generation", fmt::format("{}@{}", generation.container.str(), number),
                        "there is no such generation")
                .as(Fault::usage);
        }
        auto story = story_of(txn, *found, path);
        if (story) return story;
        if (const auto removal = removal_of(txn, *found, path)) throw removed(path, *removal);
        return std::nullopt;
    }

    std::vector<ContentPlace> places(const std::string& text) override {
        const auto store = look();
        if (!store) return {};
        return places_of(store->index().read(), [&](const ObjectKey& key, const ObjectRow& row) {
            return row.sha256.hex().starts_with(text) || key.digest.hex().starts_with(text) ||
                   key.path(0) == text;
        });
    }

    std::vector<PathOwner> owners(const std::string& path) override {
        const auto store = look();
        if (!store) return {};
        return owners_of(store->index().read(), path);
    }

    std::vector<Sha256> contents() override {
        std::set<Sha256> all;
        if (const auto store = look()) {
            store->index().read().for_each_object(
                [&](const ObjectKey&, const ObjectRow& row) { all.insert(row.sha256); });
        }
        return {all.begin(), all.end()};
    }

    PolicyState policy(const ContainerName& name) override {
        (void)look_at(name);
        return {load_config(directories().config, name).value_or(ContainerConfig{}),
                load_proposal(directories().config, name)};
    }

    void settle_policy(const ContainerName& name, bool accept) override {
        const PolicyState state = policy(name);
        if (!state.proposed) throw Error("settle policy", name.str(), "none is proposed").as(Fault::usage);
        if (accept) save_config(directories().config, name, with_policy(state.active, *state.proposed));
        remove_proposal(directories().config, name);
    }

    image::ExportResult export_image(const image::ExportRequest& request, int out,
                                     ProgressSink& sink) override {
        (void)look_at(ContainerName(request.generation.container));
        return export_container(Store::open(directories()), request, out, sink);
    }

    ImportResult import_image(const ImportRequest& request, ProgressSink& sink) override {
        return import_container(Store::open(directories()), request, sink);
    }

    CollectPlan plan_collection(const CollectRequest& request, ProgressSink& sink) override {
        const auto store = look();
        return store ? pwstore::plan_collection(*store, request, sink) : CollectPlan{};
    }

    bool is_collection_needed(const CollectPlan& plan) override {
        const auto store = look();
        return store && pwstore::is_collection_needed(*store, plan);
    }

    CollectReport collect(const CollectPlan& plan, std::chrono::milliseconds patience,
                          ProgressSink& sink) override {
        return pwstore::collect(Store::open(directories()), plan, patience, sink);
    }

    VerifyReport verify(const VerifyRequest& request, ProgressSink& sink) override {
        const auto data = try_open_at(AT_FDCWD, directories().data, O_RDONLY | O_DIRECTORY);
        if (!data || !Index::exists(data->get())) return verify_without_index(directories().data);
        (void)look();
        const Store store = request.heal ? Store::open(directories()) : open_where_it_can_be();
        std::vector<Manifest> lacking;
        VerifyReport report = verify_store(store, request, lacking, sink);
        if (report.clean() || !fetch_archives(store, lacking, sink)) return report;
        VerifyReport again = verify_store(store, request, lacking, sink);
        std::copy_if(report.findings.begin(), report.findings.end(), std::back_inserter(again.findings),
                     [](const Finding& finding) { return finding.healed; });
        return again;
    }

    void log(const std::string& line) override { write_log(directories().data + "/" + names::kLog, line); }

    RunOutcome run(const RunRequest& request, ProgressSink& sink) override {
        const ContainerName& name = request.container;
        (void)look_at(name);
        const Store store = open_where_it_can_be();
        const bool may_change = store.may_change();
        if (may_change) prepare_launch(store, name, sink);
        const int data = store.layout().data();
        Say say;
        if (request.says_where) say = [&](const std::string& text) { sink.message(Severity::info, text); };
        if (!request.here && may_change) {
            auto run = prepare_run(directories(), store.index(), data, name, HostContext::current());
            if (run) {
                warn(run->warnings, sink);
                return outcome_of([&] {
                    const auto command = command_of(request, run->spec);
                    return launch(run->program, std::move(run->spec), command, std::move(run->lease), say);
                });
            }
        }
        auto lease = take_run_lease(data, store.index(), name);
        if (!lease) {
            throw Error("run in", name.str(), "its root was removed while it was being started")
                .with_hint("try again; another process is changing the container")
                .as(Fault::busy);
        }
        Composition composition = compose_for(store, name, lease->generation, request.here);
        warn(composition.warnings, sink);
        return outcome_of([&] {
            const auto command = command_of(request, composition.spec);
            return launch(std::move(composition.spec), command, std::move(lease->lock), say);
        });
    }

    RootShellResult root_shell(const RootShellRequest& request, ProgressSink& sink) override {
        (void)look_at(request.container);
        return run_root_shell(Store::open(directories()), request, sink);
    }

 private:
    const Directories& directories() {
        if (!directories_) directories_ = Directories::from_environment();
        return *directories_;
    }

    /// Open to look at what is there, nullopt when nothing is yet. A command that was killed right after its
    /// commit is finished first, so that everybody sees the same state; where that is not possible, on a
    /// read-only file system for one, the next command that changes something does it, or says why it cannot.
    std::optional<Store> look() {
        auto store = Store::open_read_only(directories());
        if (!store || !is_switch_unfinished(*store)) return store;
        store.reset();  // an index is open once in a process
        try {
            finish_switches(Store::open(directories()));
        } catch (const Error& error) {
            if (error.fault() == Fault::corrupt) throw;
        }
        return Store::open_read_only(directories());
    }

    /// `lacking` becomes the packages of damaged files that no archive was there of.
    VerifyReport verify_store(const Store& store, const VerifyRequest& request,
                              std::vector<Manifest>& lacking, ProgressSink& sink) {
        lacking.clear();
        VerifyOptions options;
        options.contents = !request.quick;
        options.sample = request.sample;
        if (request.heal) {
            options.heal_from = [&, cache = directories().cache + "/pkg"](const Manifest& manifest) {
                auto archive = cached_archive(cache, manifest);
                if (!archive) lacking.push_back(manifest);
                return archive;
            };
        }
        if (request.heal && request.bundle) {
            options.contents_from = [&store, &sink, path = *request.bundle](const std::set<Sha256>& wanted,
                                                                            const VerifyOptions::Give& give) {
                const Fd file = open_at(AT_FDCWD, path, O_RDONLY);
                const Staging staging = Staging::create(store, "verify");
                const auto image = image::Image::read(file.get(), staging.fd(), image::ImageLimits{}, sink);
                image::extract_contents(image, wanted, staging.fd(), give);
            };
        }
        return pwstore::verify(store, options, sink);
    }

    /// A worker that was killed leaves what it had downloaded and built: large, and nobody's.
    void recover_store() {
        try {
            if (Store::open_read_only(directories())) (void)Store::open(directories());
        } catch (const Error&) {
            // What it did is the news; the next command that changes something tries again.
        }
    }

    /// Opened for change: what a power cut left is put right, not reported. As it is where that cannot be, on
    /// a medium that is read-only.
    Store open_where_it_can_be() {
        try {
            return Store::open(directories());
        } catch (const Error& error) {
            if (error.error_number() != EROFS) throw;
        }
        return std::move(*Store::open_read_only(directories()));
    }

    /// Open to look at a container that has to be there.
    Store look_at(const ContainerName& name) {
        auto store = look();
        if (!store) {
            throw Error("look up container", name.str(), "there is no container yet")
                .as(Fault::usage)
                .with_hint("'pwstore create base --base' makes one");
        }
        {
            const ReadTxn txn = store->index().read();
            if (!txn.container(name)) throw no_such_container(txn, "look up container", name.str());
        }
        return std::move(*store);
    }

    static void link_to(const std::string& target, int dir, const char* name) {
        if (::symlinkat(target.c_str(), dir, name) != 0) throw Error::from_errno("link", target);
    }

    static uint64_t current_of(const Store& store, const ContainerName& name) {
        return state_of(store.index().read(), name).generation;
    }

    /// Where that cannot be, it is as it is: a container that never ran there has none.
    static void make_home(const Layout& layout, const ContainerName& name) {
        try {
            make_directories(layout.data(), std::string(names::kHome) + "/" + name.str(), 0700);
        } catch (const Error& error) {
            if (error.error_number() != EROFS) throw;
        }
    }

    Composition compose_for(const Store& store, const ContainerName& name, uint64_t generation,
                            const std::optional<Volume>& here) {
        make_home(store.layout(), name);
        ComposeRequest request{name, generation, {}, RunKind::user, {}, {}, {}, false};
        if (const auto config = load_config(directories().config, name)) request.config = *config;
        request.root.path = store.layout().path(Layout::root_name(name, generation));
        if (here) {
            request.working_directory = here->destination;
            request.extra_volumes.push_back(*here);
            request.without_configured_volumes = true;
        }
        return compose(store.layout(), request, HostContext::current());
    }

    template <typename Launch>
    static RunOutcome outcome_of(const Launch& launch_it) {
        try {
            return {launch_it(), std::nullopt};
        } catch (const Error& error) {
            return {launch_exit_code(error), error};
        }
    }

    static void warn(const std::vector<std::string>& warnings, ProgressSink& sink) {
        for (const std::string& warning : warnings)
            sink.message(Severity::warning, warning);
    }

    /// What is to be run; without a command, the shell of the sandbox.
    static std::vector<std::string> command_of(const RunRequest& request, const SandboxSpec& spec) {
        if (!request.argv.empty()) return request.argv;
        for (const EnvironmentVariable& variable : spec.environment) {
            if (variable.name == "SHELL") return {variable.value};
        }
        return {"sh"};
    }

    std::optional<Directories> directories_;
};

}  // namespace

const char* cause_word(Cause cause) {
    switch (cause) {
        case Cause::engine:
            return "the engine";
        case Cause::scriptlet:
            return "a scriptlet";
        case Cause::hook:
            return "a hook";
        case Cause::ldconfig:
            return "ldconfig";
        case Cause::user:
            return "the user";
    }
    return "unknown";
}

std::unique_ptr<Backend> make_backend() {
    return std::make_unique<RealBackend>();
}

}  // namespace pwstore::cli
