// SPDX-License-Identifier: GPL-3.0-or-later
#include "cli/remote.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <nlohmann/json.hpp>
#include <vector>

#include "mount/process.hpp"
#include "store/base/error.hpp"

namespace pwstore::cli {

namespace {

using nlohmann::json;

constexpr const char* kSshRemedy = "install OpenSSH's client programs (Debian: openssh-client)";
constexpr size_t kMostNoise = 200;   ///< lines
constexpr int kSshFailed = 255;      ///< ssh itself, which has said why
constexpr int kNoSuchProgram = 127;  ///< of the shell there
constexpr size_t kShownOfALine = 120;

Error no_host(const std::string& text, std::string_view cause) {
    Error error("read the command line", "",
                fmt::format("'ssh://{}' is no place: {}", printable(text), cause));
    return error.as(Fault::usage)
        .with_hint("write ssh://[USER@]HOST[:PORT]; an IPv6 address stands in brackets");
}

std::vector<std::string> ssh_words(const std::string& host, const std::string& program) {
    const SshPlace place = SshPlace::parse(host);
    std::vector<std::string> words{"-T"};
    if (!place.port.empty()) words.insert(words.end(), {"-p", place.port});
    words.insert(words.end(), {"--", place.login, program + " serve --stdio"});
    return words;
}

Error unreachable(const std::string& host, int status, const std::string& noise, const std::string& program) {
    const auto told = [&](const std::string& cause, const std::string& hint) {
        Error error("reach", host, cause);
        return error.with_hint(hint);
    };
    if (!noise.empty()) {
        return told(fmt::format("no pwstore answers there; the first line that came: {}",
                                printable(noise.substr(0, kShownOfALine))),
                    fmt::format("ssh {} {} serve --stdio", host, program));
    }
    if (status == kSshFailed) return told("ssh cannot connect", fmt::format("ssh {} true", host));
    if (status == kNoSuchProgram) {
        return told(fmt::format("there is no program '{}' in the PATH of commands there", printable(program)),
                    "--remote-program says where it is");
    }
    return told(fmt::format("'{} serve' there ended with exit code {}", printable(program), status),
                fmt::format("ssh {} {} version", host, program));
}

}  // namespace

SshPlace SshPlace::parse(const std::string& text) {
    SshPlace place;
    const size_t at = text.rfind('@');
    const std::string user = at == std::string::npos ? "" : text.substr(0, at + 1);
    std::string host = text.substr(user.size());
    size_t colon = std::string::npos;
    if (host.starts_with('[')) {
        const size_t end = host.find(']');
        if (end == std::string::npos) throw no_host(text, "a bracket is not closed");
        if (end + 1 < host.size()) {
            if (host[end + 1] != ':') throw no_host(text, "behind a bracket only a port can follow");
            colon = end + 1;
        }
    } else if (std::count(host.begin(), host.end(), ':') == 1) {  // more are those of an IPv6 address
        colon = host.find(':');
    }
    if (colon != std::string::npos) {
        place.port = host.substr(colon + 1);
        host.resize(colon);
        unsigned number = 0;
        const char* last = place.port.data() + place.port.size();
        const auto [end, problem] = std::from_chars(place.port.data(), last, number);
        if (problem != std::errc{} || end != last || number == 0 || number > 65535)
            throw no_host(text, fmt::format("'{}' is no port", printable(place.port)));
    }
    if (host.starts_with('[')) host = host.substr(1, host.size() - 2);
    if (host.empty() || user == "@") throw no_host(text, "it has no host");
    if (host.front() == '-' || user.starts_with('-')) throw no_host(text, "it begins with '-'");
    place.login = user + host;
    return place;
}

Remote::Remote(const std::string& host, const std::string& program)
    : host_(host),
      peer_(start_outside("ssh", ssh_words(host, program), kSshRemedy)),
      in_(peer_.from.get()),
      out_(peer_.to.get()) {
    try {
        greet(program);
    } catch (...) {
        finish();
        throw;
    }
}

Remote::~Remote() = default;

void Remote::greet(const std::string& program) {
    std::string noise;
    try {
        for (size_t lines = 0; lines < kMostNoise; ++lines) {
            const std::string line = in_.line();
            // Behind what a shell wrote without a newline, too.
            if ((line + "\n").ends_with(kGreeting)) return;
            if (const std::string version = version_in_greeting(line); !version.empty()) {
                throw Error(
                    "talk with", host_,
                    fmt::format("its pwstore speaks version {} of this conversation, the one here version "
                                "{}",
                                version, version_in_greeting(kGreeting)))
                    .as(Fault::unsupported)
                    .with_hint("install the same version of pwstore on both hosts");
            }
            if (noise.empty()) noise = line;
        }
    } catch (const Error& error) {
        if (error.fault() == Fault::unsupported) throw;
    }
    peer_.to.reset();
    peer_.from.reset();
    const int status = exit_code_of(wait_for(std::exchange(peer_.process, -1)));
    throw unreachable(host_, status, noise, program);
}

void Remote::ask(const json& request) {
    out_.line(request.dump());
}

json Remote::answer() {
    json answer = json::parse(in_.line(), nullptr, false);
    const auto text_of = [&](const char* name) {
        return answer.contains(name) && answer[name].is_string() ? printable(answer[name].get<std::string>())
                                                                 : "";
    };
    if (answer.is_discarded() || !answer.is_object() ||
        (answer.contains("error") && text_of("error").empty()))
        throw Error("talk with", host_, "its answer makes no sense").as(Fault::corrupt);
    if (answer.contains("error"))
        throw Error(fmt::format("on {}", printable(host_)), "", text_of("error")).with_hint(text_of("hint"));
    return answer;
}

void Remote::finish() {
    peer_.to.reset();
    if (peer_.process > 0) (void)wait_for(std::exchange(peer_.process, -1));
}

}  // namespace pwstore::cli
