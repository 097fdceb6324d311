// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <string>

#include "tests/support/test_dir.hpp"

namespace pwstore::test {

/// A root of one static program: /usr/bin/busybox with a name for every applet that the tests use, /bin and
/// /lib as links into /usr, empty mount points, an /etc with passwd, group and a few files. Empty when this
/// machine has no static busybox.
std::string make_busybox_root(const TestDir& dir, std::string_view name);

#define PWSTORE_BUSYBOX_ROOT(variable, dir, name)                                 \
    const std::string variable = pwstore::test::make_busybox_root((dir), (name)); \
    if ((variable).empty()) PWSTORE_CANNOT_RUN("no static /bin/busybox (package busybox-static)")

}  // namespace pwstore::test
