// SPDX-License-Identifier: GPL-3.0-or-later
#include <fcntl.h>
#include <fmt/format.h>

#include <algorithm>
#include <ostream>
#include <sstream>

#include "cli/progress.hpp"
#include "cli/repo.hpp"
#include "store/base/error.hpp"
#include "store/base/path_at.hpp"
#include "store/base/staged_file.hpp"
#include "store/debian/version.hpp"
#include "store/layout.hpp"

namespace pwstore::cli {

namespace {

constexpr std::string_view kSuite = "suite ";
constexpr std::string_view kBrought = "brought ";

Fd open_directory(const RepositoryPlace& place) {
    make_directories(AT_FDCWD, place.directory);
    return open_at(AT_FDCWD, place.directory, O_RDONLY | O_DIRECTORY);
}

std::string targets_file(const RepositoryPlace& place) {
    return place.name + ".targets";
}

/// --suite, checked; nullopt when it was not given, empty for "all".
std::optional<std::string> suite_of(const Arguments& arguments) {
    auto suite = arguments.value("suite");
    if (!suite) return std::nullopt;
    if (*suite == "all") return "";
    // A suite is written as the version part of a target is.
    (void)parse_deb_target("x/" + *suite);
    return suite;
}

bool is_file(const std::string& operand) {
    constexpr std::string_view kSuffix = ".deb";
    return operand.size() > kSuffix.size() &&
           operand.compare(operand.size() - kSuffix.size(), kSuffix.size(), kSuffix) == 0;
}

AptClosure make_closure(const Context& context, ProgressSink& sink) {
    return {Directories::from_environment().cache + "/apt", context.io.environment, sink};
}

void warn_of_unsatisfied(const Context& context, const DebImportReport& report) {
    for (const std::string& missing : report.unsatisfied) {
        context.io.err << context.err.yellow("warning:")
                       << " nothing in the repository provides what is needed by " << shown(missing) << '\n';
    }
}

int import_and_tell(const Context& context, const Arguments& arguments, const RepositoryPlace& place,
                    const std::vector<std::string>& files, ProgressScreen& screen,
                    const std::vector<std::string>& dropped = {}) {
    RepositoryChanges done{place, {}, {}, false};
    const PackageVersions before = versions_in(place);
    done.import = import_debs(place.directory, place.name, files, screen, {}, dropped);
    screen.clear();
    done.changes = changes_between(before, versions_in(place));
    warn_of_unsatisfied(context, done.import);
    print_changes(context, arguments, done,
                  fmt::format("repository {} in {}: {} packages converted, {} were there", place.name,
                              printable(place.directory), done.import.converted, done.import.kept));
    return kDone;
}

/// Files that repo update converts: nothing older than what the repository has, which someone put there.
std::vector<std::string> not_older(const std::vector<ClosureDeb>& plan, const std::vector<std::string>& paths,
                                   const PackageVersions& there) {
    std::vector<std::string> files;
    for (size_t i = 0; i < plan.size(); ++i) {
        const auto found = there.find(plan[i].name);
        if (found == there.end() || compare_deb_versions(plan[i].version, deb_version(found->second)) >= 0)
            files.push_back(paths[i]);
    }
    return files;
}

/// What came with the targets once, is not needed by them any more, and is still what came.
std::vector<std::string> needed_no_more(const PackageVersions& brought, const std::vector<ClosureDeb>& plan,
                                        const PackageVersions& there) {
    std::vector<std::string> names;
    for (const auto& [name, version] : brought) {
        const auto found = there.find(name);
        const bool is_needed =
            std::any_of(plan.begin(), plan.end(), [&](const ClosureDeb& deb) { return deb.name == name; });
        if (!is_needed && found != there.end() && deb_version(found->second) == version)
            names.push_back(name);
    }
    return names;
}

void remember(DebTargets& targets, const std::vector<ClosureDeb>& plan) {
    for (const ClosureDeb& deb : plan)
        targets.brought.insert_or_assign(deb.name, deb.version);
}

int preview(const Context& context, const Arguments& arguments, const RepositoryPlace& place,
            const std::vector<ClosureDeb>& plan, const std::vector<std::string>& dropped) {
    const PackageVersions before = versions_in(place);
    PackageVersions after = before;
    for (const std::string& name : dropped)
        after.erase(name);
    for (const ClosureDeb& deb : plan) {
        std::string& version = after[deb.name];
        if (version.empty() || compare_deb_versions(deb.version, deb_version(version)) > 0)
            version = alpm_version(deb.version);
    }
    const RepositoryChanges would{place, changes_between(before, after), {}, true};
    print_changes(context, arguments, would,
                  fmt::format("repository {} in {}: {} packages would change", place.name,
                              printable(place.directory), would.changes.size()));
    return kDone;
}

}  // namespace

DebTargets DebTargets::read(const RepositoryPlace& place) {
    DebTargets all;
    const auto text = try_read_file(AT_FDCWD, place.directory + "/" + targets_file(place));
    std::istringstream lines(text.value_or(""));
    for (std::string line; std::getline(lines, line);) {
        if (line.empty() || line.front() == '#') continue;
        try {
            if (line.starts_with(kSuite)) {
                all.suite = line.substr(kSuite.size());
                (void)parse_deb_target("x/" + all.suite);
            } else if (line.starts_with(kBrought)) {
                const DebTarget one = parse_deb_target(line.substr(kBrought.size()));
                all.brought.insert_or_assign(one.name, one.rest.empty() ? "" : one.rest.substr(1));
            } else {
                all.put(parse_deb_target(line));
            }
        } catch (const Error&) {
            throw Error("read targets", place.directory + "/" + targets_file(place),
                        "a line is no package's name: " + line)
                .as(Fault::corrupt);
        }
    }
    return all;
}

void DebTargets::put(DebTarget target) {
    const auto at = std::lower_bound(targets.begin(), targets.end(), target,
                                     [](const auto& a, const auto& b) { return a.name < b.name; });
    if (at != targets.end() && at->name == target.name) {
        *at = std::move(target);
    } else {
        targets.insert(at, std::move(target));
    }
}

void DebTargets::write(const RepositoryPlace& place) const {
    std::string text = "# What `pwstore repo update` asks apt for; written by `pwstore repo import-deb`.\n";
    if (!suite.empty()) text += fmt::format("{}{}\n", kSuite, suite);
    for (const DebTarget& target : targets)
        text += target.text() + "\n";
    for (const auto& [name, version] : brought)
        text += fmt::format("{}{}={}\n", kBrought, name, version);
    write_file_atomically(open_directory(place).get(), targets_file(place), text);
}

int import_debs_verb(const Context& context, const Arguments& arguments,
                     const std::vector<std::string>& operands) {
    const RepositoryPlace place = repository_place(arguments);
    std::vector<std::string> files;
    DebTargets asked;
    for (const std::string& operand : operands) {
        if (is_file(operand)) {
            files.push_back(operand);
        } else {
            asked.put(parse_deb_target(operand));
        }
    }
    const auto suite = suite_of(arguments);
    ProgressScreen screen(context);
    if (asked.targets.empty()) return import_and_tell(context, arguments, place, files, screen);

    DebTargets remembered = DebTargets::read(place);
    remembered.suite = suite.value_or(remembered.suite);
    for (const DebTarget& target : asked.targets)
        remembered.put(target);
    AptClosure closure = make_closure(context, screen);
    (void)closure.plan(asked.targets, remembered.suite);
    for (std::string& path : closure.fetch())
        files.push_back(std::move(path));
    const int code = import_and_tell(context, arguments, place, files, screen);
    remember(remembered, closure.plan());
    remembered.write(place);
    return code;
}

int update_verb(const Context& context, const Arguments& arguments, const std::string& directory) {
    const RepositoryPlace place = repository_place(arguments, directory);
    DebTargets remembered = DebTargets::read(place);
    if (remembered.targets.empty()) {
        throw Error("update repository", place.name, "nothing was imported into it by name")
            .as(Fault::usage)
            .with_hint(
                "pwstore repo import-deb PKG… does that; packages that were given as files are "
                "updated by giving newer files");
    }
    remembered.suite = suite_of(arguments).value_or(remembered.suite);
    ProgressScreen screen(context);
    AptClosure closure = make_closure(context, screen);
    closure.refresh();
    (void)closure.plan(remembered.targets, remembered.suite);
    const std::vector<std::string> dropped =
        needed_no_more(remembered.brought, closure.plan(), versions_in(place));
    if (arguments.has("preview")) {
        screen.clear();
        return preview(context, arguments, place, closure.plan(), dropped);
    }
    const std::vector<std::string> paths = closure.fetch();
    const int code = import_and_tell(context, arguments, place,
                                     not_older(closure.plan(), paths, versions_in(place)), screen, dropped);
    remembered.brought.clear();
    remember(remembered, closure.plan());
    remembered.write(place);
    return code;
}

}  // namespace pwstore::cli
