// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <optional>

#include "store/base/error.hpp"
#include "store/layout.hpp"

namespace pwstore {

/// Of a data directory without an index (none, or an empty file): that it was lost, because objects or roots
/// are there; nullopt where the store is new. A new index would call all of them garbage.
[[nodiscard]] std::optional<Error> lost_index(const Directories& directories);

/// The same of an index that is older than what is on the disk, `what` being the proof.
[[nodiscard]] Error older_index(const Directories& directories, const std::string& what);

}  // namespace pwstore
