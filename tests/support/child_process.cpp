// SPDX-License-Identifier: GPL-3.0-or-later
#include "tests/support/child_process.hpp"

#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <exception>

#include "store/base/error.hpp"

namespace pwstore::test {

ChildProcess::ChildProcess(const std::function<void()>& act) : pid_(::fork()) {
    if (pid_ < 0) throw Error::from_errno("fork", "");
    if (pid_ > 0) return;
    (void)::prctl(PR_SET_PDEATHSIG, SIGKILL);
    try {
        act();
    } catch (const std::exception& error) {
        std::fprintf(stderr, "child: %s\n", error.what());
        ::_exit(99);
    }
    ::_exit(0);
}

ChildProcess::~ChildProcess() {
    if (pid_ <= 0) return;
    (void)::kill(pid_, SIGKILL);
    (void)::waitpid(pid_, nullptr, 0);
}

void ChildProcess::kill(int signal) const {
    (void)::kill(pid_, signal);
}

int ChildProcess::wait() {
    int status = 0;
    if (::waitpid(pid_, &status, 0) < 0) throw Error::from_errno("wait for child", "");
    pid_ = -1;
    return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

void ChildProcess::wait_until_stopped() const {
    int status = 0;
    if (::waitpid(pid_, &status, WUNTRACED) < 0) throw Error::from_errno("wait for child", "");
    if (!WIFSTOPPED(status)) throw Error("wait for child", "", "it ended instead of stopping");
}

int run_in_child(const std::function<void()>& act) {
    return ChildProcess(act).wait();
}

}  // namespace pwstore::test
