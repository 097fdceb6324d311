// SPDX-License-Identifier: GPL-3.0-or-later
#include <fcntl.h>

#include <algorithm>

#include "mount/permission/module.hpp"
#include "store/base/path_at.hpp"

namespace pwstore::permission {

namespace {

constexpr const char* kNvidiaModule = "/sys/module/nvidia";

std::vector<std::string> devices() {
    std::vector<std::string> found;
    const Fd directory = open_dir(AT_FDCWD, "/dev");
    for (const DirectoryItem& item : list_directory(directory.get())) {
        if (item.name == "dri" || item.name.starts_with("nvidia")) found.push_back("/dev/" + item.name);
    }
    return found;
}

bool is_nvidia(const std::string& device) {
    return device.starts_with("/dev/nvidia");
}

Check check(const Sink&, const PermissionModule&) {
    return devices().empty() ? Check::abort("this machine has no graphics device (/dev/dri, /dev/nvidia*)")
                             : Check::pass();
}

void add(Sink& sink, const PermissionModule&) {
    sink.depend_on_host();
    const auto found = devices();
    for (const std::string& device : found)
        sink.add(MountOp::Kind::bind_dev, device, device, 0755, true);
    if (!std::any_of(found.begin(), found.end(), is_nvidia)) return;
    if (path_exists(kNvidiaModule)) {
        sink.add(MountOp::Kind::bind_ro, kNvidiaModule, kNvidiaModule, 0755, true);
    } else {
        sink.warn(std::string(kNvidiaModule) + " does not exist");
    }
}

}  // namespace

const PermissionEntry kGpu{"gpu", check, add};

}  // namespace pwstore::permission
