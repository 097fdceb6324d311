// SPDX-License-Identifier: GPL-3.0-or-later
#include <fcntl.h>

#include "mount/permission/module.hpp"
#include "store/base/path_at.hpp"

namespace pwstore::permission {

namespace {

constexpr const char* kResolver = "/etc/resolv.conf";

Check check(const Sink&, const PermissionModule&) {
    return Check::pass();
}

void add(Sink& sink, const PermissionModule&) {
    sink.share_network();
    if (!path_exists(kResolver)) {
        sink.warn("this machine has no /etc/resolv.conf: names will not be resolved");
    } else if (!exists_at(AT_FDCWD, sink.root() + kResolver) &&
               sink.request.root.kind == RootMount::Kind::read_only) {
        sink.warn("the root has no /etc/resolv.conf to put this machine's on: names will not be resolved");
    } else {
        sink.add(MountOp::Kind::bind_ro, kResolver, kResolver, 0755, true);
    }
}

}  // namespace

const PermissionEntry kNet{"net", check, add};

}  // namespace pwstore::permission
