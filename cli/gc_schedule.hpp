// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <string>
#include <vector>

namespace pwstore::cli {

/// What a job of cron or systemd is to call. Neither has the environment of a login: what differs from the
/// defaults is spelled out.
struct GcJob {
    std::string program;                 ///< absolute
    std::vector<std::string> arguments;  ///< after "gc"
    std::vector<std::string>
        environment;                ///< "PWSTORE_DATA_DIR=…", only where it is not the default below HOME
    unsigned minute = 0, hour = 3;  ///< cron has no randomized delay: spread by the caller
};

/// From the running program and the environment.
[[nodiscard]] GcJob gc_job(std::vector<std::string> arguments);

/// One line of a crontab, with single blanks between its fields; prints nothing unless something is wrong.
[[nodiscard]] std::string cron_line(const GcJob& job);
/// Text of the units, systemd.service(5) and systemd.timer(5).
[[nodiscard]] std::string service_unit(const GcJob& job);
[[nodiscard]] std::string timer_unit();

inline constexpr const char* kServiceName = "pwstore-gc.service";
inline constexpr const char* kTimerName = "pwstore-gc.timer";

/// Where systemd looks for a user's units: $XDG_CONFIG_HOME/systemd/user, else ~/.config/systemd/user.
[[nodiscard]] std::string unit_directory();

/// systemctl --user WORDS, silently; false when it fails or is not there.
[[nodiscard]] bool run_systemctl(const std::vector<std::string>& words);

}  // namespace pwstore::cli
