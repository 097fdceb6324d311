// SPDX-License-Identifier: GPL-3.0-or-later
#include "mount/permission/module.hpp"

namespace pwstore::permission {

namespace {

/// $PWSTORE_HOME names another directory for one run.
std::string source(const Sink& sink) {
    return sink.host.variable("PWSTORE_HOME")
        .value_or(sink.layout.path(std::string(names::kHome) + "/" + sink.request.container.str()));
}

Check check(const Sink& sink, const FilesystemModule&) {
    if (path_exists(source(sink))) return Check::pass();
    return Check::abort("the home directory '" + source(sink) + "' does not exist");
}

void add(Sink& sink, const FilesystemModule&) {
    if (sink.host.variable("PWSTORE_HOME")) sink.depend_on_host();
    sink.add(MountOp::Kind::bind_rw, source(sink), sink.home_inside());
}

}  // namespace

const FilesystemEntry kHome{"home", check, add};

}  // namespace pwstore::permission
