// SPDX-License-Identifier: GPL-3.0-or-later
#include "transact/wire.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <chrono>
#include <csignal>
#include <cstring>
#include <mutex>
#include <new>
#include <optional>

#include "store/base/defect.hpp"
#include "transact/interrupt.hpp"
#include "transact/wire_json.hpp"

namespace pwstore {

namespace {

using Clock = std::chrono::steady_clock;
constexpr auto kProgressPause = std::chrono::milliseconds(40);
constexpr auto kPatience = std::chrono::seconds(5);
constexpr size_t kLineLimit = size_t{256} << 20U;

// --- Lines over a socket
// ------------------------------------------------------------------------------------------

enum class Received { line, nothing_yet, end };

class LineSocket {
 public:
    explicit LineSocket(Fd socket) : socket_(std::move(socket)) {}

    /// False when the other side is gone.
    bool send(const wire::Line& line) const {
        const std::string text = wire::encode(line) + '\n';
        for (size_t sent = 0; sent < text.size();) {
            const ssize_t count = ::send(socket_.get(), text.data() + sent, text.size() - sent, MSG_NOSIGNAL);
            if (count >= 0) {
                sent += static_cast<size_t>(count);
            } else if (errno == EPIPE || errno == ECONNRESET) {
                return false;
            } else if (errno != EINTR) {
                throw Error::from_errno("send to the other side of the transaction", "");
            }
        }
        return true;
    }

    /// The next line, if it is there; waits for it when `wait`.
    Received receive(wire::Line& line, bool wait) {
        for (;;) {
            if (const size_t end = buffer_.find('\n', searched_); end != std::string::npos) {
                line = wire::decode(buffer_.substr(0, end));
                buffer_.erase(0, end + 1);
                searched_ = 0;
                return Received::line;
            }
            searched_ = buffer_.size();
            if (buffer_.size() > kLineLimit) {
                throw Error("read a line of the worker's conversation", "", "it does not end")
                    .as(Fault::corrupt);
            }
            std::array<char, 16384> piece{};
            const ssize_t got = ::recv(socket_.get(), piece.data(), piece.size(), wait ? 0 : MSG_DONTWAIT);
            if (got > 0) {
                buffer_.append(piece.data(), static_cast<size_t>(got));
            } else if (got == 0 || errno == ECONNRESET) {
                return Received::end;
            } else if (errno == EAGAIN) {
                return Received::nothing_yet;
            } else if (errno != EINTR) {
                throw Error::from_errno("read from the other side of the transaction", "");
            }
        }
    }

    [[nodiscard]] int fd() const noexcept { return socket_.get(); }

 private:
    Fd socket_;
    std::string buffer_;
    size_t searched_ = 0;
};

// --- Signals to the command line
// ----------------------------------------------------------------------------------

std::atomic<pid_t> forward_to{0};
std::atomic<int> interrupts{0};
static_assert(std::atomic<pid_t>::is_always_lock_free);

void on_signal(int signal_number) {
    const int saved = errno;
    if (const pid_t worker = forward_to.load(); worker > 0) ::kill(worker, SIGTERM);
    if (interrupts.fetch_add(1) + 1 >= 3) {
        ::signal(signal_number, SIG_DFL);
        ::raise(signal_number);
    }
    errno = saved;
}

/// While it lives, SIGINT and SIGTERM go to the worker, and interrupt a read from the terminal. Ignored ones
/// stay ignored.
class SignalForwarding {
 public:
    explicit SignalForwarding(pid_t worker) {
        interrupts = 0;
        forward_to = worker;
        struct sigaction action {};
        sigemptyset(&action.sa_mask);
        action.sa_handler = on_signal;
        for (size_t i = 0; i < kSignals.size(); ++i) {
            ::sigaction(kSignals[i], nullptr, &before_[i]);
            if (before_[i].sa_handler != SIG_IGN) ::sigaction(kSignals[i], &action, nullptr);
        }
    }
    SignalForwarding(const SignalForwarding&) = delete;
    SignalForwarding& operator=(const SignalForwarding&) = delete;
    ~SignalForwarding() {
        for (size_t i = 0; i < kSignals.size(); ++i)
            ::sigaction(kSignals[i], &before_[i], nullptr);
        forward_to = 0;
    }

