// SPDX-License-Identifier: GPL-3.0-or-later
#include <fmt/format.h>

#include <algorithm>
#include <ostream>

#include "cli/cmd.hpp"
#include "cli/progress.hpp"
#include "store/base/error.hpp"
#include "store/base/names.hpp"
#include "store/base/path_at.hpp"
#include "store/deb_package.hpp"
#include "store/deb_version.hpp"
#include "store/layout.hpp"
#include "store/repository_database.hpp"

namespace pwstore::cli {

namespace {

Error usage(const std::string& cause, const std::string& hint) {
    return Error("read the command line", "", cause).as(Fault::usage).with_hint(hint);
}

/// The directory that repositories.conf takes local repositories from when nothing else applies.
std::string directory_of(const Arguments& arguments) {
    return arguments.value("into").value_or(Directories::from_environment().data + "/repo");
}

/// --name, else the one repository that is there, else "local".
std::string name_of(const Arguments& arguments, const std::string& directory) {
    if (const auto name = arguments.value("name")) return ContainerName(*name).str();
    const auto present = repositories_in(directory);
    if (present.size() > 1) {
        throw usage(fmt::format("'{}' holds {} repositories", printable(directory), present.size()),
                    "name one with --name");
    }
    return present.empty() ? "local" : present.front();
}

int import_deb(const Context& context, const Arguments& arguments, const std::vector<std::string>& files) {
    const std::string directory = directory_of(arguments);
    const std::string name = name_of(arguments, directory);
    ProgressScreen screen(context);
    const DebImportReport report = import_debs(directory, name, files, screen);
    screen.clear();
    for (const std::string& missing : report.unsatisfied) {
        context.io.err << context.err.yellow("warning:")
                       << " nothing in the repository provides what is needed by " << printable(missing)
                       << '\n';
    }
    if (!context.quiet) {
        context.io.out << fmt::format("repository {} in {}: {} packages converted, {} were there\n", name,
                                      printable(directory), report.converted, report.kept);
    }
    return kDone;
}

int add(const Context& context, const Arguments& arguments, const std::vector<std::string>& files) {
    const std::string directory = directory_of(arguments);
    const std::string name = name_of(arguments, directory);
    for (const RepositoryPackage& package : add_to_repository(directory, name, files)) {
        if (context.quiet) continue;
        context.io.out << fmt::format("{}: {} {}\n", name, printable(package.description.name),
                                      printable(package.description.version));
    }
    return kDone;
}

int list(const Context& context, const Arguments& arguments, const std::vector<std::string>& directories) {
    const std::string directory = directories.empty() ? directory_of(arguments) : directories.front();
    const Fd dir = open_at(AT_FDCWD, directory, O_RDONLY | O_DIRECTORY);
    const auto chosen = arguments.value("name");
    for (const std::string& name : repositories_in(directory)) {
        if (chosen && *chosen != name) continue;
        Table table({{"PACKAGE"}, {"VERSION"}, {"SIZE", Align::right}, {"DESCRIPTION", Align::left, 20, 1}});
        for (const RepositoryPackage& package : RepositoryDatabase::read(dir.get(), name)) {
            table.add({name + "/" + package.description.name, deb_version(package.description.version),
                       human_size(package.description.installed_size), package.description.description});
        }
        context.io.out << table.render(context.out_width(), context.out);
    }
    return kDone;
}

int run_repo(Context& context, const Arguments& arguments) {
    std::vector<std::string> operands = arguments.operands();
    const std::string action = operands.front();
    operands.erase(operands.begin());
    if (action == "ls") return list(context, arguments, operands);
    if (action != "import-deb" && action != "add") {
        throw usage(fmt::format("repo has no '{}'", printable(action)), "it has: import-deb, add, ls");
    }
    if (operands.empty()) throw usage(fmt::format("repo {} needs files", action), "name at least one");
    return action == "add" ? add(context, arguments, operands) : import_deb(context, arguments, operands);
}

}  // namespace

std::vector<Command> repo_commands() {
    Command it{"repo", {}, "Store", "make a local repository of packages, Debian's included"};
    it.description = {
        "`repo import-deb FILE.deb…` converts Debian packages; a package `base` of what Debian calls "
        "essential and a package "
        "`filesystem` with the links of a merged /usr come with them. Maintainer scripts "
        "run as dpkg runs them.",
        "`repo add FILE.pkg.tar.zst…` enters alpm packages, with the signatures that lie beside them.",
        "`repo ls [DIR]` shows what the repositories in a directory hold."};
    it.operands = {{"ACTION"}, {"FILE", Completes::file, true, true}};
    it.options = {{"into", 0, "DIR", "directory of the repository; default: repo/ in the data directory",
                   Completes::directory},
                  {"name", 0, "NAME", "name of the repository; default: the one that is there, or `local`"}};
    it.examples = {{"pwstore repo import-deb --into ~/debs --name demo *.deb",
                    "a repository for `Server = file:///home/me/debs`"},
                   {"pwstore repo add built-1.0-1-x86_64.pkg.tar.zst", "a package of one's own"}};
    it.run = run_repo;
    return {it};
}

}  // namespace pwstore::cli
