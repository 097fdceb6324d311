// SPDX-License-Identifier: GPL-3.0-or-later
#include "resolver/library.hpp"

#include <fmt/format.h>

#include "resolver/alpm_compat.hpp"

namespace pwstore {

std::string describe_library() {
    const char* downloads = alpm::downloads_itself() ? "downloads itself" : "pwstore downloads, it may not";
    const char* sandbox = !alpm::has_download_sandbox() ? "it has no sandbox for that"
                          : ::geteuid() == 0 ? "in the sandbox of DownloadUser where pacman.conf names one"
                                             : "without pacman's sandbox, which only root can set up";
    return fmt::format("libalpm {} (tried: 13, 15, 16); {}, {}", alpm_version(), downloads, sandbox);
}

}  // namespace pwstore