 private:
    static constexpr std::array kSignals{SIGINT, SIGTERM};
    std::array<struct sigaction, kSignals.size()> before_{};
};

// --- The worker process
// -------------------------------------------------------------------------------------------

/// What the child does between fork and exec: only calls that are safe there. Writes errno to `failure` and
/// ends.
[[noreturn]] void become_worker(const char* program, int socket, int failure, pid_t parent) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (::getppid() != parent) ::_exit(1);
    ::signal(SIGCHLD, SIG_DFL);
    sigset_t none;
    sigemptyset(&none);
    ::sigprocmask(SIG_SETMASK, &none, nullptr);
    const int null = ::open("/dev/null", O_RDWR | O_CLOEXEC);
    if (null >= 0 && ::dup2(null, 0) == 0 && ::dup2(2, 1) == 1 && ::fcntl(socket, F_SETFD, 0) == 0) {
        std::array<char, 16> number{};
        size_t at = number.size() - 1;
        for (int rest = socket; at > 0; rest /= 10) {
            number[--at] = static_cast<char>('0' + rest % 10);
            if (rest < 10) break;
        }
        ::execl(program, program, "--socket", number.data() + at, static_cast<char*>(nullptr));
    }
    const int cause = errno;
    (void)!::write(failure, &cause, sizeof cause);
    ::_exit(1);
}

std::string death_in_words(int status) {
    if (WIFSIGNALED(status)) {
        const int number = WTERMSIG(status);
        const char* name = ::strsignal(number);
        return fmt::format("its worker was killed by signal {} ({})", number,
                           name != nullptr ? name : "unknown");
    }
    return fmt::format("its worker ended with exit code {} before it answered", WEXITSTATUS(status));
}

class Worker {
 public:
    explicit Worker(const std::string& program) : socket_(start(program)) {}
    Worker(const Worker&) = delete;
    Worker& operator=(const Worker&) = delete;
    ~Worker() {
        if (pid_ == 0) return;
        ::kill(pid_, SIGTERM);
        finish();
    }

    [[nodiscard]] LineSocket& socket() noexcept { return socket_; }
    [[nodiscard]] pid_t pid() const noexcept { return pid_; }

    /// The next line; nullopt when the worker has ended and everything it said was read. A process that it
    /// left behind with the socket open delays nothing.
    std::optional<wire::Line> next() {
        for (;;) {
            wire::Line line;
            const bool ended = has_ended(0);
            switch (socket_.receive(line, false)) {
                case Received::line:
                    return line;
                case Received::end:
                    return std::nullopt;
                case Received::nothing_yet:
                    break;
            }
            if (ended) return std::nullopt;
            std::array<struct pollfd, 2> waits{{{socket_.fd(), POLLIN, 0}, {handle_.get(), POLLIN, 0}}};
            if (::poll(waits.data(), waits.size(), -1) < 0 && errno != EINTR) {
                throw Error::from_errno("wait for the transaction's worker", "");
            }
        }
    }

    /// Wait for its end, kill it when that takes too long, and return the status of waitpid(2).
    int finish() {
        const auto deadline = Clock::now() + kPatience;
        while (!has_ended(50) && Clock::now() < deadline) {
        }
        ::kill(pid_, SIGKILL);
        int status = 0;
        while (::waitpid(pid_, &status, 0) < 0 && errno == EINTR) {
        }
        pid_ = 0;
        return status;
    }

 private:
    Fd start(const std::string& program) {
        std::array<int, 2> pair{};
        if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair.data()) != 0) {
            throw Error::from_errno("make the worker's socket", "");
        }
        Fd ours(pair[0]), theirs(pair[1]);
        std::array<int, 2> pipe{};
        if (::pipe2(pipe.data(), O_CLOEXEC) != 0) throw Error::from_errno("make the worker's pipe", "");
        Fd failure_in(pipe[0]), failure_out(pipe[1]);
        const pid_t parent = ::getpid();
        pid_ = ::fork();
        if (pid_ < 0) throw Error::from_errno("start the transaction's worker", program);
        if (pid_ == 0) become_worker(program.c_str(), theirs.get(), failure_out.get(), parent);
        failure_out.reset();
        theirs.reset();
        handle_ = Fd(static_cast<int>(::syscall(SYS_pidfd_open, pid_, 0)));
        int cause = 0;
        if (::read(failure_in.get(), &cause, sizeof cause) == sizeof cause) {
            finish();
            throw Error::from_errno("start the transaction's worker", program, cause);
        }
        return ours;
    }

    [[nodiscard]] bool has_ended(int wait_milliseconds) const {
        struct pollfd wait {
            handle_.get(), POLLIN, 0
        };
        return ::poll(&wait, 1, wait_milliseconds) > 0;
    }

    pid_t pid_ = 0;
    Fd handle_;
    LineSocket socket_;  // last: its initialiser starts the process and sets the others
};

wire::Line answer_line(int answer) {
    wire::Line line;
    line.answer = answer;
    return line;
}

/// Serve one line of the worker; true when it was the last.
bool serve_line(const wire::Line& line, Dialogue& dialogue, const LineSocket& socket) {
    if (line.progress) {
        dialogue.progress(line.progress->step, line.progress->label, line.progress->done,
                          line.progress->total);
    } else if (line.message) {
        dialogue.message(line.message->severity, line.message->text);
    } else if (line.script) {
        dialogue.script_output(line.script->agent, line.script->line);
    } else if (line.confirm) {
        (void)socket.send(answer_line(dialogue.confirm(*line.confirm) ? 1 : 0));
    } else if (line.ask) {
        (void)socket.send(answer_line(dialogue.ask(*line.ask)));
    } else {
        if (!line.report && !line.error && !line.defect) {
            throw Error("read a line of the worker's conversation", "", "a worker does not say this")
                .as(Fault::corrupt);
        }
        return true;
    }
    return false;
}

