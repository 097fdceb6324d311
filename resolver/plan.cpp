// SPDX-License-Identifier: GPL-3.0-or-later
#include <fcntl.h>
#include <fmt/format.h>

#include <algorithm>

#include "resolver/plan_internal.hpp"
#include "store/base/error.hpp"
#include "store/base/path_at.hpp"

namespace pwstore {

using alpm::name_of;
using alpm::text;

namespace {

std::vector<std::string> strings(const alpm_list_t* list) {
    std::vector<std::string> values;
    for (const char* value : alpm::each<const char>(list))
        values.emplace_back(value);
    return values;
}

std::vector<std::string> dependencies(const alpm_list_t* list) {
    std::vector<std::string> values;
    for (const alpm_depend_t* dependency : alpm::each<const alpm_depend_t>(list))
        values.push_back(alpm::dependency_text(dependency));
    return values;
}

uint64_t size_of(int64_t size) {
    return size < 0 ? 0 : static_cast<uint64_t>(size);
}

bool is_explicit(alpm_pkg_t* package) {
    return alpm_pkg_get_reason(package) == ALPM_PKG_REASON_EXPLICIT;
}

StepKind kind_of(const std::string& version, const std::string& old_version) {
    const int order = alpm_pkg_vercmp(version.c_str(), old_version.c_str());
    if (order == 0) return StepKind::reinstall;
    return order > 0 ? StepKind::upgrade : StepKind::downgrade;
}

PlanStep removal(alpm_pkg_t* package) {
    PlanStep step;
    step.kind = StepKind::remove;
    step.package = package_info(package);
    step.old_version = step.package.version;
    step.old_installed_size = step.package.installed_size;
    step.explicitly = is_explicit(package);
    return step;
}

std::string location_of(const Handle& handle, alpm_pkg_t* package) {
    const std::string file = text(alpm_pkg_get_filename(package));
    if (alpm_pkg_get_origin(package) != ALPM_PKG_FROM_SYNCDB) return file;
    if (alpm_pkg_download_size(package) == 0) {
        for (const char* directory : alpm::each<const char>(alpm_option_get_cachedirs(handle.get()))) {
            if (exists_at(AT_FDCWD, directory + file)) return "file://" + (directory + file);
        }
    }
    const alpm_list_t* servers = alpm_db_get_servers(alpm_pkg_get_db(package));
    return servers == nullptr ? file : fmt::format("{}/{}", static_cast<const char*>(servers->data), file);
}

PlanStep addition(const Handle& handle, alpm_pkg_t* package, const ResolveRequest& request,
                  const std::map<std::string, bool>& reasons) {
    PlanStep step;
    step.package = package_info(package);
    const auto reason = reasons.find(step.package.name);
    step.explicitly = reason == reasons.end() ? is_explicit(package) : reason->second;
    step.to_download = size_of(alpm_pkg_download_size(package));
    step.location = location_of(handle, package);
    alpm_pkg_t* old = handle.installed(step.package.name);
    const bool goes_before = old != nullptr && alpm_pkg_find(alpm_trans_get_remove(handle.get()),
                                                             step.package.name.c_str()) != nullptr;
    if (old != nullptr && !goes_before) {
        step.old_version = text(alpm_pkg_get_version(old));
        step.old_installed_size = size_of(alpm_pkg_get_isize(old));
        step.kind = kind_of(step.package.version, step.old_version);
        step.explicitly = is_explicit(old);
    }
    if (request.as_deps) step.explicitly = false;
    if (request.as_explicit) step.explicitly = true;
    return step;
}

/// What an explicitly installed package could use and will not have.
void add_optional_notes(const Handle& handle, const PlanStep& step, std::vector<std::string>& notes) {
    if (step.kind != StepKind::install || !step.explicitly) return;
    for (const std::string& optional : step.package.optdepends) {
        const std::string wanted = optional.substr(0, optional.find(": "));
        if (alpm_find_satisfier(handle.installed(), wanted.c_str()) != nullptr) continue;
        if (alpm_find_satisfier(alpm_trans_get_add(handle.get()), wanted.c_str()) != nullptr) continue;
        notes.push_back(fmt::format("{} can also use {}", step.package.name, printable(optional)));
    }
}

/// What pacman shows of a package that was installed: each optional dependency, and whether it is there by
/// then.
class OptionalDependencies {
 public:
    explicit OptionalDependencies(const Handle& handle) : handle_(handle) {
        for (alpm_pkg_t* package : alpm::each<alpm_pkg_t>(handle.installed())) {
            if (alpm_pkg_find(alpm_trans_get_remove(handle.get()), alpm_pkg_get_name(package)) == nullptr)
                there_.push_back(package);
        }
    }
    /// `package` is there from now on.
    std::vector<std::string> lines(alpm_pkg_t* package, const PlanStep& step) {
        alpm_pkg_t* old = handle_.installed(name_of(package));
        std::erase(there_, old);
        there_.push_back(package);
        if (step.kind == StepKind::reinstall || step.kind == StepKind::remove) return {};
        const std::vector<std::string> known =
            old != nullptr ? dependencies(alpm_pkg_get_optdepends(old)) : std::vector<std::string>{};
        std::vector<std::string> lines;
        for (const std::string& optional : step.package.optdepends) {
            if (std::find(known.begin(), known.end(), optional) == known.end())
                lines.push_back(optional + status_of(optional));
        }
        return lines;
    }

