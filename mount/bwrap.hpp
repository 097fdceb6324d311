// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "mount/sandbox_spec.hpp"
#include "store/base/fd.hpp"

namespace pwstore {

/// The sandbox program of this machine and what it can do: found by asking it, never by its version.
struct BwrapProgram {
    std::string path;
    bool binds_descriptors = false;  ///< --bind-fd, --ro-bind-fd

    /// Find it in PATH and ask it. @throws Error (unsupported) with the remedy when it is missing or too old
    static BwrapProgram find();
    /// "0.8.0", for people.
    [[nodiscard]] std::string version() const;
    bool operator==(const BwrapProgram&) const = default;
};

/// A complete sandbox command: bwrap's arguments and the descriptors they name.
struct BwrapCommand {
    std::vector<std::string> options;  ///< for its --args descriptor
    std::vector<Fd>
        descriptors;  ///< number child::kFirstDescriptor + index; the first one is for the options themselves
    std::vector<std::string> command;  ///< program and its arguments, to follow "--"

    /// argv of the process, with "bwrap" as argv[0]. The options have been put into their descriptor.
    [[nodiscard]] std::vector<std::string> arguments() const;
};

/// Opened sources of a spec's binds. Made by the store guard; parallel to SandboxSpec::mounts, invalid where
/// a mount has no source.
struct BindSources {
    Fd root;  ///< invalid: the root is `root_slot`
    std::vector<Fd> mounts;
    /// The root is what the process that starts bwrap has open at this number: only it sees the mount.
    std::optional<int> root_slot;
    std::string root_path;  ///< its path there, for a bwrap that binds paths only
};

/// What the caller wants to be told or kept.
struct BwrapChannels {
    Fd status;  ///< write end of a pipe for the status reports
    Fd lease;   ///< kept open by the sandbox's first process as long as it lives
    /// pwstore-start: the sandbox stays in our terminal session, the sandbox program is started with every
    /// signal blocked, and this starts the command. Invalid: a session of its own.
    Fd starter{};
    /// The command is a shell for a person: it leads a process group of its own, the terminal's foreground
    /// one. Shells make that themselves, but some want to give the terminal back to a group that they cannot
    /// see.
    bool leads = false;
};

/// spec → command. Binds whose source is not in `sources` (optional ones that are missing) are left out.
/// Calls check_isolation(). @throws Error (refused, usage)
[[nodiscard]] BwrapCommand bwrap_command(const BwrapProgram& program, const SandboxSpec& spec,
                                         BindSources sources, BwrapChannels channels,
                                         std::vector<std::string> command);

}  // namespace pwstore
