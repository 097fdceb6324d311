// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <memory>
#include <string>

#include "cli/pacman/options.hpp"
#include "cli/pacman/places.hpp"
#include "cli/pacman/screen.hpp"
#include "resolver/catalogue.hpp"

namespace pwstore::cli::pacman {

/// What a query works with.
struct Query {
    Context& context;
    const Screen& screen;
    const Options& options;
    const Places& places;
    Catalogue& catalogue;
};

/// The databases of `places`, to look at. libalpm's warnings go to `sink`, which outlives it.
[[nodiscard]] std::unique_ptr<Catalogue> open_catalogue(const Options& options, const Places& places,
                                                        ProgressSink& sink);
/// There are repositories, and with `valid` each can be read; otherwise pacman's errors are printed.
[[nodiscard]] bool check_repositories(const Query& query, bool valid);

// Each returns pacman's exit code.
int run_query(const Query& query);       ///< -Q
int run_deptest(const Query& query);     ///< -T
int run_sync_query(const Query& query);  ///< -Ss -Si -Sl -Sg
int run_database(const Query& query);    ///< -D
int run_clean(const Query& query);       ///< -Sc

/// -Qk and -Qkk of one package. Returns whether all is as it should be.
bool check_files(const Query& query, PackageRef package);
bool check_properties(const Query& query, PackageRef package);

}  // namespace pwstore::cli::pacman