 private:
    [[nodiscard]] const char* status_of(const std::string& optional) const {
        alpm::Packages there;
        for (alpm_pkg_t* package : there_)
            there.push_back(package);
        if (alpm_find_satisfier(there.get(), optional.c_str()) != nullptr) return " [installed]";
        return alpm_find_satisfier(alpm_trans_get_add(handle_.get()), optional.c_str()) != nullptr
                   ? " [pending]"
                   : "";
    }
    const Handle& handle_;
    std::vector<alpm_pkg_t*> there_;
};

}  // namespace

PackageInfo package_info(alpm_pkg_t* package) {
    PackageInfo info;
    info.name = name_of(package);
    info.version = text(alpm_pkg_get_version(package));
    info.base = text(alpm_pkg_get_base(package));
    info.description = text(alpm_pkg_get_desc(package));
    info.url = text(alpm_pkg_get_url(package));
    info.arch = text(alpm_pkg_get_arch(package));
    info.packager = text(alpm_pkg_get_packager(package));
    if (alpm_pkg_get_origin(package) == ALPM_PKG_FROM_SYNCDB) {
        info.repository = text(alpm_db_get_name(alpm_pkg_get_db(package)));
    }
    info.filename = text(alpm_pkg_get_filename(package));
    info.filename = std::string(split_path(info.filename).second);
    info.sha256 = text(alpm_pkg_get_sha256sum(package));
    info.build_date = alpm_pkg_get_builddate(package);
    info.download_size = size_of(alpm_pkg_get_size(package));
    info.installed_size = size_of(alpm_pkg_get_isize(package));
    info.licenses = strings(alpm_pkg_get_licenses(package));
    info.groups = strings(alpm_pkg_get_groups(package));
    info.depends = dependencies(alpm_pkg_get_depends(package));
    info.optdepends = dependencies(alpm_pkg_get_optdepends(package));
    info.conflicts = dependencies(alpm_pkg_get_conflicts(package));
    info.provides = dependencies(alpm_pkg_get_provides(package));
    info.replaces = dependencies(alpm_pkg_get_replaces(package));
    return info;
}

PackageFileList package_file_list(alpm_pkg_t* package) {
    PackageFileList list;
    list.name = name_of(package);
    list.version = text(alpm_pkg_get_version(package));
    const alpm_filelist_t* files = alpm_pkg_get_files(package);
    for (size_t i = 0; files != nullptr && i < files->count; ++i)
        list.paths.emplace_back(files->files[i].name);
    std::sort(list.paths.begin(), list.paths.end());
    for (const alpm_backup_t* backup : alpm::each<const alpm_backup_t>(alpm_pkg_get_backup(package)))
        list.backup.emplace(text(backup->name), text(backup->hash));
    return list;
}

Plan prepared_plan(const Handle& handle, const Conversation& conversation, const ResolveRequest& request,
                   const std::map<std::string, bool>& reasons) {
    Plan plan;
    plan.notes = conversation.notes();
    for (alpm_pkg_t* package : alpm::each<alpm_pkg_t>(alpm_trans_get_remove(handle.get())))
        plan.steps.push_back(removal(package));
    const size_t removals = plan.steps.size();
    OptionalDependencies optional(handle);
    for (alpm_pkg_t* package : alpm::each<alpm_pkg_t>(alpm_trans_get_add(handle.get()))) {
        PlanStep step = addition(handle, package, request, reasons);
        for (const auto& [added, old] : conversation.replaced()) {
            const auto removed = [&, &name = old](const PlanStep& other) {
                return other.package.name == name;
            };
            const auto end = plan.steps.begin() + static_cast<std::ptrdiff_t>(removals);
            const bool known =
                std::find(step.replaces.begin(), step.replaces.end(), old) != step.replaces.end();
            if (added == step.package.name && !known && std::any_of(plan.steps.begin(), end, removed)) {
                step.replaces.push_back(old);
            }
        }
        if (conversation.speaks_as_pacman()) {
            step.optional = optional.lines(package, step);
        } else {
            add_optional_notes(handle, step, plan.notes);
        }
        plan.steps.push_back(std::move(step));
    }
    return plan;
}

void add_archives(const Handle& handle, Plan& plan) {
    for (alpm_pkg_t* package : alpm::each<alpm_pkg_t>(alpm_trans_get_add(handle.get()))) {
        const std::string name = name_of(package);
        const auto step = std::find_if(plan.steps.begin(), plan.steps.end(), [&](const PlanStep& other) {
            return other.kind != StepKind::remove && other.package.name == name;
        });
        if (step == plan.steps.end()) throw Error("fetch", name, "libalpm fetched what was not planned");
        step->archive = text(alpm_pkg_get_filename(package));
        step->validation = static_cast<uint32_t>(alpm_pkg_get_validation(package));
    }
    for (const PlanStep& step : plan.steps) {
        if (step.kind != StepKind::remove && (step.archive.empty() || step.archive.front() != '/')) {
            throw Error("fetch", step.package.name, "libalpm does not say where the archive is");
        }
    }
}

}  // namespace pwstore
