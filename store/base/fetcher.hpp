// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <cstdint>
#include <functional>
#include <limits>
#include <string>

namespace pwstore {

/// A file of a server that is to be in a directory.
struct FetchOrder {
    std::string url;
    std::string directory;  ///< exists
    std::string name;       ///< there
    /// Without it, a file that is there is fetched only when the server has a newer one.
    bool anew = false;
    /// What an earlier call left in NAME.part is continued: somebody checks the whole afterwards.
    bool continues = false;
    uint64_t limit = std::numeric_limits<uint64_t>::max();  ///< in bytes
};

/// `done` of `total` bytes; total 0 = not known.
using FetchProgress = std::function<void(uint64_t done, uint64_t total)>;

/// Carries an order out: the file comes into its place whole and with the server's time. Returns whether it
/// came now; false: the server has no newer one. @throws Error, also when the server has no such file
using Fetcher = std::function<bool(const FetchOrder& order, const FetchProgress& progress)>;

}  // namespace pwstore
