// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "store/base/fetcher.hpp"
#include "store/download.hpp"

namespace pwstore {

/// A Fetcher over one Downloader: for one thread, with a connection that is kept. A crash or an error leaves
/// at most NAME.part; of an order that continues nothing, only a crash does.
[[nodiscard]] Fetcher make_fetcher(DownloadOptions options);

}  // namespace pwstore
