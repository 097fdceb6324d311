// SPDX-License-Identifier: GPL-3.0-or-later
#include "mount/permission/module.hpp"

namespace pwstore::permission {

namespace {

std::vector<PlacedVolume> placed(const Sink& sink, const FilesystemModule& module) {
    const std::string home = sink.host.variable("HOME").value_or("");
    std::vector<PlacedVolume> volumes;
    for (const Volume& volume : module.volumes) {
        const std::string& inside = volume.destination.empty() ? volume.path : volume.destination;
        volumes.push_back({home + "/" + volume.path, sink.home_inside() + "/" + inside, volume.writable});
    }
    return volumes;
}

Check check(const Sink& sink, const FilesystemModule& module) {
    if (!sink.host.variable("HOME")) return Check::abort("HOME is not set");
    return check_volumes(placed(sink, module));
}

void add(Sink& sink, const FilesystemModule& module) {
    add_volumes(sink, placed(sink, module));
}

}  // namespace

const FilesystemEntry kToHome{"to_home", check, add};

}  // namespace pwstore::permission
