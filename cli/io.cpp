// SPDX-License-Identifier: GPL-3.0-or-later
#include "cli/io.hpp"

#include <poll.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <iostream>

#include "transact/wire.hpp"

namespace pwstore::cli {

namespace {

/// While it lives, SIGINT and SIGTERM arrive nowhere but in wait_for_input(): none is lost between a look and
/// a wait.
class SignalsHeld {
 public:
    SignalsHeld() {
        sigset_t held;
        sigemptyset(&held);
        sigaddset(&held, SIGINT);
        sigaddset(&held, SIGTERM);
        ::sigprocmask(SIG_BLOCK, &held, &before_);
    }
    SignalsHeld(const SignalsHeld&) = delete;
    SignalsHeld& operator=(const SignalsHeld&) = delete;
    ~SignalsHeld() { ::sigprocmask(SIG_SETMASK, &before_, nullptr); }

    /// False when a signal ended the wait.
    [[nodiscard]] bool wait_for_input() const {
        struct pollfd wait {
            STDIN_FILENO, POLLIN, 0
        };
        return ::ppoll(&wait, 1, nullptr, &before_) > 0;
    }

 private:
    sigset_t before_{};
};

/// Byte by byte: whatever follows the line stays for a program that reads the same input later.
/// Not through std::cin, which retries after a signal.
std::optional<std::string> read_terminal_line() {
    const SignalsHeld signals;
    std::string line;
    for (;;) {
        if (transaction_interrupted() || !signals.wait_for_input()) return std::nullopt;
        char c = 0;
        const ssize_t got = ::read(STDIN_FILENO, &c, 1);
        if (got < 0 || (got == 0 && line.empty())) return std::nullopt;
        if (got == 0 || c == '\n') return line;
        line += c;
    }
}

std::optional<std::string> environment_variable(const std::string& name) {
    const char* value = std::getenv(name.c_str());
    return value != nullptr ? std::optional<std::string>(value) : std::nullopt;
}

unsigned terminal_width() {
    struct winsize size {};
    for (const int fd : {STDOUT_FILENO, STDERR_FILENO}) {
        if (::ioctl(fd, TIOCGWINSZ, &size) == 0 && size.ws_col > 0) return size.ws_col;
    }
    return 80;
}

}  // namespace

Io process_io() {
    return {std::cout,
            std::cerr,
            read_terminal_line,
            environment_variable,
            terminal_width,
            ::isatty(STDIN_FILENO) == 1,
            ::isatty(STDOUT_FILENO) == 1,
            ::isatty(STDERR_FILENO) == 1};
}

}  // namespace pwstore::cli
