// SPDX-License-Identifier: GPL-3.0-or-later
#include "store/debian/generated.hpp"

#include <algorithm>
#include <array>
#include <iterator>
#include <string_view>
#include <utility>

#include "store/package/writer.hpp"

namespace pwstore {

namespace {

/// Date of the packages that are made here, so that they are the same bytes everywhere.
constexpr int64_t kGeneratedDate = 1'735'689'600;
constexpr std::string_view kGeneratedRemark = "pwstore: generated";

struct LayoutDirectory {
    std::string_view path;
    uint32_t mode;
};
constexpr std::array<LayoutDirectory, 31> kDirectories{{
    {"dev", 0755},
    {"etc", 0755},
    {"etc/alternatives", 0755},
    {"home", 0755},
    {"media", 0755},
    {"mnt", 0755},
    {"opt", 0755},
    {"proc", 0755},
    {"root", 0700},
    {"run", 0755},
    {"run/lock", 01777},
    {"srv", 0755},
    {"sys", 0755},
    {"tmp", 01777},
    {"usr", 0755},
    {"usr/bin", 0755},
    {"usr/lib", 0755},
    {"usr/lib64", 0755},
    {"usr/sbin", 0755},
    {"var", 0755},
    {"var/cache", 0755},
    {"var/lib", 0755},
    {"var/lib/dpkg", 0755},
    {"var/lib/dpkg/alternatives", 0755},
    {"var/lib/dpkg/info", 0755},
    {"var/lib/dpkg/parts", 0755},
    {"var/lib/dpkg/triggers", 0755},
    {"var/lib/dpkg/updates", 0755},
    {"var/log", 0755},
    {"var/mail", 02775},
    {"var/tmp", 01777},
}};
constexpr std::array<std::pair<std::string_view, std::string_view>, 6> kLinks{{
    {"bin", "usr/bin"},
    {"lib", "usr/lib"},
    {"lib64", "usr/lib64"},
    {"sbin", "usr/sbin"},
    {"var/lock", "../run/lock"},
    {"var/run", "../run"},
}};
struct LayoutFile {
    std::string_view path, content;
    uint32_t mode;
};
/// No service is started by a maintainer script, because there is no init to start it (invoke-rc.d(8)). Files
/// that dpkg or a script changes are not here: they are nobody's.
constexpr std::array<LayoutFile, 2> kFiles{{
    {"usr/sbin/policy-rc.d", "#!/bin/sh\nexit 101\n", 0755},
    {"var/lib/dpkg/info/format", "1\n", 0644},
}};
constexpr const char* kLayoutVersion = "2-1";

/// What a person expects of a shell, beside what Debian calls essential; as far as the repository has it.
constexpr std::array<std::string_view, 9> kExpected{
    "ca-certificates", "iproute2", "less", "man-db", "netbase", "passwd", "procps", "vim-tiny", "xz-utils"};

PackageDescription generated_description(const char* name, const char* summary, std::string version) {
    PackageDescription description;
    description.name = name;
    description.base = name;
    description.version = std::move(version);
    description.description = summary;
    description.arch = "any";
    description.packager = kGeneratedPackager;
    description.build_date = kGeneratedDate;
    description.licenses = {"GPL-3.0-or-later"};
    return description;
}

}  // namespace

PackageDescription layout_description() {
    return generated_description(
        kLayoutPackage, "Directories, dpkg's records, and the links of a merged /usr", kLayoutVersion);
}

PackageDescription base_description(std::vector<std::string> depends, std::string version) {
    PackageDescription description = generated_description(
        kBasePackage, "What Debian calls essential, and what a person expects of a shell",
        std::move(version));
    std::sort(depends.begin(), depends.end());
    description.depends = std::move(depends);
    return description;
}

bool belongs_to_base(const DebControl& control) {
    return control.essential ||
           std::find(kExpected.begin(), kExpected.end(), control.name) != kExpected.end();
}

std::vector<std::string> essential_among(const std::vector<std::string>& depends) {
    std::vector<std::string> essential;
    std::copy_if(depends.begin(), depends.end(), std::back_inserter(essential), [](const std::string& name) {
        return name != kLayoutPackage &&
               std::find(kExpected.begin(), kExpected.end(), name) == kExpected.end();
    });
    return essential;
}

const std::vector<std::string>& always_essential() {
    static const std::vector<std::string> names{
        "base-files",  "base-passwd",         "bash",     "bsdutils",     "coreutils",   "dash",
        "debianutils", "diffutils",           "dpkg",     "findutils",    "grep",        "gzip",
        "hostname",    "init-system-helpers", "libc-bin", "ncurses-base", "ncurses-bin", "perl-base",
        "sed",         "sysvinit-utils",      "tar",      "util-linux"};
    return names;
}

RepositoryPackage write_layout_package(int into, std::optional<uint64_t> installed_size) {
    PackageWriter package(into);
    for (const LayoutDirectory& directory : kDirectories) {
        package.add_directory(std::string(directory.path), {directory.mode, 0, 0, kGeneratedDate});
    }
    for (const auto& [path, target] : kLinks) {
        package.add_symlink(std::string(path), std::string(target), {0777, 0, 0, kGeneratedDate});
    }
    for (const LayoutFile& file : kFiles)
        package.add_file(std::string(file.path), file.content, {file.mode, 0, 0, kGeneratedDate});
    return package.write(layout_description(), kGeneratedRemark, installed_size);
}

RepositoryPackage write_base_package(int into, PackageDescription description) {
    return PackageWriter(into).write(std::move(description), kGeneratedRemark);
}

}  // namespace pwstore
