// SPDX-License-Identifier: GPL-3.0-or-later
#include "transact/in_place_root.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <ctime>

#include "store/base/error.hpp"
#include "store/base/failpoint.hpp"
#include "store/base/path_at.hpp"
#include "store/local_database.hpp"
#include "transact/interrupt.hpp"
#include "transact/pacman_failure.hpp"
#include "transact/recipe.hpp"

namespace pwstore {

namespace {

constexpr const char* kRootHooks = "usr/share/libalpm/hooks";

std::string with_slash(std::string path) {
    if (!path.ends_with('/')) path += '/';
    return path;
}

/// Directories of `place` below its root are that root's own: symlinks in them do not lead out of it.
std::vector<HookDirectory> hook_directories_of(const InPlaceRequest& place, int root, int host) {
    std::vector<HookDirectory> directories{{root, kRootHooks}};
    const std::string below = with_slash(place.root);
    for (const std::string& directory : place.hook_dirs) {
        if (directory.starts_with(below)) {
            directories.push_back({root, directory.substr(below.size())});
        } else {
            directories.push_back({host, directory.substr(directory.find_first_not_of('/'))});
        }
    }
    return directories;
}

void write_file(int dir, const std::string& name, std::string_view content) {
    const Fd file = open_at(dir, name, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW, 0644);
    if (::fchmod(file.get(), 0644) != 0) throw Error::from_errno("set mode", name);
    write_all(file.get(), content, name);
}

std::string make_scratch() {
    const char* base = std::getenv("TMPDIR");
    std::string path = fmt::format("{}/pwstore-XXXXXX", base != nullptr && *base == '/' ? base : "/tmp");
    if (::mkdtemp(path.data()) == nullptr) throw Error::from_errno("make directory", path);
    return path;
}

}  // namespace

void LoggedDialogue::progress(const std::string& step, const std::string& label, uint64_t done,
                              uint64_t total) {
    dialogue_.progress(step, label, done, total);
    if (step == "hook") session_.log("ALPM", fmt::format("running '{}'...", label));
}

void LoggedDialogue::message(Severity severity, const std::string& text) {
    dialogue_.message(severity, text);
    if (severity == Severity::error || severity == Severity::warning) {
        session_.log("ALPM", fmt::format("{}: {}", severity == Severity::error ? "error" : "warning", text));
    }
}

void LoggedDialogue::script_output(const std::string& agent, const std::string& line) {
    dialogue_.script_output(agent, line);
    session_.log("ALPM-SCRIPTLET", printable(line));
}

InPlaceRoot::InPlaceRoot(const InPlaceRequest& place, const PacmanConfig& config,
                         const ResolveRequest& wanted, Session& session, Dialogue& dialogue)
    : place_(place),
      wanted_(wanted),
      session_(session),
      dialogue_(dialogue, session),
      shown_root_(with_slash(place.root)),
      root_fd_(open_dir(AT_FDCWD, place.root)),
      local_(open_dir(AT_FDCWD, place.database + "/local")),
      root_(root_fd_.get(), [this](const std::string& text) { dialogue_.message(Severity::warning, text); }),
      patterns_{config.no_extract, config.no_upgrade} {
    for (PackageFileList& list : session_.file_lists()) {
        owners_.add(list);
        std::string name = list.name;
        installed_.emplace(std::move(name), std::move(list));
    }
}

InPlaceRoot::~InPlaceRoot() {
    scripts_.reset();
    if (!scratch_.empty()) (void)::rmdir(scratch_.c_str());
}

void InPlaceRoot::log(const std::string& text) {
    session_.log("ALPM", text);
}

const PackageFileList* InPlaceRoot::installed(const std::string& name) const {
    const auto found = installed_.find(name);
    return found == installed_.end() ? nullptr : &found->second;
}

// --- Before anything is touched ----------------------------------------------------------------------------

void InPlaceRoot::read_archives(const Plan& plan) {
    size_t done = 0;
    for (const PlanStep& step : plan.steps) {
        ++done;
        if (step.kind == StepKind::remove) continue;
        stop_if_interrupted("read packages");
        dialogue_.progress("read", step.package.name, done, plan.steps.size());
        archives_.try_emplace(step.package.name, step.archive, step.package.name, step.package.version);
    }
}

void InPlaceRoot::find_moved_files(const Plan& plan) {
    InPlaceFiles::Rules rules{.patterns = patterns_, .no_save = wanted_.no_save};
    std::vector<FileListChange> changes;
    for (const PlanStep& step : plan.steps) {
        const bool goes = step.kind == StepKind::remove;
        changes.push_back(
            {installed(step.package.name), goes ? nullptr : &archives_.at(step.package.name).list()});
    }
    rules.moved = moved_files([this](const std::string& path) { return root_.look(path); }, changes);
    files_.emplace(root_, std::move(rules), owners_,
                   InPlaceFiles::Report{shown_root_, [this](Severity severity, const std::string& text) {
                                            dialogue_.message(severity, text);
                                        }});
}

HookEvents InPlaceRoot::events(const Plan& plan) const {
    HookEvents events;
    for (const PlanStep& step : plan.steps) {
        const std::string& name = step.package.name;
        const PackageFileList* old = installed(name);
        if (old != nullptr) events.removed_paths.insert(old->paths.begin(), old->paths.end());
        if (step.kind == StepKind::remove) {
            events.removed_packages.insert(name);
            continue;
        }
        (old != nullptr ? events.upgraded_packages : events.installed_packages).insert(name);
        for (const std::string& path : archives_.at(name).list().paths) {
            if (match_patterns(patterns_.no_extract, path) != 1) events.added_paths.insert(path);
        }
    }
    return events;
}

// --- Scripts -----------------------------------------------------------------------------------------------

bool InPlaceRoot::is_installed(const std::string& dependency) {
    if (infos_.empty()) {
        for (PackageInfo& info : session_.installed())
            infos_.emplace(info.name, std::move(info));
    }
    std::vector<std::pair<std::string, std::string>> provided;
    for (const auto& [name, list] : installed_) {
        provided.emplace_back(name, list.version);
        const auto archive = archives_.find(name);
        const bool is_new = archive != archives_.end() && archive->second.list().version == list.version;
        const auto info = infos_.find(name);
        const std::vector<std::string> provides =
            is_new ? parse_pkginfo(archive->second.contents().pkginfo).provides
                   : (info != infos_.end() ? info->second.provides : std::vector<std::string>{});
        for (const std::string& provision : provides) {
            const size_t equals = provision.find('=');
            provided.emplace_back(provision.substr(0, equals),
                                  equals == std::string::npos ? "" : provision.substr(equals + 1));
        }
    }
    return is_satisfied(dependency, provided);
}

void InPlaceRoot::run_hooks(Hook::When when, const HookEvents& events) {
    const Fd host = open_dir(AT_FDCWD, "/");
    const std::vector<Hook> hooks =
        usable_hooks(read_hooks(hook_directories_of(place_, root_fd_.get(), host.get())), when, dialogue_);
    const bool ldconfig = when == Hook::When::post_transaction;
    scripts_->run_hooks(when, hooks, events, ldconfig,
                        [this](const std::string& dependency) { return is_installed(dependency); });
}

std::string InPlaceRoot::installed_script(const PackageFileList& package) const {
    return try_read_file(local_.get(), fmt::format("{}-{}/install", package.name, package.version))
        .value_or("");
}

void InPlaceRoot::run_scriptlet(const std::string& package, const std::string& script, ScriptletKind kind,
                                const std::vector<std::string>& versions) {
    if (!place_.no_scriptlet) scripts_->run_scriptlet(package, script, kind, versions);
}

// --- Packages ----------------------------------------------------------------------------------------------

void InPlaceRoot::remove_entry(const PackageFileList& package) {
    remove_tree(local_.get(), fmt::format("{}-{}", package.name, package.version));
    owners_.forget(package);
    installed_.erase(package.name);
}

void InPlaceRoot::remove(const PlanStep& step) {
    const PackageFileList* found = installed(step.package.name);
    if (found == nullptr) throw Error("remove", step.package.name, "it is not installed").as(Fault::corrupt);
    const PackageFileList old = *found;
    const std::string script = installed_script(old);
    run_scriptlet(old.name, script, ScriptletKind::pre_remove, {old.version});
    if (!place_.db_only) files_->remove(old, nullptr);
    log(fmt::format("removed {} ({})", old.name, old.version));
    run_scriptlet(old.name, script, ScriptletKind::post_remove, {old.version});
    remove_entry(old);
    failpoint("in-place.removed");
}

void InPlaceRoot::write_entry(const PlanStep& step, const PackageArchive& package) {
    const PackageContents& contents = package.contents();
    InstalledPackage record;
    record.name = package.list().name;
    record.version = package.list().version;
    record.reason = step.explicitly ? InstallReason::explicitly : InstallReason::dependency;
    record.install_date = std::time(nullptr);
    record.validation = step.validation;
    const PackageDescription description = parse_pkginfo(contents.pkginfo);
    const std::string name = database_entry_name(record);
    make_directory(local_.get(), name, 0755);
    const Fd entry = open_dir(local_.get(), name);
    if (contents.install) write_file(entry.get(), "install", *contents.install);
    if (contents.changelog) write_file(entry.get(), "changelog", *contents.changelog);
    if (contents.mtree) write_file(entry.get(), "mtree", *contents.mtree);
    write_file(entry.get(), "desc", format_desc(description, record));
    write_file(entry.get(), "files", format_files(contents.manifest, description, record));
    owners_.add(package.list());
    installed_.insert_or_assign(record.name, package.list());
}

void InPlaceRoot::add(const PlanStep& step) {
    const PackageArchive& package = archives_.at(step.package.name);
    const std::string& version = package.list().version;
    const PackageFileList* found = installed(step.package.name);
    const std::optional<PackageFileList> old = found != nullptr ? std::optional(*found) : std::nullopt;
    const std::string script = package.contents().install.value_or("");
    std::vector<std::string> versions{version};
    if (old) versions.push_back(old->version);
    run_scriptlet(step.package.name, script, old ? ScriptletKind::pre_upgrade : ScriptletKind::pre_install,
                  versions);
    if (old) {
        if (!place_.db_only) files_->remove(*old, &package.list());
        remove_entry(*old);
    }
    unsigned errors = 0;
    if (!place_.db_only) errors = files_->lay_down(package, old ? &*old : nullptr);
    if (errors != 0) {
        dialogue_.message(Severity::error, fmt::format("problem occurred while {} {}",
                                                       old ? "upgrading" : "installing", step.package.name));
    }
    write_entry(step, package);
    const char* verb = step.kind == StepKind::upgrade     ? "upgraded"
                       : step.kind == StepKind::downgrade ? "downgraded"
                       : step.kind == StepKind::reinstall ? "reinstalled"
                                                          : "installed";
    const bool changes = step.kind == StepKind::upgrade || step.kind == StepKind::downgrade;
    log(changes ? fmt::format("{} {} ({} -> {})", verb, step.package.name, old ? old->version : "", version)
                : fmt::format("{} {} ({})", verb, step.package.name, version));
    run_scriptlet(step.package.name, script, old ? ScriptletKind::post_upgrade : ScriptletKind::post_install,
                  versions);
    errors_ += errors;
    failpoint("in-place.added");
}

void InPlaceRoot::apply(const Plan& plan, TransactionReport& report) {
    read_archives(plan);
    find_moved_files(plan);
    const HookEvents what = events(plan);
    scratch_ = make_scratch();
    scripts_.emplace(ScriptMode::private_copy, place_.root, root_fd_.get(), scratch_, nullptr, dialogue_);
    scripts_->speak_as_pacman();
    try {
        run_hooks(Hook::When::pre_transaction, what);
    } catch (const Error& error) {
        if (error.fault() != Fault::refused) dialogue_.message(Severity::error, error.what());
        throw pacman_commit_failure("failed to run transaction hooks", error.fault());
    }
    log("transaction started");
    TransactionReport::Changed changed;
    size_t done = 0;
    for (const PlanStep& step : plan.steps) {
        if (interrupt_requested()) {
            log("transaction interrupted");
            throw pacman_commit_failure("transaction interrupted", Fault::interrupted);
        }
        const bool is_removal = step.kind == StepKind::remove;
        dialogue_.progress(is_removal ? "remove" : "install", step.package.name, ++done, plan.steps.size());
        is_removal ? remove(step) : add(step);
        ++(is_removal                       ? changed.removed
           : step.kind == StepKind::install ? changed.installed
                                            : changed.upgraded);
        if (errors_ != 0) {
            log("transaction failed");
            throw pacman_commit_failure("transaction aborted", Fault::failure);
        }
    }
    if (root_.disowned() != 0) {
        dialogue_.message(Severity::warning,
                          fmt::format("{} files could not be given their owner", root_.disowned()));
    }
    log("transaction completed");
    run_hooks(Hook::When::post_transaction, what);
    report.containers.push_back(changed);
    report.notes.insert(report.notes.end(), scripts_->notes().begin(), scripts_->notes().end());
}

}  // namespace pwstore
