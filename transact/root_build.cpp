// SPDX-License-Identifier: GPL-3.0-or-later
#include "transact/root_build.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>
#include <cstdlib>
#include <deque>

#include "mount/container_config.hpp"
#include "resolver/session.hpp"
#include "store/base/error.hpp"
#include "store/base/failpoint.hpp"
#include "store/base/path_at.hpp"
#include "store/base/staged_file.hpp"
#include "store/debian/dpkg_record.hpp"
#include "store/debian/version.hpp"
#include "transact/bootstrap.hpp"
#include "transact/delta_builder.hpp"
#include "transact/elf_needs.hpp"
#include "transact/fresh_packages.hpp"
#include "transact/harvest.hpp"
#include "transact/interrupt.hpp"
#include "transact/layering.hpp"
#include "transact/moved_files.hpp"
#include "transact/package_files.hpp"
#include "transact/pacman_failure.hpp"
#include "transact/recipe.hpp"

namespace pwstore {

namespace {

std::string object_text(const Store& store, const ReadTxn& txn, ObjectId id) {
    const auto [key, row] = txn.object(id);
    return store.objects().content(key);
}

const InstalledPackage* find_planned(const std::vector<PlannedPackage>& packages, const std::string& name) {
    const auto found = std::find_if(packages.begin(), packages.end(),
                                    [&](const PlannedPackage& p) { return p.installed.name == name; });
    return found == packages.end() ? nullptr : &found->installed;
}

void add_paths(const Manifest& manifest, std::set<std::string>& paths,
               const std::vector<std::string>& no_extract = {}) {
    for (const Entry& entry : manifest.entries) {
        std::string path = entry.kind == EntryKind::directory ? entry.path + "/" : entry.path;
        if (match_patterns(no_extract, path) != 1) paths.insert(std::move(path));
    }
}

}  // namespace

RootBuild::RootBuild(TransactionState& state, Work& work, ScriptMode mode)
    : state_(state),
      work_(work),
      mode_(mode),
      manner_(state.request.as_pacman.value_or(PacmanManner{})),
      directory_("root-" + work.name.str()),
      present_(state.store.index()) {}

RootBuild::~RootBuild() = default;

void RootBuild::draft_generation() {
    Generation& after = work_.after;
    after.container = work_.name.str();
    after.number = work_.row.last_number + 1;
    after.parent = work_.before ? work_.before->number : 0;
    after.cause = state_.request.command;
    after.time = state_.now;
    const ReadTxn txn = state_.store.index().read();
    for (const std::string& name : work_.upstream) {
        after.upstream.push_back({name, state_.upstream_generation(txn, name).number});
    }
    for (const PlannedPackage& package : work_.packages)
        after.packages.push_back(package.installed);
    const auto config = load_config(state_.store.layout().directories().config, work_.name);
    after.policy = config.value_or(ContainerConfig{}).policy_digest();
    layers_ = tree_without_own_delta(txn, state_.store.objects(), after, state_.generation_source());
    if (work_.before) delta_before_ = txn.delta(work_.before->delta);
}

/// `paths` after the delta of `container`, too.
void RootBuild::add_work_of_hooks(const std::string& container, std::set<std::string>& paths) {
    const ReadTxn txn = state_.store.index().read();
    const Generation below = state_.upstream_generation(txn, container);
    if (below.delta == 0) return;
    for (const DeltaEntry& entry : txn.delta(below.delta).entries) {
        if (entry.cause == Cause::hook || entry.cause == Cause::ldconfig) {
            paths.insert(entry.entry.path);
        } else {
            paths.erase(entry.entry.path);
        }
    }
}

ChangesBelow RootBuild::changes_below() {
    ChangesBelow changes;
    changes.patterns = {state_.config.no_extract, state_.config.no_upgrade};
    for (const std::string& name : work_.upstream) {
        add_work_of_hooks(name, changes.made_by_hooks);
        const Work* below = state_.find(name);
        if (below == nullptr || !below->affected) continue;
        for (const PlanStep& step : below->plan.steps) {
            ChangeBelow& change = changes.packages.emplace_back();
            change.no_save = below->request.packages.no_save;
            if (below->before && below->before->find_package(step.package.name) != nullptr)
                change.old = manifest_before(*below, step.package.name);
            if (step.kind != StepKind::remove) {
                const InstalledPackage* package = find_planned(below->packages, step.package.name);
                change.after = state_.store.index().read().manifest(package->manifest);
            }
        }
    }
    return changes;
}

/// The container as it was, on top of what is below it now.
Tree RootBuild::start_tree() {
    Generation start = work_.after;
    start.packages.clear();
    start.delta = 0;
    if (work_.before) {
        start.packages = work_.before->packages;
        start.delta = work_.before->delta;
    }
    if (work_.before && start.upstream != work_.before->upstream && start.delta != 0) {
        {
            const ReadTxn txn = state_.store.index().read();
            const Tree ground_before = tree_without_own_delta(txn, state_.store.objects(), *work_.before,
                                                              state_.generation_source());
            const Tree ground =
                tree_without_own_delta(txn, state_.store.objects(), start, state_.generation_source());
            carried_ = carry_over(txn, state_.store.objects(), delta_before_, ground_before, ground,
                                  changes_below(), work_.name.str());
        }
        for (const std::string& text : carried_.messages) {
            state_.dialogue.message(Severity::warning, fmt::format("{}: {}", work_.name.str(), text));
        }
        delta_before_ = std::move(carried_.delta);
        WriteTxn txn = state_.store.index().write();
        start.delta = txn.add_delta(delta_before_);
        state_.leased.deltas.push_back(start.delta);
        state_.lease->record(txn, state_.leased);
        txn.commit();
    }
    return tree_of(state_.store.index().read(), state_.store.objects(), start, state_.generation_source());
}

void RootBuild::start() {
    draft_generation();
    failpoint("build.drafted");
    initial_ = start_tree();
    const LinkPolicy policy = mode_ == ScriptMode::overlay ? LinkPolicy::link : LinkPolicy::private_copies;
    stop_if_interrupted("build");
    state_.dialogue.progress("assemble", work_.name.str(), 0, initial_.entries.size());
    remove_tree(state_.staging->fd(), directory_);
    if (policy == LinkPolicy::link) {
        lay(initial_);
    } else {
        make_directory(state_.staging->fd(), directory_, 0755);
        root_ = open_dir(state_.staging->fd(), directory_);
        AssembleOptions options;
        options.policy = policy;
        assemble(state_.store, initial_, root_.get(), options);
    }
    failpoint("build.assembled");
    writer_ = std::make_unique<RootWriter>(state_.store, root_.get(), policy);
    put_carried();
    const std::string scratch = "scratch-" + work_.name.str();
    remove_tree(state_.staging->fd(), scratch);
    make_directory(state_.staging->fd(), scratch, 0700);
    const std::string staging = state_.store.layout().path(state_.staging->name());
    scripts_ = std::make_unique<ScriptRunner>(mode_, staging + "/" + directory_, root_.get(),
                                              staging + "/" + scratch, &work_.log, state_.dialogue);
    if (state_.request.as_pacman) scripts_->speak_as_pacman();
}

/// A root of links.
void RootBuild::lay(const Tree& tree) {
    laid_ = lay_root(state_.store, work_.name, tree, state_.staging->fd(), directory_);
    root_ = open_dir(state_.staging->fd(), directory_);
}

Manifest RootBuild::manifest_before(const Work& work, const std::string& package) const {
    const InstalledPackage* installed = work.before ? work.before->find_package(package) : nullptr;
    if (installed == nullptr)
        throw Error("find installed package", package, "its record is missing").as(Fault::corrupt);
    Manifest manifest = state_.store.index().read().manifest(installed->manifest);
    for (Entry& entry : manifest.entries) {  // as libalpm reads its database
        const auto recorded = installed->backup_md5.find(entry.path);
        if (recorded != installed->backup_md5.end())
            entry.backup_md5 = recorded->second.empty() ? "(null)" : recorded->second;
    }
    return manifest;
}

std::string RootBuild::install_script(const Manifest& manifest) const {
    if (manifest.install == 0) return {};
    return object_text(state_.store, state_.store.index().read(), manifest.install);
}

void RootBuild::add_step_events(const Plan& plan, const Work& owner, HookEvents& events) const {
    const ReadTxn txn = state_.store.index().read();
    for (const PlanStep& step : plan.steps) {
        const std::string& name = step.package.name;
        const InstalledPackage* now = find_planned(owner.packages, name);
        const InstalledPackage* old = owner.before ? owner.before->find_package(name) : nullptr;
        if (step.kind == StepKind::remove) {
            // One that goes and comes again was upgraded.
            if (now == nullptr) events.removed_packages.insert(name);
        } else {
            (old != nullptr ? events.upgraded_packages : events.installed_packages).insert(name);
            add_paths(txn.manifest(now->manifest), events.added_paths, state_.config.no_extract);
        }
        if (old != nullptr) add_paths(txn.manifest(old->manifest), events.removed_paths);
    }
}

/// What hooks see: this container's own changes, and those below it. A new container over several others has
/// never had their hooks run together, so all of their packages count as new to it.
HookEvents RootBuild::events() const {
    HookEvents events;
    add_step_events(work_.plan, work_, events);
    if (work_.before) {
        for (const std::string& name : work_.upstream) {
            const Work* below = state_.find(name);
            if (below != nullptr && below->affected) add_step_events(below->plan, *below, events);
        }
    } else if (work_.upstream.size() > 1) {
        const ReadTxn txn = state_.store.index().read();
        for (const PlannedPackage& package : state_.upstream_packages(txn, work_)) {
            events.installed_packages.insert(package.installed.name);
            add_paths(txn.manifest(package.installed.manifest), events.added_paths, state_.config.no_extract);
        }
    }
    return events;
}

bool RootBuild::is_installed(const std::string& dependency, const std::vector<InstalledPackage>& own) const {
    const ReadTxn txn = state_.store.index().read();
    std::vector<InstalledPackage> packages = own;
    for (const PlannedPackage& package : state_.upstream_packages(txn, work_))
        packages.push_back(package.installed);
    std::vector<std::pair<std::string, std::string>> provided;
    for (const InstalledPackage& package : packages) {
        if (package.manifest == 0) continue;
        const Manifest manifest = txn.manifest(package.manifest);
        provided.emplace_back(manifest.name, manifest.version);
        for (const std::string& provision :
             parse_pkginfo(object_text(state_.store, txn, manifest.pkginfo)).provides) {
            const size_t equals = provision.find('=');
            provided.emplace_back(provision.substr(0, equals),
                                  equals == std::string::npos ? "" : provision.substr(equals + 1));
        }
    }
    return is_satisfied(dependency, provided);
}

FileRules RootBuild::file_rules() {
    FileRules rules;
    rules.patterns = {state_.config.no_extract, state_.config.no_upgrade};
    rules.no_save = work_.request.packages.no_save;
    rules.moving = &moving_;
    rules.coming = &coming_;
    rules.came = &came_;
    rules.present = &present_;
    rules.keeps_shared = claims_ != nullptr;
    if (claims_) rules.taken_over = &left_.conffiles;
    return rules;
}

/// Before anything changes: see FileRules.
void RootBuild::find_moving_files() {
    bool leaves = false;
    for (const PlanStep& step : work_.plan.steps) {
        const std::string& name = step.package.name;
        if (step.kind != StepKind::remove)
            coming_.insert(fmt::format("package {} {}", name, find_planned(work_.packages, name)->version));
        leaves = leaves || (work_.before && work_.before->find_package(name) != nullptr);
    }
    if (!leaves) return;  // nothing that could move
    const ReadTxn txn = state_.store.index().read();
    std::deque<PackageFileList> lists;
    std::vector<FileListChange> changes;
    for (const PlanStep& step : work_.plan.steps) {
        const std::string& name = step.package.name;
        FileListChange change;
        std::optional<Manifest> old, after;
        if (work_.before && work_.before->find_package(name) != nullptr)
            change.old = &lists.emplace_back(file_list(old.emplace(manifest_before(work_, name))));
        if (step.kind != StepKind::remove) {
            after = txn.manifest(find_planned(work_.packages, name)->manifest);
            change.after = &lists.emplace_back(file_list(*after));
        }
        if (claims_ && old) left_.add(*old, after ? &*after : nullptr);
        changes.push_back(change);
    }
    moving_ = moved_files(
        [this](const std::string& path) { return try_stat_at(root_.get(), writer_->resolve(path)); },
        changes);
}

void RootBuild::find_present_packages() {
    const ReadTxn txn = state_.store.index().read();
    for (const PlannedPackage& package : state_.upstream_packages(txn, work_))
        present_.put(package.installed.name, package.installed.manifest);
    if (!work_.before) return;
    for (const InstalledPackage& package : work_.before->packages)
        present_.put(package.name, package.manifest);
}

void RootBuild::take_directories(const PackageFiles& files) {
    directories_.insert(files.directories().begin(), files.directories().end());
    for (const auto& [path, mode] : files.made_directories())
        made_directories_.insert_or_assign(path, mode);
}

/// A directory has the mode with which it was made, whatever other packages say, as with pacman.
void RootBuild::keep_directory_modes() {
    for (const std::string& path : directories_) {
        if (work_.log.paths().contains(path)) continue;
        const TreeEntry* layer = layers_.find(path);
        if (layer == nullptr || layer->entry.kind != EntryKind::directory) continue;
        uint32_t mode = layer->entry.mode;
        if (const auto made = made_directories_.find(path); made != made_directories_.end()) {
            mode = made->second;
        } else if (const TreeEntry* was = initial_.find(path);
                   was != nullptr && was->entry.kind == EntryKind::directory) {
            const std::string& from = initial_.layers[was->layer];
            if (from != kMountPointLayer && from != kDatabaseLayer) mode = was->entry.mode;
        }
        if (mode != layer->entry.mode) work_.log.touched(path, {.mode = mode});
    }
}

/// What changed below, as far as this root has its own rules about it.
void RootBuild::follow_packages_below() {
    FileRules rules = file_rules();
    rules.diversions = Diversions(root_.get());
    PackageFiles files(*writer_, layers_, delta_before_, rules, work_.log, state_.dialogue);
    for (const std::string& name : work_.upstream) {
        const Work* below = state_.find(name);
        if (below == nullptr || !below->affected || rules.diversions.empty()) continue;
        const ReadTxn txn = state_.store.index().read();
        for (const PlanStep& step : below->plan.steps) {
            const bool is_removal = step.kind == StepKind::remove;
            const InstalledPackage* package = is_removal && below->before
                                                  ? below->before->find_package(step.package.name)
                                                  : find_planned(below->packages, step.package.name);
            if (package != nullptr) files.follow_diversions(txn.manifest(package->manifest), is_removal);
        }
    }
    take_directories(files);
    if (!claims_) return;
    for (const PlannedPackage& package : work_.packages)
        (void)claims_->check(state_.store.index().read().manifest(package.installed.manifest),
                             rules.diversions);
}

std::set<std::string> RootBuild::activated_below() const {
    std::set<std::string> names;
    for (const std::string& name : work_.upstream) {
        const Work* below = state_.find(name);
        if (below != nullptr && below->affected)
            names.insert(below->activated.begin(), below->activated.end());
    }
    return names;
}

void RootBuild::run_scriptlet(const std::string& package, const std::string& script, ScriptletKind kind,
                              const std::vector<std::string>& versions) {
    if (!manner_.no_scriptlet) scripts_->run_scriptlet(package, script, kind, versions);
}

void RootBuild::apply_removal(const PlanStep& step) {
    const std::string& name = step.package.name;
    FileRules rules = file_rules();
    rules.follows_symlinks = is_deb_version(step.package.version);
    PackageFiles files(*writer_, layers_, delta_before_, rules, work_.log, state_.dialogue);
    const Manifest old = manifest_before(work_, name);
    rules.diversions = Diversions(root_.get());
    if (const ManifestId below = lies_below(name); below != 0) {
        // The package stays, as the one that lies below: nothing of what its scripts have done is to be
        // undone.
        const Manifest under = state_.store.index().read().manifest(below);
        if (claims_) rules.shared = claims_->check(under, rules.diversions);
        files.install(under, &old);
        present_.put(name, below);
        return take_directories(files);
    }
    const std::string script = install_script(old);
    run_scriptlet(name, script, ScriptletKind::pre_remove, {old.version});
    maintainer_scripts_->before_removal(old);
    rules.diversions = Diversions(root_.get());
    files.remove(old);
    present_.take(name);
    run_scriptlet(name, script, ScriptletKind::post_remove, {old.version});
    maintainer_scripts_->after_removal(old, work_.request.packages.no_save);
    take_directories(files);
}

/// The package of that name that a container below has; 0 = none.
ManifestId RootBuild::lies_below(const std::string& package) const {
    const ReadTxn txn = state_.store.index().read();
    for (const PlannedPackage& below : state_.upstream_packages(txn, work_)) {
        if (below.installed.name == package) return below.installed.manifest;
    }
    return 0;
}

void RootBuild::apply_addition(const PlanStep& step) {
    const std::string& name = step.package.name;
    FileRules rules = file_rules();
    rules.follows_symlinks = is_deb_version(step.package.version);
    PackageFiles files(*writer_, layers_, delta_before_, rules, work_.log, state_.dialogue);
    const Manifest manifest =
        state_.store.index().read().manifest(find_planned(work_.packages, name)->manifest);
    const std::string script = install_script(manifest);
    const bool had =
        step.kind != StepKind::install && work_.before && work_.before->find_package(name) != nullptr;
    const std::optional<Manifest> old = had ? std::optional(manifest_before(work_, name)) : std::nullopt;
    std::vector<std::string> versions{manifest.version};
    if (old) versions.push_back(old->version);
    run_scriptlet(name, script, old ? ScriptletKind::pre_upgrade : ScriptletKind::pre_install, versions);
    maintainer_scripts_->before_unpack(manifest, old ? &*old : nullptr);
    rules.diversions = Diversions(root_.get());
    if (claims_) rules.shared = claims_->check(manifest, rules.diversions);
    const std::string label = fmt::format("package {} {}", manifest.name, manifest.version);
    coming_.erase(label);
    files.install(manifest, old ? &*old : nullptr);
    came_.insert(label);
    present_.put(name, find_planned(work_.packages, name)->manifest);
    maintainer_scripts_->take_over(manifest, left_.stems);
    maintainer_scripts_->after_unpack(manifest, old ? &*old : nullptr);
    run_scriptlet(name, script, old ? ScriptletKind::post_upgrade : ScriptletKind::post_install, versions);
    take_directories(files);
}

/// --dbonly: the database changes, files and scripts are left alone.
void RootBuild::record_step(const PlanStep& step) {
    const std::string& name = step.package.name;
    const FileRules rules = file_rules();
    PackageFiles files(*writer_, layers_, delta_before_, rules, work_.log, state_.dialogue);
    const bool had = work_.before && work_.before->find_package(name) != nullptr;
    const std::optional<Manifest> old = had ? std::optional(manifest_before(work_, name)) : std::nullopt;
    if (step.kind == StepKind::remove) {
        files.forget(old.value());
    } else {
        files.record(state_.store.index().read().manifest(find_planned(work_.packages, name)->manifest),
                     old ? &*old : nullptr);
    }
    take_directories(files);
}

void RootBuild::apply_step(const PlanStep& step) {
    if (manner_.db_only) return record_step(step);
    step.kind == StepKind::remove ? apply_removal(step) : apply_addition(step);
}

/// -D: entries of packages that are otherwise as they were.
void RootBuild::place_changed_reasons() {
    const FileRules rules = file_rules();
    PackageFiles files(*writer_, layers_, delta_before_, rules, work_.log, state_.dialogue);
    for (const InstalledPackage& package : work_.after.packages) {
        const InstalledPackage* old = work_.before ? work_.before->find_package(package.name) : nullptr;
        if (old == nullptr || old->manifest != package.manifest || old->reason == package.reason) continue;
        files.place_database_entry(state_.store.index().read().manifest(package.manifest));
    }
    take_directories(files);
}

/// Lay down together what comes new from `at` on, up to a package that has scripts, or about whose files
/// there is something to decide. Returns that one's place.
RootBuild::Steps::const_iterator RootBuild::apply_fresh(const Steps& steps, Steps::const_iterator at) {
    if (mode_ != ScriptMode::overlay || manner_.db_only || claims_ || !Diversions(root_.get()).empty())
        return at;
    const FilePatterns patterns{state_.config.no_extract, state_.config.no_upgrade};
    FreshPackages fresh(root_.get(), layers_, delta_before_, patterns, work_.log);
    auto next = at;
    for (; next != steps.end() && (*next)->kind == StepKind::install; ++next) {
        stop_if_interrupted("build");
        const Manifest manifest = state_.store.index().read().manifest(
            find_planned(work_.packages, (*next)->package.name)->manifest);
        if (manifest.install != 0 || dpkg_record(manifest) || !fresh.add(manifest)) break;
        state_.dialogue.progress("install", manifest.name, static_cast<uint64_t>(next - steps.begin()) + 1,
                                 steps.size());
    }
    if (next == at) return at;
    const auto names = fmt::format("{} packages from '{}' on", next - at, (*at)->package.name);
    in_step(fmt::format("install {} into '{}'", names, work_.name.str()),
            [&] { laid_.stats += add_to_root(state_.store, fresh.tree(), root_.get()); });
    for (; at != next; ++at) {
        const InstalledPackage& package = *find_planned(work_.packages, (*at)->package.name);
        const std::string label = fmt::format("package {} {}", package.name, package.version);
        coming_.erase(label);
        came_.insert(label);
        present_.put(package.name, package.manifest);
    }
    directories_.insert(fresh.directories().begin(), fresh.directories().end());
    for (const auto& [path, mode] : fresh.made_directories())
        made_directories_.insert_or_assign(path, mode);
    failpoint("build.fresh");
    return next;
}

/// The plan's. Of Debian's packages, one that makes way for another goes right before that one comes, as with
/// apt: what its files are needed for runs meanwhile.
RootBuild::Steps RootBuild::steps_in_order() const {
    std::map<std::string, const PlanStep*> makes_way;
    for (const PlanStep& step : work_.plan.steps)
        for (const std::string& old : step.replaces)
            makes_way.emplace(old, nullptr);
    Steps steps;
    for (const PlanStep& step : work_.plan.steps) {
        const bool is_removal = step.kind == StepKind::remove;
        const auto found = makes_way.find(step.package.name);
        if (is_removal && found != makes_way.end() && is_deb_version(step.package.version)) {
            found->second = &step;
            continue;
        }
        for (const std::string& old : step.replaces)
            if (const PlanStep* going = std::exchange(makes_way.at(old), nullptr)) steps.push_back(going);
        steps.push_back(&step);
    }
    return steps;
}

/// Where dpkg itself comes, what it needs is configured before the rest.
void RootBuild::apply_steps() {
    Steps steps = steps_in_order();
    auto rest = steps.begin();
    if (maintainer_scripts_->bootstraps() && has_debian_packages(work_.plan)) {
        const std::set<std::string> first = bootstrap_set(state_.store, work_.after.packages);
        rest = std::stable_partition(steps.begin(), steps.end(), [&](const PlanStep* step) {
            return step->kind == StepKind::remove || first.contains(step->package.name);
        });
    }
    const auto done = [&](Steps::const_iterator at) { return static_cast<uint64_t>(at - steps.cbegin()); };
    for (auto at = steps.cbegin(); at != steps.cend();) {
        stop_if_interrupted("build");
        if (at == rest && at != steps.cbegin()) maintainer_scripts_->configure();
        if (const auto next = apply_fresh(steps, at); next != at) {
            at = next;
            continue;
        }
        const PlanStep& step = **at++;
        const bool is_removal = step.kind == StepKind::remove;
        state_.dialogue.progress(is_removal ? "remove" : "install", step.package.name, done(at),
                                 steps.size());
        in_step(fmt::format("{} '{}' {} '{}'", is_removal ? "remove" : "install", step.package.name,
                            is_removal ? "from" : "into", work_.name.str()),
                [&] { apply_step(step); });
    }
}

/// Returns what hooks see, when there are any before the transaction.
std::optional<HookEvents> RootBuild::run_hooks_before() {
    const auto installed = [this](const std::string& dependency) {
        return is_installed(dependency,
                            work_.before ? work_.before->packages : std::vector<InstalledPackage>{});
    };
    constexpr Hook::When kBefore = Hook::When::pre_transaction;
    std::optional<HookEvents> what;
    try {
        const std::vector<Hook> hooks =
            usable_hooks(read_hooks(hook_directories(root_.get())), kBefore, state_.dialogue);
        // Triggers are looked at only when there is something that they could start.
        if (!hooks.empty()) what = events();
        scripts_->run_hooks(kBefore, hooks, what.value_or(HookEvents{}), false, installed);
    } catch (const Error& error) {
        if (!state_.request.as_pacman) throw;
        if (error.fault() != Fault::refused) state_.dialogue.message(Severity::error, error.what());
        throw pacman_commit_failure("failed to run transaction hooks", error.fault());
    }
    return what;
}

void RootBuild::run_hooks_after(const HookEvents& what) {
    constexpr Hook::When kAfter = Hook::When::post_transaction;
    const std::vector<Hook> hooks =
        usable_hooks(read_hooks(hook_directories(root_.get())), kAfter, state_.dialogue);
    scripts_->run_hooks(kAfter, hooks, what, true, [this](const std::string& dependency) {
        return is_installed(dependency, work_.after.packages);
    });
    std::set<std::string> activated = activated_below();
    if (!work_.before && work_.upstream.size() > 1) {
        // New to each other: see events().
        const ReadTxn txn = state_.store.index().read();
        for (const PlannedPackage& package : state_.upstream_packages(txn, work_))
            activated.merge(
                MaintainerScripts::activations(state_.store, txn.manifest(package.installed.manifest)));
    }
    maintainer_scripts_->run_triggers(what, activated);
    work_.activated = maintainer_scripts_->activated();
}

void RootBuild::run_plan() {
    maintainer_scripts_ =
        std::make_unique<MaintainerScripts>(state_.store, *writer_, initial_, layers_, *scripts_);
    const std::vector<InstalledPackage> visible =
        visible_packages(state_.store.index().read(), work_.after, state_.generation_source());
    if (has_debian_packages(visible))
        claims_ =
            std::make_unique<FileClaims>(state_.store, visible, SharedBefore(state_.store, work_.before),
                                         work_.request.packages.overwrite);
    if (work_.before && work_.before->upstream != work_.after.upstream) follow_packages_below();
    place_changed_reasons();
    const std::optional<HookEvents> what = run_hooks_before();
    failpoint("build.pre-hooks");
    find_moving_files();
    find_present_packages();
    apply_steps();
    failpoint("build.packages");
    maintainer_scripts_->configure();
    run_hooks_after(what ? *what : events());
    report_missing_libraries();
    failpoint("build.post-hooks");
    for (const TransactionNote& note : scripts_->notes())
        work_.after.notes.push_back(note);
}

/// Debian packages are converted one by one: what their programs need is looked for once more where they are.
void RootBuild::report_missing_libraries() const {
    if (!has_debian_packages(work_.plan)) return;
    std::unordered_set<std::string_view> names;
    for (const TreeEntry& entry : layers_.entries) {
        if (entry.entry.kind != EntryKind::directory) names.insert(split_path(entry.entry.path).second);
    }
    for (const auto& [path, touch] : work_.log.paths())  // links that ldconfig made
        names.insert(split_path(path).second);
    for (const PlanStep& step : work_.plan.steps) {
        const InstalledPackage* package = find_planned(work_.packages, step.package.name);
        if (package == nullptr || !is_deb_version(package->version)) continue;
        const Manifest manifest = state_.store.index().read().manifest(package->manifest);
        for (const std::string& text : missing_libraries(root_.get(), manifest, names))
            state_.dialogue.message(Severity::warning, fmt::format("{}: {}", work_.name.str(), text));
    }
}

std::string RootBuild::root_path() const {
    return state_.store.layout().path(state_.staging->name()) + "/" + directory_;
}

int RootBuild::run_shell(const ScriptCommand& command) {
    return scripts_->run_interactive("root shell", command);
}

void RootBuild::put_file(const std::string& path, const std::string& content) {
    if (!is_root_path(path)) throw Error("put file", path, "it is not a path below a root").as(Fault::usage);
    const std::string place = writer_->resolve(path);
    const TreeEntry* there = initial_.find(place);
    const mode_t mode =
        there != nullptr && there->entry.kind == EntryKind::file ? inode_mode(there->entry.mode) : 0644;
    put(place, content, mode);
    work_.log.touched(place, {Cause::user, "put", {}});
}

void RootBuild::put(const std::string& path, const std::string& content, mode_t mode) {
    const auto [parent, name] = split_path(path);
    const Fd directory = parent.empty()
                             ? open_dir(root_.get(), ".")
                             : open_beneath(root_.get(), std::string(parent), O_RDONLY | O_DIRECTORY);
    write_file_atomically(directory.get(), std::string(name), content, mode);
}

/// What became of this container's part in files that were changed below as well.
void RootBuild::put_carried() {
    for (const LayeredDelta::Rewritten& file : carried_.rewritten) {
        const DeltaEntry& old = file.entry;
        put(old.entry.path, file.text, inode_mode(old.entry.mode));
        work_.log.touched(old.entry.path, {old.cause, old.agent, old.entry.mode});
    }
    for (const DeltaEntry& link : carried_.relinked) {
        TreeEntry entry;
        entry.entry = link.entry;
        writer_->place(entry);
        work_.log.touched(link.entry.path, {link.cause, link.agent, {}});
    }
}

void RootBuild::record_delta() {
    keep_directory_modes();
    if (work_.log.paths().empty() && delta_before_.entries.empty()) return;
    Ingestor ingestor(state_.store, state_.dialogue);
    const auto latest =
        std::getenv("SOURCE_DATE_EPOCH") != nullptr ? std::optional(state_.now) : std::nullopt;
    work_.delta = build_delta(state_.store.index().read(), ingestor, root_.get(), layers_, initial_,
                              delta_before_, work_.log, latest);
    state_.stats += ingestor.stats();
    failpoint("build.harvested");
    ingestor.commit(&*state_.lease, false, [&](WriteTxn& txn) {
        if (!work_.delta.entries.empty()) work_.after.delta = txn.add_delta(work_.delta);
        if (work_.after.delta != 0) state_.leased.deltas.push_back(work_.after.delta);
        for (const DeltaEntry& entry : work_.delta.entries) {
            if (entry.entry.object != 0) state_.leased.objects.push_back(entry.entry.object);
        }
        state_.lease->record(txn, state_.leased);
    });
}

/// Make the scripted root exactly what assembling the final tree would give.
void RootBuild::settle() {
    if (mode_ == ScriptMode::private_copy) {
        writer_.reset();
        scripts_.reset();
        root_.reset();
        remove_tree(state_.staging->fd(), directory_);
        lay(final_);
        return;
    }
    for (const auto& [path, touch] : work_.log.paths()) {
        const TreeEntry* entry = final_.find(path);
        if (entry == nullptr) {
            if (writer_->resolve(path) == path) writer_->remove(path);  // not what a symlink leads to
        } else if (entry->entry.kind != EntryKind::directory) {
            writer_->place(*entry);
        } else {
            directories_.insert(path);
        }
        directories_.emplace(split_path(path).first);
    }
    writer_->settle_directories(final_, directories_);
}

/// So that the root after the next can be made of this one. Where the file system does not link, a file may
/// have been copied that its tree says is a link: nothing is made of such a root.
void RootBuild::seal() {
    const uint64_t copies = laid_.stats.fallback_copies + (writer_ ? writer_->stats().fallback_copies : 0);
    if (copies == 0)
        write_staged_seal(state_.staging->fd(), directory_, seal_of(final_, root_.get(), laid_.replacements));
}

void RootBuild::digest() {
    const ReadTxn txn = state_.store.index().read();
    work_.after.recipe_digest = recipe_digest(txn, work_.row.type, work_.after, state_.generation_source());
    work_.after.tree_digest = tree_digest(txn, final_);
    work_.after.digest = generation_digest(work_.after, work_.before ? work_.before->digest : Sha256{});
}

void RootBuild::finish() {
    stop_if_interrupted("build");
    maintainer_scripts_.reset();
    scripts_.reset();
    record_delta();
    failpoint("build.delta-recorded");
    final_ =
        tree_of(state_.store.index().read(), state_.store.objects(), work_.after, state_.generation_source());
    settle();
    digest();
    seal();
    root_.reset();
    work_.staged_root = directory_;
    failpoint("build.done");
}

}  // namespace pwstore
