// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <sys/types.h>

#include <array>
#include <csignal>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "store/base/fd.hpp"

namespace pwstore {

// --- Start and wait
// ------------------------------------------------------------------------------------------

/// A program to start. It gets the descriptors that are named here and no other.
struct SpawnRequest {
    std::string program;                     ///< absolute
    std::vector<std::string> arguments;      ///< with argv[0]
    std::vector<std::string> environment;    ///< "NAME=value"
    std::array<int, 3> streams{-1, -1, -1};  ///< -1 = ours
    std::vector<int>
        descriptors{};            ///< become child::kFirstDescriptor and the following numbers, in this order
    bool die_with_parent = true;  ///< killed when the calling thread ends
    /// The process group it joins; 0 = one of its own, which signals of the terminal do not reach.
    std::optional<pid_t> process_group{};
    bool default_signals = false;  ///< ignored signals are not inherited
    bool block_signals = false;    ///< it starts with every signal blocked, not with none
};

/// Start it. @throws Error with the errno of what failed
[[nodiscard]] pid_t spawn(const SpawnRequest& request);

/// A sandbox program in the care of a guard: a process that ends the program and all that it has started once
/// `line` is closed, by us or by our end, whatever that is.
struct Guarded {
    pid_t guard;  ///< our child; its exit code is what exit_code_of() makes of the program's wait status
    Fd line;
};

/// Start a sandbox program with a guard, which is a fork of the caller. @throws Error as spawn() does
[[nodiscard]] Guarded spawn_guarded(const SpawnRequest& request);

/// Wait for our child; its wait status.
[[nodiscard]] int wait_for(pid_t child);

/// Exit code, or 128 + signal.
[[nodiscard]] int exit_code_of(int wait_status) noexcept;

// --- Pieces for the above
// ------------------------------------------------------------------------------------

/// An anonymous file with `content`, to be read from its start.
[[nodiscard]] Fd memory_file(const char* name, std::string_view content);

struct Pipe {
    Fd read_end;
    Fd write_end;
};
[[nodiscard]] Pipe make_pipe();

/// An executable of this name in the caller's PATH, absolute; nullopt when there is none.
[[nodiscard]] std::optional<std::string> find_program(std::string_view name);

/// One of our own programs: beside the running one, in its ../libexec/pwstore or ../bin, else where it was
/// installed.
/// @throws Error (unsupported) naming the places
[[nodiscard]] std::string find_own_program(const std::string& name);
/// nullopt when it is not installed.
[[nodiscard]] std::optional<std::string> try_find_own_program(const std::string& name);

// --- A running sandbox
// ---------------------------------------------------------------------------------------

/// What the sandbox program reported on its status descriptor. Unknown members are ignored.
struct SandboxStatus {
    std::optional<pid_t> init;     ///< first process inside, as seen from here
    std::optional<int> exit_code;  ///< absent when the command was never started
};
[[nodiscard]] SandboxStatus parse_sandbox_status(std::string_view text);

/// The command that runs under `init`, nullopt when it is not there (any more).
[[nodiscard]] std::optional<pid_t> command_of(pid_t init);

/// What a sandbox has of the terminal of our session.
class TerminalShare {
 public:
    /// Nothing: the sandbox gets a session of its own.
    TerminalShare() = default;
    /// The whole session, where it has a terminal and there is a program that can start the command in it
    /// (pwstore-start).
    static TerminalShare of_our_session();

    [[nodiscard]] bool is_shared() const noexcept { return static_cast<bool>(terminal_); }
    /// The program that starts the command, to be passed to the sandbox program; once.
    [[nodiscard]] Fd take_starter() noexcept { return std::move(starter_); }
    /// The terminal's foreground process group is ours.
    [[nodiscard]] bool is_foreground() const noexcept;
    /// It is, and nothing but the terminal is read and written.
    [[nodiscard]] bool is_for_a_person() const noexcept;
    /// Make our process group the foreground one again, if the one that is has no process any more: a shell
    /// inside cannot give the terminal back to a group that it does not see.
    void take_back() const noexcept;

 private:
    Fd terminal_;
    Fd starter_;
};

/// Pass signals that this thread receives on to a sandbox's command while waiting for `monitor`. HUP, INT,
/// QUIT, TERM, USR1, USR2 are passed on; of those that the terminal made, what the command has not heard of
/// itself.
///
/// In a shared session the sandbox's programs stop, go on and read from the terminal as ordinary jobs of the
/// caller's shell do, and so do we. Otherwise what the terminal made goes to the command's whole group, as a
/// terminal would do, and TSTP stops, CONT continues it.
///
/// The terminal's settings are put back at the end where they are ours to put back: we were never stopped
/// (then a shell minds them), and are in the foreground.
class ForegroundWait {
 public:
    /// Blocks the signals; the child must be started after this. One thread only.
    /// @param share outlives this
    explicit ForegroundWait(const TerminalShare& share);
    ~ForegroundWait();
    ForegroundWait(const ForegroundWait&) = delete;
    ForegroundWait& operator=(const ForegroundWait&) = delete;

    /// Standard input is a terminal that is somebody else's at the moment: a sandbox with a session of its
    /// own would read what is meant for that one, for nothing stops it.
    [[nodiscard]] static bool is_input_of_others();

    /// Wait for `monitor`, our child. `status` is the read end of the sandbox's status pipe; what was read
    /// from it is appended to `status_text`. Returns the wait status.
    int wait(pid_t monitor, int status, std::string& status_text);

    /// The same, but the end is when `done` becomes readable (the monitor is somebody else's child).
    void wait_readable(int done, int status, std::string& status_text);

 private:
    struct State;
    std::unique_ptr<State> state_;
};

}  // namespace pwstore
