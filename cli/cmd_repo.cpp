// SPDX-License-Identifier: GPL-3.0-or-later
#include <fcntl.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <filesystem>
#include <ostream>

#include "cli/cmd.hpp"
#include "cli/json.hpp"
#include "cli/progress.hpp"
#include "cli/repo.hpp"
#include "resolver/session.hpp"
#include "store/base/error.hpp"
#include "store/base/names.hpp"
#include "store/base/path_at.hpp"
#include "store/layout.hpp"

namespace pwstore::cli {

namespace {

/// What a repository is called that nobody gave a name. ("local" is libalpm's for what is installed.)
constexpr const char* kDefaultRepository = "own";

Error usage(const std::string& cause, const std::string& hint) {
    return Error("read the command line", "", cause).as(Fault::usage).with_hint(hint);
}

int add(const Context& context, const Arguments& arguments, const std::vector<std::string>& files) {
    RepositoryChanges done{repository_place(arguments), {}, {}, false};
    const RepositoryPlace& place = done.place;
    std::vector<std::string> packages, debs;
    for (const std::string& file : files)
        (std::filesystem::path(file).extension() == ".deb" ? debs : packages).push_back(file);
    const PackageVersions before = versions_in(place);
    if (!packages.empty()) (void)add_to_repository(place.directory, place.name, packages);
    if (!debs.empty()) {
        ProgressScreen screen(context);
        done.import = import_debs(place.directory, place.name, debs, screen);
    }
    done.changes = changes_between(before, versions_in(place));
    print_changes(context, arguments, done, "");
    return kDone;
}

int list(const Context& context, const Arguments& arguments, const std::string& operand) {
    const std::string directory = repository_directory(arguments, operand);
    const auto chosen = arguments.value("name");
    std::vector<RepositoryContent> all;
    for (const std::string& name : repositories_in(directory)) {
        const Fd dir = open_at(AT_FDCWD, directory, O_RDONLY | O_DIRECTORY);
        if (!chosen || *chosen == name) all.push_back({name, RepositoryDatabase::read(dir.get(), name)});
    }
    if (arguments.has("json")) {
        context.io.out << repositories_json(directory, all);
        return kDone;
    }
    if (all.empty() && !context.quiet)
        context.io.err << fmt::format(
            "no repository in '{}'; 'pwstore repo import-deb' and 'repo add' make one\n",
            printable(directory));
    for (const RepositoryContent& one : all) {
        Table table({{"PACKAGE"}, {"VERSION"}, {"SIZE", Align::right}, {"DESCRIPTION", Align::left, 20, 1}});
        for (const RepositoryPackage& package : one.packages) {
            table.add({one.name + "/" + package.description.name, package.description.version,
                       human_size(package.description.installed_size), package.description.description});
        }
        context.io.out << table.render(context.out_width(), context.out);
    }
    return kDone;
}

int remove(const Context& context, const Arguments& arguments, const std::vector<std::string>& names) {
    RepositoryChanges done{repository_place(arguments), {}, {}, false};
    const PackageVersions before = versions_in(done.place);
    if (before.empty()) {
        throw Error("remove from repository", done.place.directory, "there is no repository")
            .as(Fault::usage);
    }
    (void)remove_from_repository(done.place.directory, done.place.name, names,
                                 arguments.has("keep-files") ? Archives::keep : Archives::remove);
    done.changes = changes_between(before, versions_in(done.place));
    DebTargets targets = DebTargets::read(done.place);
    const size_t remembered = targets.targets.size() + targets.brought.size();
    for (const std::string& name : names) {
        std::erase_if(targets.targets, [&](const DebTarget& target) { return target.name == name; });
        targets.brought.erase(name);
    }
    if (targets.targets.size() + targets.brought.size() != remembered) targets.write(done.place);
    print_changes(context, arguments, done, "");
    return kDone;
}

bool is_corruption(const RepositoryFinding& finding) {
    return finding.kind == RepositoryFinding::Kind::missing_archive ||
           finding.kind == RepositoryFinding::Kind::damaged_archive;
}

int code_of(const std::vector<RepositoryFinding>& findings) {
    if (findings.empty()) return kDone;
    return std::any_of(findings.begin(), findings.end(), is_corruption) ? kCorrupt : kFailed;
}

int verify(const Context& context, const Arguments& arguments, const std::string& operand) {
    const std::string directory = repository_directory(arguments, operand);
    const auto chosen = arguments.value("name");
    std::vector<std::string> names = repositories_in(directory);
    if (chosen) std::erase_if(names, [&](const std::string& name) { return name != *chosen; });
    if (names.empty()) throw Error("verify", directory, "there is no such repository").as(Fault::usage);
    std::vector<RepositoryVerdict> verdicts;
    int code = kDone;
    ProgressScreen screen(context);
    for (const std::string& name : names) {
        verdicts.push_back({name, check_repository(directory, name, Session::compare_versions, screen)});
        code = std::max(code, code_of(verdicts.back().findings));
    }
    screen.clear();
    if (arguments.has("json")) {
        context.io.out << repository_verdicts_json(directory, verdicts);
        return code;
    }
    for (const RepositoryVerdict& verdict : verdicts) {
        for (const RepositoryFinding& finding : verdict.findings) {
            context.io.out << (is_corruption(finding) ? context.out.red("damaged:")
                                                      : context.out.yellow("open:"))
                           << ' ' << shown(verdict.name + "/" + finding.package + ": " + finding.text)
                           << '\n';
        }
        if (verdict.findings.empty() && !context.quiet)
            context.io.out << printable(verdict.name) << ": clean\n";
    }
    return code;
}

using Action = int (*)(const Context&, const Arguments&, const std::vector<std::string>&);

/// An action on files, packages or a directory.
struct RepoAction {
    const char* name;
    const char* needs;  ///< what must be named; null: a directory may be
    Action run;
};

std::string directory_operand(const std::vector<std::string>& operands) {
    if (operands.size() > 1) throw usage("only one directory can be named", "it takes [DIR]");
    return operands.empty() ? std::string() : operands.front();
}

const RepoAction kActions[] = {
    {"import-deb", "packages", import_debs_verb},
    {"add", "files", add},
    {"update", nullptr,
     [](const Context& context, const Arguments& arguments, const auto& operands) {
         return update_verb(context, arguments, directory_operand(operands));
     }},
    {"rm", "packages", remove},
    {"verify", nullptr,
     [](const Context& context, const Arguments& arguments, const auto& operands) {
         return verify(context, arguments, directory_operand(operands));
     }},
    {"ls", nullptr,
     [](const Context& context, const Arguments& arguments, const auto& operands) {
         return list(context, arguments, directory_operand(operands));
     }},
};

int run_repo(Context& context, const Arguments& arguments) {
    std::vector<std::string> operands = arguments.operands();
    const std::string word = operands.front();
    operands.erase(operands.begin());
    std::vector<std::string> names;
    for (const RepoAction& action : kActions) {
        names.emplace_back(action.name);
        if (word != action.name) continue;
        if (action.needs != nullptr && operands.empty())
            throw usage(fmt::format("repo {} needs {}", word, action.needs), "name at least one");
        return action.run(context, arguments, operands);
    }
    throw usage(fmt::format("repo has no '{}'", printable(word)),
                fmt::format("it has: {}", fmt::join(names, ", ")));
}

}  // namespace

std::string repository_directory(const Arguments& arguments, const std::string& directory) {
    const std::string standard = Directories::from_environment().data + "/repo";
    return arguments.value("into").value_or(directory.empty() ? standard : directory);
}

RepositoryPlace repository_place(const Arguments& arguments, const std::string& directory) {
    RepositoryPlace place{repository_directory(arguments, directory), kDefaultRepository};
    if (const auto name = arguments.value("name")) {
        place.name = ContainerName(*name).str();
        if (place.name == "local" || place.name == "options")
            throw usage(fmt::format("no repository can be called '{}'", place.name),
                        "the word means something else in repositories.conf");
        return place;
    }
    const auto present = repositories_in(place.directory);
    if (present.size() > 1) {
        throw usage(fmt::format("'{}' holds {} repositories", printable(place.directory), present.size()),
                    "name one with --name");
    }
    if (!present.empty()) place.name = present.front();
    return place;
}

PackageVersions versions_in(const RepositoryPlace& place) {
    PackageVersions versions;
    const auto present = repositories_in(place.directory);
    if (std::find(present.begin(), present.end(), place.name) == present.end()) return versions;
    const Fd dir = open_at(AT_FDCWD, place.directory, O_RDONLY | O_DIRECTORY);
    for (const RepositoryPackage& package : RepositoryDatabase::read(dir.get(), place.name))
        versions.emplace(package.description.name, package.description.version);
    return versions;
}

std::vector<RepositoryChange> changes_between(const PackageVersions& before, const PackageVersions& after) {
    std::vector<RepositoryChange> changes;
    PackageVersions all = before;
    all.insert(after.begin(), after.end());
    const auto in = [](const PackageVersions& versions, const std::string& name) {
        const auto found = versions.find(name);
        return found == versions.end() ? std::string() : found->second;
    };
    for (const auto& [name, version] : all) {
        RepositoryChange change{name, in(before, name), in(after, name)};
        if (change.old_version != change.new_version) changes.push_back(std::move(change));
    }
    return changes;
}

void print_changes(const Context& context, const Arguments& arguments, const RepositoryChanges& changes,
                   const std::string& summary) {
    if (arguments.has("json")) {
        context.io.out << repository_changes_json(changes);
        return;
    }
    if (context.quiet) return;
    for (const RepositoryChange& one : changes.changes) {
        const std::string old = one.old_version.empty() ? "" : " " + one.old_version;
        const std::string now = one.new_version.empty() ? " removed" : " " + one.new_version;
        context.io.out << shown(fmt::format("{}: {}{}{}{}", changes.place.name, one.name, old,
                                            old.empty() || one.new_version.empty() ? "" : " →", now))
                       << '\n';
    }
    if (!summary.empty()) context.io.out << summary << '\n';
}

std::vector<Command> repo_commands() {
    Command it{"repo", {}, "Store", "make a local repository of packages, Debian's included"};
    it.description = {
        "`repo import-deb PKG…` has the host's apt work out what an empty system would need for these Debian "
        "packages (PKG, PKG=VERSION, PKG/SUITE), downloads it with its checksums, and converts it. All that "
        "Debian calls essential comes along; recommendations do not. `FILE.deb` is converted as it is. A "
        "package `base` of what is essential and a package `filesystem` with the links of a merged /usr come "
        "with them. Maintainer scripts run as dpkg runs them.",
        "`repo update [DIR]` asks apt again for what was imported by name, with newer package lists, and "
        "converts what is new.",
        "`repo add FILE…` enters alpm packages, with the signatures that lie beside them, and converts .deb "
        "files. `repo rm NAME…` takes packages out again, archives included. `repo ls [DIR]` shows what the "
        "repositories in a directory hold.",
        "`repo verify [DIR]` reads every archive whole and compares it with the database, and looks whether "
        "the packages find what they need in the repository: dependencies, and the libraries of programs. "
        "Exit code 4: an archive is missing or damaged; 1: something that is needed is not in the "
        "repository."};
    it.operands = {{"ACTION"}, {"FILE", Completes::file, true, true}};
    it.options = {
        {"into", 0, "DIR", "directory of the repository; default: repo/ in the data directory",
         Completes::directory},
        {"name", 0, "NAME", "name of the repository; default: the one that is there, or `own`"},
        {"suite", 0, "SUITE",
         "import-deb, update: take packages from this suite where it has them; `all`: as apt chooses"},
        {"keep-files", 0, "", "rm: leave the archives where they are"},
        {"preview", 0, "", "update: only show what would change"},
        json_option()};
    it.examples = {{"pwstore repo import-deb neovim python3", "with all that they need"},
                   {"pwstore repo import-deb --suite bookworm --into ~/debs --name demo bash",
                    "as the suite was released; for `Server = file:///home/me/debs`"},
                   {"pwstore repo import-deb ./*.deb", "files, without asking apt"},
                   {"pwstore repo update --preview", "what newer versions there are"},
                   {"pwstore repo verify ~/debs", "whether it is whole"},
                   {"pwstore repo rm neovim --keep-files", "out of the database only"},
                   {"pwstore repo add hello-1-1-any.pkg.tar.zst own_1.0_all.deb", "packages of one's own"}};
    it.run = run_repo;
    return {it};
}

}  // namespace pwstore::cli
