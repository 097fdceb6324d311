// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "resolver/alpm_compat.hpp"
#include "resolver/conversation_internal.hpp"
#include "resolver/session.hpp"
#include "resolver/signature_level.hpp"
#include "resolver/transfers_internal.hpp"
#include "store/base/error.hpp"
#include "store/base/lock.hpp"

namespace pwstore {

/// One alpm_handle_t with everything of a SessionSpec set, and what can go wrong with it as Errors.
class Handle {
 public:
    /// @throws Error (usage for directories that are missing or a bad configuration, unsupported for a
    /// libalpm without what the configuration needs)
    Handle(const SessionSpec& spec, Conversation& conversation);
    Handle(const Handle&) = delete;
    Handle& operator=(const Handle&) = delete;
    ~Handle();

    [[nodiscard]] alpm_handle_t* get() const noexcept { return handle_; }
    [[nodiscard]] alpm_db_t* local() const noexcept { return alpm_get_localdb(handle_); }
    [[nodiscard]] alpm_list_t* sync_databases() const noexcept { return alpm_get_syncdbs(handle_); }
    [[nodiscard]] alpm_list_t* installed() const noexcept { return alpm_db_get_pkgcache(local()); }
    [[nodiscard]] alpm_pkg_t* installed(const std::string& name) const noexcept;
    [[nodiscard]] alpm_db_t* sync_database(const std::string& name) const noexcept;
    /// A repository of Debian packages, whose database is made by pwstore.
    [[nodiscard]] bool is_deb(const std::string& repository) const noexcept;

    /// What the last call said, which the next call forgets. Take it at once.
    [[nodiscard]] alpm_errno_t last_error() const noexcept { return transfers_.meant(alpm_errno(handle_)); }
    /// The Error of the call that just failed: its cause is libalpm's, its hint what libalpm logged.
    [[nodiscard]] Error error(std::string_view step, std::string_view path = {}) const;
    /// error() when `result` is not 0.
    void check(int result, std::string_view step, std::string_view path = {}) const;

    /// Every database can be read. @throws Error (corrupt; usage with the remedy for one that was never
    /// fetched)
    void check_databases();
    /// The installed set can be read. @throws Error (corrupt)
    void check_installed_set();
    /// Download all sync databases. Returns whether one changed.
    bool update_databases(bool force);
    /// libalpm will look at signatures: there is a keyring directory, and it is the one that GPGME uses.
    void use_keyring();
    /// The first cache directory is there, one of them is writable, and nobody else downloads into it while
    /// the lock lives: two processes that fetch one file at the same time write into one ".part" file.
    [[nodiscard]] std::optional<FileLock> lock_cache();
    [[nodiscard]] Transfers& transfers() noexcept { return transfers_; }
    [[nodiscard]] int local_file_level() const noexcept { return local_file_level_; }
    [[nodiscard]] int remote_file_level() const noexcept { return remote_file_level_; }
    [[nodiscard]] const PacmanConfig& config() const noexcept { return spec_.config; }
    [[nodiscard]] const SessionSpec& spec() const noexcept { return spec_; }

    /// While it lives, libalpm writes nothing to the log file: what it would say is not what happens.
    class QuietLog {
     public:
        explicit QuietLog(Handle& handle);
        QuietLog(const QuietLog&) = delete;
        QuietLog& operator=(const QuietLog&) = delete;
        ~QuietLog();

     private:
        Handle& handle_;
    };
    void log_action(const char* text, const char* caller = "PWSTORE");

 private:
    [[nodiscard]] Error error_of(alpm_errno_t code, std::string_view step, std::string_view path = {}) const;
    [[nodiscard]] Error untrusted(std::string_view step, std::string_view path) const;
    void set_options();
    void set_signature_levels();
    void register_repositories();
    void register_repository(const Repository& repository, int level);
    /// The Error of the first database that cannot be read.
    std::optional<Error> unreadable_database() const;
    [[nodiscard]] std::string damage_of(alpm_db_t* database) const;
    [[nodiscard]] std::vector<alpm_db_t*> by_place(bool on_this_machine) const;
    void fetch_databases(bool force);
    [[nodiscard]] std::string database_file(alpm_db_t* database) const;
    /// What lies there of each, to see whether it changes.
    [[nodiscard]] std::vector<std::optional<std::string>> database_contents() const;
    void set_download_sandbox();
    [[nodiscard]] std::string unsaid_cause(int error_number) const;
    [[nodiscard]] int level_bits(const SignatureLevel& level) const noexcept;

    SessionSpec spec_;
    Conversation& conversation_;
    mutable Transfers transfers_;  ///< what it has to say is said once
    alpm_handle_t* handle_ = nullptr;
    int local_file_level_ = 0;
    int remote_file_level_ = 0;
    bool checks_signatures_ = false;
    bool requires_signatures_ = false;
};

}  // namespace pwstore
