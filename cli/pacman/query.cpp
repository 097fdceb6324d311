// SPDX-License-Identifier: GPL-3.0-or-later
// -Q and -T: what is installed.
#include "cli/pacman/query.hpp"

#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <climits>
#include <cstdlib>
#include <memory>

#include "cli/pacman/package.hpp"
#include "store/base/error.hpp"

namespace pwstore::cli::pacman {

namespace {

constexpr int kNotSatisfied = 127;
constexpr std::string_view kLocal = "local/";
constexpr const char* kContainerPath = "usr/local/bin:usr/bin:bin:usr/sbin:sbin";

bool passes(const Query& query, PackageRef package) {
    const Options& options = query.options;
    const Catalogue& catalogue = query.catalogue;
    using Reason = PackageFacts::Reason;
    if (options.explicitly && catalogue.reason(package) != Reason::explicitly) return false;
    if (options.deps && catalogue.reason(package) != Reason::dependency) return false;
    if (options.native && !catalogue.is_native(package)) return false;
    if (options.foreign && catalogue.is_native(package)) return false;
    if (options.unrequired > 0 && catalogue.is_required(package, options.unrequired == 1)) return false;
    return !options.upgrades || catalogue.newer(package).has_value();
}

void print_name(const Query& query, PackageRef package) {
    const Screen& screen = query.screen;
    const std::string name = screen.shown(query.catalogue.name(package));
    if (query.options.quiet) return screen.print(name + "\n");
    const Palette& palette = screen.palette();
    std::string line = fmt::format("{}{} {}{}{}", palette.title, name, palette.version,
                                   screen.shown(query.catalogue.version(package)), palette.reset);
    if (query.options.upgrades) {
        if (const auto newer = query.catalogue.newer(package)) {
            line += fmt::format(" -> {}{}{}", palette.version, screen.shown(newer->version), palette.reset);
            if (newer->ignored) line += " [ignored]";
        }
    }
    screen.print(line + "\n");
}

/// Returns whether the package is as it should be, where that was asked.
bool show(const Query& query, PackageRef package) {
    const Options& options = query.options;
    if (options.info == 0 && !options.list && !options.changelog && options.check == 0) {
        print_name(query, package);
        return true;
    }
    if (options.info > 0)
        print_details(query.screen, query.catalogue, package, options.info > 1 && !options.file,
                      query.places.root);
    if (options.list) print_files(query.screen, query.catalogue, package, query.places.root, options.quiet);
    if (options.changelog) print_changelog(query.screen, query.catalogue, package);
    if (options.check == 0) return true;
    return options.check == 1 ? check_files(query, package) : check_properties(query, package);
}

// --- The owner of a file
// ----------------------------------------------------------------------------------------

/// The directory resolved, the last name as it is: a symlink may itself be owned.
std::string real_path(const std::string& path) {
    const auto resolve = [](const std::string& one) {
        const std::unique_ptr<char, decltype(&std::free)> real(::realpath(one.c_str(), nullptr), &std::free);
        return real ? std::string(real.get()) : std::string();
    };
    const size_t slash = path.rfind('/');
    const std::string name = slash == std::string::npos ? path : path.substr(slash + 1);
    if (name == "." || name == "..") return resolve(path);
    std::string directory = resolve(slash == std::string::npos ? "."
                                    : slash == 0               ? "/"
                                                               : path.substr(0, slash));
    if (directory.empty()) return {};
    if (directory.back() != '/') directory += '/';
    return directory + name;
}

/// A word without a slash that is no file here may be a program.
bool find_program(const Query& query, std::string& name, struct stat& status) {
    const bool in_container = !query.places.container.empty();
    const char* path = in_container ? kContainerPath : std::getenv("PATH");
    for (std::string_view rest = path == nullptr ? "" : path; !rest.empty();) {
        const size_t colon = std::min(rest.find(':'), rest.size());
        std::string directory(rest.substr(0, colon));
        rest.remove_prefix(std::min(colon + 1, rest.size()));
        while (!directory.empty() && directory.back() == '/')
            directory.pop_back();
        std::string candidate = fmt::format("{}/{}", directory, name);
        if (in_container) candidate.insert(0, query.places.root);
        if (::lstat(candidate.c_str(), &status) != 0) continue;
        name = candidate;
        return true;
    }
    return false;
}

/// Returns whether a package owns the file.
bool print_owner(const Query& query, std::string name) {
    const Screen& screen = query.screen;
    if (name.empty()) {
        screen.error("empty string passed to file owner query");
        return false;
    }
    // Of a container, a path as programs see it in there.
    const std::string& top = query.places.root;
    if (!query.places.container.empty() && name.starts_with('/') && !name.starts_with(top))
        name.replace(0, 1, top);
    bool is_directory = false;
    while (name.size() > 1 && name.back() == '/') {
        name.pop_back();
        is_directory = true;
    }
    struct stat status {};
    bool missing = ::lstat(name.c_str(), &status) != 0;
    if (missing && name.find('/') == std::string::npos) missing = !find_program(query, name, status);
    std::string path = real_path(name);
    if (path.empty()) path = name;
    const std::string& root = query.places.root;
    bool found = false;
    if (path.rfind(root, 0) == 0) {
        if (!missing) is_directory = S_ISDIR(status.st_mode);
        if (is_directory) path += '/';
        const Palette& palette = screen.palette();
        for (const PackageRef package : query.catalogue.installed()) {
            if (found && !is_directory) break;
            if (!query.catalogue.has_file(package, path.substr(root.size()))) continue;
            found = true;
            const std::string owner = screen.shown(query.catalogue.name(package));
            screen.print(query.options.quiet
                             ? owner + "\n"
                             : fmt::format("{} is owned by {}{} {}{}{}\n", screen.shown(path), palette.title,
                                           owner, palette.version,
                                           screen.shown(query.catalogue.version(package)), palette.reset));
        }
    }
    if (!found) screen.error(fmt::format("No package owns {}", name));
    return found;
}

int print_owners(const Query& query) {
    int failures = 0;
    for (const std::string& target : query.options.targets)
        failures += print_owner(query, target) ? 0 : 1;
    return failures;
}

// --- Groups and searches
// ----------------------------------------------------------------------------------------

int print_groups(const Query& query) {
    const auto print_members = [&](const std::string& group, const std::vector<PackageRef>& members,
                                   bool quiet) {
        for (const PackageRef package : members) {
            if (!passes(query, package)) continue;
            const std::string name = query.screen.shown(query.catalogue.name(package));
            query.screen.print(quiet ? name + "\n" : query.screen.shown(group) + " " + name + "\n");
        }
    };
    if (query.options.targets.empty()) {
        for (const auto& [group, members] : query.catalogue.groups(""))
            print_members(group, members, false);
        return 0;
    }
    int failures = 0;
    for (const std::string& target : query.options.targets) {
        if (const auto members = query.catalogue.group("", target)) {
            print_members(target, *members, query.options.quiet);
        } else {
            query.screen.error(fmt::format("group '{}' was not found", target));
            ++failures;
        }
    }
    return failures;
}

int print_search(const Query& query) {
    try {
        const auto matches = query.catalogue.search("", query.options.targets);
        print_matches(query.screen, query.catalogue, matches, "local", false, query.options.quiet);
        return matches.empty() ? 1 : 0;
    } catch (const Error& error) {
        query.screen.error(fmt::format("search failed: {}", std::string(error.what()).substr(8)));
        return 1;
    }
}

// --- Named packages
// ---------------------------------------------------------------------------------------------

std::optional<PackageRef> find_target(const Query& query, std::string target) {
    if (target.starts_with(kLocal)) target.erase(0, kLocal.size());
    if (query.options.file) {
        try {
            return query.catalogue.load_archive(target, true);
        } catch (const Error& error) {
            const std::string text = error.what();
            query.screen.error(
                fmt::format("could not load package '{}': {}", target, text.substr(text.rfind(": ") + 2)));
            return std::nullopt;
        }
    }
    if (const auto package = query.catalogue.find_satisfier(target)) return package;
    query.screen.error(fmt::format("package '{}' was not found", target));
    if (::access(target.c_str(), R_OK) == 0)
        query.screen.warning(fmt::format("'{}' is a file, you might want to use -p/--file.", target));
    return std::nullopt;
}

int print_packages(const Query& query) {
    bool match = false, failed = false;
    const auto take = [&](PackageRef package) {
        if (!passes(query, package)) return;
        match = true;
        failed = !show(query, package) || failed;
    };
    if (query.options.targets.empty()) {
        for (const PackageRef package : query.catalogue.installed())
            take(package);
    }
    for (const std::string& target : query.options.targets) {
        if (const auto package = find_target(query, target)) {
            take(*package);
        } else {
            failed = true;
        }
    }
    return match && !failed ? 0 : 1;
}

}  // namespace

std::unique_ptr<Catalogue> open_catalogue(const Options& options, const Places& places, ProgressSink& sink) {
    SessionSpec spec;
    spec.root = places.root;
    spec.database = places.database;
    spec.gnupg_dir = places.gnupg_dir;
    spec.cache_dirs = places.cache_dirs;
    spec.config = places.settings;
    spec.no_confirm = true;
    spec.is_pacmans = spec.speaks_as_pacman = true;
    spec.debug = options.debug;
    auto& ignored = spec.config.ignore_packages;
    ignored.insert(ignored.end(), options.ignore.begin(), options.ignore.end());
    return std::make_unique<Catalogue>(spec, sink);
}

bool check_repositories(const Query& query, bool valid) {
    if (query.catalogue.repositories().empty()) {
        query.screen.error("no usable package repositories configured.");
        return false;
    }
    if (!valid) return true;
    const auto invalid = query.catalogue.invalid_repositories();
    for (const auto& [name, cause] : invalid)
        query.screen.error(fmt::format("database '{}' is not valid ({})", name, cause));
    return invalid.empty();
}

int run_query(const Query& query) {
    const Options& options = query.options;
    if (options.search) return print_search(query);
    if (options.groups > 0) return print_groups(query);
    const bool compares = options.native || options.foreign || options.upgrades;
    if (compares && !check_repositories(query, true)) return 1;
    if (options.targets.empty() && (options.file || options.owns)) {
        query.screen.error("no targets specified (use -h for help)");
        return 1;
    }
    return options.owns ? print_owners(query) : print_packages(query);
}

int run_deptest(const Query& query) {
    int code = 0;
    for (const std::string& target : query.options.targets) {
        if (query.catalogue.find_satisfier(target)) continue;
        query.screen.print(query.screen.shown(target) + "\n");
        code = kNotSatisfied;
    }
    return code;
}

}  // namespace pwstore::cli::pacman
