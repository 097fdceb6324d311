// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "store/base/fetcher.hpp"

namespace pwstore {

struct DownloadOptions {
    bool has_timeouts = true;            ///< give up on a server that says nothing for half a minute
    std::function<bool()> stopped = {};  ///< asked again and again; true ends a download at once
};

/// What is there of a file already.
struct DownloadFrom {
    uint64_t offset = 0;     ///< bytes that are there
    int64_t newer_than = 0;  ///< of a whole one, seconds since 1970: only what is newer is wanted
};

struct Download {
    enum class Outcome : uint8_t { fetched, unchanged, absent };
    Outcome outcome = Outcome::fetched;
    long status = 0;   ///< of HTTP; 0 = of another protocol
    int64_t time = 0;  ///< that the server gives the file; 0 = none
};

/// Gets files from http, https and file servers, one at a time; a connection is used again for the next file
/// of the same server. Proxies are those of the environment. One object is for one thread.
class Downloader {
 public:
    explicit Downloader(DownloadOptions options);
    Downloader(const Downloader&) = delete;
    Downloader& operator=(const Downloader&) = delete;
    ~Downloader();

    /// Bytes that have come so far.
    using Progress = std::function<void(uint64_t done)>;

    /// Append what `url` names to `into`. Returns false when the server says that there is no such file.
    /// @param limit in bytes; a longer file is an error as soon as that is known
    /// @throws Error (failure) for a server that cannot be reached or closes early, (corrupt) beyond the
    /// limit, (interrupted) when stopped
    [[nodiscard]] bool try_get(const std::string& url, int into, uint64_t limit,
                               const Progress& progress = {});
    /// Append to `into` what is still missing there.
    /// @throws Error as try_get()
    [[nodiscard]] Download get(const std::string& url, int into, uint64_t limit, const DownloadFrom& from,
                               const FetchProgress& progress = {});
    /// The whole file in memory.
    [[nodiscard]] bool try_get(const std::string& url, std::string& into, uint64_t limit);

 private:
    struct State;
    std::unique_ptr<State> state_;
};

/// "https://server/debian/" and "dists/x" → "https://server/debian/dists/x"; bytes that a URL cannot carry,
/// and
/// "+" and "~", become %nn, those of a server that is written with %nn already excepted.
[[nodiscard]] std::string url_below(std::string_view server, std::string_view path);

}  // namespace pwstore
