// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <cstdint>
#include <string>

#include "store/base/fd.hpp"
#include "store/base/names.hpp"

namespace pwstore {

/// Where everything lives. Absolute paths without a trailing slash.
struct Directories {
    std::string data;    ///< $PWSTORE_DATA_DIR, else $XDG_DATA_HOME/pwstore, else $HOME/.local/share/pwstore
    std::string config;  ///< $PWSTORE_CONFIG_DIR, else $XDG_CONFIG_HOME/pwstore, else $HOME/.config/pwstore
    std::string cache;   ///< $PWSTORE_CACHE_DIR, else $XDG_CACHE_HOME/pwstore, else $HOME/.cache/pwstore

    /// From the environment (HOME falls back to the passwd entry: cron need not set it). @throws Error when
    /// nothing names a home, or a name is relative.
    static Directories from_environment();
};

// Names below the data directory.
namespace names {
inline constexpr const char* kObjects = "store/objects";
inline constexpr const char* kStaging = "store/staging";
inline constexpr const char* kIndex = "store/index";
inline constexpr const char* kLeases = "store/leases";
inline constexpr const char* kIngestLock = "store/ingest.lock";
inline constexpr const char* kRoots = "roots";
inline constexpr const char* kHome = "home";
inline constexpr const char* kUpper = "upper";
inline constexpr const char* kSync = "sync";
inline constexpr const char* kGnupg = "gnupg";
inline constexpr const char* kContainerLocks = "store/locks";
inline constexpr const char* kLog = "pwstore.log";
}  // namespace names

/// Name of the kind of file system that statfs(2) calls `magic`, if it is one on which a store cannot live
/// (no working locks or memory maps between machines); else null.
[[nodiscard]] const char* unusable_filesystem(uint32_t magic);

/// The data directory, open. Everything below it is reached relative to `data()`.
class Layout {
 public:
    /// Open, and make what is missing (0700 at the top). Lock: none; making the same directory twice is
    /// harmless.
    /// @throws Error (unsupported) on NFS, CIFS and 9p, with the remedy; (refused) when the directory belongs
    /// to someone else.
    static Layout create(const Directories& directories);
    /// Open what exists. @throws Error when there is no data directory.
    static Layout open(const Directories& directories);

    [[nodiscard]] int data() const noexcept { return data_.get(); }
    [[nodiscard]] const Directories& directories() const noexcept { return directories_; }
    [[nodiscard]] std::string path(const std::string& below) const { return directories_.data + "/" + below; }

    /// "roots/NAME@N" and its run lease "roots/NAME@N.lock", relative to data().
    [[nodiscard]] static std::string root_name(const ContainerName& container, uint64_t generation);
    [[nodiscard]] static std::string run_lease_name(const ContainerName& container, uint64_t generation);

 private:
    Layout(Directories directories, Fd data) : directories_(std::move(directories)), data_(std::move(data)) {}
    Directories directories_;
    Fd data_;
};

}  // namespace pwstore
