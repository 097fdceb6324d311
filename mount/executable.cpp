// SPDX-License-Identifier: GPL-3.0-or-later
#include "mount/executable.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <string_view>
#include <vector>

#include "mount/program_file.hpp"
#include "mount/sandbox_view.hpp"
#include "store/base/error.hpp"
#include "store/base/path_at.hpp"

namespace pwstore {

namespace {

using Verdict = CommandLookup::Verdict;

constexpr unsigned kMostInterpreters = 6;  // as the kernel

bool may_execute(int fd, bool root_powers) {
    if (root_powers) return (stat_fd(fd, "").st_mode & 0111) != 0;
    return ::syscall(SYS_faccessat2, fd, "", X_OK, AT_EMPTY_PATH | AT_EACCESS) == 0;
}

class Lookup {
 public:
    Lookup(const SandboxSpec& spec, const BindSources& sources) : spec_(spec), view_(spec, sources) {}

    /// @param depth of interpreters that led here
    [[nodiscard]] CommandLookup look_at(const std::string& path, unsigned depth = 0) const {
        Place place;
        switch (view_.walk(path, place)) {
            case Walk::missing:
                return {Verdict::not_found, "there is no such program in the container"};
            case Walk::out_of_sight:
                if (place.is_plain_file) return {Verdict::not_executable, "it is not executable"};
                return {Verdict::unknown, ""};
            case Walk::arrived:
                break;
        }
        const mode_t mode = stat_fd(place.fd.get(), path).st_mode;
        if (S_ISDIR(mode)) return {Verdict::not_executable, "it is a directory"};
        if (!S_ISREG(mode) || !may_execute(place.fd.get(), spec_.root_powers))
            return {Verdict::not_executable, "it is not executable"};
        return look_into(path, inspect_program(place.fd.get()), depth);
    }

    [[nodiscard]] bool has_directory(const std::string& path) const {
        Place place;
        return view_.walk(path, place) != Walk::missing;
    }

 private:
    [[nodiscard]] CommandLookup look_into(const std::string& path, const ProgramFile& file,
                                          unsigned depth) const {
        switch (file.kind) {
            case ProgramFile::Kind::text:
                return {};
            case ProgramFile::Kind::program:
                if (file.interpreter.empty()) return {};
                return behind(file.interpreter, "its loader", depth);
            case ProgramFile::Kind::script:
                return behind_script(path, file.interpreter, depth);
            case ProgramFile::Kind::foreign:
                return {Verdict::not_executable, fmt::format("it is a program for {}, this machine is {}",
                                                             file.machine, own_machine())};
            case ProgramFile::Kind::other:
                return {Verdict::not_executable, "it is neither a program for this machine nor a script"};
        }
        throw Error("look up command", path, "unknown kind of file").as(Fault::corrupt);
    }

    [[nodiscard]] CommandLookup behind_script(const std::string& path, const std::string& interpreter,
                                              unsigned depth) const {
        CommandLookup other = behind(interpreter, "its interpreter", depth);
        if (other.verdict != Verdict::not_executable || !interpreter.ends_with('\r')) return other;
        other.cause = "its lines end with CR LF, so that it names the interpreter " + printable(interpreter);
        other.hint = fmt::format("sed -i 's/\\r$//' {}", printable(path));
        return other;
    }

    /// What runs it has to be there as well. A relative name depends on where it is started.
    [[nodiscard]] CommandLookup behind(const std::string& path, std::string_view role, unsigned depth) const {
        if (!path.starts_with('/')) return {};
        if (depth == kMostInterpreters)
            return {Verdict::not_executable, "its interpreter is a script, and so on"};
        CommandLookup other = look_at(path, depth + 1);
        if (other.verdict == Verdict::not_found) {
            return {Verdict::not_executable,
                    fmt::format("{} '{}' is not in the container", role, printable(path)),
                    "'pwstore files' tells which package has it"};
        }
        if (other.verdict == Verdict::not_executable)
            other.cause = fmt::format("{} '{}': {}", role, printable(path), other.cause);
        return other;
    }

    const SandboxSpec& spec_;
    SandboxView view_;
};

std::vector<std::string> search_path(const SandboxSpec& spec) {
    std::vector<std::string> directories;
    std::string_view rest;
    for (const EnvironmentVariable& variable : spec.environment) {
        if (variable.name == "PATH") rest = variable.value;
    }
    while (!rest.empty()) {
        const size_t end = std::min(rest.find(':'), rest.size());
        directories.emplace_back(rest.substr(0, end));
        rest.remove_prefix(std::min(end + 1, rest.size()));
    }
    return directories;
}

}  // namespace

CommandLookup look_up_command(const SandboxSpec& spec, const BindSources& sources, const std::string& name) {
    const Lookup lookup(spec, sources);
    if (name.empty()) return {Verdict::not_found, "it has no name"};
    if (name.find('/') != std::string::npos)
        return lookup.look_at(name.starts_with('/') ? name : spec.working_directory + "/" + name);
    CommandLookup result{Verdict::not_found, "there is no such program in the container"};
    bool has_place = false;
    for (const std::string& directory : search_path(spec)) {
        CommandLookup here = lookup.look_at(directory + "/" + name);
        if (here.verdict == Verdict::found || here.verdict == Verdict::unknown) return here;
        if (here.verdict == Verdict::not_executable) result = std::move(here);
        has_place = has_place || lookup.has_directory(directory);
    }
    if (!has_place)
        result.cause =
            "the container has no directory for programs (/usr/bin, /bin, …): nothing in it brings one";
    return result;
}

}  // namespace pwstore
