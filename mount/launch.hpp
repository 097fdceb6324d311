// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "mount/sandbox_spec.hpp"
#include "store/base/lock.hpp"
#include "store/store.hpp"

namespace pwstore {

/// Exit codes of a run that are not the program's own.
inline constexpr int kExitOwnFailure = 125;
inline constexpr int kExitNotExecutable = 126;
inline constexpr int kExitNotFound = 127;

/// Precompiled form of a container's ordinary run: the spec, and what it was made from. It is stale when the file or
/// the current generation changed; then `pwstore-cli` makes it anew.
struct LaunchRecord {
    SandboxSpec spec;
    uint64_t generation = 0;
    uint64_t config_inode = 0;
    int64_t config_mtime_ns = 0;
    uint64_t config_size = 0;
    std::vector<std::string> warnings;
    std::vector<std::string> passed_variables;  ///< names taken from the caller's environment at launch
    [[nodiscard]] std::string encode() const;
    static LaunchRecord decode(std::string_view bytes);
};

/// Run `argv` in the sandbox of `spec` and wait for it: its exit code, or 128 + signal, or one of the codes above after an
/// explanation through Error. SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1/2 to this process are passed on; the terminal's settings are
/// restored. The run lease is held until the sandbox's last process has ended.
/// @param lease the shared flock on the root's lock file; invalid Fd for roots that are private to the caller
[[nodiscard]] int launch(const SandboxSpec& spec, const std::vector<std::string>& argv, Fd lease);

/// Take the run lease of roots/NAME@N and check that N is still current; start over with the new N otherwise.
/// Returns the held descriptor and the generation. nullopt when the root is missing (it must be rebuilt first).
struct RunLease {
    Fd lock;
    uint64_t generation = 0;
};
[[nodiscard]] std::optional<RunLease> take_run_lease(int data_dir, const Index& index, const ContainerName& name);

}  // namespace pwstore
