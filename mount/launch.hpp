// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "mount/bwrap.hpp"
#include "mount/composer.hpp"
#include "mount/container_config.hpp"
#include "mount/sandbox_spec.hpp"
#include "store/base/error.hpp"
#include "store/base/lock.hpp"
#include "store/store.hpp"

namespace pwstore {

/// Exit codes of a run that are not the program's own.
inline constexpr int kExitOwnFailure = 125;
inline constexpr int kExitNotExecutable = 126;
inline constexpr int kExitNotFound = 127;

/// The exit code that belongs to an Error of launch(): 127 and 126 when it said so about the command, else
/// 125.
[[nodiscard]] int launch_exit_code(const Error& error) noexcept;

// --- Run
// ---------------------------------------------------------------------------------------------------------

/// Run `argv` in the sandbox of `spec` and wait for it: its exit code, or 128 + signal. SIGHUP, SIGINT,
/// SIGQUIT, SIGTERM, SIGUSR1/2 to this process are passed on; the terminal's settings are restored. The run
/// lease is held by the sandbox's first process until its last one has ended, and by a second open
/// description of this process until this returns. The store guard looks at every bind again. One thread
/// only.
/// @param say gets what the person should know before the program starts: one line each
/// @param lease the shared flock on the root's lock file; invalid Fd for roots that are private to the caller
/// @throws Error; launch_exit_code() tells what the shell should see
using Say = std::function<void(const std::string&)>;
[[nodiscard]] int launch(SandboxSpec spec, const std::vector<std::string>& argv, Fd lease,
                         const Say& say = {});
/// The same without looking for the sandbox program.
[[nodiscard]] int launch(const BwrapProgram& program, SandboxSpec spec, const std::vector<std::string>& argv,
                         Fd lease, const Say& say = {});

/// Take the run lease of roots/NAME@N and check that N is still current; start over with the new N otherwise.
/// Returns the held descriptor and the generation. nullopt when the root is missing (it must be rebuilt
/// first).
struct RunLease {
    Fd lock;
    uint64_t generation = 0;
};
[[nodiscard]] std::optional<RunLease> take_run_lease(int data_dir, const Index& index,
                                                     const ContainerName& name);

// --- The record of the ordinary run
// ------------------------------------------------------------------------------

/// Identity of a file that a record was made from; all zero when it was not there.
struct FileStamp {
    uint64_t inode = 0;
    int64_t mtime_ns = 0;
    uint64_t size = 0;
    static FileStamp of(const std::string& path);
    bool operator==(const FileStamp&) const = default;
};

/// Precompiled form of a container's ordinary run: the spec, and what it was made from. It is stale when the
/// file or the current generation changed; then `pwstore-cli` makes it anew.
struct LaunchRecord {
    SandboxSpec spec;
    uint64_t generation = 0;
    FileStamp config;
    BwrapProgram program;
    FileStamp program_stamp;
    std::string host_home;        ///< the caller's HOME, which volumes are relative to
    bool host_dependent = false;  ///< must be composed at each launch: the record says only that
    std::vector<std::string> warnings;
    std::vector<std::string> passed_variables;    ///< names taken from the caller's environment at launch
    std::vector<std::string> expected_variables;  ///< those of them that are missed aloud when unset
    [[nodiscard]] std::string encode() const;
    /// @throws Error (corrupt)
    static LaunchRecord decode(std::string_view bytes);
    bool operator==(const LaunchRecord&) const = default;
};

/// Compose the ordinary run of `generation` and make a record of it. The home directory is made when it is
/// missing.
/// @param stamp of the configuration file, taken before it was read
[[nodiscard]] LaunchRecord make_launch_record(const Layout& layout, const ContainerName& name,
                                              uint64_t generation, const ContainerConfig& config,
                                              const FileStamp& stamp);

/// An ordinary run that is ready for launch().
struct PreparedRun {
    SandboxSpec spec;
    BwrapProgram program;
    Fd lease;
    std::vector<std::string> warnings;
};
/// From the container's launch record; nullopt when there is none that can serve, or no root: then the slow
/// way it is. Reads only. Lock: the run lease, which it returns.
[[nodiscard]] std::optional<PreparedRun> prepare_run(const Directories& directories, const Index& index,
                                                     int data_dir, const ContainerName& name,
                                                     const HostContext& host);

}  // namespace pwstore
