// SPDX-License-Identifier: GPL-3.0-or-later
#include <fmt/format.h>

#include <algorithm>
#include <cstdint>
#include <ostream>
#include <set>

#include "cli/cmd.hpp"
#include "cli/grammar.hpp"
#include "cli/json.hpp"
#include "cli/progress.hpp"
#include "store/base/error.hpp"

namespace pwstore::cli {

namespace {

std::vector<Option> with_package_options(std::vector<Option> own) {
    own.push_back({"needed", 0, "", "leave packages alone that are up to date"});
    own.push_back({"asdeps", 0, "", "record the packages as dependencies"});
    own.push_back({"asexplicit", 0, "", "record the packages as wanted for themselves"});
    own.push_back({"overwrite", 0, "GLOB", "let packages take over files that match"});
    own.push_back({"ignore", 0, "PKG", "leave these packages as they are", Completes::package});
    return own;
}

void read_package_options(const Arguments& arguments, ResolveRequest& request) {
    request.needed = arguments.has("needed");
    request.as_deps = arguments.has("asdeps");
    request.as_explicit = arguments.has("asexplicit");
    request.overwrite = arguments.list("overwrite");
    request.ignore = arguments.list("ignore");
}

/// -Syu: the options hold for every container, those of packages that are named only where such are.
void read_options_for_everyone(const Arguments& arguments, TransactionRequest& request) {
    if (request.containers.empty()) read_package_options(arguments, request.everyone);
    request.everyone.overwrite = arguments.list("overwrite");
    request.everyone.ignore = arguments.list("ignore");
}

int run_sync(Context& context, const Arguments& arguments) {
    SyncRequest sync = read_sync(arguments, SyncMode::sync);
    for (ContainerRequest& target : sync.transaction.containers)
        read_package_options(arguments, target.packages);
    read_options_for_everyone(arguments, sync.transaction);
    for (const std::string& notice : sync.notices)
        context.io.err << context.err.yellow("warning:") << ' ' << notice << '\n';
    return transact(context, arguments, std::move(sync.transaction));
}

int run_install(Context& context, const Arguments& arguments) {
    TransactionRequest request;
    const std::vector<std::string> words = arguments.operands();
    ContainerRequest& target = request.containers.emplace_back();
    target.name = ContainerName(words[0]).str();
    for (size_t i = 1; i < words.size(); ++i)
        add_target(target.packages, words[i]);
    read_package_options(arguments, target.packages);
    request.target_only = true;
    request.refresh = arguments.count("refresh");
    if (request.refresh == 0 && !context.backend.has_sync_databases()) request.refresh = 1;
    return transact(context, arguments, std::move(request));
}

int run_remove(Context& context, const Arguments& arguments) {
    return transact(context, arguments, read_remove(arguments));
}

int run_upgrade(Context& context, const Arguments& arguments) {
    TransactionRequest request;
    request.refresh = arguments.has("no-refresh") ? 0 : 1 + arguments.count("refresh");
    ResolveRequest wanted;
    wanted.upgrade = true;
    wanted.downgrade = arguments.has("downgrade");
    wanted.ignore = arguments.list("ignore");
    for (const std::string& name : arguments.operands()) {
        ContainerRequest& target = request.containers.emplace_back();
        target.name = ContainerName(name).str();
        target.packages = wanted;
    }
    request.target_only = !request.containers.empty();
    request.upgrade_all = request.containers.empty();
    if (request.upgrade_all) request.everyone = wanted;
    return transact(context, arguments, std::move(request));
}

int run_rebuild(Context& context, const Arguments& arguments) {
    TransactionRequest request;
    request.force_rebuild = true;
    request.target_only = true;
    for (const std::string& name : arguments.operands())
        request.containers.emplace_back().name = ContainerName(name).str();
    return transact(context, arguments, std::move(request));
}

int run_query(Context& context, const Arguments& arguments) {
    std::vector<std::string> names = arguments.operands();
    for (const std::string& name : arguments.list("target"))
        names.insert(names.begin(), name);
    if (names.empty() || arguments.list("target").size() > 1) {
        throw Error("read the command line", "", "'query' needs the NAME of one container").as(Fault::usage);
    }
    const ContainerDetails details = context.backend.details(ContainerName(names[0]));
    std::set<std::string> wanted(names.begin() + 1, names.end());
    const bool all = wanted.empty();
    std::vector<InstalledPackage> packages;
    for (const InstalledPackage& package : details.packages) {
        if (arguments.has("explicit") && package.reason != InstallReason::explicitly) continue;
        if (all || wanted.erase(package.name) != 0) packages.push_back(package);
    }
    if (!wanted.empty()) {
        throw Error("query", details.state.name,
                    fmt::format("it has no package '{}'", printable(*wanted.begin())))
            .with_hint(fmt::format("'pwstore query {}' lists what it has", details.state.name));
    }
    std::sort(packages.begin(), packages.end(), [](const auto& a, const auto& b) { return a.name < b.name; });
    if (arguments.has("json")) {
        context.io.out << query_json(details.state.name, packages);
        return kDone;
    }
    for (const InstalledPackage& package : packages) {
        context.io.out << printable(package.name);
        if (!arguments.has("quiet")) context.io.out << ' ' << shown(package.version);
        context.io.out << '\n';
    }
    return kDone;
}

int run_search(Context& context, const Arguments& arguments) {
    ProgressScreen screen(context);
    const std::vector<PackageInfo> found = context.backend.search(arguments.operands(), screen);
    screen.clear();
    if (arguments.has("json")) {
        context.io.out << search_json(found);
        return found.empty() ? kFailed : kDone;
    }
    for (const PackageInfo& package : found) {
        if (arguments.has("quiet")) {
            context.io.out << printable(package.name) << '\n';
            continue;
        }
        context.io.out << printable(package.repository) << '/' << context.out.bold(printable(package.name))
                       << ' ' << context.out.green(shown(package.version)) << '\n'
                       << wrap_text(printable(package.description), context.out_width().value_or(SIZE_MAX), 4)
                       << '\n';
    }
    return found.empty() ? kFailed : kDone;
}

Command sync_command() {
    Command it{
        "sync", {}, "Packages", "refresh, upgrade, create and install in one line, in the short grammar"};
    it.short_form = "-S";
    it.description = {
        "Options may be bundled behind -S. Several containers can be described in one line: what follows "
        "--create "
        "describes the next --target; packages and --dep belong to the target before them.",
        "A base that is created without packages gets the package 'base', unless it is to be --empty."};
    it.operands = {{"PKG", Completes::package, true, true}};
    it.options = with_transaction_options(with_package_options(
        {{"refresh", 'y', "", "bring the package lists up to date; twice: even if they seem to be"},
         {"upgrade", 'u', "",
          "upgrade all containers, or those named with --target-only; twice: to older versions too"},
         {"create", 'c', "", "create the next target; needs its type, --refresh and --upgrade"},
         {"base", 'b', "", "the next target is a base: a whole system, without dependencies"},
         {"empty", 0, "", "the next target is a base without any package"},
         {"slice", 's', "", "the next target is a slice: packages to be shared by others"},
         {"aggregate", 'a', "", "the next target is an aggregate: an application on top of others"},
         {"target", 't', "NAME", "the container that the following packages are for", Completes::container},
         {"dep", 'd', "A,B", "what the target is built on, in order", Completes::container},
         {"target-only", 'o', "", "leave all other containers as they are"},
         {"filesystem", 'f', "", "build the roots anew, even if nothing changed"},
         {"lazy-load", 'l', "", "accepted and without effect: package lists of dependencies need no copying"},
         {"force-foreign", 0, "",
          "accepted and without effect: packages of dependencies stay in their own container"},
         {"dbonly", 0, "", "refused: files and package database always switch together"}}));
    it.examples = {
        {"pwstore -Syucb --target=base", "create a base"},
        {"pwstore -Syucat editor --dep=base neovim", "create an aggregate on it, with one package"},
        {"pwstore -Syucst common gtk3 --dep=base -cat app ripgrep --dep=base,common",
         "two containers at once"},
        {"pwstore -Syu", "upgrade everything"},
        {"pwstore -Syuo -t editor", "upgrade one container"},
        {"pwstore -Sof", "build all roots anew"}};
    it.run = run_sync;
    return it;
}

Command install_command() {
    Command it{"install", {}, "Packages", "install packages into a container"};
    it.description = {
        "PKG is a name, repository/name, a group, something provided, or the path of a package archive."};
    it.operands = {{"NAME", Completes::container}, {"PKG", Completes::package, false, true}};
    it.options = with_transaction_options(with_package_options(
        {{"refresh", 'y', "",
          "bring the package lists up to date first; done by itself when there are none"}}));
    it.examples = {{"pwstore install editor neovim git", "two packages"},
                   {"pwstore install editor ./hello-1-1-any.pkg.tar.zst", "a package archive"}};
    it.run = run_install;
    return it;
}

Command remove_command() {
    Command it{"remove", {}, "Packages", "remove packages from a container"};
    it.short_form = "-R";
    it.description = {
        "As in pacman: --recursive also removes what nothing else needs any more, --cascade also what needs "
        "them."};
    it.operands = {{"NAME", Completes::container, true}, {"PKG", Completes::installed, true, true}};
    it.options = with_transaction_options(
        {{"target", 't', "NAME", "the container that the following packages are in", Completes::container},
         {"recursive", 's', "",
          "also remove dependencies that nothing else needs; twice: explicitly installed ones too"},
         {"cascade", 'c', "", "also remove packages that depend on them"},
         {"unneeded", 'u', "", "skip packages that others need"},
         {"nosave", 'n', "", "keep no .pacsave of changed configuration files"},
         {"filesystem", 'f', "", "build the root anew, even if nothing changed"},
         {"force-foreign", 0, "",
          "accepted and without effect: packages of dependencies stay in their own container"},
         {"dbonly", 0, "", "refused: files and package database always switch together"}});
    it.examples = {{"pwstore remove editor neovim -s", "with what only it needed"},
                   {"pwstore -Rs -t editor neovim", "the same"}};
    it.run = run_remove;
    return it;
}

Command upgrade_command() {
    Command it{"upgrade", {}, "Packages", "upgrade all containers, or the named ones"};
    it.description = {
        "Package lists are brought up to date first. What is built on an upgraded container changes with it, "
        "in one step."};
    it.operands = {{"NAME", Completes::container, true, true}};
    it.options = with_transaction_options(
        {{"refresh", 'y', "", "fetch the package lists even if they seem to be up to date"},
         {"no-refresh", 0, "", "use the package lists as they are"},
         {"downgrade", 0, "", "to older versions too, where the repositories have them"},
         {"ignore", 0, "PKG", "leave these packages as they are", Completes::package}});
    it.examples = {{"pwstore upgrade", "everything"},
                   {"pwstore upgrade editor --preview", "what would change"}};
    it.run = run_upgrade;
    return it;
}

Command rebuild_command() {
    Command it{"rebuild", {}, "Packages", "build the roots of all or the named containers anew"};
    it.operands = {{"NAME", Completes::container, true, true}};
    it.options = with_transaction_options({});
    it.examples = {{"pwstore rebuild editor", "after something outside pwstore damaged its root"}};
    it.run = run_rebuild;
    return it;
}

Command query_command() {
    Command it{"query", {}, "Packages", "list the packages of a container"};
    it.short_form = "-Q";
    it.operands = {{"NAME", Completes::container, true}, {"PKG", Completes::installed, true, true}};
    it.options = {{"target", 't', "NAME", "the container", Completes::container},
                  {"quiet", 'q', "", "names only"},
                  {"explicit", 'e', "", "only packages that were wanted for themselves"},
                  json_option()};
    it.examples = {{"pwstore -Q editor", "names and versions"},
                   {"pwstore query editor neovim", "the version of one package"},
                   {"pwstore query editor -qe", "names of what was asked for"}};
    it.run = run_query;
    return it;
}

Command search_command() {
    Command it{"search", {}, "Packages", "search the package lists"};
    it.description = {
        "Finds packages whose name, description, group or provision matches every EXPRESSION. Exit code 1: "
        "none does."};
    it.operands = {{"EXPRESSION", Completes::nothing, false, true}};
    it.options = {{"quiet", 'q', "", "names only"}, json_option()};
    it.examples = {{"pwstore search '^neo' editor", "both must match"}};
    it.run = run_search;
    return it;
}

}  // namespace

std::vector<Command> package_commands() {
    return {install_command(), remove_command(), upgrade_command(), sync_command(),
            rebuild_command(), query_command(),  search_command()};
}

}  // namespace pwstore::cli
