// SPDX-License-Identifier: GPL-3.0-or-later
#include "tests/support/deb_fleet.hpp"

#include <fcntl.h>
#include <fmt/format.h>

#include <sstream>

#include "store/base/path_at.hpp"
#include "store/base/staged_file.hpp"
#include "store/debian/package.hpp"
#include "tests/support/deb_builder.hpp"

namespace pwstore::test {

namespace {

constexpr const char* kRecord = "var/lib/record";

constexpr const char* kTrigger =
    "#!/bin/sh\n[ \"$1\" != --no-await ] || shift\necho \"$1 -\" >>/var/lib/dpkg/triggers/Unincorp\n";
/// dpkg-divert PACKAGE [add|remove] FILE: with --rename, to FILE.distrib.
constexpr const char* kDivert =
    "#!/bin/sh\nset -e\nd=/var/lib/dpkg/diversions\nif [ \"$2\" = add ]; then\n"
    "  grep -qx \"$3\" $d && exit 0\n  printf '%s\\n' \"$3\" \"$3.distrib\" \"$1\" >>$d\n"
    "  [ ! -e \"$3\" ] || mv \"$3\" \"$3.distrib\"\n"
    "else\n  sed -i \"\\\\|^$3\\$|,+2d\" $d\n  [ ! -e \"$3.distrib\" ] || mv \"$3.distrib\" \"$3\"\nfi\n";

std::string script_text(const Deb& deb, const std::string& kind, const std::string& body) {
    if (const auto raw = deb.raw_scripts.find(kind); raw != deb.raw_scripts.end()) return raw->second;
    return fmt::format(
        "#!/bin/sh\nset -e\n{{ printf '%s' '{} {}'; for a; do printf '[%s]' \"$a\"; done; echo; }} "
        ">>/{}\n{}\n",
        deb.name, kind, kRecord, body);
}

std::string bytes_of(const Deb& deb) {
    DebSpec spec;
    spec.control = fmt::format("Package: {}\nVersion: {}\nArchitecture: all\nDescription: for tests\n{}",
                               deb.name, deb.version, deb.fields);
    spec.compression = "gz";
    for (const auto& [kind, body] : deb.scripts)
        spec.members.emplace_back(kind, script_text(deb, kind, body));
    for (const auto& [kind, bytes] : deb.raw_scripts) {
        if (!deb.scripts.contains(kind)) spec.members.emplace_back(kind, bytes);
    }
    if (!deb.triggers.empty()) spec.members.emplace_back("triggers", deb.triggers);
    for (const std::string& conffile : deb.conffiles)
        spec.conffiles += conffile + "\n";
    spec.data.directory("./");
    for (const auto& [path, content] : deb.files)
        spec.data.file("./" + path, content, path.starts_with("usr/bin/") ? 0755 : 0644);
    for (const auto& [path, target] : deb.links)
        spec.data.symlink("./" + path, target);
    return deb_bytes(spec);
}

std::vector<std::string> lines_of(const std::string& text) {
    std::vector<std::string> lines;
    std::istringstream stream(text);
    for (std::string line; std::getline(stream, line);)
        lines.push_back(line);
    return lines;
}

}  // namespace

std::map<std::string, std::string> silent_scripts() {
    return {{"preinst", ""}, {"postinst", ""}, {"prerm", ""}, {"postrm", ""}};
}

Deb DebFleet::shell() {
    Deb deb{.name = "dpkg", .version = "1.21.22", .fields = "Essential: yes\n"};
    deb.files["usr/bin/busybox"] = read_file(AT_FDCWD, "/bin/busybox");
    for (const char* applet :
         {"sh", "cat", "echo",  "env",  "false", "grep",  "ln",   "ls",  "mkdir", "mv",    "readlink",
          "rm", "sed", "sleep", "sort", "test",  "touch", "true", "tty", "cp",    "printf"})
        deb.links[fmt::format("usr/bin/{}", applet)] = "busybox";
    deb.files["usr/bin/dpkg"] = "#!/bin/sh\nexit 0\n";
    deb.files["usr/bin/dpkg-trigger"] = kTrigger;
    deb.files["usr/bin/dpkg-divert"] = kDivert;
    return deb;
}

void DebFleet::repository(const std::vector<Deb>& packages) {
    const std::string name = fmt::format("repository-{}", ++number_);
    std::vector<std::string> files;
    for (const Deb& deb : packages)
        files.push_back(debs_.write(fmt::format("debs-{}/{}.deb", number_, deb.name), bytes_of(deb)));
    SilentSink sink;
    (void)import_debs(debs_.path(name), "test", files, sink);
    make_directories(AT_FDCWD, directories().config);
    write_file_atomically(
        open_dir(AT_FDCWD, directories().config).get(), "repositories.conf",
        fmt::format("[options]\nArchitecture = auto\n[test]\nSigLevel = Never\nServer = file://{}\n",
                    debs_.path(name)),
        0644);
}

TransactionReport DebFleet::install(const std::string& container, const std::vector<std::string>& packages) {
    TransactionRequest wanted = request(container);
    wanted.refresh = 2;
    wanted.containers[0].packages.install = packages;
    return run(wanted);
}

TransactionReport DebFleet::remove(const std::string& container, const std::string& package, bool purge) {
    TransactionRequest wanted = request(container);
    wanted.containers[0].packages.remove = {package};
    wanted.containers[0].packages.no_save = purge;
    return run(wanted);
}

std::vector<std::string> DebFleet::record(const std::string& container) {
    std::vector<std::string> lines;
    if (exists_at(AT_FDCWD, root(container) + "/" + kRecord)) lines = lines_of(read(container, kRecord));
    const size_t seen = std::exchange(seen_[container], lines.size());
    lines.erase(lines.begin(), lines.begin() + static_cast<std::ptrdiff_t>(std::min(seen, lines.size())));
    return lines;
}

std::vector<std::string> DebFleet::status(const std::string& container) const {
    std::vector<std::string> result;
    for (const std::string& line : lines_of(read(container, "var/lib/dpkg/status"))) {
        if (line.starts_with("Package: ")) result.push_back(line.substr(9));
        if (line.starts_with("Version: ")) result.back() += " " + line.substr(9);
    }
    return result;
}

}  // namespace pwstore::test
