// SPDX-License-Identifier: GPL-3.0-or-later
#include "mount/process.hpp"

#include <poll.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <cstdlib>
#include <cstring>

#include "mount/child.hpp"
#include "mount/children.hpp"
#include "store/base/error.hpp"
#include "store/base/path_at.hpp"

namespace pwstore {

namespace {

// --- Start
// ---------------------------------------------------------------------------------------------------

struct ChildPlan {
    const SpawnRequest* request;
    char* const* arguments;
    char* const* environment;
    pid_t parent;
    int error_number;  ///< set by the child, which shares our memory until exec
};

/// Handlers of ours must not run in the child, and what is ignored stays so only on request; except SIGCHLD,
/// without which the child could not wait for its own children.
void settle_signals(bool reset_ignored) noexcept {
    for (int number = 1; number < NSIG; ++number) {
        struct sigaction action {};
        if (::sigaction(number, nullptr, &action) != 0) continue;
        const bool stays_ignored = action.sa_handler == SIG_IGN && !reset_ignored && number != SIGCHLD;
        if (action.sa_handler == SIG_DFL || stays_ignored) continue;
        action = {};
        action.sa_handler = SIG_DFL;
        (void)::sigaction(number, &action, nullptr);
    }
}

int child_main(void* argument) noexcept {
    auto& plan = *static_cast<ChildPlan*>(argument);
    const SpawnRequest& request = *plan.request;
    settle_signals(request.default_signals);
    const bool ready = (!request.die_with_parent || child::die_with(plan.parent)) &&
                       (!request.process_group || ::setpgid(0, *request.process_group) == 0) &&
                       child::place_descriptors(request.streams.data(), request.descriptors.data(),
                                                request.descriptors.size(), child::kFirstDescriptor);
    if (ready) {
        sigset_t blocked;
        (void)(request.block_signals ? ::sigfillset(&blocked) : ::sigemptyset(&blocked));
        (void)::sigprocmask(SIG_SETMASK, &blocked, nullptr);
        (void)::execve(request.program.c_str(), plan.arguments, plan.environment);
    }
    plan.error_number = errno != 0 ? errno : ESRCH;
    ::_exit(127);
}

std::vector<char*> pointers_to(const std::vector<std::string>& texts) {
    std::vector<char*> pointers;
    pointers.reserve(texts.size() + 1);
    for (const std::string& text : texts)
        pointers.push_back(const_cast<char*>(text.c_str()));
    pointers.push_back(nullptr);
    return pointers;
}

/// All signals blocked for a moment.
class SignalsBlocked {
 public:
    SignalsBlocked() {
        sigset_t all;
        (void)::sigfillset(&all);
        (void)::pthread_sigmask(SIG_SETMASK, &all, &before_);
    }
    ~SignalsBlocked() { (void)::pthread_sigmask(SIG_SETMASK, &before_, nullptr); }
    SignalsBlocked(const SignalsBlocked&) = delete;
    SignalsBlocked& operator=(const SignalsBlocked&) = delete;

