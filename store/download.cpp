// SPDX-License-Identifier: GPL-3.0-or-later
#include "store/download.hpp"

#include <curl/curl.h>
#include <fmt/format.h>

#include <array>
#include <exception>
#include <string_view>
#include <utility>

#include "store/base/error.hpp"
#include "store/base/path_at.hpp"

namespace pwstore {

namespace {

constexpr long kConnectSeconds = 30;
constexpr long kSilentSeconds = 30;
constexpr long kRedirects = 8;

void initialise_once() {
    static const CURLcode result = ::curl_global_init(CURL_GLOBAL_DEFAULT);
    if (result != CURLE_OK) throw Error("start libcurl", "", ::curl_easy_strerror(result));
}

/// What one transfer has to know in libcurl's callbacks, which must not throw.
struct Transfer {
    CURL* handle;
    const std::function<void(std::string_view)>& take;
    const FetchProgress& progress;
    const std::function<bool()>& stopped;
    uint64_t limit;
    uint64_t begin;  ///< bytes that were there before
    uint64_t done = begin;
    bool too_long = false;
    bool interrupted = false;
    std::exception_ptr thrown = {};

    [[nodiscard]] uint64_t total() const {
        curl_off_t length = -1;
        ::curl_easy_getinfo(handle, CURLINFO_CONTENT_LENGTH_DOWNLOAD_T, &length);
        return length < 0 ? 0 : begin + static_cast<uint64_t>(length);
    }
};

size_t on_bytes(char* bytes, size_t size, size_t count, void* context) {
    Transfer& transfer = *static_cast<Transfer*>(context);
    const size_t length = size * count;
    if (transfer.done > transfer.limit || length > transfer.limit - transfer.done) {
        transfer.too_long = true;
        return 0;
    }
    try {
        transfer.take({bytes, length});
        transfer.done += length;
        if (transfer.progress) transfer.progress(transfer.done, transfer.total());
    } catch (...) {
        transfer.thrown = std::current_exception();
        return 0;
    }
    return length;
}

int on_tick(void* context, curl_off_t, curl_off_t, curl_off_t, curl_off_t) {
    Transfer& transfer = *static_cast<Transfer*>(context);
    try {
        if (transfer.stopped && transfer.stopped()) transfer.interrupted = true;
    } catch (...) {
        transfer.thrown = std::current_exception();
    }
    return transfer.interrupted || transfer.thrown ? 1 : 0;
}

template <typename Value>
void set(CURL* handle, CURLoption option, Value value) {
    if (const CURLcode result = ::curl_easy_setopt(handle, option, value); result != CURLE_OK)
        throw Error("set up libcurl", "", ::curl_easy_strerror(result));
}

}  // namespace

struct Downloader::State {
    DownloadOptions options;
    std::array<char, CURL_ERROR_SIZE> said{};
    std::unique_ptr<CURL, void (*)(CURL*)> handle{nullptr, ::curl_easy_cleanup};

