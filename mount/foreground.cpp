// SPDX-License-Identifier: GPL-3.0-or-later
#include <fcntl.h>
#include <poll.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <termios.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <vector>

#include "mount/process.hpp"
#include "store/base/error.hpp"
#include "store/base/path_at.hpp"

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

/// Of our own process group, also from the background: what is done to the terminal then must not stop us.
class TerminalOutputAllowed {
 public:
    TerminalOutputAllowed() {
        sigset_t set;
        (void)::sigemptyset(&set);
        (void)::sigaddset(&set, SIGTTOU);
        (void)::pthread_sigmask(SIG_BLOCK, &set, &before_);
    }
    ~TerminalOutputAllowed() { (void)::pthread_sigmask(SIG_SETMASK, &before_, nullptr); }
    TerminalOutputAllowed(const TerminalOutputAllowed&) = delete;
    TerminalOutputAllowed& operator=(const TerminalOutputAllowed&) = delete;

 private:
    sigset_t before_{};
};

bool same_settings(const struct termios& a, const struct termios& b) {
    return a.c_iflag == b.c_iflag && a.c_oflag == b.c_oflag && a.c_cflag == b.c_cflag &&
           a.c_lflag == b.c_lflag && std::memcmp(a.c_cc, b.c_cc, sizeof a.c_cc) == 0;
}

void set_terminal(const struct termios& settings) {
    struct termios now {};
    if (::tcgetattr(STDIN_FILENO, &now) != 0 || same_settings(now, settings)) return;
    (void)::tcsetattr(STDIN_FILENO, TCSADRAIN, &settings);
}

}  // namespace

TerminalShare TerminalShare::of_our_session() {
    TerminalShare share;
    Fd terminal(::open("/dev/tty", O_RDWR | O_NOCTTY | O_CLOEXEC));
    if (!terminal) return share;
    const auto starter = try_find_own_program("pwstore-start");
    if (!starter) return share;
    share.starter_ = open_at(AT_FDCWD, *starter, O_PATH);
    share.terminal_ = std::move(terminal);
    return share;
}

bool TerminalShare::is_foreground() const noexcept {
    return terminal_ && ::tcgetpgrp(terminal_.get()) == ::getpgrp();
}

bool TerminalShare::is_for_a_person() const noexcept {
    if (!terminal_) return false;
    for (const int fd : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) {
        if (::tcgetpgrp(fd) != ::getpgrp()) return false;
    }
    return true;
}

void TerminalShare::take_back() const noexcept {
    if (!terminal_) return;
    const pid_t group = ::tcgetpgrp(terminal_.get());
    if (group <= 0 || group == ::getpgrp() || ::kill(-group, 0) == 0 || errno != ESRCH) return;
    const TerminalOutputAllowed allowed;
    (void)::tcsetpgrp(terminal_.get(), ::getpgrp());
}

struct ForegroundWait::State {
    explicit State(const TerminalShare& its_share) : share(its_share) {}

    const TerminalShare& share;
    sigset_t mask_before{};
    bool has_settings = false;
    bool was_foreground = false;
    bool was_stopped = false;
    struct termios settings {};
    Fd signals;
    std::vector<signalfd_siginfo> waiting;  ///< came before there was a command to get them

    static bool is_input_ours() { return ::tcgetpgrp(STDIN_FILENO) == ::getpgrp(); }

    void restore_terminal() const {
        if (has_settings && is_input_ours()) set_terminal(settings);
    }

    void settle_terminal() const {
        if (was_foreground) share.take_back();
        if (!was_stopped) restore_terminal();
    }

    void read_signals() {
        signalfd_siginfo signal{};
        while (::read(signals.get(), &signal, sizeof signal) == static_cast<ssize_t>(sizeof signal)) {
            if (signal.ssi_signo == SIGCONT) {
                was_stopped = true;
            } else {
                waiting.push_back(signal);
            }
        }
    }

    /// The command's process group, if it is another one than ours.
    static pid_t group_of(pid_t command) {
        const pid_t group = ::getpgid(command);
        return group > 1 && group != ::getpgrp() ? group : 0;
    }

    /// Stop with a sandbox that has a session of its own and go on with it, as a shell's job does.
    void stop(pid_t group) const {
        if (group == 0) return;
        struct termios inside {};
        const bool changed = has_settings && ::tcgetattr(STDIN_FILENO, &inside) == 0;
        (void)::kill(-group, SIGSTOP);
        restore_terminal();
        (void)::raise(SIGSTOP);
        if (changed && is_input_ours()) set_terminal(inside);
        (void)::kill(-group, SIGCONT);
    }

    void deliver(const signalfd_siginfo& signal, pid_t command) const {
        const bool of_terminal = signal.ssi_code == SI_KERNEL;
        const int number = static_cast<int>(signal.ssi_signo);
        const pid_t group = group_of(command);
        if (of_terminal && share.is_shared()) {
            // The terminal has told the foreground group already, and the leader of its session that it is
            // gone: that may be us alone.
            if (number == SIGHUP && group > 0) (void)::kill(command, number);
            return;
        }
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

ForegroundWait::ForegroundWait(const TerminalShare& share) : state_(std::make_unique<State>(share)) {
    state_->was_foreground = share.is_foreground();
    state_->has_settings = ::tcgetattr(STDIN_FILENO, &state_->settings) == 0;
    sigset_t set;
    (void)::sigemptyset(&set);
    for (const int number : kPassedOn)
        (void)::sigaddset(&set, number);
    (void)::sigaddset(&set, SIGCONT);
    if (!share.is_shared()) (void)::sigaddset(&set, SIGTSTP);
    state_->signals = Fd(::signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK));
    if (!state_->signals) throw Error::from_errno("listen for signals", "");
    (void)::pthread_sigmask(SIG_BLOCK, &set, &state_->mask_before);
}

ForegroundWait::~ForegroundWait() {
    state_->settle_terminal();
    (void)::pthread_sigmask(SIG_SETMASK, &state_->mask_before, nullptr);
}

bool ForegroundWait::is_input_of_others() {
    const pid_t group = ::tcgetpgrp(STDIN_FILENO);
    return group > 0 && group != ::getpgrp();
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
