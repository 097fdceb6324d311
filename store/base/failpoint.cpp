// SPDX-License-Identifier: GPL-3.0-or-later
#include "store/base/failpoint.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <atomic>
#include <charconv>
#include <csignal>
#include <cstdlib>
#include <string>

#include "store/base/error.hpp"
#include "store/base/fd.hpp"

namespace pwstore {

namespace {

struct Settings {
    bool active = false;
    std::string name;
    std::string action;
    unsigned long at = 1;
    Fd log;
};

Settings read_settings() {
    Settings settings;
    if (const char* path = std::getenv("PWSTORE_FAILPOINT_LOG"); path != nullptr) {
        settings.log = Fd(::open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600));
        settings.active = true;
    }
    const char* text = std::getenv("PWSTORE_FAILPOINT");
    if (text == nullptr) return settings;
    const std::string spec = text;
    const size_t first = spec.find(':');
    if (first == std::string::npos)
        throw Error("read PWSTORE_FAILPOINT", spec, "NAME:ACTION[:COUNT] expected").as(Fault::usage);
    const size_t second = spec.find(':', first + 1);
    settings.active = true;
    settings.name = spec.substr(0, first);
    settings.action = spec.substr(first + 1, second == std::string::npos ? second : second - first - 1);
    if (second != std::string::npos) settings.at = std::strtoul(spec.c_str() + second + 1, nullptr, 10);
    return settings;
}

void act(const Settings& settings) {
    if (settings.action == "kill") {
        (void)::raise(SIGKILL);
    } else if (settings.action == "killgroup") {
        (void)::kill(0, SIGKILL);
    } else if (settings.action == "stop") {
        (void)::raise(SIGSTOP);
    } else if (settings.action == "error") {
        throw Error("reach failpoint", settings.name, "asked to fail");
    } else if (settings.action.starts_with("errno=")) {
        throw Error::from_errno("reach failpoint", settings.name, std::atoi(settings.action.c_str() + 6));
    } else {
        throw Error("read PWSTORE_FAILPOINT", settings.action, "unknown action").as(Fault::usage);
    }
}

}  // namespace

void failpoint(std::string_view name) {
    static const Settings settings = read_settings();
    if (!settings.active) return;
    if (settings.log) {
        const std::string line = std::string(name) + "\n";
        (void)!::write(settings.log.get(), line.data(), line.size());
    }
    if (name != settings.name) return;
    static std::atomic<unsigned long> reached{0};
    if (++reached == settings.at) act(settings);
}

}  // namespace pwstore
