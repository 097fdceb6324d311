// SPDX-License-Identifier: GPL-3.0-or-later
#include "transact/view.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>

#include "store/base/error.hpp"
#include "store/base/path_at.hpp"

namespace pwstore {

namespace {

void write_file(int dir, const std::string& name, std::string_view content) {
    write_all(open_at(dir, name, O_WRONLY | O_CREAT | O_EXCL, 0644).get(), content, name);
}

}  // namespace

PackageDescription description_of(const PackageInfo& info) {
    PackageDescription description;
    description.name = info.name;
    description.version = info.version;
    description.base = info.base;
    description.description = info.description;
    description.url = info.url;
    description.arch = info.arch;
    description.packager = info.packager;
    description.build_date = info.build_date;
    description.installed_size = info.installed_size;
    description.licenses = info.licenses;
    description.groups = info.groups;
    description.depends = info.depends;
    description.optdepends = info.optdepends;
    description.conflicts = info.conflicts;
    description.provides = info.provides;
    description.replaces = info.replaces;
    return description;
}

std::vector<std::string> provisions(const Store& store, const ReadTxn& txn, const PlannedPackage& package) {
    if (package.description) return package.description->provides;
    const auto [key, row] = txn.object(txn.manifest(package.installed.manifest).pkginfo);
    return parse_pkginfo(read_all(store.objects().open(key).get(), ".PKGINFO")).provides;
}

void write_view(const ReadTxn& txn, const ObjectStore& objects, int dir, const std::string& directory,
                const std::string& shared_sync, const std::vector<PlannedPackage>& packages) {
    make_directory(dir, directory);
    const Fd view = open_dir(dir, directory);
    if (::symlinkat(shared_sync.c_str(), view.get(), "sync") != 0)
        throw Error::from_errno("link sync databases", directory);
    make_directory(view.get(), "local");
    const Fd local = open_dir(view.get(), "local");
    write_file(local.get(), "ALPM_DB_VERSION", "9\n");
    std::vector<InstalledPackage> known;
    for (const PlannedPackage& package : packages) {
        if (package.installed.manifest != 0) {
            known.push_back(package.installed);
            continue;
        }
        const std::string name = fmt::format("{}-{}", package.installed.name, package.installed.version);
        make_directory(local.get(), name);
        write_file(local.get(), name + "/desc", format_desc(*package.description, package.installed));
        write_file(local.get(), name + "/files", "");
    }
    for (const DatabaseFile& file : local_database(txn, objects, known)) {
        if (file.object != 0 || file.path == "ALPM_DB_VERSION") continue;  // the resolver runs no scriptlets
        make_directory(local.get(), std::string(split_path(file.path).first));
        write_file(local.get(), file.path, file.content);
    }
}

std::vector<PlannedPackage> packages_after(std::vector<PlannedPackage> packages, const Plan& plan,
                                           int64_t now) {
    for (const PlanStep& step : plan.steps) {
        const auto same_name = [&](const PlannedPackage& p) { return p.installed.name == step.package.name; };
        const auto there = std::find_if(packages.begin(), packages.end(), same_name);
        if (step.kind == StepKind::remove) {
            if (there != packages.end()) packages.erase(there);
            continue;
        }
        PlannedPackage package;
        package.installed.name = step.package.name;
        package.installed.version = step.package.version;
        package.installed.reason = step.explicitly ? InstallReason::explicitly : InstallReason::dependency;
        package.installed.install_date = now;
        package.installed.validation = step.validation;
        package.description = description_of(step.package);
        if (there != packages.end()) {
            *there = std::move(package);
        } else {
            packages.push_back(std::move(package));
        }
    }
    return packages;
}

}  // namespace pwstore
