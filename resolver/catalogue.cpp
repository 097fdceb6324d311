// SPDX-License-Identifier: GPL-3.0-or-later
#include "resolver/catalogue.hpp"

#include <algorithm>
#include <array>

#include "resolver/handle_internal.hpp"
#include "resolver/plan_internal.hpp"
#include "resolver/process_state.hpp"

namespace pwstore {

using alpm::name_of;
using alpm::text;

namespace {

std::vector<std::string> taken_strings(alpm_list_t* list) {
    const alpm::StringList owner(list);
    return {owner.begin(), owner.end()};
}

const char* status_words(alpm_sigstatus_t status) {
    switch (status) {
        case ALPM_SIGSTATUS_VALID:
            return "Valid";
        case ALPM_SIGSTATUS_KEY_EXPIRED:
            return "Key expired";
        case ALPM_SIGSTATUS_SIG_EXPIRED:
            return "Expired";
        case ALPM_SIGSTATUS_KEY_UNKNOWN:
            return "Key unknown";
        case ALPM_SIGSTATUS_KEY_DISABLED:
            return "Key disabled";
        case ALPM_SIGSTATUS_INVALID:
            return "Invalid";
    }
    return "Signature error";
}

const char* validity_words(alpm_sigvalidity_t validity) {
    switch (validity) {
        case ALPM_SIGVALIDITY_FULL:
            return "full trust";
        case ALPM_SIGVALIDITY_MARGINAL:
            return "marginal trust";
        case ALPM_SIGVALIDITY_NEVER:
            return "never trust";
        case ALPM_SIGVALIDITY_UNKNOWN:
            return "unknown trust";
    }
    return "unknown trust";
}

/// Of the archive itself, as it lies there.
std::vector<std::string> checked_signatures(const Handle& handle, alpm_pkg_t* package) {
    alpm_siglist_t list{};
    const int failed = alpm_pkg_check_pgp_signature(package, &list);
    const alpm_errno_t code = handle.last_error();
    std::vector<std::string> lines;
    if (failed != 0 && code != ALPM_ERR_SIG_MISSING) lines.emplace_back(alpm_strerror(code));
    for (size_t i = 0; failed == 0 && i < list.count; ++i) {
        const alpm_sigresult_t& one = list.results[i];
        const char* name = one.key.uid != nullptr ? one.key.uid : one.key.fingerprint;
        lines.push_back(std::string(status_words(one.status)) + ", " + validity_words(one.validity) +
                        " from \"" + text(name) + "\"");
    }
    alpm_siglist_cleanup(&list);
    return lines;
}

/// The keys that the signature in a sync database names.
std::vector<std::string> recorded_keys(const Handle& handle, alpm_pkg_t* package) {
    const char* encoded = alpm_pkg_get_base64_sig(package);
    if (encoded == nullptr) return {};
    unsigned char* data = nullptr;
    size_t size = 0;
    if (alpm_decode_signature(encoded, &data, &size) != 0) return {};
    const std::unique_ptr<unsigned char, decltype(&std::free)> owner(data, &std::free);
    alpm_list_t* keys = nullptr;
    (void)alpm_extract_keyid(handle.get(), alpm_pkg_get_name(package), data, size, &keys);
    return taken_strings(keys);
}

}  // namespace

struct Catalogue::State {
    State(const SessionSpec& spec, ProgressSink& sink)
        : conversation(spec, sink, {}), handle(spec, conversation) {
        conversation.begin(Conversation::Warnings::to_sink);
        alpm_option_set_ignorepkgs(handle.get(), alpm::StringsView(spec.config.ignore_packages).get());
        alpm_option_set_ignoregroups(handle.get(), alpm::StringsView(spec.config.ignore_groups).get());
    }
    State(const State&) = delete;
    State& operator=(const State&) = delete;
    ~State() {
        for (alpm_pkg_t* archive : archives)
            alpm_pkg_free(archive);
    }

