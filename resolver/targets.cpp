// SPDX-License-Identifier: GPL-3.0-or-later
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cstdlib>

#include "resolver/pacman_words_internal.hpp"
#include "resolver/resolve_internal.hpp"
#include "store/base/error.hpp"

namespace pwstore {

using alpm::name_of;
using alpm::text;

namespace {

constexpr size_t kNameLimit = 255;

[[noreturn]] void reject(const std::string& target, std::string_view rule) {
    throw Error("read package name", target, rule).as(Fault::usage);
}

void check_name(const std::string& target, std::string_view name) {
    if (name.empty()) reject(target, "a name is needed");
    if (name.size() > kNameLimit) reject(target, "at most 255 characters are allowed");
    if (name.front() == '-') reject(target, "a name does not begin with '-'");
    const bool blank = std::any_of(
        name.begin(), name.end(), [](char c) { return static_cast<unsigned char>(c) <= ' ' || c == '\x7f'; });
    if (blank) reject(target, "blanks and control characters are not allowed");
    if (name.find('/') != std::string_view::npos) {
        reject(target,
               "a name has no slash, but for repository/name; packages in files are installed with -U");
    }
}

/// Widens what `database` may be used for while a target names it.
class InstallUsage {
 public:
    explicit InstallUsage(alpm_db_t* database) : database_(database) {
        alpm_db_get_usage(database_, &usage_);
        alpm_db_set_usage(database_, usage_ | ALPM_DB_USAGE_INSTALL);
    }
    InstallUsage(const InstallUsage&) = delete;
    InstallUsage& operator=(const InstallUsage&) = delete;
    ~InstallUsage() { alpm_db_set_usage(database_, usage_); }

