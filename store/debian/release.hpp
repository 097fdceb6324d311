// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "store/digest.hpp"

namespace pwstore {

/// What a Release file of a Debian archive says, as far as it is used.
struct DebRelease {
    struct File {
        uint64_t size = 0;
        Sha256 sha256;
    };
    std::string suite, codename;
    int64_t date = 0;                        ///< seconds; 0 = it says nothing
    int64_t valid_until = 0;                 ///< 0 = for ever
    bool has_by_hash = false;                ///< files can be had by their digests
    bool has_packages_of_all = false;        ///< an index of its own for architecture "all"
    std::vector<std::string> components;     ///< as it names them
    std::map<std::string, File> files = {};  ///< by path below the suite: "main/binary-amd64/Packages.xz"
};

/// @throws Error (corrupt) without a list of SHA-256 digests, or for a line of it that cannot be read
[[nodiscard]] DebRelease parse_deb_release(std::string_view text, std::string_view path_for_errors);

/// "Sat, 21 Nov 2026 00:53:02 UTC" → seconds; nullopt for anything else.
[[nodiscard]] std::optional<int64_t> parse_deb_date(std::string_view text);

/// A Release that can be used at `now` for the suite that was asked for, "" for any. @throws Error (corrupt)
/// for one that has expired, is of the future, or is another suite's
void check_deb_release(const DebRelease& release, const std::string& suite, int64_t now,
                       std::string_view path_for_errors);

/// The text that is signed in `message`, an InRelease file, by a key of `keyrings`: gpgv finds at least one
/// good signature and no bad one, made with no digest that can be forged. Nothing around the signed text is
/// returned.
/// @param work an empty directory of ours; files are left in it
/// @throws Error (corrupt) for any other, (usage) for a keyring that is missing, (unsupported) without gpgv
[[nodiscard]] std::string verified_inrelease(const std::string& message,
                                             const std::vector<std::string>& keyrings,
                                             const std::string& work, std::string_view path_for_errors);
/// The same of a Release file and its Release.gpg; returns `text`.
[[nodiscard]] std::string verified_release(const std::string& text, const std::string& signature,
                                           const std::vector<std::string>& keyrings, const std::string& work,
                                           std::string_view path_for_errors);

}  // namespace pwstore
