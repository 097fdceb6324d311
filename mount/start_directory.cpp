// SPDX-License-Identifier: GPL-3.0-or-later
#include "mount/start_directory.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <climits>
#include <cstdlib>
#include <vector>

#include "mount/sandbox_view.hpp"
#include "store/base/path_at.hpp"

namespace pwstore {

namespace {

bool is_same(const struct stat& a, const struct stat& b) {
    return a.st_dev == b.st_dev && a.st_ino == b.st_ino;
}

std::string current_path() {
    std::string path(PATH_MAX, '\0');
    // A directory that cannot be reached from "/" has no path that starts with it.
    if (::getcwd(path.data(), path.size()) == nullptr || path.front() != '/') return "";
    path.resize(path.find('\0'));
    return path;
}

/// Whether the sandbox has `there` at `path`.
bool shows(const SandboxView& view, const std::string& path, const struct stat& there) {
    Place place;
    return view.walk(path, place) == Walk::arrived && is_same(stat_fd(place.fd.get(), path), there);
}

/// `path` as the volume that shows it or the nearest directory above it calls it.
std::optional<std::string> place_in_volume(const SandboxSpec& spec, const BindSources& sources,
                                           const SandboxView& view, const std::string& path,
                                           const struct stat& there) {
    std::string top = path;
    std::string rest;
    while (top.size() > 1) {
        struct stat status {};
        if (::stat(top.c_str(), &status) != 0) return std::nullopt;
        for (size_t i = 0; i < sources.mounts.size(); ++i) {
            if (!sources.mounts[i] || !is_same(stat_fd(sources.mounts[i].get(), top), status)) continue;
            std::string inside = spec.mounts[i].destination + rest;
            if (shows(view, inside, there)) return inside;
        }
        const size_t slash = top.rfind('/');
        rest.insert(0, top, slash, std::string::npos);
        top.resize(slash);
    }
    return std::nullopt;
}

}  // namespace

StartDirectory find_start_directory(const SandboxSpec& spec, const BindSources& sources) {
    StartDirectory start{std::nullopt, current_path()};
    struct stat here {};
    if (start.outside.empty() || ::stat(".", &here) != 0) return start;
    const SandboxView view(spec, sources);
    // A shell's own name for it may lead through links.
    const char* variable = std::getenv("PWD");
    if (variable != nullptr && *variable == '/') {
        struct stat named {};
        if (::stat(variable, &named) == 0 && is_same(named, here) && shows(view, variable, here)) {
            start.inside = variable;
            return start;
        }
    }
    if (shows(view, start.outside, here)) {
        start.inside = start.outside;
    } else {
        start.inside = place_in_volume(spec, sources, view, start.outside, here);
    }
    return start;
}

}  // namespace pwstore