 private:
    alpm_db_t* database_;
    int usage_ = 0;
};

bool has_group(const alpm_list_t* databases, const std::string& name) {
    for (alpm_db_t* database : alpm::each<alpm_db_t>(databases)) {
        if (alpm_db_get_group(database, name.c_str()) != nullptr) return true;
    }
    return false;
}

alpm_pkg_t* literal(const alpm_list_t* databases, const std::string& name) {
    for (alpm_db_t* database : alpm::each<alpm_db_t>(databases)) {
        if (alpm_pkg_t* package = alpm_db_get_pkg(database, name.c_str()); package != nullptr) return package;
    }
    return nullptr;
}

std::string version_of(alpm_pkg_t* package) {
    return text(alpm_pkg_get_version(package));
}

}  // namespace

InstallTarget parse_install_target(const std::string& target) {
    InstallTarget parsed;
    const size_t slash = target.find('/');
    if (slash != std::string::npos && slash != 0) parsed.repository = target.substr(0, slash);
    parsed.dependency = parsed.repository.empty() ? target : target.substr(slash + 1);
    const size_t constraint = parsed.dependency.find_first_of("<>=");
    parsed.name = parsed.dependency.substr(0, constraint);
    check_name(target, parsed.dependency);
    check_name(target, parsed.name);
    if (!parsed.repository.empty()) check_name(target, parsed.repository);
    if (constraint == std::string::npos) return parsed;
    std::string_view version = std::string_view(parsed.dependency).substr(constraint + 1);
    if (!version.empty() && version.front() == '=' && parsed.dependency[constraint] != '=')
        version.remove_prefix(1);
    if (version.empty() || version.find_first_of("<>=") != std::string_view::npos) {
        reject(target, "a version constraint looks like name>=1.0 (also <= > < =)");
    }
    parsed.version_at = parsed.dependency.size() - version.size();
    return parsed;
}

std::string parse_remove_target(const std::string& target) {
    constexpr std::string_view kLocal = "local/";
    std::string name = target.substr(target.starts_with(kLocal) ? kLocal.size() : 0);
    check_name(target, name);
    return name;
}

// --- Install -----------------------------------------------------------------------------------------------

void Targets::install(const std::string& target) {
    InstallTarget parsed = parse_install_target(target);
    if (parsed.repository.empty()) {
        spell_version(parsed, handle_.sync_databases());
        install_from(parsed, handle_.sync_databases(), target);
        return;
    }
    alpm_db_t* database = handle_.sync_database(parsed.repository);
    if (database == nullptr) {
        problems_.add(conversation_.speaks_as_pacman()
                          ? pacman_words::no_repository(parsed.repository)
                          : fmt::format("{}: there is no repository '{}'", target, parsed.repository));
        return;
    }
    const InstallUsage usage(database);
    alpm::Databases only;
    only.push_back(database);
    spell_version(parsed, only.get());
    install_from(parsed, only.get(), target);
}

/// The version as the package of that name has it, which may be written in another way than the user wrote.
void Targets::spell_version(InstallTarget& target, const alpm_list_t* databases) const {
    const auto& version_like = handle_.spec().version_like;
    if (!version_like || target.version_at == std::string::npos) return;
    alpm_pkg_t* package = literal(databases, target.name);
    if (package == nullptr) package = handle_.installed(target.name);
    if (package == nullptr) return;
    const std::string given = target.dependency.substr(target.version_at);
    target.dependency.replace(target.version_at, std::string::npos, version_like(given, version_of(package)));
}

void Targets::install_from(const InstallTarget& target, alpm_list_t* databases, const std::string& text) {
    if (stays_upstream(target, databases)) return;
    (void)conversation_.take_kept_upstream();
    alpm_pkg_t* package = alpm_find_dbs_satisfier(handle_.get(), databases, target.dependency.c_str());
    const alpm_errno_t code = handle_.last_error();
    const std::set<std::string> kept = conversation_.take_kept_upstream();
    if (package != nullptr) {
        add(package, text);
    } else if (code == ALPM_ERR_PKG_IGNORED && kept.empty()) {
        conversation_.note(conversation_.speaks_as_pacman()
                               ? pacman_words::skipped_target(target.dependency)
                               : fmt::format("{} is ignored and not installed", text));
    } else if (code == ALPM_ERR_PKG_IGNORED) {
        problems_.add(
            fmt::format("{}: only {} would do, which is from {} and has to be upgraded there", text,
                        fmt::join(kept, " or "), conversation_.upstream().container_of(*kept.begin())),
            Fault::refused);
    } else {
        install_group(target, databases, text);
    }
}

/// True when an upstream package is what `target` asks for: it is there already and stays what it is.
bool Targets::stays_upstream(const InstallTarget& target, alpm_list_t* databases) {
    const Upstream& upstream = conversation_.upstream();
    if (upstream.empty()) return false;
    if (alpm_pkg_t* installed = handle_.installed(target.name);
        installed != nullptr && upstream.has(target.name)) {
        alpm::Packages only;
        only.push_back(installed);
        if (alpm_find_satisfier(only.get(), target.dependency.c_str()) != nullptr) {
            note_kept(target.name);
        } else {
            problems_.add(fmt::format("{}: {} {} is from {} and has to be upgraded there", target.dependency,
                                      target.name, version_of(installed), upstream.container_of(target.name)),
                          Fault::refused);
        }
        return true;
    }
    if (literal(databases, target.name) != nullptr) return false;
    alpm::Packages foreign;
    for (const std::string& name : upstream.names()) {
        if (alpm_pkg_t* installed = handle_.installed(name); installed != nullptr)
            foreign.push_back(installed);
    }
    alpm_pkg_t* provider = alpm_find_satisfier(foreign.get(), target.dependency.c_str());
    if (provider == nullptr) return false;
    note_kept(name_of(provider));
    return true;
}

void Targets::install_group(const InstallTarget& target, alpm_list_t* databases, const std::string& text) {
    const bool group = target.name == target.dependency && has_group(databases, target.name);
    if (!group) {
        not_found(text, target.name, databases);
        return;
    }
    const alpm::Packages members(alpm_find_group_pkgs(databases, target.name.c_str()));
    for (const std::string& name : conversation_.take_kept_upstream())
        note_kept(name);
    for (alpm_pkg_t* package : members)
        add(package, text);
}

void Targets::add(alpm_pkg_t* package, const std::string& text) {
    if (alpm_add_pkg(handle_.get(), package) == 0) return;
    const char* cause = alpm_strerror(handle_.last_error());
    problems_.add(conversation_.speaks_as_pacman() ? pacman_words::of_target(text, cause)
                                                   : fmt::format("{}: {}", text, cause));
}

void Targets::note_kept(const std::string& name) {
    alpm_pkg_t* installed = handle_.installed(name);
    if (installed == nullptr) return;
    std::string line = fmt::format("{} {} is there already, from {}", name, version_of(installed),
                                   conversation_.upstream().container_of(name));
    alpm_pkg_t* available = literal(handle_.sync_databases(), name);
    if (available != nullptr &&
        alpm_pkg_vercmp(alpm_pkg_get_version(available), alpm_pkg_get_version(installed)) > 0) {
        line += fmt::format("; {} can be had by upgrading that", version_of(available));
    }
    conversation_.note(line);
}

void Targets::not_found(const std::string& text, const std::string& name, const alpm_list_t* databases) {
    if (conversation_.speaks_as_pacman()) {
        const size_t slash = text.find('/');
        problems_.add(pacman_words::no_target(slash == std::string::npos ? text : text.substr(slash + 1)));
        return;
    }
    const std::vector<std::string> near = near_names(databases, name);
    problems_.add(near.empty()
                      ? fmt::format("{}: no such package", text)
                      : fmt::format("{}: no such package; there is {}", text, fmt::join(near, ", ")));
}

void Targets::not_installed(const std::string& text, const std::string& name) {
    alpm::Databases local;
    local.push_back(handle_.local());
    if (conversation_.speaks_as_pacman()) return not_found(text, name, local.get());
    const std::vector<std::string> near = near_names(local.get(), name);
    problems_.add(near.empty()
                      ? fmt::format("{} is not installed here", text)
                      : fmt::format("{} is not installed here; there is {}", text, fmt::join(near, ", ")));
}

void Targets::install_archive(const std::string& path, int signature_level) {
    const std::unique_ptr<char, void (*)(char*)> absolute(::realpath(path.c_str(), nullptr),
                                                          alpm::free_string);
    if (absolute == nullptr && !conversation_.speaks_as_pacman()) {
        problems_.add(Error::from_errno("read package", path).what());
        return;
    }
    const char* file = absolute != nullptr ? absolute.get() : path.c_str();
    alpm_pkg_t* package = nullptr;
    const size_t logged = conversation_.errors().size();
    if (conversation_.speaks_as_pacman()) conversation_.respell(printable(file), printable(path));
    const int result = alpm_pkg_load(handle_.get(), file, 1, signature_level, &package);
    const alpm_errno_t code = handle_.last_error();
    conversation_.respell("", "");
    if (result != 0) {
        // What libalpm logs names the file and the reason; its error code may be no more than "libarchive
        // error".
        const char* cause = alpm_strerror(code);
        if (conversation_.speaks_as_pacman()) {
            problems_.add(pacman_words::of_target(path, cause), Fault::corrupt);
            return;
        }
        const auto& errors = conversation_.errors();
        problems_.add(errors.size() > logged ? errors[logged] : fmt::format("{}: {}", printable(path), cause),
                      Fault::corrupt);
        return;
    }
    const std::string name = name_of(package);
    bool wanted = true;
    if (conversation_.upstream().has(name)) {
        alpm_pkg_t* installed = handle_.installed(name);
        wanted = installed != nullptr && version_of(installed) == version_of(package)
                     ? (note_kept(name), false)
                     : !refuse_upstream(name, "changed");
    }
    if (wanted) add(package, path);
    // A package that the transaction did not take is still ours.
    alpm_list_t* added = alpm_trans_get_add(handle_.get());
    if (alpm_list_find_ptr(added, package) == nullptr) alpm_pkg_free(package);
}

// --- Remove ------------------------------------------------------------------------------------------------

bool Targets::refuse_upstream(const std::string& name, std::string_view verb) {
    if (!conversation_.upstream().has(name)) return false;
    problems_.add(fmt::format("{} is from {} and has to be {} there", name,
                              conversation_.upstream().container_of(name), verb),
                  Fault::refused);
    return true;
}

std::vector<std::string> Targets::installed_names(const std::vector<std::string>& texts) {
    std::vector<std::string> names;
    const auto take = [&](const std::string& name) {
        if (std::find(names.begin(), names.end(), name) == names.end()) names.push_back(name);
    };
    for (const std::string& text : texts) {
        const std::string name = parse_remove_target(text);
        if (handle_.installed(name) != nullptr) {
            if (!refuse_upstream(name, "removed")) take(name);
            continue;
        }
        const alpm_group_t* group = alpm_db_get_group(handle_.local(), name.c_str());
        if (group == nullptr) {
            not_installed(text, name);
            continue;
        }
        bool own = false;
        for (alpm_pkg_t* member : alpm::each<alpm_pkg_t>(group->packages))
            own = own || !conversation_.upstream().has(name_of(member));
        for (alpm_pkg_t* member : alpm::each<alpm_pkg_t>(group->packages)) {
            if (!conversation_.upstream().has(name_of(member))) {
                take(name_of(member));
            } else if (own) {
                note_kept(name_of(member));
            } else {
                (void)refuse_upstream(name_of(member), "removed");
            }
        }
    }
    return names;
}

void Targets::remove(const std::string& name) {
    if (alpm_remove_pkg(handle_.get(), handle_.installed(name)) == 0) return;
    problems_.add(fmt::format("{}: {}", name, alpm_strerror(handle_.last_error())));
}

}  // namespace pwstore
