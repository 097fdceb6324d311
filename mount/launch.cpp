// SPDX-License-Identifier: GPL-3.0-or-later
#include "mount/launch.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <thread>

#include "mount/child.hpp"
#include "mount/executable.hpp"
#include "mount/guard.hpp"
#include "mount/process.hpp"
#include "store/base/path_at.hpp"

namespace pwstore {

namespace {

constexpr std::chrono::seconds kLeasePatience{10};

/// A shared lock of our own: a program inside that got hold of the sandbox's descriptor could unlock only
/// that one.
Fd second_lease(int lease) {
    Fd file = open_at(AT_FDCWD, "/proc/self/fd/" + std::to_string(lease), O_RDONLY);
    if (::flock(file.get(), LOCK_SH | LOCK_NB) != 0) throw Error::from_errno("hold", "run lease");
    return file;
}

/// With allow_forking the sandbox lives until its last process ends. We adopt its first process, so that its
/// number cannot become another's before we have waited for it.
class Adoption {
 public:
    explicit Adoption(bool wanted) : wanted_(wanted) {
        if (wanted_) (void)::prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
    }
    ~Adoption() {
        if (wanted_) (void)::prctl(PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0);
    }
    Adoption(const Adoption&) = delete;
    Adoption& operator=(const Adoption&) = delete;

    void wait(ForegroundWait& foreground, const SandboxStatus& status, int status_pipe,
              std::string& text) const {
        siginfo_t info{};
        if (!wanted_ || !status.init) return;
        const bool ours =
            ::waitid(P_PID, static_cast<id_t>(*status.init), &info, WEXITED | WNOHANG | WNOWAIT) == 0;
        if (ours) (void)foreground.wait(*status.init, status_pipe, text);
    }

 private:
    bool wanted_;
};

/// An Error that has an exit code of its own; caught as an Error everywhere but in launch_exit_code().
struct CommandError : Error {
    CommandError(const SandboxSpec& spec, const std::string& name, std::string_view cause, int its_exit_code)
        : Error("run in " + spec.container, name, cause), exit_code(its_exit_code) {}
    int exit_code;
};

void check_command(const SandboxSpec& spec, const BindSources& sources, const std::string& name) {
    switch (look_up_command(spec, sources, name)) {
        case CommandLookup::found:
        case CommandLookup::unknown:
            return;
        case CommandLookup::not_found:
            throw CommandError(spec, name, "there is no such program in the container", kExitNotFound);
        case CommandLookup::not_executable:
            throw CommandError(spec, name, "it is there, but it cannot be executed", kExitNotExecutable);
    }
}

bool names_inode(int dir, const std::string& path, int fd) {
    const auto there = try_stat_at(dir, path);
    const struct stat held = stat_fd(fd, path);
    return there && there->st_dev == held.st_dev && there->st_ino == held.st_ino;
}

/// nullopt when the file was replaced while we waited.
std::optional<Fd> lock_shared(int dir, const std::string& path) {
    // Never for writing: what is open inside the sandbox cannot be written to then.
    Fd file = open_at(dir, path, O_RDONLY | O_CREAT | O_NOFOLLOW, 0600);
    const auto deadline = std::chrono::steady_clock::now() + kLeasePatience;
    while (::flock(file.get(), LOCK_SH | LOCK_NB) != 0) {
        const int error_number = errno;
        if (error_number == EINTR) continue;
        if (error_number != EWOULDBLOCK) throw Error::from_errno("lock", path, error_number);
        if (!names_inode(dir, path, file.get())) return std::nullopt;
        if (std::chrono::steady_clock::now() > deadline) {
            throw Error("lock", path, "the root is being replaced").as(Fault::busy).with_hint("try again");
        }
        std::this_thread::sleep_for(std::chrono::milliseconds(2));
    }
    if (!names_inode(dir, path, file.get())) return std::nullopt;
    return file;
}

}  // namespace

int launch_exit_code(const Error& error) noexcept {
    const auto* command = dynamic_cast<const CommandError*>(&error);
    return command != nullptr ? command->exit_code : kExitOwnFailure;
}

int launch(const SandboxSpec& spec, const std::vector<std::string>& argv, Fd lease) {
    return launch(BwrapProgram::find(), spec, argv, std::move(lease));
}

int launch(const BwrapProgram& program, const SandboxSpec& spec, const std::vector<std::string>& argv,
           Fd lease) {
    if (argv.empty()) throw Error("run in", spec.container, "no command").as(Fault::usage);
    if (spec.root.kind == RootMount::Kind::overlay) {
        throw Error("run in", spec.container, "an overlay needs the namespace helper").as(Fault::refused);
    }
    BindSources sources = open_bind_sources(spec);
    check_command(spec, sources, argv.front());
    const Fd held = lease ? second_lease(lease.get()) : Fd();
    auto [status, status_end] = make_pipe();
    const BwrapCommand command =
        bwrap_command(program, spec, std::move(sources), {std::move(status_end), std::move(lease)}, argv);
    SpawnRequest request{.program = program.path, .arguments = command.arguments(), .environment = {}};
    for (const Fd& fd : command.descriptors)
        request.descriptors.push_back(fd.get());
    request.die_with_parent = spec.die_with_parent;
    if (spec.new_session) request.process_group = 0;
    const Adoption adoption(!spec.die_with_parent);
    ForegroundWait foreground(spec.new_session ? TerminalSignals::forward : TerminalSignals::shared);
    std::string text;
    const Guarded sandbox = spec.die_with_parent ? spawn_guarded(request) : Guarded{spawn(request), Fd()};
    const int wait_status = foreground.wait(sandbox.guard, status.get(), text);
    const SandboxStatus reported = parse_sandbox_status(text);
    adoption.wait(foreground, reported, status.get(), text);
    if (reported.exit_code) return *reported.exit_code;
    // Killed between its birth and its exec: no exit code is reported, but the sandbox program's own says
    // how.
    if (exit_code_of(wait_status) > 128) return exit_code_of(wait_status);
    throw Error("run in", spec.container, "the sandbox could not be started; its own message is above")
        .with_hint("'pwstore doctor' looks for the reason");
}

std::optional<RunLease> take_run_lease(int data_dir, const Index& index, const ContainerName& name) {
    for (;;) {
        const auto row = index.read().container(name);
        if (!row || row->current == 0) return std::nullopt;
        const std::string root = Layout::root_name(name, row->current);
        if (!exists_at(data_dir, root)) return std::nullopt;
        auto lock = lock_shared(data_dir, Layout::run_lease_name(name, row->current));
        if (!lock) continue;
        const auto now = index.read().container(name);
        if (!now || now->current != row->current) continue;
        // It may have been removed before we had the lock; then the lock file is one that we have made.
        if (!exists_at(data_dir, root)) return std::nullopt;
        return RunLease{std::move(*lock), row->current};
    }
}

}  // namespace pwstore
