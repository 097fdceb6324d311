// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <sys/types.h>

#include <map>
#include <string>
#include <vector>

namespace pwstore::test {

/// How a child ended.
struct ChildEnd {
    int exit_code = -1;  ///< -1 when a signal ended it
    int signal = 0;
    std::string output;  ///< stdout and stderr
};

/// An environment variable, as Rerun gives them; empty when it is not set.
[[nodiscard]] std::string variable(const char* name);

/// This test program again as a child, running only the test `name` ("Suite.DISABLED_Name": disabled tests
/// are run, so that the parts of a test which need a process of their own can be written beside it). `prefix`
/// comes before the command ("unshare", "-Urm", …).
class Rerun {
 public:
    Rerun(const std::string& name, const std::map<std::string, std::string>& environment,
          const std::vector<std::string>& prefix = {});
    Rerun(const Rerun&) = delete;
    Rerun& operator=(const Rerun&) = delete;
    /// Kills the child when it still runs.
    ~Rerun();

    /// Wait until the child is stopped by a signal (a failpoint's "stop"), or has ended: false.
    [[nodiscard]] bool wait_until_stopped() const;
    void kill();
    ChildEnd wait();
    [[nodiscard]] pid_t pid() const noexcept { return pid_; }

 private:
    pid_t pid_ = -1;
    int output_ = -1;
};

}  // namespace pwstore::test
