// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "mount/sandbox_spec.hpp"

namespace pwstore {

/// Make sure that every destination of `spec` can be mounted on, and that it is where it says: symlinks of
/// the root in a destination are resolved inside the root and written out; a directory of a read-only root
/// that is empty gets a directory in memory when a mount point has to be made below it.
/// @throws Error (usage) naming the destination and the remedy
void settle_mount_points(SandboxSpec& spec);

}  // namespace pwstore