    Download get(const std::string& url, uint64_t limit, const DownloadFrom& from,
                 const FetchProgress& progress, const std::function<void(std::string_view)>& take);
};

Downloader::Downloader(DownloadOptions options) : state_(std::make_unique<State>()) {
    initialise_once();
    state_->options = std::move(options);
    state_->handle.reset(::curl_easy_init());
    CURL* const handle = state_->handle.get();
    if (handle == nullptr) throw Error("start libcurl", "", "there is no memory for it");
    set(handle, CURLOPT_ERRORBUFFER, state_->said.data());
    set(handle, CURLOPT_NOSIGNAL, 1L);
    set(handle, CURLOPT_FAILONERROR, 1L);
    set(handle, CURLOPT_FOLLOWLOCATION, 1L);
    set(handle, CURLOPT_MAXREDIRS, kRedirects);
    set(handle, CURLOPT_USERAGENT, "pwstore");
    set(handle, CURLOPT_NOPROGRESS, 0L);
    set(handle, CURLOPT_FILETIME, 1L);
    set(handle, CURLOPT_NETRC, static_cast<long>(CURL_NETRC_OPTIONAL));
    set(handle, CURLOPT_WRITEFUNCTION, &on_bytes);
    set(handle, CURLOPT_XFERINFOFUNCTION, &on_tick);
    set(handle, CURLOPT_CONNECTTIMEOUT, kConnectSeconds);
    if (state_->options.has_timeouts) {
        set(handle, CURLOPT_LOW_SPEED_LIMIT, 1L);
        set(handle, CURLOPT_LOW_SPEED_TIME, kSilentSeconds);
    }
}

Downloader::~Downloader() = default;

Download Downloader::State::get(const std::string& url, uint64_t limit, const DownloadFrom& from,
                                const FetchProgress& progress,
                                const std::function<void(std::string_view)>& take) {
    Transfer transfer{.handle = handle.get(),
                      .take = take,
                      .progress = progress,
                      .stopped = options.stopped,
                      .limit = limit,
                      .begin = from.offset};
    set(handle.get(), CURLOPT_URL, url.c_str());
    set(handle.get(), CURLOPT_WRITEDATA, &transfer);
    set(handle.get(), CURLOPT_XFERINFODATA, &transfer);
    set(handle.get(), CURLOPT_RESUME_FROM_LARGE, static_cast<curl_off_t>(from.offset));
    set(handle.get(), CURLOPT_TIMECONDITION,
        static_cast<long>(from.newer_than > 0 ? CURL_TIMECOND_IFMODSINCE : CURL_TIMECOND_NONE));
    set(handle.get(), CURLOPT_TIMEVALUE_LARGE, static_cast<curl_off_t>(from.newer_than));
    said.front() = '\0';
    const CURLcode result = ::curl_easy_perform(handle.get());
    if (transfer.thrown) std::rethrow_exception(transfer.thrown);
    if (transfer.interrupted) throw Error("download", url, "it was interrupted").as(Fault::interrupted);
    if (transfer.too_long) {
        throw Error("download", url, fmt::format("it is longer than the {} bytes it may have", limit))
            .as(Fault::corrupt);
    }
    long status = 0;
    ::curl_easy_getinfo(handle.get(), CURLINFO_RESPONSE_CODE, &status);
    if (result == CURLE_OK) {
        long is_old = 0;
        curl_off_t time = -1;
        ::curl_easy_getinfo(handle.get(), CURLINFO_CONDITION_UNMET, &is_old);
        ::curl_easy_getinfo(handle.get(), CURLINFO_FILETIME_T, &time);
        return {.outcome = is_old != 0 ? Download::Outcome::unchanged : Download::Outcome::fetched,
                .status = status,
                .time = time < 0 ? 0 : time};
    }
    if (result == CURLE_FILE_COULDNT_READ_FILE ||
        (result == CURLE_HTTP_RETURNED_ERROR && (status == 404 || status == 410)))
        return {.outcome = Download::Outcome::absent, .status = status};
    throw Error("download", url,
                printable(said.front() != '\0' ? said.data() : ::curl_easy_strerror(result)));
}

bool Downloader::try_get(const std::string& url, int into, uint64_t limit, const Progress& progress) {
    const FetchProgress counted = [&](uint64_t done, uint64_t) {
        if (progress) progress(done);
    };
    return get(url, into, limit, {}, counted).outcome != Download::Outcome::absent;
}

Download Downloader::get(const std::string& url, int into, uint64_t limit, const DownloadFrom& from,
                         const FetchProgress& progress) {
    return state_->get(url, limit, from, progress,
                       [&](std::string_view bytes) { write_all(into, bytes, url); });
}

bool Downloader::try_get(const std::string& url, std::string& into, uint64_t limit) {
    return state_->get(url, limit, {}, {}, [&](std::string_view bytes) { into += bytes; }).outcome !=
           Download::Outcome::absent;
}

namespace {

/// As apt does it: "+" and "~" too, because some servers (S3) read "+" as a blank.
std::string with_percents(std::string_view path, std::string_view kept) {
    std::string text;
    for (const char c : path) {
        const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                           kept.find(c) != std::string_view::npos;
        if (plain) {
            text += c;
        } else {
            text += fmt::format("%{:02x}", static_cast<unsigned char>(c));
        }
    }
    return text;
}

}  // namespace

std::string url_below(std::string_view server, std::string_view path) {
    while (!server.empty() && server.back() == '/')
        server.remove_suffix(1);
    const size_t scheme = server.find("://");
    const size_t root = server.find('/', scheme == std::string_view::npos ? 0 : scheme + 3);
    const std::string_view place = root == std::string_view::npos ? "" : server.substr(root);
    return fmt::format("{}{}/{}", server.substr(0, root), with_percents(place, "-._/:=@,%?&;$!*'()"),
                       with_percents(path, "-._/:=@,"));
}

}  // namespace pwstore