 private:
    sigset_t before_{};
};

bool is_executable_file(const std::string& path) {
    struct stat status {};
    return ::stat(path.c_str(), &status) == 0 && S_ISREG(status.st_mode) && ::access(path.c_str(), X_OK) == 0;
}

std::optional<int> number_after(std::string_view text, std::string_view member) {
    const size_t at = text.find(member);
    if (at == std::string_view::npos) return std::nullopt;
    std::string_view rest = text.substr(at + member.size());
    rest.remove_prefix(std::min(rest.find_first_not_of(" :"), rest.size()));
    int value = 0;
    const auto [end, error] = std::from_chars(rest.data(), rest.data() + rest.size(), value);
    return error == std::errc() ? std::optional(value) : std::nullopt;
}

}  // namespace

pid_t spawn(const SpawnRequest& request) {
    const auto arguments = pointers_to(request.arguments);
    const auto environment = pointers_to(request.environment);
    ChildPlan plan{&request, arguments.data(), environment.data(), ::getpid(), 0};
    // The child borrows our memory until it execs: no page tables are copied, however large the index's map
    // is.
    alignas(64) std::array<char, 65536> stack;
    pid_t child = -1;
    int error_number = 0;
    {
        const SignalsBlocked blocked;
        child = ::clone(child_main, stack.data() + stack.size(), CLONE_VM | CLONE_VFORK | SIGCHLD, &plan);
        error_number = errno;
    }
    if (child < 0) throw Error::from_errno("start", request.program, error_number);
    if (plan.error_number != 0) {
        (void)wait_for(child);
        throw Error::from_errno("start", request.program, plan.error_number);
    }
    return child;
}

namespace {

/// What the guard does: start the program, say so, and see to its end. `line` hangs up with our parent. No
/// signal reaches it but KILL and STOP. It leaves the session once the program is in it: as its parent in the
/// session it would keep the kernel from seeing that nobody is there who could continue the program's group
/// (^Z in a terminal that was opened for it alone).
[[noreturn]] void guard(const SpawnRequest& request, const Fd& line, Fd report) {
    (void)::prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
    pid_t child = -1;
    try {
        child = spawn(request);
    } catch (const Error& error) {
        const int cause = error.error_number();
        (void)!::write(report.get(), &cause, sizeof cause);
        ::_exit(127);
    }
    (void)::setsid();
    report.reset();
    ::_exit(exit_code_of(child::guard_sandbox(child, line.get())));
}

}  // namespace

Guarded spawn_guarded(const SpawnRequest& request) {
    auto [line_end, line] = make_pipe();
    auto [report_end, report] = make_pipe();
    pid_t child = -1;
    int error_number = 0;
    {
        const SignalsBlocked blocked;
        child = ::fork();
        error_number = errno;
        if (child == 0) {
            line.reset();
            guard(request, line_end, std::move(report));
        }
    }
    if (child < 0) throw Error::from_errno("start", request.program, error_number);
    report.reset();
    int cause = 0;
    const std::string said = read_all(report_end.get(), "guard");
    if (said.size() == sizeof cause) {
        std::memcpy(&cause, said.data(), sizeof cause);
        (void)wait_for(child);
        throw Error::from_errno("start", request.program, cause);
    }
    return {child, std::move(line)};
}

int wait_for(pid_t child) {
    int status = 0;
    while (::waitpid(child, &status, 0) < 0) {
        if (errno != EINTR) throw Error::from_errno("wait for", std::to_string(child));
    }
    return status;
}

int exit_code_of(int wait_status) noexcept {
    return WIFSIGNALED(wait_status) ? 128 + WTERMSIG(wait_status) : WEXITSTATUS(wait_status);
}

Fd memory_file(const char* name, std::string_view content) {
    Fd file(::memfd_create(name, MFD_CLOEXEC));
    if (!file) throw Error::from_errno("make file in memory", name);
    write_all(file.get(), content, name);
    if (::lseek(file.get(), 0, SEEK_SET) != 0) throw Error::from_errno("rewind", name);
    return file;
}

Pipe make_pipe() {
    std::array<int, 2> ends{};
    if (::pipe2(ends.data(), O_CLOEXEC) != 0) throw Error::from_errno("make pipe", "");
    return {Fd(ends[0]), Fd(ends[1])};
}

std::optional<std::string> find_program(std::string_view name) {
    const char* variable = std::getenv("PATH");
    std::string_view rest =
        variable != nullptr && *variable != '\0' ? variable : "/usr/local/bin:/usr/bin:/bin";
    while (!rest.empty()) {
        const size_t end = std::min(rest.find(':'), rest.size());
        const std::string_view directory = rest.substr(0, end);
        rest.remove_prefix(std::min(end + 1, rest.size()));
        if (!directory.starts_with('/')) continue;  // a program of the current directory is never meant
        std::string path = std::string(directory) + "/" + std::string(name);
        if (is_executable_file(path)) return path;
    }
    return std::nullopt;
}

std::optional<std::string> try_find_own_program(const std::string& name) {
    const std::string self = read_link_at(AT_FDCWD, "/proc/self/exe");
    const std::string here(split_path(self).first);
    const std::array<std::string, 4> places{here, here + "/../libexec/pwstore", here + "/../bin",
                                            PWSTORE_LIBEXEC_DIR};
    for (const std::string& place : places) {
        std::string path = place;
        path.append("/").append(name);
        if (is_executable_file(path)) return path;
    }
    return std::nullopt;
}

std::string find_own_program(const std::string& name) {
    if (auto path = try_find_own_program(name)) return std::move(*path);
    throw Error("find program", name, "it is neither beside this program nor in " PWSTORE_LIBEXEC_DIR)
        .as(Fault::unsupported)
        .with_hint("install pwstore again");
}

SandboxStatus parse_sandbox_status(std::string_view text) {
    return {number_after(text, "\"child-pid\""), number_after(text, "\"exit-code\"")};
}

std::optional<pid_t> command_of(pid_t init) {
    const pid_t command = child::first_child_of(init);
    return command > 0 ? std::optional(command) : std::nullopt;
}

}  // namespace pwstore
