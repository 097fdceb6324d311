// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "mount/bwrap.hpp"
#include "mount/sandbox_spec.hpp"
#include "store/base/fd.hpp"

namespace pwstore {

/// Where a file lies, whatever path leads there: its file system, and its path within that. Two paths to one
/// place (a symlink, a bind mount) have one location.
struct Location {
    std::string device;  ///< "major:minor" of the mounted file system
    std::string path;    ///< within it, absolute
    /// True when `other` is this place or lies below it.
    [[nodiscard]] bool contains(const Location& other) const;
};

/// The mounts of this process, as /proc/self/mountinfo has them.
class MountTable {
 public:
    struct Item {
        uint64_t id = 0;
        Location root;      ///< what is mounted
        std::string point;  ///< where
    };
    static MountTable current();
    /// @throws Error (corrupt) naming the line
    static MountTable parse(std::string_view mountinfo);

    /// @throws Error (refused) when it cannot be told
    [[nodiscard]] Location locate(int fd, const std::string& path) const;
    [[nodiscard]] const std::vector<Item>& items() const noexcept { return items_; }

 private:
    std::vector<Item> items_;
};

/// Keeps the store, the configuration and the cache out of every sandbox: what a bind would show of them is
/// refused, or hidden behind an empty read-only directory. The home of the sandbox's own container is let
/// through, and a farm as its read-only root; parts of that also elsewhere, read-only.
class StoreGuard {
 public:
    /// The protected directories are `spec.protected_directories`; those that are missing are made (0700),
    /// because a program that may write to their parent could make them otherwise.
    explicit StoreGuard(const SandboxSpec& spec);

    /// A bind's source, opened without following anything that changes later, and what must be laid over it.
    struct Guarded {
        Fd source;
        std::vector<MountOp> covers;  ///< to be done right after the bind, in this order
    };
    /// nullopt: an optional source that is not there. @throws Error (refused) when it lies inside a protected
    /// directory
    [[nodiscard]] std::optional<Guarded> open(const MountOp& bind) const;
    /// The root of the sandbox.
    [[nodiscard]] Guarded open_root() const;

 private:
    [[nodiscard]] bool is_own(const Location& location, const MountOp& bind) const;
    [[nodiscard]] Guarded guard(Fd source, const MountOp& bind) const;
    void cover(const MountOp& bind, const std::string& below, std::vector<MountOp>& covers) const;

    const SandboxSpec& spec_;
    MountTable mounts_;
    std::vector<Location> protected_;
    std::optional<Location> data_;
};

/// Put the covers of all binds into `spec`. Idempotent. @throws Error (refused)
void apply_store_guard(SandboxSpec& spec);

/// Open every source for a start. @throws Error (refused) when a cover is missing: the host's mounts changed
/// since
[[nodiscard]] BindSources open_bind_sources(const SandboxSpec& spec);

}  // namespace pwstore
