// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <sys/types.h>

#include <functional>
#include <string>

namespace pwstore::test {

/// A forked child that runs `act` and ends: exit code 0, or 99 when an exception left it. No exec, so it must
/// be started before this process has threads, and must open its own stores.
class ChildProcess {
 public:
    explicit ChildProcess(const std::function<void()>& act);
    ChildProcess(const ChildProcess&) = delete;
    ChildProcess& operator=(const ChildProcess&) = delete;
    /// Kills what is still running.
    ~ChildProcess();
    [[nodiscard]] pid_t pid() const noexcept { return pid_; }
    void kill(int signal) const;
    /// Wait for the end: the exit code, or 128 + the signal that ended it.
    int wait();
    /// Wait until it has stopped itself (SIGSTOP).
    void wait_until_stopped() const;

 private:
    pid_t pid_;
};

/// Run `act` in a child and wait for it.
int run_in_child(const std::function<void()>& act);

}  // namespace pwstore::test
