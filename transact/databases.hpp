// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "resolver/session.hpp"
#include "store/layout.hpp"

namespace pwstore {

/// What a session downloads with where libalpm cannot; it ends when the user interrupts.
[[nodiscard]] Fetcher fetcher_for(const PacmanConfig& config);

/// -Sy: bring every sync database of `spec.config` up to date, those of Debian packages as well, which are
/// made here. `force` = -yy. Lock: of the shared sync directory the caller holds the lock.
/// @throws Error as Session::refresh() and refresh_deb_repository()
bool refresh_databases(const Layout& layout, const SessionSpec& spec, bool force, ProgressSink& sink);

/// Download and convert the Debian packages that `plans` bring, so that libalpm finds them in the package
/// cache. @throws Error as fetch_deb_packages()
void fetch_debian_packages(const Layout& layout, const PacmanConfig& config,
                           const std::vector<const Plan*>& plans, ProgressSink& sink);

}  // namespace pwstore
