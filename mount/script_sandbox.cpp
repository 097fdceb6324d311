// SPDX-License-Identifier: GPL-3.0-or-later
#include "mount/script_sandbox.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cstring>
#include <exception>
#include <utility>

#include "mount/bwrap.hpp"
#include "mount/ns_protocol.hpp"
#include "mount/process.hpp"
#include "mount/seccomp.hpp"
#include "store/base/error.hpp"
#include "store/base/path_at.hpp"

namespace pwstore {

namespace {

constexpr const char* kDefaultPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
constexpr size_t kLongestLine = 65536;
constexpr int kOwnFailure = 125;
constexpr int kNotExecutable = 126;
constexpr int kNotFound = 127;

std::string_view step_text(ns::Step step) {
    switch (step) {
        case ns::Step::none:
            return "";
        case ns::Step::protocol:
            return "talk to the namespace helper";
        case ns::Step::make_namespace:
            return "make a user and mount namespace";
        case ns::Step::map_user:
            return "map the user of a namespace";
        case ns::Step::open_root:
            return "open root";
        case ns::Step::open_scratch:
            return "open scratch directory";
        case ns::Step::make_directories:
            return "make overlay directories";
        case ns::Step::mount_overlay:
            return "mount overlay";
        case ns::Step::unmount:
            return "unmount overlay";
        case ns::Step::remove:
            return "remove overlay directories";
        case ns::Step::look_up_command:
            return "look up command";
        case ns::Step::mount_point:
            return "mount on proc, dev, tmp and run of the root";
        case ns::Step::start:
            return "start sandbox";
    }
    return "talk to the namespace helper";
}

/// The helper process and the conversation with it.
class NamespaceHelper {
 public:
    NamespaceHelper() {
        std::array<int, 2> ends{};
        if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends.data()) != 0) {
            throw Error::from_errno("make socket pair", "");
        }
        socket_ = Fd(ends[0]);
        const Fd theirs(ends[1]);
        const Fd null = open_at(AT_FDCWD, "/dev/null", O_RDWR);
        // An interrupt of the terminal is our business.
        process_ = spawn({.program = find_own_program("pwstore-ns"),
                          .arguments = {"pwstore-ns"},
                          .environment = {},
                          .streams = {null.get(), null.get(), null.get()},
                          .descriptors = {theirs.get()},
                          .default_signals = true,
                          .block_signals = true});
    }
    ~NamespaceHelper() {
        socket_.reset();
        int status = 0;
        while (::waitpid(process_, &status, 0) < 0 && errno == EINTR) {
        }
    }
    NamespaceHelper(const NamespaceHelper&) = delete;
    NamespaceHelper& operator=(const NamespaceHelper&) = delete;

    void send(ns::Verb verb, uint8_t flags, const std::vector<std::string>& texts,
              const std::vector<int>& descriptors = {}) {
        const ns::Request request{verb, flags, static_cast<uint16_t>(texts.size())};
        std::string bytes(sizeof request, '\0');
        std::memcpy(bytes.data(), &request, sizeof request);
        for (const std::string& text : texts)
            bytes.append(text).push_back('\0');
        struct iovec part {
            bytes.data(), bytes.size()
        };
        struct msghdr header {};
        header.msg_iov = &part;
        header.msg_iovlen = 1;
        std::vector<char> control(CMSG_SPACE(descriptors.size() * sizeof(int)));
        if (!descriptors.empty()) {
            header.msg_control = control.data();
            header.msg_controllen = control.size();
            struct cmsghdr* rights = CMSG_FIRSTHDR(&header);
            rights->cmsg_level = SOL_SOCKET;
            rights->cmsg_type = SCM_RIGHTS;
            rights->cmsg_len = CMSG_LEN(descriptors.size() * sizeof(int));
            std::memcpy(CMSG_DATA(rights), descriptors.data(), descriptors.size() * sizeof(int));
        }
        if (::sendmsg(socket_.get(), &header, MSG_NOSIGNAL) < 0)
            throw Error::from_errno("talk to", "pwstore-ns");
    }

