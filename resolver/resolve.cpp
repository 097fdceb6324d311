// SPDX-License-Identifier: GPL-3.0-or-later
#include <fcntl.h>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <fnmatch.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>

#include "resolver/pacman_words_internal.hpp"
#include "resolver/plan_internal.hpp"
#include "resolver/resolve_internal.hpp"
#include "store/base/names.hpp"
#include "store/base/path_at.hpp"

namespace pwstore {

using alpm::name_of;

namespace {

bool is_url(const std::string& target) {
    return target.find("://") != std::string::npos;
}

void check_request(const ResolveRequest& request) {
    if (request.as_deps && request.as_explicit) {
        throw Error("read request", "", "a package cannot be both a dependency and explicitly installed")
            .as(Fault::usage);
    }
    for (const std::string& target : request.install)
        (void)parse_install_target(target);
    for (const std::string& target : request.remove)
        (void)parse_remove_target(target);
    for (const std::string& file : request.archive_files) {
        if (file.empty())
            throw Error("read request", "", "the name of a package file is empty").as(Fault::usage);
    }
    for (const std::string& assumed : request.assume_installed) {
        if (parse_install_target(assumed).dependency.find_first_of("<>") != std::string::npos) {
            throw Error("read request", assumed,
                        "what is assumed to be installed has a version (name=1.0) or none")
                .as(Fault::usage);
        }
    }
}

std::vector<std::string> joined(std::vector<std::string> first, const std::vector<std::string>& second) {
    first.insert(first.end(), second.begin(), second.end());
    return first;
}

/// Downloads the archives of -U that are URLs; returns where they are, in the cache.
std::vector<std::string> fetched_urls(Handle& handle, const std::vector<std::string>& archives) {
    std::vector<std::string> urls;
    std::copy_if(archives.begin(), archives.end(), std::back_inserter(urls), is_url);
    if (urls.empty()) return {};
    handle.use_keyring();
    const std::optional<FileLock> lock = handle.lock_cache();
    if (auto paths = handle.transfers().archives(urls, handle.remote_file_level())) return *std::move(paths);
    alpm::StringList files;
    handle.check(alpm_fetch_pkgurl(handle.get(), alpm::StringsView(urls).get(), files.out()),
                 "download package", urls.front());
    std::vector<std::string> paths;
    for (const char* file : files)
        paths.emplace_back(file);
    return paths;
}

}  // namespace

Resolution::Resolution(Handle& handle, Conversation& conversation, const ResolveRequest& request,
                       Locking locking, const CarryOut& what)
    : handle_(handle),
      conversation_(conversation),
      request_(request),
      database_only_(what.database_only),
      download_only_(what.download_only),
      looks_at_result_(what.looks_at_result),
      making_way_(handle, conversation.upstream()) {
    check_request(request_);
    handle_.check_installed_set();
    const bool repositories = !request_.install.empty() || request_.upgrade;
    if (repositories && conversation_.speaks_as_pacman()) {
        pacman_words::check_databases(handle_);
        handle_.use_keyring();
    } else if (repositories) {
        handle_.check_databases();
    }
    apply_options();
    Problems problems(conversation_.speaks_as_pacman());
    std::vector<std::string> removals =
        Targets(handle_, conversation_, problems).installed_names(request_.remove);
    problems.throw_if_any("resolve packages", "not all of them can be removed");
    const bool closure =
        request_.recursive || request_.recursive_all || request_.cascade || request_.unneeded;
    const bool adds = repositories || !request_.archive_files.empty();
    const bool apart = closure && (adds || !conversation_.upstream().empty());
    try {
        if (apart && !removals.empty()) removals = removal_closure(removals);
        int all = flags() | (locking == Locking::no ? ALPM_TRANS_FLAG_NOLOCK : 0);
        if (apart) {
            all &= ~(ALPM_TRANS_FLAG_CASCADE | ALPM_TRANS_FLAG_RECURSE | ALPM_TRANS_FLAG_RECURSEALL |
                     ALPM_TRANS_FLAG_UNNEEDED);
        }
        const std::vector<std::string> fetched = fetched_urls(handle_, request_.archive_files);
        if (request_.upgrade) handle_.log_action("starting full system upgrade");
        conversation_.agree_to_conflicts([this](const auto& coming, const auto& there, const auto& reason) {
            return making_way_.for_conflict(coming, there, reason);
        });
        while (!attempt(all, removals, fetched)) {
        }
    } catch (...) {
        conversation_.agree_to_conflicts({});
        if (open_) alpm_trans_release(handle_.get());
        throw;
    }
}

Resolution::~Resolution() {
    conversation_.agree_to_conflicts({});
    if (open_) alpm_trans_release(handle_.get());
}

bool Resolution::attempt(int flags, const std::vector<std::string>& removals,
                         const std::vector<std::string>& fetched) {
    begin(flags);
    std::vector<std::string> going = removals;
    for (const std::string& name : making_way_.names())
        if (std::find(going.begin(), going.end(), name) == going.end()) going.push_back(name);
    remove_targets(going);
    add_targets(fetched);
    replacement_reasons_.clear();
    if (request_.upgrade) {
        Upgrade upgrade(handle_, conversation_, request_.downgrade);
        upgrade.add_all();
        replacement_reasons_ = upgrade.reasons();
    }
    if (!prepare() || (request_.upgrade && making_way_.learn_from_result())) {
        release();
        assume_installed();
        return false;
    }
    replacement_reasons_.merge(making_way_.reasons());
    return true;
}

void Resolution::apply_options() {
    const PacmanConfig& config = handle_.config();
    const Upstream& upstream = conversation_.upstream();
    std::vector<std::string> ignored = joined(config.ignore_packages, request_.ignore);
    ignored.insert(ignored.end(), upstream.names().begin(), upstream.names().end());
    const std::vector<std::string> groups = joined(config.ignore_groups, request_.ignore_groups);
    handle_.check(alpm_option_set_ignorepkgs(handle_.get(), alpm::StringsView(ignored).get()), "set option",
                  "IgnorePkg");
    handle_.check(alpm_option_set_ignoregroups(handle_.get(), alpm::StringsView(groups).get()), "set option",
                  "IgnoreGroup");
    std::vector<std::string> overwrite = request_.overwrite;
    for (const char* name : names::kMountPointFiles) {
        const auto status = try_stat_at(AT_FDCWD, std::string(alpm_option_get_root(handle_.get())) + name);
        if (status && S_ISREG(status->st_mode) && status->st_size == 0) overwrite.emplace_back(name);
    }
    handle_.check(alpm_option_set_overwrite_files(handle_.get(), alpm::StringsView(overwrite).get()),
                  "set option", "overwrite");
    assume_installed();
}

void Resolution::assume_installed() {
    alpm::List<alpm_depend_t, alpm_dep_free> assumed;
    const auto assume = [&](const std::string& text) {
        alpm::Dependency dependency = alpm::parse_dependency(text);
        if (dependency) assumed.push_back(dependency.release());
    };
    std::for_each(request_.assume_installed.begin(), request_.assume_installed.end(), assume);
    std::for_each(making_way_.satisfied().begin(), making_way_.satisfied().end(), assume);
    handle_.check(alpm_option_set_assumeinstalled(handle_.get(), assumed.get()), "set option",
                  "assume-installed");
}

int Resolution::flags() const {
    int flags = 0;
    if (request_.no_deps) flags |= ALPM_TRANS_FLAG_NODEPS | ALPM_TRANS_FLAG_NODEPVERSION;
    if (request_.no_dep_version) flags |= ALPM_TRANS_FLAG_NODEPVERSION;
    if (request_.no_conflicts) flags |= ALPM_TRANS_FLAG_NOCONFLICTS;
    if (request_.needed) flags |= ALPM_TRANS_FLAG_NEEDED;
    if (request_.as_deps) flags |= ALPM_TRANS_FLAG_ALLDEPS;
    if (request_.as_explicit) flags |= ALPM_TRANS_FLAG_ALLEXPLICIT;
    if (request_.cascade) flags |= ALPM_TRANS_FLAG_CASCADE;
    if (request_.recursive || request_.recursive_all) flags |= ALPM_TRANS_FLAG_RECURSE;
    if (request_.recursive_all) flags |= ALPM_TRANS_FLAG_RECURSEALL;
    if (request_.unneeded) flags |= ALPM_TRANS_FLAG_UNNEEDED;
    if (database_only_) flags |= ALPM_TRANS_FLAG_DBONLY;
    if (download_only_) flags |= ALPM_TRANS_FLAG_DOWNLOADONLY;
    return flags;
}

void Resolution::begin(int flags) {
    const int result = alpm_trans_init(handle_.get(), flags);
    if (result != 0 && conversation_.speaks_as_pacman())
        pacman_words::throw_init_error(handle_.last_error(), handle_.spec().database);
    handle_.check(result, "begin transaction", handle_.spec().database);
    open_ = true;
}

void Resolution::release() {
    open_ = false;
    handle_.check(alpm_trans_release(handle_.get()), "end transaction");
}

/// What -R with -s, -c or -u makes of `names` on the installed set, without what is upstream. libalpm knows
/// these only for transactions that add nothing, and it would take orphans of upstream along. Dependencies
/// come first: of such a list libalpm makes the order again in which it would remove what it has found
/// itself.
std::vector<std::string> Resolution::removal_closure(const std::vector<std::string>& names) {
    int all = flags() | ALPM_TRANS_FLAG_NOLOCK;
    // Whether the rest still fits is for the real transaction to say, which knows what is added.
    if (!request_.cascade && !request_.unneeded) all |= ALPM_TRANS_FLAG_NODEPS;
    begin(all);
    remove_targets(names);
    (void)prepare();
    std::vector<std::string> closure;
    for (alpm_pkg_t* package : alpm::each<alpm_pkg_t>(alpm_trans_get_remove(handle_.get()))) {
        if (!conversation_.upstream().has(name_of(package))) closure.push_back(name_of(package));
    }
    release();
    std::reverse(closure.begin(), closure.end());
    return closure;
}

void Resolution::remove_targets(const std::vector<std::string>& names) {
    Problems problems(conversation_.speaks_as_pacman());
    Targets targets(handle_, conversation_, problems);
    for (const std::string& name : names)
        targets.remove(name);
    problems.throw_if_any("resolve packages", "not all of them can be removed");
}

void Resolution::add_targets(const std::vector<std::string>& fetched) {
    Problems problems(conversation_.speaks_as_pacman());
    Targets targets(handle_, conversation_, problems);
    for (const std::string& target : request_.install)
        targets.install(target);
    if (!request_.archive_files.empty()) handle_.use_keyring();
    for (const std::string& file : request_.archive_files) {
        if (!is_url(file)) targets.install_archive(file, handle_.local_file_level());
    }
    for (const std::string& file : fetched)
        targets.install_archive(file, handle_.remote_file_level());
    conversation_.rethrow();
    problems.throw_if_any("resolve packages", "not all of them can be installed");
}

/// Returns false when it cannot be, but another transaction may.
bool Resolution::prepare() {
    alpm_list_t* data = nullptr;
    if (alpm_trans_prepare(handle_.get(), &data) == 0) {
        conversation_.rethrow();
        return true;
    }
    const alpm_errno_t code = handle_.last_error();
    const Error error = handle_.error("resolve packages");
    conversation_.rethrow();
    if (code == ALPM_ERR_PKG_INVALID_NAME) check_entries();
    if (request_.upgrade && code == ALPM_ERR_UNSATISFIED_DEPS && making_way_.learn(data)) {
        const alpm::MissingDependencies owner(data);
        return false;
    }
    if (conversation_.speaks_as_pacman()) {
        const bool removes = request_.install.empty() && request_.archive_files.empty() && !request_.upgrade;
        pacman_words::throw_prepare_error(handle_, code, data, removes);
    }
    throw_prepare_error(handle_, conversation_.upstream(), error, code, data);
}

// --- Plan and fetch ----------------------------------------------------------------------------------------

Plan Resolution::plan() {
    Plan plan = prepared_plan(handle_, conversation_, request_, replacement_reasons_);
    for (const PlanStep& step : plan.steps) {
        if (!conversation_.upstream().has(step.package.name)) continue;
        throw Error("resolve packages", "",
                    fmt::format("{} is from {} and would be changed here", step.package.name,
                                conversation_.upstream().container_of(step.package.name)))
            .as(Fault::refused);
    }
    check_held(plan);
    if (looks_at_result_) plan.problems = problems_after();
    return plan;
}

std::vector<SetProblem> Resolution::problems_after() const {
    alpm::Packages after;
    fill_with_result(handle_, after);
    return set_problems(handle_, conversation_.upstream(), after.get());
}

/// An entry of a database names no file: libalpm does not say which.
void Resolution::check_entries() const {
    Problems problems(conversation_.speaks_as_pacman());
    for (alpm_pkg_t* package : alpm::each<alpm_pkg_t>(alpm_trans_get_add(handle_.get()))) {
        if (alpm_pkg_get_origin(package) != ALPM_PKG_FROM_SYNCDB || alpm_pkg_get_filename(package) != nullptr)
            continue;
        problems.add(fmt::format("{}: its entry in the repository '{}' names no file (%FILENAME%)",
                                 name_of(package), alpm::text(alpm_db_get_name(alpm_pkg_get_db(package)))));
    }
    problems.throw_if_any("resolve packages", "repositories do not say how to get them");
}

/// HoldPkg is about -R; a package that another one replaces was asked for already.
void Resolution::check_held(const Plan& plan) {
    if (request_.remove.empty()) return;
    std::vector<std::string> held;
    for (const PlanStep& step : plan.steps) {
        const auto& patterns = handle_.config().hold_packages;
        const auto matches = [&](const std::string& pattern) {
            return ::fnmatch(pattern.c_str(), step.package.name.c_str(), 0) == 0;
        };
        const auto replaced = [&](const PlanStep& other) {
            return std::find(other.replaces.begin(), other.replaces.end(), step.package.name) !=
                   other.replaces.end();
        };
        if (step.kind == StepKind::remove && std::any_of(patterns.begin(), patterns.end(), matches) &&
            std::none_of(plan.steps.begin(), plan.steps.end(), replaced)) {
            held.push_back(step.package.name);
        }
    }
    if (held.empty()) return;
    const int answer =
        conversation_.speaks_as_pacman()
            ? conversation_.ask({.kind = Question::Kind::hold_package,
                                 .text = pacman_words::kRemoveHeld,
                                 .choices = held,
                                 .default_answer = 0})
            : conversation_.ask({.kind = Question::Kind::hold_package,
                                 .text = fmt::format("{} shall be kept (HoldPkg). Remove {} all the same?",
                                                     fmt::join(held, ", "), held.size() == 1 ? "it" : "them"),
                                 .default_answer = 0});
    if (answer == 1) return;
    throw Error("remove packages", "", fmt::format("HoldPkg says to keep {}", fmt::join(held, ", ")))
        .as(Fault::refused);
}

/// A server of .deb files has no packages for libalpm: these are made, and in the cache, before.
void Resolution::check_converted() const {
    for (alpm_pkg_t* package : alpm::each<alpm_pkg_t>(alpm_trans_get_add(handle_.get()))) {
        alpm_db_t* database = alpm_pkg_get_db(package);
        if (database == nullptr || !handle_.is_deb(alpm_db_get_name(database))) continue;
        const std::string file = alpm::text(alpm_pkg_get_filename(package));
        const std::vector<std::string>& caches = handle_.spec().cache_dirs;
        if (std::any_of(caches.begin(), caches.end(), [&](const std::string& directory) {
                return exists_at(AT_FDCWD, directory + "/" + file);
            }))
            continue;
        throw Error("fetch packages", name_of(package),
                    fmt::format("{}, which is made of a .deb, is not in the package cache {}, and [{}] is an "
                                "archive of .deb files, which has none of it",
                                file, fmt::join(caches, ", "), alpm_db_get_name(database)))
            .with_hint("run the command again");
    }
}

void Resolution::commit_dry() {
    check_converted();
    const Handle::QuietLog quiet(handle_);
    conversation_.interrupt_commit();
    alpm_list_t* data = nullptr;
    errno = 0;
    if (alpm_trans_commit(handle_.get(), &data) != 0) {
        const alpm_errno_t code = handle_.last_error();
        const Error error = handle_.error("fetch packages");
        conversation_.rethrow();
        if (conversation_.speaks_as_pacman()) pacman_words::throw_commit_error(code, data);
        throw_commit_error(error, code, data, conversation_.damaged());
    }
    conversation_.rethrow();
    if (!conversation_.was_interrupted() && !download_only_)
        throw Error("fetch packages", "", "libalpm went on where it had to stop");
    conversation_.errors_as_warnings();
}

}  // namespace pwstore
