// SPDX-License-Identifier: GPL-3.0-or-later
#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <utility>

#include "resolver/pacman_words_internal.hpp"
#include "resolver/transfers_internal.hpp"
#include "store/base/error.hpp"
#include "store/base/path_at.hpp"

namespace pwstore {

namespace {

// libalpm's own.
constexpr uint64_t kDatabaseLimit = 128U << 20U;
constexpr uint64_t kSignatureLimit = 16U << 10U;

std::string name_in(const std::string& url) {
    const std::string path = url.substr(0, url.find_first_of("?#"));
    std::string name = path.substr(path.rfind('/') + 1);
    if (name.empty() || name == "." || name == "..")
        throw Error("download", url, "it names no file").as(Fault::usage);
    return name;
}

bool is_signature(const std::string& name) {
    return name.ends_with(".sig");
}

}  // namespace

Transfers::Transfers(const SessionSpec& spec, Conversation& conversation)
    : spec_(spec), conversation_(conversation) {
    if (const std::string& text = spec.config.places.xfer_command; !text.empty()) {
        command_.emplace(text);
    } else if (!alpm::downloads_itself()) {
        fetcher_ = spec.fetcher;
    }
}

void Transfers::attach(alpm_handle_t* handle) {
    handle_ = handle;
    if (!command_ && !fetcher_) return;
    alpm_option_set_fetchcb(
        handle,
        [](void* context, const char* url, const char* directory, int anew) {
            return static_cast<Transfers*>(context)->called(url, directory, anew != 0);
        },
        this);
}

/// As libalpm wants it: -1 failed.
int Transfers::called(const std::string& url, const std::string& told, bool anew) noexcept {
    if (conversation_.has_exception()) return -1;
    try {
        const auto [directory, fetched] = alpm::fetch_place(told);
        if (command_ && !by_command(url, directory, anew)) return -1;
        if (!command_) by_fetcher(url, directory, anew);
        return fetched;
    } catch (const Error& error) {
        if (error.fault() == Fault::interrupted) {
            conversation_.keep_exception();
        } else if (command_) {
            conversation_.note(error.what());
        } else {
            failed(url, error.what());
        }
    } catch (...) {
        conversation_.keep_exception();
    }
    return -1;
}

bool Transfers::by_command(const std::string& url, const std::string& directory, bool anew) {
    const auto how = anew ? XferCommand::Anew::yes : XferCommand::Anew::no;
    conversation_.sink().progress("download", url.substr(url.rfind('/') + 1), 0, 0);
    if (!command_->fetch(url, directory, how)) return false;
    if (!alpm::asks_for_signatures() && requires_signatures_ && !is_signature(url))
        (void)command_->fetch(url + ".sig", directory, how);
    return true;
}

void Transfers::by_fetcher(const std::string& url, const std::string& directory, bool anew) {
    const std::string name = name_in(url);
    const bool is_shown = !is_signature(name);
    uint64_t size = 0;
    const auto shown = [&](uint64_t done, uint64_t total) {
        size = done;
        if (is_shown) conversation_.download_progresses(name, done, total);
    };
    // Packages are compared with the database afterwards; what else there is has to be of one piece.
    const bool is_package = is_shown && name.find(".pkg.") != std::string::npos;
    (void)fetcher_({.url = url,
                    .directory = directory,
                    .name = name,
                    .anew = anew,
                    .continues = is_package,
                    .limit = limit_of(name)},
                   shown);
    if (is_shown) conversation_.download_ended(name, size);
}

uint64_t Transfers::limit_of(const std::string& name) const {
    if (is_signature(name)) return kSignatureLimit;
    for (alpm_pkg_t* package : alpm::each<alpm_pkg_t>(alpm_trans_get_add(handle_))) {
        if (name == alpm::text(alpm_pkg_get_filename(package)) && alpm_pkg_get_size(package) > 0)
            return static_cast<uint64_t>(alpm_pkg_get_size(package));
    }
    return name.find(".pkg.") == std::string::npos ? kDatabaseLimit : FetchOrder().limit;
}

/// Of signatures libalpm knows whether they may be missing.
void Transfers::failed(const std::string& url, const std::string& cause) {
    const std::string text =
        conversation_.speaks_as_pacman() ? pacman_words::failed_download(url, cause) : cause;
    if (is_signature(url)) {
        missing_signature_ = text;
    } else {
        conversation_.error(text);
    }
}

alpm_errno_t Transfers::meant(alpm_errno_t code) const noexcept {
    return fetcher_ && code == ALPM_ERR_EXTERNAL_DOWNLOAD ? ALPM_ERR_RETRIEVE : code;
}

void Transfers::tell_missing_signature() {
    if (!missing_signature_.empty()) conversation_.error(std::exchange(missing_signature_, {}));
}

std::optional<std::vector<std::string>> Transfers::archives(const std::vector<std::string>& urls, int level) {
    if (!fetcher_) return std::nullopt;
    const auto found =
        std::find_if(spec_.cache_dirs.begin(), spec_.cache_dirs.end(),
                     [](const std::string& path) { return ::access(path.c_str(), W_OK | X_OK) == 0; });
    if (found == spec_.cache_dirs.end()) throw Error("use package cache", "", "none of them is writable");
    std::vector<std::string> paths;
    for (const std::string& url : urls) {
        const bool has_signature = (level & ALPM_SIG_PACKAGE) != 0;
        const std::string path = *found + "/" + name_in(url);
        paths.push_back(path);
        if (exists_at(AT_FDCWD, path) && (!has_signature || exists_at(AT_FDCWD, path + ".sig"))) continue;
        by_fetcher(url, *found, false);
        if (!has_signature) continue;
        try {
            by_fetcher(url + ".sig", *found, false);
        } catch (const Error& error) {
            if ((level & ALPM_SIG_PACKAGE_OPTIONAL) == 0 || error.fault() == Fault::interrupted) throw;
        }
    }
    return paths;
}

}  // namespace pwstore
