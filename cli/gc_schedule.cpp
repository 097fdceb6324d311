// SPDX-License-Identifier: GPL-3.0-or-later
#include "cli/gc_schedule.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <pwd.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>

#include "mount/process.hpp"
#include "store/base/error.hpp"
#include "store/base/path_at.hpp"
#include "store/layout.hpp"

namespace pwstore::cli {

namespace {

std::string home_directory() {
    const char* home = std::getenv("HOME");
    if (home != nullptr && *home == '/') return home;
    const passwd* entry = ::getpwuid(::getuid());
    return entry != nullptr ? entry->pw_dir : "";
}

bool is_plain(std::string_view word) {
    return !word.empty() && std::all_of(word.begin(), word.end(), [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
               std::string_view("_-./=,:@+").find(c) != std::string_view::npos;
    });
}

/// For /bin/sh.
std::string shell_word(const std::string& word) {
    if (is_plain(word)) return word;
    std::string quoted = "'";
    for (const char c : word) {
        if (c == '\'') {
            quoted += "'\\''";
        } else {
            quoted += c;
        }
    }
    return quoted + "'";
}

/// For ExecStart= and Environment=: C escapes within quotes, '%' and '$' doubled.
std::string unit_word(const std::string& word, bool is_command) {
    std::string quoted;
    for (const char c : word) {
        if (c == '"' || c == '\\') quoted += '\\';
        if (c == '%' || (c == '$' && is_command)) quoted += c;
        quoted += c;
    }
    return is_plain(word) ? quoted : '"' + quoted + '"';
}

}  // namespace

GcJob gc_job(std::vector<std::string> arguments) {
    GcJob job;
    job.program = std::filesystem::canonical(find_own_program("pwstore"));
    job.arguments = std::move(arguments);
    const Directories now = Directories::from_environment();
    const std::string home = home_directory();
    const auto spell_out = [&](const char* variable, const std::string& directory, const char* usual) {
        if (directory != home + usual) job.environment.push_back(fmt::format("{}={}", variable, directory));
    };
    spell_out("PWSTORE_DATA_DIR", now.data, "/.local/share/pwstore");
    spell_out("PWSTORE_CONFIG_DIR", now.config, "/.config/pwstore");
    spell_out("PWSTORE_CACHE_DIR", now.cache, "/.cache/pwstore");
    // The same for the same user, so that printing it again changes nothing; not the same for all.
    job.minute = static_cast<unsigned>(::getuid() * 7 + home.size()) % 60;
    return job;
}

std::string cron_line(const GcJob& job) {
    std::string line = fmt::format("{} {} * * *", job.minute, job.hour);
    for (const std::string& assignment : job.environment) {
        const size_t equals = assignment.find('=') + 1;
        line += " " + assignment.substr(0, equals) + shell_word(assignment.substr(equals));
    }
    line += " " + shell_word(job.program) + " gc";
    for (const std::string& argument : job.arguments)
        line += " " + shell_word(argument);
    if (line.find('\n') != std::string::npos)
        throw Error("print crontab", "", "a name with a line break cannot stand in a crontab")
            .as(Fault::unsupported);
    std::string escaped;  // crontab(5): an unescaped '%' is a line break
    for (const char c : line) {
        if (c == '%') escaped += '\\';
        escaped += c;
    }
    return escaped + "\n";
}

std::string service_unit(const GcJob& job) {
    std::string text =
        "[Unit]\n"
        "Description=Collect the garbage of the pwstore package store\n"
        "\n"
        "[Service]\n"
        "Type=oneshot\n"
        "Nice=19\n"
        "IOSchedulingClass=idle\n";
    for (const std::string& assignment : job.environment)
        text += "Environment=" + unit_word(assignment, false) + "\n";
    text += "ExecStart=" + unit_word(job.program, true) + " gc";
    for (const std::string& argument : job.arguments)
        text += " " + unit_word(argument, true);
    return text + "\n";
}

std::string timer_unit() {
    return "[Unit]\n"
           "Description=Collect the garbage of the pwstore package store once a day\n"
           "\n"
           "[Timer]\n"
           "OnCalendar=daily\n"
           "RandomizedDelaySec=1h\n"
           "Persistent=true\n"
           "\n"
           "[Install]\n"
           "WantedBy=timers.target\n";
}

std::string unit_directory() {
    const char* config = std::getenv("XDG_CONFIG_HOME");
    const std::string base = config != nullptr && *config == '/' ? config : home_directory() + "/.config";
    return base + "/systemd/user";
}

bool run_systemctl(const std::vector<std::string>& words) {
    const auto program = find_program("systemctl");
    if (!program) return false;
    const Fd null = open_at(AT_FDCWD, "/dev/null", O_RDWR);
    SpawnRequest request;
    request.program = *program;
    request.arguments = {"systemctl", "--user"};
    request.arguments.insert(request.arguments.end(), words.begin(), words.end());
    for (char** variable = environ; *variable != nullptr; ++variable)
        request.environment.emplace_back(*variable);
    request.streams = {null.get(), null.get(), null.get()};
    return exit_code_of(wait_for(spawn(request))) == 0;
}

}  // namespace pwstore::cli
