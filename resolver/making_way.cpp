// SPDX-License-Identifier: GPL-3.0-or-later
#include <algorithm>

#include "resolver/making_way_internal.hpp"

namespace pwstore {

using alpm::name_of;
using alpm::text;

namespace {

/// Of a package that `transaction` brings.
alpm_pkg_t* coming(const Handle& handle, const std::string& name) {
    return alpm_pkg_find(alpm_trans_get_add(handle.get()), name.c_str());
}

bool satisfies_alternative(const Handle& handle, alpm_list_t* packages, const std::string& name) {
    if (!handle.spec().alternatives) return false;
    const std::vector<std::string> all = handle.spec().alternatives(name);
    return std::any_of(all.begin(), all.end(), [&](const std::string& one) {
        return alpm_find_satisfier(packages, one.c_str()) != nullptr;
    });
}

}  // namespace

void fill_with_result(const Handle& handle, alpm::Packages& result) {
    for (alpm_pkg_t* package : alpm::each<alpm_pkg_t>(handle.installed())) {
        const char* name = alpm_pkg_get_name(package);
        if (alpm_pkg_find(alpm_trans_get_remove(handle.get()), name) == nullptr &&
            coming(handle, name) == nullptr)
            result.push_back(package);
    }
    for (alpm_pkg_t* package : alpm::each<alpm_pkg_t>(alpm_trans_get_add(handle.get())))
        result.push_back(package);
}

bool has_alternative(const Handle& handle, alpm_list_t* packages, const alpm_depend_t& dependency) {
    return satisfies_alternative(handle, packages, text(dependency.name));
}

bool MakingWay::may_go(const std::string& name) const {
    alpm_pkg_t* installed = handle_.installed(name);
    return installed != nullptr && !upstream_.has(name) && handle_.spec().is_deb_version &&
           handle_.spec().is_deb_version(text(alpm_pkg_get_version(installed))) &&
           alpm_pkg_should_ignore(handle_.get(), installed) == 0;
}

bool MakingWay::is_offered(const std::string& name) const {
    const auto all = alpm::each<alpm_db_t>(handle_.sync_databases());
    return std::any_of(all.begin(), all.end(), [&](alpm_db_t* database) {
        return alpm_db_get_pkg(database, name.c_str()) != nullptr;
    });
}

bool MakingWay::is_given_up(const std::string& name) const {
    return may_go(name) && coming(handle_, name) == nullptr && !is_offered(name);
}

/// One that is offered is in the way when what comes wants another version of it and there is none: a
/// repository keeps what it was once given.
bool MakingWay::is_in_the_way(const std::string& name, const alpm_depend_t& reason) const {
    if (is_given_up(name)) return true;
    if (!may_go(name) || coming(handle_, name) != nullptr) return false;
    if (reason.mod == ALPM_DEP_MOD_ANY || text(reason.name) != name) return false;
    const char* version = alpm_pkg_get_version(handle_.installed(name));
    const auto all = alpm::each<alpm_db_t>(handle_.sync_databases());
    return std::none_of(all.begin(), all.end(), [&](alpm_db_t* database) {
        alpm_pkg_t* offered = alpm_db_get_pkg(database, name.c_str());
        return offered != nullptr && alpm_pkg_vercmp(alpm_pkg_get_version(offered), version) > 0;
    });
}

bool MakingWay::take(const std::string& name) {
    return names_.insert(name).second;
}

bool MakingWay::for_conflict(const std::string& coming, const std::string& installed,
                             const alpm_depend_t& reason) {
    if (!is_in_the_way(installed, reason)) return false;
    take(installed);
    succeeded_.emplace_back(coming, installed);
    return true;
}

bool MakingWay::learn(const alpm_list_t* missing) {
    alpm::Packages result;
    fill_with_result(handle_, result);
    bool learned = false;
    for (const alpm_depmissing_t* one : alpm::each<const alpm_depmissing_t>(missing)) {
        const std::string target = text(one->target);
        const std::string wanted = text(one->depend->name);
        if (has_alternative(handle_, result.get(), *one->depend) && !unsatisfied_.contains(wanted)) {
            learned = satisfied_.insert(wanted).second || learned;
        } else if (is_given_up(target)) {
            learned = take(target) || learned;
        }
    }
    return learned;
}

bool MakingWay::learn_from_result() {
    const auto installed = alpm::each<alpm_pkg_t>(handle_.installed());
    if (std::none_of(installed.begin(), installed.end(),
                     [&](alpm_pkg_t* package) { return may_go(name_of(package)); }))
        return false;
    alpm::Packages result;
    fill_with_result(handle_, result);
    bool learned = false;
    for (auto name = satisfied_.begin(); name != satisfied_.end();) {
        const bool holds = satisfies_alternative(handle_, result.get(), *name);
        if (!holds) unsatisfied_.insert(*name);
        learned = learned || !holds;
        name = holds ? std::next(name) : satisfied_.erase(name);
    }
    const alpm::Conflicts conflicts(alpm_checkconflicts(handle_.get(), result.get()));
    for (const alpm_conflict_t* one : conflicts) {
        for (const std::string& name : {alpm::first_of(*one), alpm::second_of(*one)}) {
            if (is_in_the_way(name, *one->reason)) learned = take(name) || learned;
        }
    }
    const alpm::MissingDependencies missing(alpm_checkdeps(handle_.get(), nullptr, nullptr, result.get(), 0));
    for (const alpm_depmissing_t* one : missing) {
        const std::string target = text(one->target);
        if (is_given_up(target) && !has_alternative(handle_, result.get(), *one->depend))
            learned = take(target) || learned;
    }
    return learned;
}

std::map<std::string, bool> MakingWay::reasons() const {
    std::map<std::string, bool> reasons;
    for (const auto& [added, old] : succeeded_) {
        alpm_pkg_t* package = coming(handle_, added);
        alpm_pkg_t* gone = handle_.installed(old);
        if (package == nullptr || handle_.installed(added) != nullptr ||
            alpm_pkg_get_reason(gone) != ALPM_PKG_REASON_EXPLICIT)
            continue;
        for (const alpm_depend_t* provided : alpm::each<const alpm_depend_t>(alpm_pkg_get_provides(package)))
            if (text(provided->name) == old) reasons[added] = true;
    }
    return reasons;
}

}  // namespace pwstore