    [[nodiscard]] ns::Reply receive() {
        ns::Reply reply{};
        ssize_t got = 0;
        do {
            got = ::recv(socket_.get(), &reply, sizeof reply, 0);
        } while (got < 0 && errno == EINTR);
        if (got != static_cast<ssize_t>(sizeof reply))
            throw Error("talk to", "pwstore-ns", "the namespace helper died");
        return reply;
    }

    void must(ns::Verb verb, const std::string& path, uint8_t flags = 0,
              const std::vector<std::string>& texts = {}) {
        send(verb, flags, texts);
        const ns::Reply reply = receive();
        if (reply.step == ns::Step::none) return;
        Error error = Error::from_errno(step_text(reply.step), path, reply.error);
        if (reply.step == ns::Step::make_namespace || reply.step == ns::Step::map_user ||
            reply.step == ns::Step::mount_overlay) {
            error.as(Fault::unsupported);
        }
        throw error;
    }

    [[nodiscard]] int socket() const noexcept { return socket_.get(); }

 private:
    Fd socket_;
    pid_t process_ = -1;
};

/// Cuts what comes from a pipe into lines. Once the receiver has thrown, the rest is read and dropped, so
/// that the sandbox always comes to its end.
class LineReader {
 public:
    explicit LineReader(const std::function<void(std::string_view)>& deliver) : deliver_(deliver) {}

    void read_to_end(int fd) {
        std::array<char, 16384> buffer{};
        for (;;) {
            const ssize_t got = ::read(fd, buffer.data(), buffer.size());
            if (got < 0 && errno == EINTR) continue;
            if (got <= 0) break;
            add(std::string_view(buffer.data(), static_cast<size_t>(got)));
        }
        if (!line_.empty()) emit(line_);
    }
    [[nodiscard]] const std::string& first_line() const noexcept { return first_; }
    void rethrow() const {
        if (failure_) std::rethrow_exception(failure_);
    }

 private:
    void add(std::string_view bytes) {
        while (!bytes.empty()) {
            const size_t end = bytes.find('\n');
            line_.append(bytes.substr(0, end));
            bytes.remove_prefix(end == std::string_view::npos ? bytes.size() : end + 1);
            if (end == std::string_view::npos && line_.size() < kLongestLine) continue;
            emit(line_);
            line_.clear();
        }
    }
    void emit(std::string_view line) {
        if (first_.empty()) first_ = line.substr(0, 400);
        if (failure_ || !deliver_) return;
        try {
            deliver_(line);
        } catch (...) {
            failure_ = std::current_exception();
        }
    }

    const std::function<void(std::string_view)>& deliver_;
    std::string line_;
    std::string first_;
    std::exception_ptr failure_;
};

/// Where the command could be inside the root. Empty when that cannot be told from outside (below what is
/// mounted there).
std::vector<std::string> places_of_command(const std::string& name, const SandboxSpec& spec) {
    std::vector<std::string> places;
    if (name.find('/') != std::string::npos) {
        places.push_back(name.starts_with('/') ? name : "/" + name);
    } else {
        std::string_view rest = kDefaultPath;
        for (const EnvironmentVariable& variable : spec.environment) {
            if (variable.name == "PATH") rest = variable.value;
        }
        while (!rest.empty() && places.size() < 60) {
            const size_t end = std::min(rest.find(':'), rest.size());
            if (end != 0) places.push_back(std::string(rest.substr(0, end)) + "/" + name);
            rest.remove_prefix(std::min(end + 1, rest.size()));
        }
    }
    for (const std::string& place : places) {
        for (const MountOp& mount : spec.mounts) {
            if (place.starts_with(mount.destination + "/")) return {};
        }
    }
    return places;
}

std::string joined(const std::vector<std::string>& words) {
    std::string bytes;
    for (const std::string& word : words) {
        if (word.find('\0') != std::string::npos)
            throw Error("run script", word, "an argument with a NUL byte").as(Fault::usage);
        bytes.append(word).push_back('\0');
    }
    return bytes;
}

void set_variable(std::vector<EnvironmentVariable>& environment, const EnvironmentVariable& variable) {
    for (EnvironmentVariable& there : environment) {
        if (there.name != variable.name) continue;
        there.value = variable.value;
        return;
    }
    environment.push_back(variable);
}

}  // namespace

