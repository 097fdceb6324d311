// SPDX-License-Identifier: GPL-3.0-or-later
#include "store/file_fetch.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <memory>
#include <utility>

#include "store/base/error.hpp"
#include "store/base/fd.hpp"
#include "store/base/path_at.hpp"

namespace pwstore {

namespace {

/// When the whole file that is there was made; 0 when nothing can be spared.
int64_t known_time(int directory, const FetchOrder& order) {
    const auto status = order.anew ? std::nullopt : try_stat_at(directory, order.name);
    return status && status->st_size > 0 ? status->st_mtime : 0;
}

Download get_part(Downloader& downloader, const Fd& part, int64_t known, const FetchOrder& order,
                  const FetchProgress& progress) {
    const off_t there = ::lseek(part.get(), 0, SEEK_END);
    if (there < 0) throw Error::from_errno("continue download", order.url);
    if (there == 0)
        return downloader.get(order.url, part.get(), order.limit, {.newer_than = known}, progress);
    try {
        return downloader.get(order.url, part.get(), order.limit, {.offset = static_cast<uint64_t>(there)},
                              progress);
    } catch (const Error& error) {
        if (error.fault() == Fault::interrupted) throw;
    }
    // Not every server can continue a file, and it may be another one by now.
    if (::ftruncate(part.get(), 0) != 0 || ::lseek(part.get(), 0, SEEK_SET) != 0)
        throw Error::from_errno("download anew", order.url);
    return downloader.get(order.url, part.get(), order.limit, {}, progress);
}

bool fetch_file(Downloader& downloader, const FetchOrder& order, const FetchProgress& progress) {
    const std::string part = order.name + ".part";
    const Fd directory = open_at(AT_FDCWD, order.directory, O_RDONLY | O_DIRECTORY);
    if (!order.continues) (void)remove_file(directory.get(), part);
    const Fd file = open_at(directory.get(), part, O_RDWR | O_CREAT | O_NOFOLLOW, 0644);
    Download got;
    try {
        got = get_part(downloader, file, known_time(directory.get(), order), order, progress);
    } catch (const std::exception&) {
        if (!order.continues) (void)remove_file(directory.get(), part);
        throw;
    }
    if (got.outcome != Download::Outcome::fetched) (void)remove_file(directory.get(), part);
    if (got.outcome == Download::Outcome::unchanged) return false;
    if (got.outcome == Download::Outcome::absent) {
        const std::string status = got.status == 0 ? "" : fmt::format(" (HTTP {})", got.status);
        throw Error("download", order.url, "the server has no such file" + status);
    }
    if (got.time > 0) {
        const timespec times[] = {{.tv_sec = got.time, .tv_nsec = 0}, {.tv_sec = got.time, .tv_nsec = 0}};
        (void)::futimens(file.get(), times);
    }
    if (::renameat(directory.get(), part.c_str(), directory.get(), order.name.c_str()) != 0)
        throw Error::from_errno("keep what was downloaded", order.directory + "/" + order.name);
    return true;
}

}  // namespace

Fetcher make_fetcher(DownloadOptions options) {
    return [downloader = std::make_shared<Downloader>(std::move(options))](const FetchOrder& order,
                                                                           const FetchProgress& progress) {
        return fetch_file(*downloader, order, progress);
    };
}

}  // namespace pwstore
