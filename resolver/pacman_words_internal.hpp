// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "resolver/alpm_compat.hpp"
#include "resolver/handle_internal.hpp"
#include "store/base/error.hpp"

/// What pacman says, where it was asked to speak (SessionSpec::speaks_as_pacman). Failures are thrown as
/// transcripts: an Error whose hint holds pacman's lines as it would print them, "error: …" or ":: …".
namespace pwstore::pacman_words {

// --- Questions
inline constexpr const char* kRemoveHeld = "HoldPkg was found in target list. Do you want to continue?";
[[nodiscard]] std::string delete_corrupted(const std::string& file, const std::string& cause);
[[nodiscard]] std::string remove_conflicting(const alpm_conflict_t& conflict);
[[nodiscard]] std::string providers(const std::string& dependency, size_t count);
[[nodiscard]] std::string skip_unresolvable(size_t count);
[[nodiscard]] std::string install_ignored(const std::string& name);
[[nodiscard]] std::string import_key(const alpm::KeyToImport& key);

// --- One line each
[[nodiscard]] std::string missing_database(const std::string& name);
[[nodiscard]] std::string skipped_target(const std::string& target);
[[nodiscard]] std::string no_target(const std::string& name);
[[nodiscard]] std::string no_repository(const std::string& name);
[[nodiscard]] std::string ignored_replacement(alpm_pkg_t* installed, alpm_pkg_t* replacement);
[[nodiscard]] std::string failed_download(const std::string& url, std::string_view cause);
[[nodiscard]] std::string of_target(const std::string& target, std::string_view cause);

// --- Failures
/// Every sync database that is there can be read. @throws Error (corrupt)
void check_databases(const Handle& handle);
[[noreturn]] void throw_errors(std::string_view step, const std::vector<std::string>& lines, Fault fault);
[[noreturn]] void throw_init_error(alpm_errno_t code, const std::string& database);
[[noreturn]] void throw_update_error(alpm_errno_t code);
/// Both free `data`, whose type depends on `code`. `removes`: the transaction adds nothing.
[[noreturn]] void throw_prepare_error(const Handle& handle, alpm_errno_t code, alpm_list_t* data,
                                      bool removes);
[[noreturn]] void throw_commit_error(alpm_errno_t code, alpm_list_t* data);

}  // namespace pwstore::pacman_words
