// SPDX-License-Identifier: GPL-3.0-or-later
#include "tests/support/rerun.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cstdlib>

#include "store/base/error.hpp"

namespace pwstore::test {

namespace {

std::vector<char*> pointers(std::vector<std::string>& texts) {
    std::vector<char*> all;
    for (std::string& text : texts)
        all.push_back(text.data());
    all.push_back(nullptr);
    return all;
}

std::vector<std::string> merged_environment(const std::map<std::string, std::string>& added) {
    std::vector<std::string> all;
    for (char** variable = environ; *variable != nullptr; ++variable) {
        const std::string text = *variable;
        if (!added.contains(text.substr(0, text.find('=')))) all.push_back(text);
    }
    for (const auto& [name, value] : added)
        all.push_back(fmt::format("{}={}", name, value));
    return all;
}

}  // namespace

std::string variable(const char* name) {
    const char* value = std::getenv(name);
    return value != nullptr ? value : "";
}

Rerun::Rerun(const std::string& name, const std::map<std::string, std::string>& environment,
             const std::vector<std::string>& prefix) {
    std::array<char, 4096> self{};
    if (::readlink("/proc/self/exe", self.data(), self.size() - 1) < 0)
        throw Error::from_errno("read link", "/proc/self/exe");
    std::vector<std::string> words = prefix;
    words.insert(words.end(), {self.data(), "--gtest_filter=" + name, "--gtest_also_run_disabled_tests"});
    std::vector<std::string> variables = merged_environment(environment);
    const std::vector<char*> argv = pointers(words);
    const std::vector<char*> envp = pointers(variables);
    std::array<int, 2> ends{};
    if (::pipe2(ends.data(), O_CLOEXEC) != 0) throw Error::from_errno("make pipe", "");
    pid_ = ::fork();
    if (pid_ < 0) throw Error::from_errno("start", words[0]);
    if (pid_ == 0) {
        ::dup2(ends[1], 1);
        ::dup2(ends[1], 2);
        ::execvpe(argv[0], argv.data(), envp.data());
        ::_exit(127);
    }
    ::close(ends[1]);
    output_ = ends[0];
}

Rerun::~Rerun() {
    if (pid_ > 0) {
        ::kill(pid_, SIGKILL);
        ::waitpid(pid_, nullptr, 0);
        ::close(output_);
    }
}

bool Rerun::wait_until_stopped() const {
    siginfo_t info{};
    // WNOWAIT leaves the child's end to wait().
    if (::waitid(P_PID, static_cast<id_t>(pid_), &info, WSTOPPED | WEXITED | WNOWAIT) != 0) return false;
    return info.si_code == CLD_STOPPED;
}

void Rerun::kill() {
    (void)::kill(pid_, SIGKILL);
}

ChildEnd Rerun::wait() {
    ChildEnd end;
    std::array<char, 4096> buffer{};
    for (ssize_t got = ::read(output_, buffer.data(), buffer.size()); got > 0;
         got = ::read(output_, buffer.data(), buffer.size())) {
        end.output.append(buffer.data(), static_cast<size_t>(got));
    }
    ::close(output_);
    int status = 0;
    if (::waitpid(pid_, &status, 0) < 0) throw Error::from_errno("wait for child", "");
    pid_ = -1;
    if (WIFEXITED(status)) end.exit_code = WEXITSTATUS(status);
    if (WIFSIGNALED(status)) end.signal = WTERMSIG(status);
    return end;
}

}  // namespace pwstore::test
