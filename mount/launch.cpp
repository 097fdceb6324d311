// SPDX-License-Identifier: GPL-3.0-or-later
#include "mount/launch.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <thread>

#include "mount/child.hpp"
#include "mount/executable.hpp"
#include "mount/guard.hpp"
#include "mount/process.hpp"
#include "mount/start_directory.hpp"
#include "store/base/error.hpp"
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
    CommandLookup lookup = look_up_command(spec, sources, name);
    using Verdict = CommandLookup::Verdict;
    if (lookup.verdict == Verdict::found || lookup.verdict == Verdict::unknown) return;
    CommandError error(spec, name, lookup.cause,
                       lookup.verdict == Verdict::not_found ? kExitNotFound : kExitNotExecutable);
    if (!lookup.hint.empty()) error.with_hint(lookup.hint);
    throw error;
}

/// The container's home stands for it.
bool stands_in_own_home() {
    const char* home = std::getenv("HOME");
    struct stat here {};
    struct stat own {};
    return home != nullptr && ::stat(".", &here) == 0 && ::stat(home, &own) == 0 &&
           here.st_dev == own.st_dev && here.st_ino == own.st_ino;
}

void start_where_the_caller_stands(SandboxSpec& spec, const BindSources& sources, const Say& say) {
    if (!spec.follows_caller) return;
    StartDirectory start = find_start_directory(spec, sources);
    if (start.inside) {
        spec.working_directory = std::move(*start.inside);
        return;
    }
    // Nobody stands in `/` on purpose: it is where services start.
    if (!say || start.outside == "/" || stands_in_own_home()) return;
    if (start.outside.empty()) {
        say(fmt::format("the current directory is gone: starting in {}", printable(spec.working_directory)));
    } else {
        say(fmt::format("'{}' does not see {}: starting in {} (--here shows it)", printable(spec.container),
                        printable(start.outside), printable(spec.working_directory)));
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

int launch(SandboxSpec spec, const std::vector<std::string>& argv, Fd lease, const Say& say) {
    return launch(BwrapProgram::find(), std::move(spec), argv, std::move(lease), say);
}

int launch(const BwrapProgram& program, SandboxSpec spec, const std::vector<std::string>& argv, Fd lease,
           const Say& say) {
    if (argv.empty()) throw Error("run in", spec.container, "no command").as(Fault::usage);
    if (spec.root.kind == RootMount::Kind::overlay) {
        throw Error("run in", spec.container, "an overlay needs the namespace helper").as(Fault::refused);
    }
    BindSources sources = open_bind_sources(spec);
    start_where_the_caller_stands(spec, sources, say);
    check_command(spec, sources, argv.front());
    TerminalShare share = spec.new_session ? TerminalShare() : TerminalShare::of_our_session();
    const Fd held = lease ? second_lease(lease.get()) : Fd();
    auto [status, status_end] = make_pipe();
    BwrapChannels channels{std::move(status_end), std::move(lease), share.take_starter()};
    channels.leads = share.is_for_a_person() && spec.is_shell(argv);
    const BwrapCommand command = bwrap_command(program, spec, std::move(sources), std::move(channels), argv);
    SpawnRequest request{.program = program.path, .arguments = command.arguments(), .environment = {}};
    for (const Fd& fd : command.descriptors)
        request.descriptors.push_back(fd.get());
    request.die_with_parent = spec.die_with_parent;
    request.block_signals = share.is_shared();
    if (!share.is_shared()) request.process_group = 0;
    const Fd no_input = !share.is_shared() && ForegroundWait::is_input_of_others()
                            ? open_at(AT_FDCWD, "/dev/null", O_RDONLY)
                            : Fd();
    if (no_input) request.streams[0] = no_input.get();
    const Adoption adoption(!spec.die_with_parent);
    ForegroundWait foreground(share);
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
