// SPDX-License-Identifier: GPL-3.0-or-later
#include <fmt/format.h>

#include "resolver/pacman_words_internal.hpp"
#include "resolver/resolve_internal.hpp"

namespace pwstore {

using alpm::name_of;

namespace {

std::string version_of(alpm_pkg_t* package) {
    return alpm::text(alpm_pkg_get_version(package));
}

/// Does `package` by its own name and version satisfy `dependency`? What it provides does not count.
bool is_meant(alpm_pkg_t* package, const alpm_depend_t& dependency) {
    if (name_of(package) != alpm::text(dependency.name)) return false;
    if (dependency.mod == ALPM_DEP_MOD_ANY || dependency.version == nullptr) return true;
    const int order = alpm_pkg_vercmp(alpm_pkg_get_version(package), dependency.version);
    switch (dependency.mod) {
        case ALPM_DEP_MOD_ANY:
            return true;
        case ALPM_DEP_MOD_EQ:
            return order == 0;
        case ALPM_DEP_MOD_GE:
            return order >= 0;
        case ALPM_DEP_MOD_LE:
            return order <= 0;
        case ALPM_DEP_MOD_GT:
            return order > 0;
        case ALPM_DEP_MOD_LT:
            return order < 0;
    }
    return false;
}

bool is_replaced_by(alpm_pkg_t* installed, alpm_pkg_t* available) {
    for (const alpm_depend_t* replaced : alpm::each<const alpm_depend_t>(alpm_pkg_get_replaces(available))) {
        if (is_meant(installed, *replaced)) return true;
    }
    return false;
}

}  // namespace

Upgrade::Upgrade(Handle& handle, Conversation& conversation, bool downgrade)
    : handle_(handle), conversation_(conversation), downgrade_(downgrade) {
    for (alpm_db_t* database : alpm::each<alpm_db_t>(handle_.sync_databases())) {
        int usage = 0;
        alpm_db_get_usage(database, &usage);
        if ((usage & ALPM_DB_USAGE_UPGRADE) == 0) continue;
        Replacements& replacements = databases_.emplace_back(database, Replacements()).second;
        for (alpm_pkg_t* package : alpm::each<alpm_pkg_t>(alpm_db_get_pkgcache(database))) {
            for (const alpm_depend_t* old : alpm::each<const alpm_depend_t>(alpm_pkg_get_replaces(package))) {
                std::vector<alpm_pkg_t*>& known = replacements[alpm::text(old->name)];
                if (known.empty() || known.back() != package) known.push_back(package);
            }
        }
    }
}

void Upgrade::add_all() {
    for (alpm_pkg_t* installed : alpm::each<alpm_pkg_t>(handle_.installed())) {
        if (conversation_.upstream().has(name_of(installed))) continue;
        if (alpm_pkg_find(alpm_trans_get_remove(handle_.get()), alpm_pkg_get_name(installed)) != nullptr)
            continue;
        if (alpm_pkg_find(alpm_trans_get_add(handle_.get()), alpm_pkg_get_name(installed)) != nullptr)
            continue;
        add_for(installed);
    }
}

/// The first repository decides that has a replacement or the package itself.
void Upgrade::add_for(alpm_pkg_t* installed) {
    for (const auto& [database, replacements] : databases_) {
        if (replace(installed, database, replacements)) return;
        if (alpm_pkg_t* available = alpm_db_get_pkg(database, alpm_pkg_get_name(installed));
            available != nullptr) {
            upgrade(installed, available, database);
            return;
        }
    }
}

/// Returns whether a replacement was added to the transaction; one that is in it already takes the package
/// along, and the search goes on, as libalpm's does.
bool Upgrade::replace(alpm_pkg_t* installed, alpm_db_t* database, const Replacements& replacements) {
    const auto candidates = replacements.find(name_of(installed));
    if (candidates == replacements.end()) return false;
    std::vector<alpm_pkg_t*> added;
    bool goes = false;
    const bool explicitly = alpm_pkg_get_reason(installed) == ALPM_PKG_REASON_EXPLICIT;
    for (alpm_pkg_t* candidate : candidates->second) {
        if (!is_replaced_by(installed, candidate)) continue;
        const std::string name = name_of(candidate);
        if (ignored(installed, candidate)) {
            conversation_.note(conversation_.speaks_as_pacman()
                                   ? pacman_words::ignored_replacement(installed, candidate)
                                   : fmt::format("{} is not replaced with {}, one of them is to be ignored",
                                                 name_of(installed), name));
            continue;
        }
        if (!conversation_.agrees_to_replace(installed, candidate, database)) continue;
        alpm_pkg_t* target = alpm_pkg_find(alpm_trans_get_add(handle_.get()), name.c_str());
        if (target == nullptr) {
            added.push_back(candidate);
            reasons_[name] = explicitly;
        } else if (alpm_pkg_get_db(target) != database) {
            conversation_.note(
                conversation_.speaks_as_pacman()
                    ? fmt::format("cannot replace {} by {}", name_of(installed), name)
                    : fmt::format("{} cannot be replaced with {}, which comes from another repository",
                                  name_of(installed), name));
            continue;
        } else if (const auto reason = reasons_.find(name); reason != reasons_.end()) {
            reason->second = reason->second || explicitly;
        }
        goes = true;
    }
    if (goes) handle_.check(alpm_remove_pkg(handle_.get(), installed), "replace package", name_of(installed));
    for (alpm_pkg_t* package : added)
        add(package);
    return !added.empty();
}

void Upgrade::upgrade(alpm_pkg_t* installed, alpm_pkg_t* available, alpm_db_t* database) {
    const int order = alpm_pkg_vercmp(alpm_pkg_get_version(available), alpm_pkg_get_version(installed));
    if (order == 0) return;
    const std::string name = name_of(installed);
    const std::string from = version_of(installed), to = version_of(available);
    const bool as_pacman = conversation_.speaks_as_pacman();
    if (order < 0 && !downgrade_) {
        const std::string repository = alpm::text(alpm_db_get_name(database));
        conversation_.note(
            as_pacman
                ? fmt::format("{}: local ({}) is newer than {} ({})", name, from, repository, to)
                : fmt::format("{}: the installed {} is newer than {} of {}", name, from, to, repository));
    } else if (ignored(installed, available)) {
        const char* what = order > 0 ? "upgrade" : "downgrade";
        conversation_.note(as_pacman
                               ? fmt::format("{}: ignoring package {} ({} => {})", name, what, from, to)
                               : fmt::format("{}: the {} from {} to {} is ignored", name, what, from, to));
    } else {
        if (as_pacman && order < 0) {
            conversation_.respell(
                fmt::format("downgrading package {} ({} => {})", name, from, to),
                fmt::format("{}: downgrading from version {} to version {}", name, from, to));
        }
        add(available);
        conversation_.respell("", "");
    }
}

bool Upgrade::ignored(alpm_pkg_t* installed, alpm_pkg_t* available) const {
    return alpm_pkg_should_ignore(handle_.get(), available) != 0 ||
           alpm_pkg_should_ignore(handle_.get(), installed) != 0;
}

void Upgrade::add(alpm_pkg_t* package) {
    handle_.check(alpm_add_pkg(handle_.get(), package), "upgrade package", name_of(package));
}

}  // namespace pwstore
