// SPDX-License-Identifier: GPL-3.0-or-later
// Writes a repository of made-up packages for the integration tests:
//
//     pwstore-test-repository DIR NAME VERSION PACKAGES FILES [SCRIPTS-DIR]
//
// `busybox` (a static shell with its applets) and `base` (depends on it and on every pkgN), pkg0 … pkgN-1
// with FILES files each; the content depends on package, file and, for one file in ten, on VERSION. Every
// fourth package has scriptlets, one has a hook. Each NAME.install in SCRIPTS-DIR becomes a package NAME with
// that scriptlet, each NAME.hook a package NAME with that hook.
#include <dirent.h>
#include <fcntl.h>
#include <fmt/format.h>

#include <array>
#include <cstdio>
#include <cstdlib>

#include "store/base/error.hpp"
#include "store/base/path_at.hpp"
#include "tests/support/package_builder.hpp"

namespace pwstore::test {
namespace {

constexpr std::array kApplets{
    "sh",       "ash",   "cat",    "cp",      "mv",       "rm",      "ln",       "ls",        "mkdir",
    "chmod",    "chown", "mknod",  "mkfifo",  "touch",    "sleep",   "true",     "false",     "id",
    "env",      "mount", "umount", "unshare", "find",     "stat",    "dd",       "setsid",    "nohup",
    "awk",      "sed",   "grep",   "echo",    "head",     "wc",      "readlink", "sha256sum", "chroot",
    "kill",     "test",  "printf", "seq",     "hostname", "whoami",  "tail",     "sort",      "tr",
    "pwd",      "date",  "rmdir",  "xargs",   "basename", "dirname", "cut",      "ps",        "sync",
    "truncate", "vi",    "tee",    "which"};

PackageSpec busybox() {
    PackageSpec spec;
    spec.name = "busybox";
    spec.files["usr/bin/busybox"] = {read_file(AT_FDCWD, "/bin/busybox"), 0755};
    for (const char* applet : kApplets)
        spec.symlinks[fmt::format("usr/bin/{}", applet)] = "busybox";
    for (const char* link : {"bin", "sbin"})
        spec.symlinks[link] = "usr/bin";
    spec.symlinks["usr/sbin"] = "bin";
    spec.symlinks["lib"] = "usr/lib";
    spec.directories["usr/lib"] = 0755;
    spec.files["etc/passwd"] = {"root:x:0:0:root:/root:/bin/sh\n"};
    spec.files["etc/group"] = {"root:x:0:\n"};
    spec.backup = {"etc/passwd", "etc/group"};
    return spec;
}

/// Text that compresses about as real files do, the same for the same arguments.
std::string content(unsigned package, unsigned file, const std::string& version) {
    const bool varies = file % 10 == 0;
    std::string text =
        fmt::format("package {} file {}{}\n", package, file, varies ? " version " + version : "");
    const size_t size = 200 + (package * 7919U + file * 104729U) % 20'000;
    uint64_t state = package * 1'000'003ULL + file * 31ULL + (varies ? std::hash<std::string>{}(version) : 0);
    while (text.size() < size) {
        state = state * 6364136223846793005ULL + 1442695040888963407ULL;
        text += fmt::format("{:x} line of text {}\n", state >> 40U, state % 97);
    }
    return text;
}

PackageSpec numbered(unsigned number, const std::string& version, unsigned files) {
    PackageSpec spec;
    spec.name = fmt::format("pkg{}", number);
    spec.version = version;
    spec.depends = {"busybox"};
    for (unsigned file = 0; file < files; ++file) {
        spec.files[fmt::format("usr/share/pkg{}/dir{}/file{}", number, file % 7, file)] = {
            content(number, file, version)};
    }
    spec.files[fmt::format("etc/pkg{}.conf", number)] = {fmt::format("setting = {}\n", version)};
    spec.backup = {fmt::format("etc/pkg{}.conf", number)};
    if (number % 4 == 0) {
        const std::string body =
            fmt::format("echo \"$1\" > /var/lib/pkg{0}.state; cp /etc/pkg{0}.conf /etc/pkg{0}.copy", number);
        spec.install =
            fmt::format("post_install() {{ mkdir -p /var/lib; {0}; }}\npost_upgrade() {{ {0}; }}\n", body);
    }
    if (number == 1) {
        spec.files["usr/share/libalpm/hooks/pkg1.hook"] = {
            "[Trigger]\nOperation = Install\nOperation = Upgrade\nType = Package\nTarget = pkg*\n"
            "[Action]\nWhen = PostTransaction\nExec = /bin/sh -c 'cat > "
            "/var/lib/pkg1.targets'\nNeedsTargets\n"};
        spec.directories["var/lib"] = 0755;
    }
    return spec;
}

/// Packages from NAME.install and NAME.hook files.
void add_scripted(const std::string& dir, const std::string& version, std::vector<PackageSpec>& packages) {
    for (const DirectoryItem& item : list_directory(open_dir(AT_FDCWD, dir).get())) {
        const size_t dot = item.name.rfind('.');
        if (dot == std::string::npos) continue;
        PackageSpec spec;
        spec.name = item.name.substr(0, dot);
        spec.version = version;
        spec.depends = {"busybox"};
        for (const char* place : {"usr/share/{}/readme", "etc/{}.conf"})
            spec.files[fmt::format(fmt::runtime(place), spec.name)] = {"scripted " + version + "\n"};
        const std::string text = read_file(AT_FDCWD, dir + "/" + item.name);
        if (item.name.ends_with(".install")) {
            spec.install = text;
        } else {
            spec.files[fmt::format("usr/share/libalpm/hooks/{}.hook", spec.name)] = {text};
        }
        packages.push_back(std::move(spec));
    }
}

int write_repository(int count, char** arguments) {
    if (count < 6) {
        std::fputs("usage: pwstore-test-repository DIR NAME VERSION PACKAGES FILES [SCRIPTS-DIR]\n", stderr);
        return 2;
    }
    const std::string version = arguments[3];
    const auto packages_wanted = static_cast<unsigned>(std::strtoul(arguments[4], nullptr, 10));
    const auto files = static_cast<unsigned>(std::strtoul(arguments[5], nullptr, 10));
    std::vector<PackageSpec> packages{busybox()};
    PackageSpec base;
    base.name = "base";
    base.depends = {"busybox"};
    for (unsigned number = 0; number < packages_wanted; ++number) {
        packages.push_back(numbered(number, version, files));
        base.depends.push_back(packages.back().name);
    }
    packages.push_back(base);
    if (count > 6) add_scripted(arguments[6], version, packages);
    make_repository(arguments[1], arguments[2], packages);
    return 0;
}

}  // namespace
}  // namespace pwstore::test

int main(int count, char** arguments) {
    try {
        return pwstore::test::write_repository(count, arguments);
    } catch (const std::exception& error) {
        std::fprintf(stderr, "pwstore-test-repository: %s\n", error.what());
        return 1;
    }
}