struct ScriptSandbox::State {
    ScriptMode mode;
    std::string root;
    std::string scratch;
    std::string hostname;
    BwrapProgram program;
    std::string filter;
    NamespaceHelper helper;
    bool begun = false;
    Fd upper;

    [[nodiscard]] SandboxSpec spec_of(const ScriptCommand& command) const {
        SandboxSpec spec;
        spec.container = hostname;
        spec.root.path = root;
        spec.root.kind = RootMount::Kind::private_copy;
        if (mode == ScriptMode::overlay)
            spec.root = {RootMount::Kind::overlay, root, scratch + "/upper", scratch + "/work"};
        spec.mounts = {{MountOp::Kind::dev, "", "/dev", 0755, false, "script"},
                       {MountOp::Kind::tmpfs, "", "/tmp", 01777, false, "script"},
                       {MountOp::Kind::tmpfs, "", "/run", 0755, false, "script"}};
        add_proc(spec.mounts, ::geteuid(), "script");
        // Executable, as dpkg and the kernel have scripts: some start themselves again ("exec $0"), and
        // others are programs of their own.
        for (const ScriptCommand::File& file : command.files) {
            spec.mounts.push_back({MountOp::Kind::data_ro, file.content, file.path, 0755, false, "script"});
        }
        spec.environment = {{"PATH", kDefaultPath}, {"HOME", "/root"},    {"USER", "root"},
                            {"LOGNAME", "root"},    {"SHELL", "/bin/sh"}, {"TERM", "dumb"},
                            {"LANG", "C.UTF-8"}};
        for (const EnvironmentVariable& variable : command.environment)
            set_variable(spec.environment, variable);
        spec.hostname = command.hostname.empty() ? hostname : command.hostname;
        spec.network = command.network;
        spec.mounts.insert(spec.mounts.end(), command.binds.begin(), command.binds.end());
        spec.working_directory = "/";
        spec.root_powers = true;
        spec.seccomp = filter;
        return spec;
    }

    /// Ask the helper to start the sandbox; descriptors of ours that the sandbox holds are closed again on
    /// return.
    void start(const ScriptCommand& command, std::array<int, 3> streams, BwrapChannels channels) {
        if (!begun)
            throw Error("run script", command.argv.empty() ? "" : command.argv.front(),
                        "the root is not mounted");
        if (command.argv.empty()) throw Error("run script", "", "no command").as(Fault::usage);
        SandboxSpec spec = spec_of(command);
        spec.new_session = !channels.starter;
        channels.leads = channels.leads && spec.is_shell(command.argv);
        BindSources sources;
        sources.root_slot = ns::kRootSlot;
        sources.root_path = mode == ScriptMode::overlay ? scratch + "/merged" : root;
        for (const MountOp& mount : spec.mounts) {
            auto source = mount.kind == MountOp::Kind::bind_ro ? try_open_at(AT_FDCWD, mount.source, O_PATH)
                                                               : std::nullopt;
            sources.mounts.push_back(source ? std::move(*source) : Fd());
        }
        const BwrapCommand sandbox =
            bwrap_command(program, spec, std::move(sources), std::move(channels), command.argv);
        const Fd words = memory_file("command", joined(sandbox.command));
        std::vector<int> descriptors(streams.begin(), streams.end());
        descriptors.push_back(words.get());
        for (const Fd& fd : sandbox.descriptors)
            descriptors.push_back(fd.get());
        if (descriptors.size() > ns::kMaxDescriptors)
            throw Error("run script", "", "too many files").as(Fault::usage);
        const unsigned flags =
            (program.binds_descriptors ? ns::kPassRoot : 0U) | (spec.new_session ? 0U : ns::kShareSession);
        helper.send(ns::Verb::run, static_cast<uint8_t>(flags), places_of_command(command.argv.front(), spec),
                    descriptors);
    }

