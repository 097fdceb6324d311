// SPDX-License-Identifier: GPL-3.0-or-later
#include "mount/permission/module.hpp"

namespace pwstore::permission {

namespace {

std::vector<PlacedVolume> placed(const FilesystemModule& module) {
    std::vector<PlacedVolume> volumes;
    for (const Volume& volume : module.volumes) {
        volumes.push_back(
            {volume.path, volume.destination.empty() ? volume.path : volume.destination, volume.writable});
    }
    return volumes;
}

Check check(const Sink&, const FilesystemModule& module) {
    for (const PlacedVolume& volume : placed(module)) {
        for (const std::string& path : {volume.source, volume.destination}) {
            if (!path.starts_with('/')) return Check::abort("'" + path + "' is not an absolute path");
        }
    }
    return check_volumes(placed(module));
}

void add(Sink& sink, const FilesystemModule& module) {
    add_volumes(sink, placed(module));
}

}  // namespace

const FilesystemEntry kToRoot{"to_root", check, add};

}  // namespace pwstore::permission
