// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "store/index/index.hpp"
#include "store/manifest.hpp"
#include "store/object_store.hpp"

namespace pwstore {

// A converted Debian package brings dpkg's records of itself as files of its own: in kDpkgInfo, STEM.list,
// STEM.md5sums, STEM.postinst …, and STEM.control with its control file. STEM is NAME, or NAME:ARCHITECTURE
// where several architectures may be installed together. kDpkgStatus is generated from them, as the local
// database is. Sources: dpkg(1), deb-control(5), /usr/share/doc/dpkg/spec/.

inline constexpr const char* kDpkgDirectory = "var/lib/dpkg";
inline constexpr const char* kDpkgInfo = "var/lib/dpkg/info";
inline constexpr const char* kDpkgStatus = "var/lib/dpkg/status";
inline constexpr const char* kDpkgControlExtension = "control";

/// dpkg's records of one package.
struct DpkgRecord {
    std::string stem;  ///< "libc6:amd64"
    std::string name;  ///< "libc6"
    const Manifest* manifest = nullptr;

    /// Path of STEM.EXTENSION in the root.
    [[nodiscard]] std::string path(std::string_view extension) const;
    /// The entry of STEM.EXTENSION, or null.
    [[nodiscard]] const Entry* find(std::string_view extension) const;
};

/// nullopt: `package` was not made from a Debian package. It has to outlive the record.
[[nodiscard]] std::optional<DpkgRecord> dpkg_record(const Manifest& package);

/// One control file and what `status` adds to it.
struct DpkgStatusEntry {
    std::string control;                                         ///< text of the control file
    std::vector<std::pair<std::string, std::string>> conffiles;  ///< absolute path and MD5
};

/// The status file in which all of these are installed.
[[nodiscard]] std::string format_dpkg_status(const std::vector<DpkgStatusEntry>& packages);

}  // namespace pwstore
