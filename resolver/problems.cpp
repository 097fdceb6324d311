// SPDX-License-Identifier: GPL-3.0-or-later
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "resolver/making_way_internal.hpp"
#include "resolver/pacman_words_internal.hpp"
#include "resolver/problems_internal.hpp"
#include "resolver/provider_choice.hpp"
#include "store/base/path_at.hpp"
#include "store/base/similar.hpp"

namespace pwstore {

using alpm::text;

namespace {

constexpr size_t kNearNames = 3;

bool is_version_only(const alpm_conflict_t& conflict) {
    return conflict.reason->mod != ALPM_DEP_MOD_ANY;
}

std::string file_conflict_text(const alpm_fileconflict_t& conflict) {
    const std::string file = printable(text(conflict.file));
    if (conflict.type == ALPM_FILECONFLICT_TARGET) {
        return fmt::format("{}: both {} and {} have it", file, text(conflict.target), text(conflict.ctarget));
    }
    const std::string owner = text(conflict.ctarget);
    if (owner.empty())
        return fmt::format("{}: {} has it, and it exists and belongs to no package", file,
                           text(conflict.target));
    return fmt::format("{}: {} has it, and it belongs to {}", file, text(conflict.target), owner);
}

}  // namespace

void Problems::add(std::string line, Fault fault) {
    if (std::find(lines_.begin(), lines_.end(), line) != lines_.end()) return;
    if (lines_.empty() || fault == Fault::refused) fault_ = fault;
    lines_.push_back(std::move(line));
}

void Problems::throw_if_any(std::string_view step, std::string_view cause) const {
    if (lines_.empty()) return;
    if (as_pacman_) pacman_words::throw_errors(step, lines_, fault_);
    if (lines_.size() == 1) throw Error(step, "", lines_.front()).as(fault_);
    throw Error(step, "", cause).with_hint(fmt::format("{}", fmt::join(lines_, "\n"))).as(fault_);
}

std::vector<std::string> near_names(const alpm_list_t* databases, const std::string& name) {
    std::vector<std::pair<size_t, std::string>> found;
    const size_t limit = typing_tolerance(name.size());
    for (alpm_db_t* database : alpm::each<alpm_db_t>(databases)) {
        for (alpm_pkg_t* package : alpm::each<alpm_pkg_t>(alpm_db_get_pkgcache(database))) {
            const std::string_view other = alpm_pkg_get_name(package);
            if (name.size() >= 3 && other.size() > name.size() && other.substr(0, name.size()) == name) {
                found.emplace_back(limit, other);
            } else if (std::max(other.size(), name.size()) - std::min(other.size(), name.size()) <= limit) {
                const size_t far = typing_distance(name, other);
                if (far <= limit) found.emplace_back(far, other);
            }
        }
    }
    std::sort(found.begin(), found.end());
    found.erase(std::unique(found.begin(), found.end()), found.end());
    std::vector<std::string> names;
    for (size_t i = 0; i < std::min(found.size(), kNearNames); ++i)
        names.push_back(found[i].second);
    return names;
}

std::string missing_text(const Handle& handle, const Upstream& upstream, const alpm_depmissing_t& missing) {
    const std::string wanted = alternatives_text(alpm::dependency_text(missing.depend));
    const std::string target = text(missing.target);
    const std::string cause = text(missing.causingpkg);
    const std::string line = fmt::format("{} requires {}", target, wanted);
    if (!cause.empty()) {
        alpm_pkg_t* added = alpm_pkg_find(alpm_trans_get_add(handle.get()), cause.c_str());
        if (added != nullptr) {
            return fmt::format("{}, which {} {} does not satisfy", line, cause,
                               text(alpm_pkg_get_version(added)));
        }
        if (upstream.has(target)) {
            return fmt::format("{}, so {} cannot be removed ({} is from {})", line, cause, target,
                               upstream.container_of(target));
        }
        return fmt::format("{}, so {} cannot be removed", line, cause);
    }
    const std::string name = text(missing.depend->name);
    if (alpm_pkg_t* kept = handle.installed(name); kept != nullptr && upstream.has(name)) {
        return fmt::format("{}; {} {} is from {}, which has to be upgraded first", line, name,
                           text(alpm_pkg_get_version(kept)), upstream.container_of(name));
    }
    return fmt::format("{}, which is not to be had", line);
}

std::string conflict_text(const Handle& handle, const Upstream& upstream, const alpm_conflict_t& conflict) {
    const std::string first = alpm::first_of(conflict);
    const std::string second = alpm::second_of(conflict);
    std::string line = fmt::format("{} and {} are in conflict", first, second);
    if (is_version_only(conflict)) line += fmt::format(" ({})", alpm::dependency_text(conflict.reason));
    for (const std::string& name : {first, second}) {
        if (upstream.has(name) && handle.installed(name) != nullptr) {
            line += fmt::format("; {} is from {}", name, upstream.container_of(name));
        }
    }
    return line;
}

std::vector<SetProblem> set_problems(const Handle& handle, const Upstream& upstream, alpm_list_t* packages) {
    std::vector<SetProblem> problems;
    const alpm::MissingDependencies missing(alpm_checkdeps(handle.get(), nullptr, nullptr, packages, 1));
    for (const alpm_depmissing_t* one : missing) {
        if (has_alternative(handle, packages, *one->depend)) continue;
        const std::string wanted = alternatives_text(alpm::dependency_text(one->depend));
        problems.push_back(
            {text(one->target), wanted, false, fmt::format("{}: requires {}", text(one->target), wanted)});
    }
    const alpm::Conflicts conflicts(alpm_checkconflicts(handle.get(), packages));
    for (const alpm_conflict_t* one : conflicts) {
        problems.push_back(
            {alpm::first_of(*one), alpm::second_of(*one), true, conflict_text(handle, upstream, *one)});
    }
    return problems;
}

void throw_prepare_error(const Handle& handle, const Upstream& upstream, const Error& error,
                         alpm_errno_t code, alpm_list_t* data) {
    Problems problems;
    std::string cause = "this cannot be done";
    if (code == ALPM_ERR_UNSATISFIED_DEPS) {
        cause = "dependencies are not satisfied";
        const alpm::MissingDependencies list(data);
        for (const alpm_depmissing_t* missing : list)
            problems.add(missing_text(handle, upstream, *missing));
    } else if (code == ALPM_ERR_CONFLICTING_DEPS) {
        cause = "packages are in conflict";
        const alpm::Conflicts list(data);
        for (const alpm_conflict_t* conflict : list)
            problems.add(conflict_text(handle, upstream, *conflict));
    } else if (code == ALPM_ERR_PKG_INVALID_ARCH) {
        cause = "packages are made for another machine";
        const alpm::StringList list(data);
        for (const char* package : list)
            problems.add(fmt::format("{} is made for another architecture", package));
    }
    problems.throw_if_any("resolve packages", cause);
    throw error;
}

void throw_commit_error(const Error& error, alpm_errno_t code, alpm_list_t* data,
                        const std::vector<std::string>& damaged) {
    if (code == ALPM_ERR_FILE_CONFLICTS) {
        Problems problems;
        const alpm::FileConflicts list(data);
        for (const alpm_fileconflict_t* conflict : list)
            problems.add(file_conflict_text(*conflict));
        problems.throw_if_any("check files", "packages have files that exist already");
        throw error;
    }
    const bool files = code == ALPM_ERR_PKG_INVALID || code == ALPM_ERR_PKG_INVALID_CHECKSUM ||
                       code == ALPM_ERR_PKG_INVALID_SIG;
    if (!files) throw error;
    std::vector<std::string> lines = damaged;
    const alpm::StringList list(data);
    for (const char* file : list) {
        const auto named = [&](const std::string& line) {
            return line.starts_with(printable(split_path(file).second));
        };
        if (std::none_of(lines.begin(), lines.end(), named))
            lines.push_back(fmt::format("{}: it is damaged or not what the database says", printable(file)));
    }
    if (lines.empty()) throw error;
    const std::string cause =
        lines.size() == 1 ? lines.front() : fmt::format("{} packages are damaged", lines.size());
    if (lines.size() == 1) lines.clear();
    if (!error.hint().empty()) lines.push_back(error.hint());
    throw Error("fetch packages", "", cause)
        .as(error.fault())
        .with_hint(fmt::format("{}", fmt::join(lines, "\n")));
}

}  // namespace pwstore
