// SPDX-License-Identifier: GPL-3.0-or-later
#include <fcntl.h>

#include "mount/permission/module.hpp"
#include "store/base/path_at.hpp"

namespace pwstore::permission {

namespace {

Check check(const Sink& sink, const FilesystemModule&) {
    if (path_exists(sink.root())) return Check::pass();
    return Check::abort("the root '" + sink.root() + "' does not exist");
}

/// The root itself is part of the spec; what is writable in every sandbox comes here.
void add(Sink& sink, const FilesystemModule&) {
    if (exists_at(AT_FDCWD, sink.root() + "/var/tmp")) sink.add(MountOp::Kind::tmpfs, "", "/var/tmp", 01777);
}

}  // namespace

const FilesystemEntry kRoot{"root", check, add};

}  // namespace pwstore::permission
