// SPDX-License-Identifier: GPL-3.0-or-later
#include "mount/permission/module.hpp"

namespace pwstore::permission {

namespace {

Check check(const Sink&, const PermissionModule&) {
    return Check::pass();
}
void add(Sink&, const PermissionModule&) {}

}  // namespace

const PermissionEntry kNone{"none", check, add};

}  // namespace pwstore::permission