    /// What came of it. `complaint` is the first thing that was printed: the sandbox program's own words if
    /// nothing ran.
    [[nodiscard]] ScriptResult result(const ns::Reply& reply, const SandboxStatus& status,
                                      const std::string& complaint, const std::string& name) const {
        if (reply.step == ns::Step::look_up_command) {
            const bool found = reply.error == EACCES;
            return {
                false, found ? kNotExecutable : kNotFound,
                fmt::format("'{}' {}", printable(name), found ? "is not executable" : "is not in the root")};
        }
        if (reply.step != ns::Step::none) {
            const Error error = Error::from_errno(step_text(reply.step), root, reply.error);
            return {false, kOwnFailure, error.what()};
        }
        if (status.exit_code) return {true, *status.exit_code, ""};
        if (complaint.starts_with("bwrap: execvp")) return {false, kNotExecutable, printable(complaint)};
        if (exit_code_of(reply.status) > 128) return {true, exit_code_of(reply.status), ""};
        return {false, kOwnFailure,
                complaint.empty() ? "the sandbox could not be made" : printable(complaint)};
    }
};

ScriptSandbox::ScriptSandbox(ScriptMode mode, std::string root, std::string scratch, std::string hostname)
    : state_(new State{.mode = mode,
                       .root = std::move(root),
                       .scratch = std::move(scratch),
                       .hostname = std::move(hostname),
                       .program = BwrapProgram::find(),
                       .filter = compile_seccomp({.root_emulation = true}),
                       .helper = {},
                       .begun = false,
                       .upper = {}}) {
    state_->helper.must(ns::Verb::set_up, state_->root,
                        mode == ScriptMode::overlay ? ns::kOverlay : uint8_t{0},
                        {state_->root, state_->scratch, state_->program.path});
}

ScriptSandbox::~ScriptSandbox() {
    try {
        if (state_->begun) end();
        discard();
    } catch (const std::exception&) {
        // The helper's end takes mounts and processes with it; what is left in scratch goes with the staging
        // directory.
    }
}

void ScriptSandbox::begin() {
    state_->upper.reset();
    state_->helper.must(ns::Verb::mount, state_->root);
    state_->begun = true;
}

ScriptResult ScriptSandbox::run(const ScriptCommand& command,
                                const std::function<void(std::string_view line)>& on_output) {
    auto [output, output_end] = make_pipe();
    auto [status, status_end] = make_pipe();
    const Fd input = command.input.empty() ? open_at(AT_FDCWD, "/dev/null", O_RDONLY)
                                           : memory_file("input", command.input);
    state_->start(command, {input.get(), output_end.get(), output_end.get()}, {std::move(status_end), Fd()});
    output_end.reset();
    LineReader reader(on_output);
    reader.read_to_end(output.get());
    const ns::Reply reply = state_->helper.receive();
    const SandboxStatus reported = parse_sandbox_status(read_all(status.get(), "sandbox status"));
    reader.rethrow();
    return state_->result(reply, reported, reader.first_line(), command.argv.front());
}

ScriptResult ScriptSandbox::run_interactive(const ScriptCommand& command) {
    auto [status, status_end] = make_pipe();
    std::string status_text;
    TerminalShare share = TerminalShare::of_our_session();
    ForegroundWait foreground(share);
    BwrapChannels channels{std::move(status_end), Fd(), share.take_starter()};
    channels.leads = share.is_for_a_person();
    state_->start(command, {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}, std::move(channels));
    foreground.wait_readable(state_->helper.socket(), status.get(), status_text);
    const ns::Reply reply = state_->helper.receive();
    return state_->result(reply, parse_sandbox_status(status_text), "", command.argv.front());
}

void ScriptSandbox::end() {
    if (!state_->begun) return;
    state_->helper.must(ns::Verb::unmount, state_->root);
    state_->begun = false;
    if (state_->mode == ScriptMode::overlay) state_->upper = open_dir(AT_FDCWD, state_->scratch + "/upper");
}

ScriptMode ScriptSandbox::mode() const noexcept {
    return state_->mode;
}

int ScriptSandbox::upper() const {
    if (!state_->upper) throw Error("open overlay's upper directory of", state_->root, "there is none");
    return state_->upper.get();
}

void ScriptSandbox::discard() {
    state_->upper.reset();
    state_->helper.must(ns::Verb::discard, state_->scratch);
}

}  // namespace pwstore
