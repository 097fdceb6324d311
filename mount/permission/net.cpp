// SPDX-License-Identifier: GPL-3.0-or-later
#include <fcntl.h>

#include "mount/permission/module.hpp"
#include "store/base/names.hpp"
#include "store/base/path_at.hpp"

namespace pwstore::permission {

namespace {

Check check(const Sink&, const PermissionModule&) {
    return Check::pass();
}

void add(Sink& sink, const PermissionModule&) {
    sink.share_network();
    const std::string resolver = std::string("/") + names::kResolver;
    if (!exists_at(AT_FDCWD, sink.root() + resolver)) {
        const std::string name = sink.request.container.str();
        sink.warn(
            "the root was made without /etc/resolv.conf, names will not be resolved: 'pwstore rebuild " +
            name + "' adds it");
        return;
    }
    sink.add(MountOp::Kind::bind_ro, resolver, resolver, 0755, true);
}

}  // namespace

const PermissionEntry kNet{"net", check, add};

}  // namespace pwstore::permission