// --- In the worker
// ------------------------------------------------------------------------------------------------

/// The engine's Dialogue: everything goes over the socket. Progress and messages may come from any thread.
class RemoteDialogue final : public Dialogue {
 public:
    explicit RemoteDialogue(LineSocket& socket) : socket_(&socket) {}

    void progress(const std::string& step, const std::string& label, uint64_t done, uint64_t total) override {
        const std::lock_guard lock(mutex_);
        const auto now = Clock::now();
        if (step == last_step_ && label == last_label_ && done != total &&
            now - last_progress_ < kProgressPause)
            return;
        last_step_ = step;
        last_label_ = label;
        last_progress_ = now;
        wire::Line line;
        line.progress = {step, label, done, total};
        (void)socket_->send(line);
    }
    void message(Severity severity, const std::string& text) override {
        wire::Line line;
        line.message = {severity, text};
        say(line);
    }
    void script_output(const std::string& agent, const std::string& text) override {
        wire::Line line;
        line.script = {agent, text};
        say(line);
    }
    bool confirm(const std::vector<ContainerPlan>& plans) override {
        wire::Line line;
        line.confirm = plans;
        const bool yes = answer_to(line) != 0;
        stop_if_interrupted("ask for a confirmation");
        return yes;
    }
    int ask(const Question& question) override {
        wire::Line line;
        line.ask = question;
        return answer_to(line);
    }
    void say(const wire::Line& line) {
        const std::lock_guard lock(mutex_);
        (void)socket_->send(line);
    }
    /// What it was told last, for a failure that does not say where it happened.
    [[nodiscard]] std::string last_step() {
        const std::lock_guard lock(mutex_);
        return last_label_.empty() ? last_step_ : fmt::format("{} {}", last_step_, last_label_);
    }

 private:
    int answer_to(const wire::Line& question) {
        say(question);
        wire::Line line;
        if (socket_->receive(line, true) != Received::line || !line.answer) {
            throw Error("ask the user", "", "the command line that could be asked is gone")
                .as(Fault::interrupted);
        }
        return *line.answer;
    }

    LineSocket* socket_;
    std::mutex mutex_;
    std::string last_step_, last_label_;
    Clock::time_point last_progress_;
};

}  // namespace

bool transaction_interrupted() noexcept {
    return forward_to.load() > 0 && interrupts.load() > 0;
}

TransactionReport run_in_worker(const std::string& program, const TransactionRequest& request,
                                Dialogue& dialogue) {
    Worker worker(program);
    const SignalForwarding forwarding(worker.pid());
    wire::Line first;
    first.request = request;
    bool alive = worker.socket().send(first);
    std::optional<wire::Line> last;
    while (alive && !last) {
        auto line = worker.next();
        if (!line) break;
        if (serve_line(*line, dialogue, worker.socket())) last = std::move(line);
    }
    const int status = worker.finish();
    if (last && last->report) return *last->report;
    if (last && last->defect) throw Defect(*last->defect);
    if (last) throw wire::error_of(*last->error);
    const bool interrupted = interrupts > 0;
    throw Error("run the transaction", "", interrupted ? "interrupted" : death_in_words(status))
        .as(interrupted ? Fault::interrupted : Fault::failure)
        .with_hint(
            "every container is in its old or every one in its new state; the same command can be given "
            "again");
}

int serve_worker(Fd socket, const TransactionRunner& runner) {
    if (::fcntl(socket.get(), F_SETFD, FD_CLOEXEC) != 0)
        throw Error::from_errno("serve the command line", "");
    LineSocket conversation(std::move(socket));
    RemoteDialogue dialogue(conversation);
    wire::Line end;
    wire::Line line;
    try {
        if (conversation.receive(line, true) != Received::line || !line.request) {
            throw Error("serve the command line", "", "it did not send a request").as(Fault::corrupt);
        }
        end.report = runner(*line.request, dialogue);
    } catch (const Error& error) {
        end.error = wire::failure_of(error);
    } catch (const std::bad_alloc&) {
        end.error = wire::failure_of(out_of_memory("run the transaction"));
    } catch (const std::exception& problem) {
        const std::string step = dialogue.last_step();
        const std::string command = line.request ? line.request->command : "a transaction";
        const std::string doing =
            fmt::format("carrying out '{}'{}", command, step.empty() ? "" : fmt::format(", at '{}'", step));
        end.defect = Defect::of(problem, printable(doing)).what();
    }
    dialogue.say(end);
    return end.report ? 0 : 1;
}

}  // namespace pwstore
