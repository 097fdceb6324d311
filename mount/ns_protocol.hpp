// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <cstddef>
#include <cstdint>

/// What the library and the program pwstore-ns say to each other over a SOCK_SEQPACKET socket pair: one
/// message per request, one per answer. The helper does one request at a time and ends when the socket does.
namespace pwstore::ns {

inline constexpr int kSocket = 10;   ///< the helper's end
inline constexpr int kRootSlot = 9;  ///< what it calls the mounted root when it starts bwrap
inline constexpr size_t kMaxMessage = 65536;
inline constexpr size_t kMaxDescriptors = 240;

enum class Verb : uint8_t {
    /// Texts: root, scratch, program of the sandbox. Flag kOverlay: make the outer user and mount namespace.
    set_up = 1,
    mount = 2,  ///< fresh upper and work directories, then the overlay (nothing without kOverlay)
    /// Texts: paths of which one must be executable inside the root (none: not checked). Descriptors: the
    /// three streams,
    /// the command (NUL-separated), then those that get the numbers from child::kFirstDescriptor on.
    run = 3,
    unmount = 4,
    discard = 5,  ///< remove the upper and work directories
};
inline constexpr uint8_t kOverlay = 1;  ///< Request::flags of set_up
inline constexpr uint8_t kPassRoot =
    1;  ///< of run: the sandbox program gets the root as descriptor kRootSlot
/// Of run, once at most: the sandbox program stays in the client's terminal session and process group, with
/// every signal blocked; the helper leaves the session.
inline constexpr uint8_t kShareSession = 2;

/// Followed by NUL-terminated texts.
struct Request {
    Verb verb;
    uint8_t flags;
    uint16_t texts;
};

enum class Step : uint8_t {
    none = 0,
    protocol,
    make_namespace,
    map_user,
    open_root,
    open_scratch,
    make_directories,
    mount_overlay,
    unmount,
    remove,
    look_up_command,  ///< error: ENOENT or EACCES
    mount_point,      ///< a directory that the sandbox mounts on is something else in the root
    start,
};

struct Reply {
    Step step;       ///< what failed; none = all well
    int32_t error;   ///< its errno
    int32_t status;  ///< run: the wait status of the sandbox program
};

}  // namespace pwstore::ns
