// SPDX-License-Identifier: GPL-3.0-or-later
#include <fcntl.h>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <pwd.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <set>

#include "resolver/config_lines.hpp"
#include "resolver/handle_internal.hpp"
#include "resolver/pacman_words_internal.hpp"
#include "resolver/server_url.hpp"
#include "resolver/signature_level.hpp"
#include "store/base/gnupg.hpp"
#include "store/base/path_at.hpp"

namespace pwstore {

namespace {

/// Seconds in which a database may change without its time telling, clocks that differ included.
constexpr int64_t kUnsettled = 60;
constexpr auto kDownloadPatience = std::chrono::hours(2);

int usage_bits(const std::vector<std::string>& usages) {
    int bits = 0;
    for (const std::string& usage : usages) {
        if (usage == "Sync") bits |= ALPM_DB_USAGE_SYNC;
        if (usage == "Search") bits |= ALPM_DB_USAGE_SEARCH;
        if (usage == "Install") bits |= ALPM_DB_USAGE_INSTALL;
        if (usage == "Upgrade") bits |= ALPM_DB_USAGE_UPGRADE;
        if (usage == "All") bits |= ALPM_DB_USAGE_ALL;
    }
    return bits == 0 ? ALPM_DB_USAGE_ALL : bits;
}

void require_directory(const std::string& path, std::string_view what) {
    struct stat status {};
    if (!path.empty() && path.front() == '/' && ::stat(path.c_str(), &status) == 0 && S_ISDIR(status.st_mode))
        return;
    throw Error("open package databases", path, fmt::format("{} has to be an existing directory", what))
        .as(Fault::usage);
}

Fault fault_of(alpm_errno_t code) {
    if (code == ALPM_ERR_HANDLE_LOCK) return Fault::busy;
    const alpm_errno_t damaged[] = {
        ALPM_ERR_DB_INVALID,  ALPM_ERR_DB_INVALID_SIG,       ALPM_ERR_DB_VERSION,
        ALPM_ERR_PKG_INVALID, ALPM_ERR_PKG_INVALID_CHECKSUM, ALPM_ERR_PKG_INVALID_SIG,
        ALPM_ERR_PKG_OPEN,    ALPM_ERR_SIG_INVALID,          ALPM_ERR_LIBARCHIVE};
    return std::find(std::begin(damaged), std::end(damaged), code) != std::end(damaged) ? Fault::corrupt
                                                                                        : Fault::failure;
}

/// A signature is there and right, by a key that is not known, or not trusted. libalpm tells that from a
/// wrong one by its log alone.
bool is_about_trust(alpm_errno_t code, const std::vector<std::string>& said) {
    const auto says = [&](std::string_view words) {
        return std::any_of(said.begin(), said.end(),
                           [&](const std::string& line) { return line.find(words) != std::string::npos; });
    };
    if (says("required key missing from keyring")) return true;
    if (code != ALPM_ERR_DB_INVALID_SIG && code != ALPM_ERR_PKG_INVALID_SIG) return false;
    if (says(" is invalid")) return false;
    for (const char* words : {" trust", "keyring is not writable", " is unknown", "could not be looked up",
                              "could not be imported"}) {
        if (says(words)) return true;
    }
    return false;
}

/// The signature of `database` is right, whoever made it.
bool is_well_signed(alpm_db_t* database) {
    alpm_siglist_t signatures{};
    (void)alpm_db_check_pgp_signature(database, &signatures);
    bool good = signatures.count > 0;
    for (size_t i = 0; i < signatures.count; ++i)
        good = good && signatures.results[i].status != ALPM_SIGSTATUS_INVALID;
    alpm_siglist_cleanup(&signatures);
    return good;
}

/// `package` has a signature by one of `keys`.
bool is_signed_by(alpm_handle_t* handle, alpm_pkg_t* package, const std::set<std::string>& keys) {
    unsigned char* bytes = nullptr;
    size_t length = 0;
    if (alpm_pkg_get_sig(package, &bytes, &length) != 0) return false;
    const std::unique_ptr<unsigned char, decltype(&std::free)> signature(bytes, std::free);
    alpm::StringList ids;
    if (alpm_extract_keyid(handle, alpm_pkg_get_name(package), signature.get(), length, ids.out()) != 0)
        return false;
    return std::any_of(ids.begin(), ids.end(), [&](const char* id) {
        return std::any_of(keys.begin(), keys.end(), [&](const std::string& key) {
            return key.ends_with(id) || std::string_view(id).ends_with(key);
        });
    });
}

}  // namespace

Handle::Handle(const SessionSpec& spec, Conversation& conversation)
    : spec_(spec), conversation_(conversation), transfers_(spec_, conversation) {
    require_directory(spec_.root, "the root");
    require_directory(spec_.database, "the database path");
    if (spec_.gnupg_dir.empty()) spec_.gnupg_dir = spec_.database + "/gnupg";
    alpm_errno_t code = ALPM_ERR_OK;
    handle_ = alpm_initialize(spec_.root.c_str(), spec_.database.c_str(), &code);
    if (handle_ == nullptr) {
        throw Error("open package databases", spec_.database, alpm_strerror(code)).as(fault_of(code));
    }
    try {
        conversation_.attach(handle_);
        set_options();
        set_signature_levels();
        set_download_sandbox();
        transfers_.attach(handle_);
        register_repositories();
        transfers_.require_signatures(requires_signatures_);
    } catch (...) {
        alpm_release(handle_);
        throw;
    }
}

Handle::~Handle() {
    alpm_release(handle_);
    if (conversation_.missed_keys().empty() || spec_.is_pacmans) return;
    try {
        (void)run_gnupg("gpgconf", {"--homedir", spec_.gnupg_dir, "--kill", "dirmngr"});
    } catch (const std::exception&) {
        // It ends by itself when its directory goes.
    }
}

// --- Set up ------------------------------------------------------------------------------------------------

void Handle::set_options() {
    const PacmanConfig& config = spec_.config;
    using Setter = int (*)(alpm_handle_t*, alpm_list_t*);
    const auto set = [&](Setter setter, const std::vector<std::string>& values, std::string_view name) {
        check(setter(handle_, alpm::StringsView(values).get()), "set option", name);
    };
    std::vector<std::string> architectures = config.architectures;
    std::replace(architectures.begin(), architectures.end(), std::string("auto"), machine_name());
    set(alpm_option_set_architectures, architectures, "Architecture");
    set(alpm_option_set_cachedirs, spec_.cache_dirs, "CacheDir");
    set(alpm_option_set_noupgrades, config.no_upgrade, "NoUpgrade");
    set(alpm_option_set_noextracts, config.no_extract, "NoExtract");
    set(alpm_option_set_hookdirs, {}, "HookDir");  // hooks are not libalpm's to run
    check(alpm_option_set_gpgdir(handle_, spec_.gnupg_dir.c_str()), "set option", "GPGDir");
    // The store looks at its own disk.
    const bool checks_space = spec_.is_pacmans && config.check_space;
    check(alpm_option_set_checkspace(handle_, checks_space ? 1 : 0), "set option", "CheckSpace");
    check(alpm_option_set_usesyslog(handle_, 0), "set option", "UseSyslog");
    check(alpm_option_set_disable_dl_timeout(handle_, config.disable_download_timeout ? 1 : 0), "set option",
          "DisableDownloadTimeout");
    check(alpm_option_set_parallel_downloads(handle_, std::max(1U, config.parallel_downloads)), "set option",
          "ParallelDownloads");
    if (!spec_.log_file.empty())
        check(alpm_option_set_logfile(handle_, spec_.log_file.c_str()), "set option", "LogFile");
}

/// As pacman has it: only root can become another user.
void Handle::set_download_sandbox() {
    const alpm::DownloadSandbox sandbox{.user = spec_.config.places.download_user,
                                        .guards_files = !spec_.config.places.disable_sandbox_files,
                                        .guards_calls = !spec_.config.places.disable_sandbox_calls};
    if (sandbox.user.empty() || ::geteuid() != 0 || !alpm::has_download_sandbox()) return;
    if (::getpwnam(sandbox.user.c_str()) == nullptr) {
        throw Error("use DownloadUser", sandbox.user, "there is no such user")
            .as(Fault::usage)
            .with_hint("remove the line from the configuration, or make the user");
    }
    check(alpm::set_download_sandbox(handle_, sandbox), "set option", "DownloadUser");
}

void Handle::set_signature_levels() {
    const PacmanConfig& config = spec_.config;
    const SignatureLevel standard = apply_signature_tokens({}, config.sig_level);
    const std::vector<std::string> optional = {"Optional"};
    local_file_level_ = level_bits(apply_signature_tokens(
        standard, config.local_file_sig_level.empty() ? optional : config.local_file_sig_level));
    remote_file_level_ = level_bits(apply_signature_tokens(standard, config.remote_file_sig_level));
    check(alpm_option_set_default_siglevel(handle_, level_bits(standard)), "set option", "SigLevel");
    check(alpm_option_set_local_file_siglevel(handle_, local_file_level_), "set option", "LocalFileSigLevel");
    check(alpm_option_set_remote_file_siglevel(handle_, remote_file_level_), "set option",
          "RemoteFileSigLevel");
}

int Handle::level_bits(const SignatureLevel& level) const noexcept {
    if ((alpm_capabilities() & ALPM_CAPABILITY_SIGNATURES) == 0) return 0;
    int bits = 0;
    const auto add = [&](const SignatureDemand& demand, int check, int optional, int trust) {
        if (!demand.check) return;
        bits |= check;
        if (!demand.required) bits |= optional;
        if (demand.trust_all) bits |= trust;
    };
    add(level.packages, ALPM_SIG_PACKAGE, ALPM_SIG_PACKAGE_OPTIONAL,
        ALPM_SIG_PACKAGE_MARGINAL_OK | ALPM_SIG_PACKAGE_UNKNOWN_OK);
    add(level.databases, ALPM_SIG_DATABASE, ALPM_SIG_DATABASE_OPTIONAL,
        ALPM_SIG_DATABASE_MARGINAL_OK | ALPM_SIG_DATABASE_UNKNOWN_OK);
    return bits;
}

void Handle::register_repositories() {
    const SignatureLevel standard = apply_signature_tokens({}, spec_.config.sig_level);
    const bool able = (alpm_capabilities() & ALPM_CAPABILITY_SIGNATURES) != 0;
    for (const Repository& repository : spec_.config.repositories) {
        if (repository.is_deb()) {  // its own signatures were checked when its database was made
            register_repository(repository, 0);
            continue;
        }
        const SignatureLevel level = apply_signature_tokens(standard, repository.sig_level);
        const bool required = (level.packages.check && level.packages.required) ||
                              (level.databases.check && level.databases.required);
        if (required && !able) {
            throw Error("use repository", repository.name, "this libalpm was built without signatures")
                .as(Fault::unsupported);
        }
        requires_signatures_ = requires_signatures_ || required;
        checks_signatures_ = checks_signatures_ || level.packages.check || level.databases.check;
        register_repository(repository, level_bits(level));
    }
}

void Handle::register_repository(const Repository& repository, int level) {
    if (repository.name.empty() || repository.name == "local" || repository.name.front() == '.' ||
        repository.name.find('/') != std::string::npos) {
        throw Error("use repository", repository.name, "this cannot be the name of a repository")
            .as(Fault::usage);
    }
    alpm_db_t* database = alpm_register_syncdb(handle_, repository.name.c_str(), level);
    if (database == nullptr) throw error("use repository", repository.name).as(Fault::usage);
    alpm_db_set_usage(database, usage_bits(repository.usage));
    for (const std::string& server : repository.servers) {
        check(alpm_db_add_server(database, normal_url(server).c_str()), "use server", server);
    }
    for (const std::string& server : repository.cache_servers) {
        check(alpm::add_cache_server(database, normal_url(server).c_str()), "use server", server);
    }
}

// --- Look --------------------------------------------------------------------------------------------------

bool Handle::is_deb(const std::string& repository) const noexcept {
    const auto& all = spec_.config.repositories;
    return std::any_of(all.begin(), all.end(),
                       [&](const Repository& one) { return one.is_deb() && one.name == repository; });
}

alpm_pkg_t* Handle::installed(const std::string& name) const noexcept {
    return name.empty() ? nullptr : alpm_db_get_pkg(local(), name.c_str());
}

alpm_db_t* Handle::sync_database(const std::string& name) const noexcept {
    for (alpm_db_t* database : alpm::each<alpm_db_t>(sync_databases())) {
        if (name == alpm_db_get_name(database)) return database;
    }
    return nullptr;
}

/// What is known of a failure of which libalpm says nothing.
std::string Handle::unsaid_cause(int error_number) const {
    std::string cause = fmt::format("libalpm {} failed and gives no reason", alpm_version());
    if (const std::string& file = conversation_.last_download(); !file.empty())
        cause += fmt::format("; the last that it fetched is {}", file);
    // It may be of an earlier step, but there is nothing better.
    if (error_number != 0)
        cause += fmt::format("; the system's last error is: {}", std::strerror(error_number));
    return cause;
}

Error Handle::error(std::string_view step, std::string_view path) const {
    const int error_number = errno;
    const alpm_errno_t code = last_error();
    errno = error_number;
    return error_of(code, step, path);
}

Error Handle::error_of(alpm_errno_t code, std::string_view step, std::string_view path) const {
    const int error_number = errno;
    transfers_.tell_missing_signature();
    if (is_about_trust(code, conversation_.errors())) return untrusted(step, path);
    const std::string cause = code == ALPM_ERR_OK ? unsaid_cause(error_number) : alpm_strerror(code);
    Error made(step, path, cause);
    made.as(fault_of(code));
    if (code == ALPM_ERR_HANDLE_LOCK) {
        made.with_hint(fmt::format("another package manager is at work there; if none is, remove {}/db.lck",
                                   spec_.database));
    } else {
        made.with_hint(fmt::format("{}", fmt::join(conversation_.errors(), "\n")));
    }
    return made;
}

/// Nothing is damaged; nobody who is trusted vouches for it.
Error Handle::untrusted(std::string_view step, std::string_view path) const {
    std::vector<std::string> lines = conversation_.errors();
    for (alpm_pkg_t* package : alpm::each<alpm_pkg_t>(alpm_trans_get_add(handle_))) {
        if (is_signed_by(handle_, package, conversation_.missed_keys()))
            lines.push_back(fmt::format("{} is signed by a key that is not known", alpm::name_of(package)));
    }
    for (const std::string& key : conversation_.missed_keys()) {
        const auto names = [&](const std::string& line) { return line.find(key) != std::string::npos; };
        if (std::none_of(lines.begin(), lines.end(), names)) lines.push_back("key that is not known: " + key);
    }
    lines.push_back(
        fmt::format("to trust a key: gpg --homedir '{}' --import FILE, then --quick-lsign-key FINGERPRINT",
                    spec_.gnupg_dir));
    Error made(step, path, "it is not signed by a key that is trusted here");
    made.as(Fault::refused).with_hint(fmt::format("{}", fmt::join(lines, "\n")));
    return made;
}

void Handle::check(int result, std::string_view step, std::string_view path) const {
    if (result != 0) throw error(step, path);
}

void Handle::check_installed_set() {
    if (alpm_db_get_valid(local()) != 0) throw error("read installed packages", spec_.database);
    // An empty set is a null list; libalpm tells a set that it cannot read by its error alone.
    if (installed() == nullptr && last_error() != ALPM_ERR_OK)
        throw error("read installed packages", spec_.database);
}

/// What is wrong with the file of a sync database, empty when it can be read. libalpm says it by its error,
/// or, of an entry that it cannot read, in its log alone; a file without a byte it takes for an empty
/// repository.
std::string Handle::damage_of(alpm_db_t* database) const {
    struct stat status {};
    if (::stat(database_file(database).c_str(), &status) == 0 && status.st_size == 0)
        return "the file is empty";
    const std::vector<std::string>& said = conversation_.errors();
    const size_t before = said.size();
    const bool valid = alpm_db_get_valid(database) == 0;
    if (valid && alpm_db_get_pkgcache(database) != nullptr) return {};
    const alpm_errno_t code = last_error();
    if (said.size() > before) return said.back();
    return valid && code == ALPM_ERR_OK ? "" : alpm_strerror(code);
}

std::optional<Error> Handle::unreadable_database() const {
    for (alpm_db_t* database : alpm::each<alpm_db_t>(sync_databases())) {
        const std::string name = alpm_db_get_name(database);
        const std::string damage = damage_of(database);
        const alpm_errno_t code = last_error();
        if (damage.empty() || conversation_.missing_databases().count(name) != 0) continue;
        if (code == ALPM_ERR_DB_INVALID_SIG && is_well_signed(database))
            return untrusted("read repository", name);
        Error made("read repository", name, fmt::format("its database cannot be read: {}", damage));
        made.as(Fault::corrupt)
            .with_hint(
                "fetch it anew: pwstore -Syy; if that does not help, the repository itself is damaged");
        return made;
    }
    return std::nullopt;
}

void Handle::check_databases() {
    if (sync_databases() == nullptr) {
        throw Error("read repositories", "", "none is configured").as(Fault::usage);
    }
    use_keyring();
    if (const std::optional<Error> bad = unreadable_database(); bad) throw *bad;
    if (const auto& missing = conversation_.missing_databases(); !missing.empty()) {
        throw Error("read repository", *missing.begin(), "its database was not fetched yet")
            .with_hint("fetch the databases first: pwstore -Sy")
            .as(Fault::usage);
    }
}

// --- Act ---------------------------------------------------------------------------------------------------

bool Handle::update_databases(bool force) {
    if (sync_databases() == nullptr) {
        throw Error("refresh repositories", "", "none is configured").as(Fault::usage);
    }
    for (alpm_db_t* database : alpm::each<alpm_db_t>(sync_databases())) {
        if (alpm_db_get_servers(database) == nullptr) {
            throw Error("refresh repository", alpm_db_get_name(database), "no server is configured for it")
                .as(Fault::usage);
        }
    }
    if (by_place(true).empty() && by_place(false).empty()) {
        if (const std::optional<Error> bad = unreadable_database(); bad) throw *bad;
        return false;
    }
    use_keyring();
    const std::vector<std::optional<std::string>> before = database_contents();
    fetch_databases(force);
    if (unreadable_database()) {
        conversation_.begin(
            Conversation::Warnings::to_sink);  // what was heard of the bad one is of no use any more
        fetch_databases(true);
        if (const std::optional<Error> bad = unreadable_database(); bad) throw *bad;
    }
    return force || database_contents() != before;
}

/// Databases to be fetched: those of Debian packages are made elsewhere.
/// @param on_this_machine all servers are file:// URLs
std::vector<alpm_db_t*> Handle::by_place(bool on_this_machine) const {
    std::vector<alpm_db_t*> databases;
    for (alpm_db_t* database : alpm::each<alpm_db_t>(sync_databases())) {
        const auto servers = alpm::each<char>(alpm_db_get_servers(database));
        const bool is_local = !spec_.is_pacmans && std::all_of(servers.begin(), servers.end(), is_file_url);
        if (is_local == on_this_machine && !is_deb(alpm_db_get_name(database))) databases.push_back(database);
    }
    return databases;
}

/// libalpm asks for what is younger than its copy, in whole seconds. So what is on this machine is copied
/// each time, and the copy of what a server had only just got is made to look older than it.
void Handle::fetch_databases(bool force) {
    const auto update = [&](const std::vector<alpm_db_t*>& wanted, bool anew) {
        alpm::Databases databases;
        for (alpm_db_t* database : wanted)
            databases.push_back(database);
        errno = 0;
        if (databases.empty() || alpm_db_update(handle_, databases.get(), anew ? 1 : 0) >= 0) return;
        const int error_number = errno;
        const alpm_errno_t code = last_error();
        const auto bad = std::find_if(wanted.begin(), wanted.end(), [&](alpm_db_t* database) {
            return code == ALPM_ERR_DB_INVALID_SIG && alpm_db_get_valid(database) != 0;
        });
        errno = error_number;
        const Error failed = bad == wanted.end()
                                 ? error_of(code, "refresh repositories", spec_.database + "/sync")
                                 : error_of(code, "refresh repository", alpm_db_get_name(*bad));
        conversation_.rethrow();
        if (conversation_.speaks_as_pacman()) pacman_words::throw_update_error(code);
        throw failed;
    };
    update(by_place(true), true);
    const std::vector<alpm_db_t*> remote = by_place(false);
    update(remote, force);
    conversation_.rethrow();
    conversation_.errors_as_warnings();
    if (spec_.is_pacmans) return;
    const int64_t now = std::chrono::system_clock::to_time_t(std::chrono::system_clock::now());
    for (alpm_db_t* database : remote) {
        const std::string file = database_file(database);
        struct stat status {};
        if (::stat(file.c_str(), &status) == 0 && status.st_mtim.tv_sec >= now - kUnsettled)
            set_mtime_at(AT_FDCWD, file, status.st_mtim.tv_sec - 1);
    }
}

std::string Handle::database_file(alpm_db_t* database) const {
    return fmt::format("{}/sync/{}.db", spec_.database, alpm_db_get_name(database));
}

std::vector<std::optional<std::string>> Handle::database_contents() const {
    std::vector<std::optional<std::string>> contents;
    for (alpm_db_t* database : alpm::each<alpm_db_t>(sync_databases()))
        contents.push_back(try_read_file(AT_FDCWD, database_file(database)));
    return contents;
}

void Handle::use_keyring() {
    if (!checks_signatures_ && (local_file_level_ & ALPM_SIG_PACKAGE) == 0) return;
    if (!spec_.is_pacmans) make_directories(AT_FDCWD, spec_.gnupg_dir, 0700);
    if (requires_signatures_ && !spec_.is_pacmans)
        ensure_keyring(spec_.gnupg_dir, spec_.keyrings, conversation_.sink());
    if (!conversation_.has_keyring()) return;
    // The name of GnuPG 1, without which libalpm asks about no key. pacman-key makes it, too.
    if (const std::string old = spec_.gnupg_dir + "/pubring.gpg";
        !spec_.is_pacmans && !exists_at(AT_FDCWD, old))
        (void)open_at(AT_FDCWD, old, O_WRONLY | O_CREAT, 0600);
    // GPGME keeps the directory that it was first given, for the whole process.
    static std::string keyring;
    if (keyring.empty()) keyring = spec_.gnupg_dir;
    if (keyring != spec_.gnupg_dir) {
        throw Error("use keyring", spec_.gnupg_dir,
                    fmt::format("this process uses that of '{}' already", keyring));
    }
}

std::optional<FileLock> Handle::lock_cache() {
    if (spec_.cache_dirs.empty() || spec_.is_pacmans) return std::nullopt;
    const std::string& first = spec_.cache_dirs.front();
    make_directories(AT_FDCWD, first);
    const auto writable = [](const std::string& path) { return ::access(path.c_str(), W_OK | X_OK) == 0; };
    if (std::none_of(spec_.cache_dirs.begin(), spec_.cache_dirs.end(), writable)) {
        throw Error("use package cache", first, "it is not writable");
    }
    if (!writable(first)) return std::nullopt;  // libalpm takes another one
    const std::string path = first + "/" + kDownloadLock;
    constexpr const char* kOwner = "download of packages";
    std::optional<FileLock> lock = FileLock::try_acquire(AT_FDCWD, path, LockMode::exclusive, kOwner);
    if (lock) return lock;
    conversation_.sink().message(Severity::info, "waiting for another download to end");
    return FileLock::acquire(AT_FDCWD, path, LockMode::exclusive, kDownloadPatience, kOwner);
}

Handle::QuietLog::QuietLog(Handle& handle) : handle_(handle) {
    if (!handle_.spec_.log_file.empty()) alpm_option_set_logfile(handle_.get(), "/dev/null");
}

Handle::QuietLog::~QuietLog() {
    const std::string& log = handle_.spec_.log_file;
    if (!log.empty()) alpm_option_set_logfile(handle_.get(), log.c_str());
}

void Handle::log_action(const char* text, const char* caller) {
    if (!spec_.log_file.empty()) alpm_logaction(handle_, caller, "%s\n", text);
}

}  // namespace pwstore