    PackageRef add(alpm_pkg_t* package) {
        packages.push_back(package);
        return {packages.size() - 1};
    }
    std::vector<PackageRef> add_all(const alpm_list_t* list) {
        std::vector<PackageRef> all;
        for (alpm_pkg_t* package : alpm::each<alpm_pkg_t>(list))
            all.push_back(add(package));
        return all;
    }
    [[nodiscard]] alpm_pkg_t* get(PackageRef package) const { return packages.at(package.index); }
    /// The local database for an empty name.
    [[nodiscard]] alpm_db_t* database(const std::string& repository) const {
        return repository.empty() ? handle.local() : handle.sync_database(repository);
    }

    Conversation conversation;
    Handle handle;
    std::vector<alpm_pkg_t*> packages;
    std::vector<alpm_pkg_t*> archives;  ///< those that are ours
};

Catalogue::Catalogue(const SessionSpec& spec, ProgressSink& sink) {
    const ProcessState bracket;
    state_ = std::make_unique<State>(spec, sink);
}

Catalogue::~Catalogue() = default;

// --- Which packages
// -----------------------------------------------------------------------------------------------

std::vector<PackageRef> Catalogue::installed() {
    state_->handle.check_installed_set();
    return state_->add_all(state_->handle.installed());
}

std::optional<PackageRef> Catalogue::find_installed(const std::string& name) {
    alpm_pkg_t* package = state_->handle.installed(name);
    return package == nullptr ? std::nullopt : std::optional(state_->add(package));
}

std::optional<PackageRef> Catalogue::find_satisfier(const std::string& text) {
    if (const auto literal = find_installed(text)) return literal;
    if (text.empty()) return std::nullopt;
    alpm_pkg_t* package = alpm_find_satisfier(state_->handle.installed(), text.c_str());
    return package == nullptr ? std::nullopt : std::optional(state_->add(package));
}

PackageRef Catalogue::load_archive(const std::string& path, bool with_files) {
    const ProcessState bracket;
    alpm_pkg_t* package = nullptr;
    if (alpm_pkg_load(state_->handle.get(), path.c_str(), with_files ? 1 : 0, 0, &package) != 0) {
        throw Error("load package", path, alpm_strerror(state_->handle.last_error())).as(Fault::corrupt);
    }
    state_->archives.push_back(package);
    return state_->add(package);
}

std::vector<std::string> Catalogue::repositories() {
    std::vector<std::string> names;
    for (alpm_db_t* database : alpm::each<alpm_db_t>(state_->handle.sync_databases()))
        names.emplace_back(alpm_db_get_name(database));
    return names;
}

std::vector<std::pair<std::string, std::string>> Catalogue::invalid_repositories() {
    std::vector<std::pair<std::string, std::string>> invalid;
    for (alpm_db_t* database : alpm::each<alpm_db_t>(state_->handle.sync_databases())) {
        if (alpm_db_get_valid(database) == 0) continue;
        const alpm_errno_t code = state_->handle.last_error();
        invalid.emplace_back(alpm_db_get_name(database), alpm_strerror(code));
    }
    return invalid;
}

std::vector<PackageRef> Catalogue::packages_of(const std::string& repository) {
    alpm_db_t* database = state_->database(repository);
    return database == nullptr ? std::vector<PackageRef>() : state_->add_all(alpm_db_get_pkgcache(database));
}

std::optional<PackageRef> Catalogue::find_in(const std::string& repository, const std::string& name) {
    alpm_db_t* database = state_->database(repository);
    alpm_pkg_t* package =
        database == nullptr || name.empty() ? nullptr : alpm_db_get_pkg(database, name.c_str());
    return package == nullptr ? std::nullopt : std::optional(state_->add(package));
}

std::vector<PackageRef> Catalogue::search(const std::string& repository,
                                          const std::vector<std::string>& expressions) {
    if (expressions.empty()) return packages_of(repository);
    alpm_db_t* database = state_->database(repository);
    if (database == nullptr) return {};
    alpm::Packages matches;
    if (alpm_db_search(database, alpm::StringsView(expressions).get(), matches.out()) != 0)
        throw Error("search", "", alpm_strerror(state_->handle.last_error())).as(Fault::usage);
    return state_->add_all(matches.get());
}

std::vector<std::pair<std::string, std::vector<PackageRef>>> Catalogue::groups(
    const std::string& repository) {
    std::vector<std::pair<std::string, std::vector<PackageRef>>> all;
    alpm_db_t* database = state_->database(repository);
    if (database == nullptr) return all;
    for (const alpm_group_t* group : alpm::each<const alpm_group_t>(alpm_db_get_groupcache(database)))
        all.emplace_back(text(group->name), state_->add_all(group->packages));
    return all;
}

std::optional<std::vector<PackageRef>> Catalogue::group(const std::string& repository,
                                                        const std::string& name) {
    alpm_db_t* database = state_->database(repository);
    const alpm_group_t* group =
        database == nullptr || name.empty() ? nullptr : alpm_db_get_group(database, name.c_str());
    return group == nullptr ? std::nullopt : std::optional(state_->add_all(group->packages));
}

// --- One package
// --------------------------------------------------------------------------------------------------

std::string Catalogue::name(PackageRef package) const {
    return name_of(state_->get(package));
}

std::string Catalogue::version(PackageRef package) const {
    return text(alpm_pkg_get_version(state_->get(package)));
}

std::string Catalogue::description(PackageRef package) const {
    return text(alpm_pkg_get_desc(state_->get(package)));
}

std::vector<std::string> Catalogue::groups_of(PackageRef package) const {
    std::vector<std::string> names;
    for (const char* group : alpm::each<const char>(alpm_pkg_get_groups(state_->get(package))))
        names.emplace_back(group);
    return names;
}

PackageInfo Catalogue::info(PackageRef package) const {
    return package_info(state_->get(package));
}

PackageFacts::Reason Catalogue::reason(PackageRef package) const {
    const alpm_pkgreason_t reason = alpm_pkg_get_reason(state_->get(package));
    if (reason == ALPM_PKG_REASON_EXPLICIT) return PackageFacts::Reason::explicitly;
    return reason == ALPM_PKG_REASON_DEPEND ? PackageFacts::Reason::dependency
                                            : PackageFacts::Reason::unknown;
}

PackageFacts Catalogue::facts(PackageRef ref, bool with_dependents) const {
    const ProcessState bracket;
    alpm_pkg_t* package = state_->get(ref);
    PackageFacts facts;
    const alpm_pkgfrom_t origin = alpm_pkg_get_origin(package);
    facts.origin = origin == ALPM_PKG_FROM_LOCALDB  ? PackageFacts::Origin::installed
                   : origin == ALPM_PKG_FROM_SYNCDB ? PackageFacts::Origin::repository
                                                    : PackageFacts::Origin::archive;
    facts.reason = reason(ref);
    facts.install_date = alpm_pkg_get_installdate(package);
    facts.validation = static_cast<uint32_t>(alpm_pkg_get_validation(package));
    facts.has_scriptlet = alpm_pkg_has_scriptlet(package) != 0;
    facts.md5 = text(alpm_pkg_get_md5sum(package));
    if (origin == ALPM_PKG_FROM_SYNCDB) facts.signatures = recorded_keys(state_->handle, package);
    if (origin == ALPM_PKG_FROM_FILE) facts.signatures = checked_signatures(state_->handle, package);
    if (with_dependents) {
        facts.required_by = taken_strings(alpm_pkg_compute_requiredby(package));
        facts.optional_for = taken_strings(alpm_pkg_compute_optionalfor(package));
    }
    for (const alpm_depend_t* one : alpm::each<const alpm_depend_t>(alpm_pkg_get_optdepends(package))) {
        facts.optional_installed.push_back(
            alpm_find_satisfier(state_->handle.installed(), alpm::dependency_text(one).c_str()) != nullptr);
    }
    return facts;
}

std::vector<std::string> Catalogue::files(PackageRef package) const {
    std::vector<std::string> paths;
    const alpm_filelist_t* files = alpm_pkg_get_files(state_->get(package));
    for (size_t i = 0; files != nullptr && i < files->count; ++i)
        paths.emplace_back(files->files[i].name);
    return paths;
}

bool Catalogue::has_file(PackageRef package, const std::string& path) const {
    return alpm_filelist_contains(alpm_pkg_get_files(state_->get(package)), path.c_str()) != nullptr;
}

std::vector<Catalogue::Backup> Catalogue::backups(PackageRef package) const {
    std::vector<Backup> all;
    for (const auto* one : alpm::each<const alpm_backup_t>(alpm_pkg_get_backup(state_->get(package))))
        all.push_back({text(one->name), text(one->hash)});
    return all;
}

std::optional<std::string> Catalogue::changelog(PackageRef ref) const {
    alpm_pkg_t* package = state_->get(ref);
    void* stream = alpm_pkg_changelog_open(package);
    if (stream == nullptr) return std::nullopt;
    std::string whole;
    std::array<char, 4096> piece{};
    while (const size_t got = alpm_pkg_changelog_read(piece.data(), piece.size(), package, stream))
        whole.append(piece.data(), std::min(got, piece.size()));
    alpm_pkg_changelog_close(package, stream);
    return whole;
}

bool Catalogue::is_native(PackageRef package) const {
    const char* name = alpm_pkg_get_name(state_->get(package));
    for (alpm_db_t* database : alpm::each<alpm_db_t>(state_->handle.sync_databases())) {
        if (alpm_db_get_pkg(database, name) != nullptr) return true;
    }
    return false;
}

bool Catalogue::is_required(PackageRef ref, bool optionally) const {
    alpm_pkg_t* package = state_->get(ref);
    if (!taken_strings(alpm_pkg_compute_requiredby(package)).empty()) return true;
    return optionally && !taken_strings(alpm_pkg_compute_optionalfor(package)).empty();
}

std::optional<Catalogue::Newer> Catalogue::newer(PackageRef ref) const {
    alpm_pkg_t* package = state_->get(ref);
    alpm_pkg_t* available = alpm_sync_get_new_version(package, state_->handle.sync_databases());
    if (available == nullptr) return std::nullopt;
    int usage = 0;
    alpm_db_get_usage(alpm_pkg_get_db(available), &usage);
    return Newer{
        text(alpm_pkg_get_version(available)),
        alpm_pkg_should_ignore(state_->handle.get(), package) != 0 || (usage & ALPM_DB_USAGE_UPGRADE) == 0};
}

bool Catalogue::is_not_extracted(const std::string& path) const {
    return alpm_option_match_noextract(state_->handle.get(), path.c_str()) == 0;
}

// --- Health
// -------------------------------------------------------------------------------------------------------

std::vector<Catalogue::Missing> Catalogue::missing_dependencies(bool of_repositories) {
    alpm::Packages packages;
    const auto take = [&](const alpm_list_t* list) {
        for (alpm_pkg_t* package : alpm::each<alpm_pkg_t>(list))
            packages.push_back(package);
    };
    if (of_repositories) {
        for (alpm_db_t* database : alpm::each<alpm_db_t>(state_->handle.sync_databases()))
            take(alpm_db_get_pkgcache(database));
    } else {
        take(state_->handle.installed());
    }
    const alpm::MissingDependencies list(
        alpm_checkdeps(state_->handle.get(), nullptr, nullptr, packages.get(), 0));
    std::vector<Missing> all;
    for (const alpm_depmissing_t* one : list)
        all.push_back({text(one->target), alpm::dependency_text(one->depend)});
    return all;
}

std::vector<std::pair<std::string, std::string>> Catalogue::conflicts() {
    const alpm::Conflicts list(alpm_checkconflicts(state_->handle.get(), state_->handle.installed()));
    std::vector<std::pair<std::string, std::string>> all;
    for (const alpm_conflict_t* one : list)
        all.emplace_back(alpm::first_of(*one), alpm::second_of(*one));
    return all;
}

// --- Change
// -------------------------------------------------------------------------------------------------------

std::shared_ptr<void> Catalogue::lock() {
    const ProcessState bracket;
    Handle& handle = state_->handle;
    handle.check(alpm_trans_init(handle.get(), 0), "begin transaction", handle.spec().database);
    return {handle.get(), [](void* held) { alpm_trans_release(static_cast<alpm_handle_t*>(held)); }};
}

bool Catalogue::set_reason(PackageRef package, bool explicitly) {
    const alpm_pkgreason_t reason = explicitly ? ALPM_PKG_REASON_EXPLICIT : ALPM_PKG_REASON_DEPEND;
    return alpm_pkg_set_reason(state_->get(package), reason) == 0;
}

}  // namespace pwstore
