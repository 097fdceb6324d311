// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <string>

namespace pwstore::test {

/// Make the store below data directory `data` look as after a restart of the machine: what is marked unsynced
/// carries another boot's mark. No write transaction may be open.
void pretend_reboot(const std::string& data);

}  // namespace pwstore::test
