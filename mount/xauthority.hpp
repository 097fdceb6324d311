// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <string>
#include <string_view>

namespace pwstore {

/// What of an X authority file is for display `number` of this machine, `host`, made to be for any machine:
/// libXau looks for the host name that it sees, which inside is another one. Empty when there is nothing, or
/// it is no such file.
[[nodiscard]] std::string cookies_for_any_host(std::string_view authority, std::string_view host,
                                               std::string_view number);

}  // namespace pwstore
