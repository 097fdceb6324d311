// SPDX-License-Identifier: GPL-3.0-or-later
#include "cli/pacman/places.hpp"

#include <fmt/format.h>
#include <sys/stat.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <optional>

#include "store/base/error.hpp"

namespace pwstore::cli::pacman {

namespace {

namespace fs = std::filesystem;

constexpr int kNoLibrary = 255;  ///< pacman's exit code when libalpm cannot be set up

std::string with_slash(std::string path) {
    if (path.empty() || path.back() != '/') path += '/';
    return path;
}

std::string absolute(const std::string& path) {
    return fs::absolute(path).lexically_normal().string();
}

bool is_directory(const std::string& path) {
    std::error_code problem;
    return fs::is_directory(path, problem);
}

/// Symlinks resolved where the directory exists, as libalpm shows it.
std::string real_directory(const std::string& path) {
    const std::unique_ptr<char, decltype(&std::free)> real(::realpath(path.c_str(), nullptr), &std::free);
    return with_slash(real ? real.get() : absolute(path));
}

PacmanConfig read_config(const std::string& path, ConfigUser user = ConfigUser::pacman) {
    errno = 0;
    struct stat status {};
    const bool there = ::stat(path.c_str(), &status) == 0;
    if (there) {
        std::ifstream file(path);
        if (file) return parse_pacman_config(path, "/etc/apt", user);
    }
    throw Usage(fmt::format("error: config file {} could not be read: {}", printable(path),
                            std::strerror(errno != 0 ? errno : EACCES)));
}

/// Paths as the options and the configuration have them, before they are made absolute.
class Finder {
 public:
    explicit Finder(const Options& options) : options_(options) {}
    [[nodiscard]] Places find();

 private:
    /// A path inside of --sysroot, when there is one.
    /// A path inside of --sysroot, when there is one.
    [[nodiscard]] std::string inside(const std::string& path) const {
        return options_.sysroot ? with_slash(*options_.sysroot) + path : path;
    }
    [[nodiscard]] std::string place(const std::optional<std::string>& given, const std::string& configured,
                                    const std::string& usual) const {
        if (given) return absolute(inside(*given));
        if (!configured.empty()) return absolute(inside(configured));
        return absolute(usual);
    }
    /// Both, those of the command line first.
    [[nodiscard]] std::vector<std::string> places(const std::vector<std::string>& given,
                                                  const std::vector<std::string>& configured,
                                                  const std::string& usual) const {
        std::vector<std::string> all;
        for (const auto* some : {&given, &configured}) {
            for (const std::string& one : *some)
                all.push_back(with_slash(absolute(inside(one))));
        }
        if (all.empty()) all.push_back(with_slash(absolute(usual)));
        return all;
    }
    void check(const Places& places) const;

    const Options& options_;
};

/// libalpm wants both to be there; pacman names them as they were given.
void Finder::check(const Places& places) const {
    if (is_directory(places.root) && is_directory(places.database)) return;
    const PacmanPlaces& configured = places.settings.places;
    const std::string root = options_.root.value_or(configured.root.empty() ? places.root : configured.root);
    const std::string usual = configured.database.empty() ? root + "/var/lib/pacman/" : configured.database;
    throw Usage(
        fmt::format("error: failed to initialize alpm library:\n(root: {}, dbpath: {})\n{}", printable(root),
                    printable(options_.database.value_or(usual)), "could not find or read directory"),
        kNoLibrary);
}

Places Finder::find() {
    const bool named = options_.root || options_.sysroot;
    if (!named && !options_.config) {
        throw Usage(
            "error: no root was named, and this machine's own is not changed by accident\n"
            "hint: --root DIR is a directory ('--root /' is this machine), --container NAME a container");
    }
    Places found;
    found.config = inside(options_.config.value_or("/etc/pacman.conf"));
    found.settings = read_config(found.config);
    const PacmanPlaces& configured = found.settings.places;
    if (!named && configured.root.empty()) {
        throw Usage(
            fmt::format("error: no root was named, and {} has no RootDir\n"
                        "hint: --root DIR is a directory, --container NAME a container",
                        printable(found.config)));
    }
    found.root = real_directory(place(options_.root, configured.root, inside("/")));
    found.database =
        real_directory(place(options_.database, configured.database, found.root + "var/lib/pacman"));
    found.log_file = place(options_.log_file, configured.log_file, found.root + "var/log/pacman.log");
    found.gnupg_dir =
        with_slash(place(options_.gnupg_dir, configured.gnupg_dir, found.root + "etc/pacman.d/gnupg"));
    found.cache_dirs =
        places(options_.cache_dirs, configured.cache_dirs, found.root + "var/cache/pacman/pkg");
    found.hook_dirs = places(options_.hook_dirs, configured.hook_dirs, found.root + "etc/pacman.d/hooks");
    if (!options_.architectures.empty()) found.settings.architectures = options_.architectures;
    check(found);
    return found;
}

}  // namespace

Places find_places(const Options& options) {
    return Finder(options).find();
}

Places container_places(const Options& options, PacmanView view) {
    Places places;
    places.container = options.container.value();
    places.root = with_slash(view.root);
    places.database = with_slash(view.database);
    places.config = options.config ? absolute(*options.config) : view.config;
    places.settings = read_config(places.config, ConfigUser::containers);
    if (!options.architectures.empty()) places.settings.architectures = options.architectures;
    places.log_file = view.log_file;
    places.gnupg_dir = with_slash(view.gnupg_dir);
    places.cache_dirs = {with_slash(view.cache)};
    places.hook_dirs = {places.root + "etc/pacman.d/hooks/"};
    places.installed_anywhere = std::move(view.installed_anywhere);
    places.hold = std::move(view.hold);
    return places;
}

}  // namespace pwstore::cli::pacman
