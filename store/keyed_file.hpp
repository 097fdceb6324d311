// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace pwstore {

// Files that are sets of records, to which several packages add: users and groups, alternatives, diversions,
// debconf's answers. Where two containers have each changed such a file, the changes of both hold.

/// `path` is one of them: passwd, group, shadow, gshadow, subuid, subgid, shells and ca-certificates.conf
/// below etc/; alternatives/, diversions and statoverride below var/lib/dpkg/; *.dat of debconf.
[[nodiscard]] bool is_keyed_file(std::string_view path);

/// Three versions of a file and whose they are.
struct KeyedVersions {
    std::string ancestor;     ///< from which the two others were made
    std::string below;        ///< what one of them made of it
    std::string above;        ///< and the other; wins where both changed one record
    std::string below_owner;  ///< containers, for errors
    std::string above_owner;
};

/// What both have made of the file at `path`: records that either added, changed or removed. Members of one
/// group are united. Pure.
/// @throws Error (refused) naming both when two users or groups would have one id, or one of them two
[[nodiscard]] std::string merge_keyed_file(std::string_view path, const KeyedVersions& versions);

/// A file of var/lib/dpkg/alternatives/ in automatic mode → the symlinks below etc/alternatives/ that go with
/// it, as (path, target); nothing in manual mode or for any other file.
[[nodiscard]] std::vector<std::pair<std::string, std::string>> alternative_links(std::string_view path,
                                                                                 std::string_view text);

}  // namespace pwstore
