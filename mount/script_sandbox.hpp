// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "mount/sandbox_spec.hpp"
#include "store/base/fd.hpp"

namespace pwstore {

/// How scripts can be kept away from store inodes on this machine.
enum class ScriptMode {
    overlay,       ///< the root is an overlay's lower layer
    private_copy,  ///< the root was assembled with LinkPolicy::private_copies and is bound read-write
};

/// One program to run as root of a container, without network, home, host environment or input of the host
/// where nothing else is said.
struct ScriptCommand {
    struct File {
        std::string path;  ///< absolute, inside; below /tmp or /run
        std::string content;
    };
    std::vector<std::string> argv;
    std::string input;        ///< its standard input; empty = /dev/null
    std::vector<File> files;  ///< bound read-only and executable (0755) for this program
    std::vector<EnvironmentVariable> environment;
    std::string hostname{};  ///< empty: the sandbox's
    NetworkMode network = NetworkMode::none;
    std::vector<MountOp> binds{};  ///< read-only, over places that the root has
};

struct ScriptResult {
    bool started = false;  ///< false: the sandbox or the program could not be started; `status` is then 126
                           ///< or 127, or 125
    int status = 0;        ///< exit code, or 128 + signal
    std::string reason;    ///< one sentence when it was not started
    [[nodiscard]] bool succeeded() const noexcept { return started && status == 0; }
};

/// Runs scriptlets and hooks on one root that is being built. Between begin() and end() the root must not be
/// changed by anyone else; between end() and the next begin() it may be. A helper process holds the
/// namespaces.
///
/// In overlay mode what the scripts did is in upper() after end(): hostile input, to be walked without
/// following symlinks, possibly with mode-000 directories, whiteouts (character device 0:0) and
/// `user.overlay.*` xattrs.
///
/// Use it from the thread that made it, and let that thread outlive it: the helper dies with the thread.
class ScriptSandbox {
 public:
    /// @param root absolute path of the tree; @param scratch an empty directory of ours on the same file
    /// system
    /// @param hostname what the scripts see
    ScriptSandbox(ScriptMode mode, std::string root, std::string scratch, std::string hostname = "pwstore");
    /// Ends the helper and with it every process and mount; what is in `scratch` is discarded.
    ~ScriptSandbox();
    ScriptSandbox(const ScriptSandbox&) = delete;
    ScriptSandbox& operator=(const ScriptSandbox&) = delete;

    /// A fresh, empty upper; mounted.
    void begin();
    /// Run to the end of its pid namespace: nothing of it lives on. Output (stdout and stderr) line by line.
    ScriptResult run(const ScriptCommand& command,
                     const std::function<void(std::string_view line)>& on_output);
    /// Run with our own standard streams and terminal, for a person: signals are passed on (see
    /// ForegroundWait), the terminal's settings are restored.
    ScriptResult run_interactive(const ScriptCommand& command);
    /// Unmount. All processes of the sandbox are gone.
    void end();

    [[nodiscard]] ScriptMode mode() const noexcept;
    /// The upper directory of the last begin()…end(), open; overlay mode only.
    [[nodiscard]] int upper() const;
    /// Empty the upper and work directories (also mode-000 ones).
    void discard();

 private:
    struct State;
    std::unique_ptr<State> state_;
};

}  // namespace pwstore
