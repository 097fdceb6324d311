// SPDX-License-Identifier: GPL-3.0-or-later
#include <fcntl.h>
#include <poll.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <termios.h>
#include <unistd.h>

#include <array>
#include <vector>

#include "mount/process.hpp"
#include "store/base/error.hpp"

namespace pwstore {

namespace {

constexpr std::array kPassedOn{SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2, SIGWINCH};
constexpr int kRetryMilliseconds = 5;

/// What is readable right now, without waiting.
void append_available(int fd, std::string& text) {
    struct pollfd item {
        .fd = fd, .events = POLLIN, .revents = 0
    };
    std::array<char, 4096> buffer{};
    while (::poll(&item, 1, 0) == 1) {
        const ssize_t got = ::read(fd, buffer.data(), buffer.size());
        if (got <= 0) return;
        text.append(buffer.data(), static_cast<size_t>(got));
    }
}

}  // namespace

struct ForegroundWait::State {
    TerminalSignals terminal_signals;
    sigset_t mask_before{};
    bool has_terminal = false;
    struct termios terminal {};
    Fd signals;
    std::vector<signalfd_siginfo> waiting;  ///< came before there was a command to get them

    void restore_terminal() const {
        if (has_terminal) (void)::tcsetattr(STDIN_FILENO, TCSADRAIN, &terminal);
    }

    void read_signals() {
        signalfd_siginfo signal{};
        while (::read(signals.get(), &signal, sizeof signal) == static_cast<ssize_t>(sizeof signal)) {
            waiting.push_back(signal);
        }
    }

    /// The command's process group, if it is another one than ours; it is led by the sandbox's first process.
    static pid_t group_of(pid_t command) {
        const pid_t group = ::getpgid(command);
        return group > 1 && group != ::getpgrp() ? group : 0;
    }

    /// Stop with the sandbox and go on with it, as a shell's job does.
    void stop(pid_t group) const {
        if (group == 0) return;
        struct termios inside {};
        const bool changed = has_terminal && ::tcgetattr(STDIN_FILENO, &inside) == 0;
        (void)::kill(-group, SIGSTOP);
        restore_terminal();
        (void)::raise(SIGSTOP);
        if (changed) (void)::tcsetattr(STDIN_FILENO, TCSADRAIN, &inside);
        (void)::kill(-group, SIGCONT);
    }

    void deliver(const signalfd_siginfo& signal, pid_t command) const {
        const bool of_terminal = signal.ssi_code == SI_KERNEL;
        // In a shared session the terminal has told the command's group already.
        if (of_terminal && terminal_signals == TerminalSignals::shared) return;
        const int number = static_cast<int>(signal.ssi_signo);
        const pid_t group = group_of(command);
        if (number == SIGTSTP) {
            stop(group);
        } else {
            (void)::kill(of_terminal && group > 0 ? -group : command, number);
        }
    }

    void deliver_waiting(int status, std::string& status_text) {
        if (waiting.empty()) return;
        append_available(status, status_text);
        const auto init = parse_sandbox_status(status_text).init;
        const auto command = init ? command_of(*init) : std::nullopt;
        if (!command) return;
        for (const signalfd_siginfo& signal : waiting)
            deliver(signal, *command);
        waiting.clear();
    }
};

ForegroundWait::ForegroundWait(TerminalSignals terminal_signals) : state_(std::make_unique<State>()) {
    state_->terminal_signals = terminal_signals;
    state_->has_terminal = ::tcgetattr(STDIN_FILENO, &state_->terminal) == 0;
    sigset_t set;
    (void)::sigemptyset(&set);
    for (const int number : kPassedOn)
        (void)::sigaddset(&set, number);
    if (terminal_signals == TerminalSignals::forward) (void)::sigaddset(&set, SIGTSTP);
    state_->signals = Fd(::signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK));
    if (!state_->signals) throw Error::from_errno("listen for signals", "");
    // Blocked, so that settings can be restored from the background too.
    (void)::sigaddset(&set, SIGTTOU);
    (void)::pthread_sigmask(SIG_BLOCK, &set, &state_->mask_before);
}

ForegroundWait::~ForegroundWait() {
    state_->restore_terminal();
    (void)::pthread_sigmask(SIG_SETMASK, &state_->mask_before, nullptr);
}

int ForegroundWait::wait(pid_t monitor, int status, std::string& status_text) {
    const Fd process(static_cast<int>(::syscall(SYS_pidfd_open, monitor, 0U)));
    if (!process) throw Error::from_errno("watch process", std::to_string(monitor));
    wait_readable(process.get(), status, status_text);
    return wait_for(monitor);
}

void ForegroundWait::wait_readable(int done, int status, std::string& status_text) {
    std::array<struct pollfd, 2> items{{{.fd = done, .events = POLLIN, .revents = 0},
                                        {.fd = state_->signals.get(), .events = POLLIN, .revents = 0}}};
    for (;;) {
        const int ready =
            ::poll(items.data(), items.size(), state_->waiting.empty() ? -1 : kRetryMilliseconds);
        if (ready < 0 && errno != EINTR) throw Error::from_errno("wait for the sandbox", "");
        if (items[0].revents != 0) break;
        state_->read_signals();
        state_->deliver_waiting(status, status_text);
    }
    append_available(status, status_text);
}

}  // namespace pwstore
