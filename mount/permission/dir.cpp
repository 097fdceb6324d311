// SPDX-License-Identifier: GPL-3.0-or-later
#include "mount/permission/module.hpp"

namespace pwstore::permission {

namespace {

Check check(const Sink&, const FilesystemModule& module) {
    if (module.paths.empty()) return Check::abort("no path is named");
    for (const std::string& path : module.paths) {
        if (!path.starts_with('/') || !is_plain_path(path))
            return Check::abort("'" + path + "' is not an absolute path");
    }
    return Check::pass();
}

void add(Sink& sink, const FilesystemModule& module) {
    for (const std::string& path : module.paths)
        sink.add(MountOp::Kind::directory, "", path);
}

}  // namespace

const FilesystemEntry kDir{"dir", check, add};

}  // namespace pwstore::permission
