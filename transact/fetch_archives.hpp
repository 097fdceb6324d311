// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <vector>

#include "store/base/events.hpp"
#include "store/manifest.hpp"
#include "store/store.hpp"

namespace pwstore {

/// Bring the archives that `packages` were read from into the package cache again, as far as a repository has
/// one of that name, version and SHA-256 (as far as it names one). What cannot be had is a message to `sink`.
/// True when any may have come. Databases are used as they are. Lock: none of the store's; that of downloads.
bool fetch_archives(const Store& store, const std::vector<Manifest>& packages, ProgressSink& sink);

}  // namespace pwstore
