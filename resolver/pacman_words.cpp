// SPDX-License-Identifier: GPL-3.0-or-later
#include <fmt/format.h>
#include <fmt/ranges.h>

#include "resolver/pacman_words_internal.hpp"

namespace pwstore::pacman_words {

using alpm::text;

namespace {

[[noreturn]] void throw_transcript(std::string_view step, std::string_view cause,
                                   const std::vector<std::string>& lines, Fault fault) {
    throw Error(step, "", cause).with_hint(fmt::format("{}", fmt::join(lines, "\n"))).as(fault);
}

std::string missing_line(const Handle& handle, const alpm_depmissing_t& missing, bool removes) {
    const std::string wanted = alpm::dependency_text(missing.depend);
    const std::string target = text(missing.target);
    if (missing.causingpkg == nullptr)
        return fmt::format(":: unable to satisfy dependency '{}' required by {}", wanted, target);
    alpm_pkg_t* added =
        removes ? nullptr : alpm_pkg_find(alpm_trans_get_add(handle.get()), missing.causingpkg);
    if (added == nullptr) {
        return fmt::format(":: removing {} breaks dependency '{}' required by {}", missing.causingpkg, wanted,
                           target);
    }
    return fmt::format(":: installing {} ({}) breaks dependency '{}' required by {}", missing.causingpkg,
                       text(alpm_pkg_get_version(added)), wanted, target);
}

std::string conflict_line(const alpm_conflict_t& conflict) {
    const std::string line =
        fmt::format(":: {} and {} are in conflict", alpm::first_of(conflict), alpm::second_of(conflict));
    return conflict.reason->mod == ALPM_DEP_MOD_ANY
               ? line
               : fmt::format("{} ({})", line, alpm::dependency_text(conflict.reason));
}

std::string file_line(const alpm_fileconflict_t& conflict) {
    const std::string file = printable(text(conflict.file)), target = text(conflict.target),
                      other = text(conflict.ctarget);
    if (conflict.type == ALPM_FILECONFLICT_TARGET)
        return fmt::format("{} exists in both '{}' and '{}'", file, target, other);
    return other.empty() ? fmt::format("{}: {} exists in filesystem", target, file)
                         : fmt::format("{}: {} exists in filesystem (owned by {})", target, file, other);
}

}  // namespace

// --- Questions
// ----------------------------------------------------------------------------------------------------

std::string delete_corrupted(const std::string& file, const std::string& cause) {
    return fmt::format("File {} is corrupted ({}).\nDo you want to delete it?", printable(file), cause);
}

std::string remove_conflicting(const alpm_conflict_t& conflict) {
    const std::string first = alpm::first_of(conflict), second = alpm::second_of(conflict),
                      reason = text(conflict.reason->name);
    const std::string because = reason == first || reason == second ? "" : fmt::format(" ({})", reason);
    return fmt::format("{} and {} are in conflict{}. Remove {}?", first, second, because, second);
}

std::string providers(const std::string& dependency, size_t count) {
    return count == 1 ? fmt::format("There is 1 provider available for {}", dependency)
                      : fmt::format("There are {} providers available for {}:", count, dependency);
}

std::string skip_unresolvable(size_t count) {
    return fmt::format("Do you want to skip the above package{} for this upgrade?", count == 1 ? "" : "s");
}

std::string install_ignored(const std::string& name) {
    return name + " is in IgnorePkg/IgnoreGroup. Install anyway?";
}

std::string import_key(const alpm::KeyToImport& key) {
    return key.user.empty() ? fmt::format("Import PGP key {}?", key.fingerprint)
                            : fmt::format("Import PGP key {}, \"{}\"?", key.fingerprint, printable(key.user));
}

// --- One line each
// ------------------------------------------------------------------------------------------------

std::string missing_database(const std::string& name) {
    return fmt::format("database file for '{}' does not exist (use '-Sy' to download)", name);
}

std::string skipped_target(const std::string& target) {
    return "skipping target: " + target;
}

std::string no_target(const std::string& name) {
    return "target not found: " + name;
}

std::string no_repository(const std::string& name) {
    return "database not found: " + name;
}

std::string ignored_replacement(alpm_pkg_t* installed, alpm_pkg_t* replacement) {
    const auto versioned = [](alpm_pkg_t* package) {
        return fmt::format("{}-{}", alpm::name_of(package), text(alpm_pkg_get_version(package)));
    };
    return fmt::format("ignoring package replacement ({} => {})", versioned(installed),
                       versioned(replacement));
}

std::string of_target(const std::string& target, std::string_view cause) {
    return fmt::format("'{}': {}", printable(target), cause);
}

std::string failed_download(const std::string& url, std::string_view cause) {
    const size_t begin = url.find("://");
    const size_t host = begin == std::string::npos ? 0 : begin + 3;
    const std::string from = url.starts_with("file:") ? "disk" : url.substr(host, url.find('/', host) - host);
    return fmt::format("failed retrieving file '{}' from {} : {}", printable(url.substr(url.rfind('/') + 1)),
                       printable(from), cause);
}

// --- Failures
// -----------------------------------------------------------------------------------------------------

void check_databases(const Handle& handle) {
    std::vector<std::string> lines;
    if (handle.sync_databases() == nullptr) lines.emplace_back("no usable package repositories configured.");
    for (alpm_db_t* database : alpm::each<alpm_db_t>(handle.sync_databases())) {
        if (alpm_db_get_valid(database) == 0) continue;
        lines.push_back(fmt::format("database '{}' is not valid ({})", alpm_db_get_name(database),
                                    alpm_strerror(handle.last_error())));
    }
    if (!lines.empty()) throw_errors("read repositories", lines, Fault::corrupt);
}

void throw_errors(std::string_view step, const std::vector<std::string>& lines, Fault fault) {
    std::vector<std::string> errors;
    for (const std::string& line : lines)
        errors.push_back("error: " + line);
    throw_transcript(step, lines.front(), errors, fault);
}

void throw_init_error(alpm_errno_t code, const std::string& database) {
    std::vector<std::string> lines{
        fmt::format("error: failed to init transaction ({})", alpm_strerror(code))};
    if (code == ALPM_ERR_HANDLE_LOCK) {
        lines.emplace_back("error: could not lock database: File exists");
        lines.emplace_back("  if you're sure a package manager is not already");
        lines.push_back(fmt::format("  running, you can remove {}{}db.lck", database,
                                    database.ends_with('/') ? "" : "/"));
    }
    throw_transcript("begin transaction", alpm_strerror(code), lines,
                     code == ALPM_ERR_HANDLE_LOCK ? Fault::busy : Fault::failure);
}

void throw_update_error(alpm_errno_t code) {
    throw_errors("refresh repositories",
                 {fmt::format("failed to synchronize all databases ({})", alpm_strerror(code))},
                 code == ALPM_ERR_HANDLE_LOCK ? Fault::busy : Fault::failure);
}

void throw_prepare_error(const Handle& handle, alpm_errno_t code, alpm_list_t* data, bool removes) {
    std::vector<std::string> lines{
        fmt::format("error: failed to prepare transaction ({})", alpm_strerror(code))};
    if (code == ALPM_ERR_UNSATISFIED_DEPS) {
        const alpm::MissingDependencies list(data);
        for (const alpm_depmissing_t* one : list)
            lines.push_back(missing_line(handle, *one, removes));
    } else if (code == ALPM_ERR_CONFLICTING_DEPS) {
        const alpm::Conflicts list(data);
        for (const alpm_conflict_t* one : list)
            lines.push_back(conflict_line(*one));
    } else if (code == ALPM_ERR_PKG_INVALID_ARCH) {
        const alpm::StringList list(data);
        for (const char* package : list)
            lines.push_back(fmt::format(":: package {} does not have a valid architecture", package));
    }
    throw_transcript("prepare transaction", alpm_strerror(code), lines, Fault::failure);
}

void throw_commit_error(alpm_errno_t code, alpm_list_t* data) {
    std::vector<std::string> lines{
        fmt::format("error: failed to commit transaction ({})", alpm_strerror(code))};
    if (code == ALPM_ERR_FILE_CONFLICTS) {
        const alpm::FileConflicts list(data);
        for (const alpm_fileconflict_t* one : list)
            lines.push_back(file_line(*one));
    } else if (code == ALPM_ERR_PKG_INVALID || code == ALPM_ERR_PKG_INVALID_CHECKSUM ||
               code == ALPM_ERR_PKG_INVALID_SIG) {
        const alpm::StringList list(data);
        for (const char* file : list)
            lines.push_back(printable(file) + " is invalid or corrupted");
    }
    lines.emplace_back("Errors occurred, no packages were upgraded.");
    throw_transcript("commit transaction", alpm_strerror(code), lines, Fault::failure);
}

}  // namespace pwstore::pacman_words
