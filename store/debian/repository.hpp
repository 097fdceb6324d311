// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "store/base/deb_source.hpp"
#include "store/base/events.hpp"
#include "store/debian/package.hpp"
#include "store/download.hpp"

namespace pwstore {

/// Where repositories of Debian packages work, and how.
struct DebPlaces {
    std::string sync;      ///< directory of the sync databases
    std::string cache;     ///< directory for downloads; made when missing
    std::string packages;  ///< directory where libalpm looks for package files; made when missing
    unsigned parallel_downloads = 5;
    DownloadOptions download = {};
};

/// Bring the sync database NAME.db up to date with `sources`: the Release file of each is fetched and its
/// signature verified, then the Packages indexes that it names by their digests; NAME.db holds the newest
/// version of every package, and the generated ones (deb_generated.hpp). Nothing is written when the Release
/// files are those of the last time, unless `force`. Returns whether the database is a new one. A server that
/// is behind what is here already changes nothing and is a warning. Lock: a file in `places.cache`; of the
/// directory of sync databases the caller holds the lock. Durable: the database is the old or the new one.
/// @param now seconds, for what has expired
/// @throws Error (corrupt) for a wrong signature or digest, an expired Release, a damaged index; (failure)
/// when no server answers
bool refresh_deb_repository(const DebPlaces& places, const std::string& name,
                            const std::vector<DebSource>& sources, bool force, int64_t now,
                            ProgressSink& sink);

/// A package of the sync database that is wanted as a file.
struct DebWanted {
    std::string repository;
    std::string filename;     ///< as the sync database has it
    AlpmRelations relations;  ///< as the sync database has them
};

/// Put each of `wanted` into `places.packages`: its .deb is downloaded, compared with size and SHA-256 of the
/// signed index, and converted, several at a time. What lies there already stays when it was made from the
/// same .deb with the same relations. Lock: a file in `places.cache`. Durable: each file whole or not there.
/// @throws Error (corrupt) for a .deb that is not what the index says, (failure) when no server has it
void fetch_deb_packages(const DebPlaces& places, const std::vector<DebWanted>& wanted, ProgressSink& sink);

}  // namespace pwstore
