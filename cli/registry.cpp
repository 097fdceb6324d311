// SPDX-License-Identifier: GPL-3.0-or-later
#include "cli/registry.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <nlohmann/json.hpp>
#include <regex>

#include "cli/outside.hpp"
#include "store/base/error.hpp"

namespace pwstore::cli {

namespace {

constexpr const char* kSkopeoRemedy = "install skopeo, which talks with registries";
constexpr const char* kForm =
    "write oci://HOST[:PORT]/REPOSITORY:TAG, as in oci://registry.example/me/editor:7";

constexpr size_t kLongest = 512;

Error no_place(const std::string& text, std::string_view cause, std::string_view hint = kForm) {
    Error error("read the command line", "",
                fmt::format("'oci://{}' is no place: {}", printable(text), cause));
    return error.as(Fault::usage).with_hint(hint);
}

bool matches(const std::string& text, const char* pattern) {
    return std::regex_match(text, std::regex(pattern));
}

std::string lower(std::string text) {
    std::transform(text.begin(), text.end(), text.begin(),
                   [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
    return text;
}

// --- What skopeo writes
// ------------------------------------------------------------------------------------------

/// The message of the last line, which says why: `time="…" level=fatal msg="…"`.
std::string last_message(std::string_view written) {
    while (!written.empty() && written.back() == '\n')
        written.remove_suffix(1);
    std::string_view line = written.substr(written.rfind('\n') + 1);
    constexpr std::string_view kMessage = " msg=";
    const size_t at = line.find(kMessage);
    if (at == std::string_view::npos) return std::string(line);
    line.remove_prefix(at + kMessage.size());
    if (!line.starts_with('"')) return std::string(line);
    std::string text;
    for (size_t i = 1; i < line.size() && line[i] != '"'; ++i) {
        const bool is_escaped = line[i] == '\\' && i + 1 < line.size();
        if (is_escaped) ++i;
        text += is_escaped && (line[i] == 'n' || line[i] == 't') ? ' ' : line[i];
    }
    return text;
}

/// Without the names of skopeo's own steps and of files that nobody knows.
std::string cause_in(std::string message) {
    for (const char* step : {"docker://", "oci-archive:"}) {
        const size_t at = message.find(step);
        const size_t end = at == std::string::npos ? at : message.find(": ", at);
        if (end != std::string::npos) message.erase(0, end + 2);
    }
    return message;
}

struct Known {
    std::string_view sign;  ///< in lower case
    const char* cause;      ///< {0} is the host, {1} the place, {2} the repository
    const char* hint;
    bool is_closed = false, is_absent = false;
};

constexpr std::array kKnown{
    Known{"connection refused", "{0} does not answer: connection refused", ""},
    Known{"no such host", "there is no host '{0}'", ""},
    Known{"no route to host", "there is no way to {0}: no route to host", ""},
    Known{"network is unreachable", "there is no way to {0}: the network is unreachable", ""},
    Known{"i/o timeout", "{0} does not answer in time", ""},
    Known{"deadline exceeded", "{0} does not answer in time", ""},
    Known{"server gave http response to https client", "{0} has no TLS", "--insecure takes it as it is"},
    Known{"x509:", "the certificate of {0} cannot be checked", "--insecure takes it as it is"},
    Known{"tls: ", "TLS with {0} fails", "--insecure takes it as it is"},
    Known{"toomanyrequests", "{0} takes no more requests for now", "skopeo login {0}", true},
    Known{"unauthorized", "{0} does not let you in", "skopeo login {0}", true},
    Known{"authentication required", "{0} does not let you in", "skopeo login {0}", true},
    Known{"resource is denied", "{0} does not let you do that", "skopeo login {0}", true},
    Known{"access denied", "{0} does not let you do that", "skopeo login {0}", true},
    Known{"denied: denied", "{0} does not let you do that", "skopeo login {0}", true},
    Known{"403 (forbidden)", "{0} does not let you do that", "skopeo login {0}", true},
    Known{"manifest unknown", "there is no image '{1}'", "skopeo list-tags docker://{0}/{2}", false, true},
    Known{"name unknown", "there is no image '{1}'", "skopeo list-tags docker://{0}/{2}", false, true},
    Known{"404 (not found)", "there is no image '{1}'", "skopeo list-tags docker://{0}/{2}", false, true},
    Known{"no image found in", "none of its images is for this machine's architecture", ""},
    Known{"no space left on device", "there is no space left in the cache directory", "pwstore gc"}};

[[noreturn]] void fail(const char* step, const RegistryPlace& place, const RegistryFailure& failure) {
    throw Error(step, "oci://" + place.text(), failure.cause).with_hint(failure.hint);
}

OutsideResult skopeo(std::vector<std::string> words) {
    // Whether an image may be read is decided on import, where somebody vouches for it.
    words.insert(words.begin(), "--insecure-policy");
    return run_outside("skopeo", words, "", kSkopeoRemedy);
}

}  // namespace

RegistryPlace RegistryPlace::parse(const std::string& text) {
    if (text.size() > kLongest) throw no_place(text.substr(0, 60) + "…", "it is too long");
    const size_t slash = text.find('/');
    if (slash == std::string::npos) throw no_place(text, "a registry has repositories");
    RegistryPlace place;
    place.host = text.substr(0, slash);
    place.repository = text.substr(slash + 1);
    if (const size_t at = place.repository.find('@'); at != std::string::npos) {
        place.digest = place.repository.substr(at + 1);
        place.repository.resize(at);
        if (!matches(place.digest, "sha256:[0-9a-f]{64}")) throw no_place(text, "its digest is none");
    }
    if (const size_t colon = place.repository.find(':'); colon != std::string::npos) {
        place.tag = place.repository.substr(colon + 1);
        place.repository.resize(colon);
        if (!matches(place.tag, "[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}"))
            throw no_place(text, fmt::format("'{}' cannot be a tag", printable(place.tag)));
    }
    if (!matches(place.host, R"(([A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?|\[[0-9A-Fa-f:]+\])(:[0-9]{1,5})?)"))
        throw no_place(text, fmt::format("'{}' is no host", printable(place.host)));
    // Other programs would look for such a place in another registry.
    if (place.host.find_first_of(".:") == std::string::npos && place.host != "localhost") {
        throw no_place(text, fmt::format("'{}' has neither a dot nor a port, so it is no host", place.host),
                       fmt::format("write the registry's host: oci://docker.io/{}", text));
    }
    if (lower(place.repository) != place.repository) {
        throw no_place(
            text, "the name of a repository is in lower case",
            "oci://" + RegistryPlace{place.host, lower(place.repository), place.tag, place.digest}.text());
    }
    constexpr const char* kRepository =
        R"([a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*(/[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*)*)";
    if (place.repository.size() > 255 || !matches(place.repository, kRepository))
        throw no_place(text, fmt::format("'{}' cannot be a repository", printable(place.repository)));
    return place;
}

std::string RegistryPlace::text() const {
    return host + "/" + repository + (tag.empty() ? "" : ":" + tag) + (digest.empty() ? "" : "@" + digest);
}

RegistryFailure registry_failure(const RegistryPlace& place, std::string_view written) {
    const std::string message = last_message(written);
    const std::string plain = lower(message);
    for (const Known& known : kKnown) {
        if (plain.find(known.sign) == std::string::npos) continue;
        const auto filled = [&](const char* text) {
            return fmt::format(fmt::runtime(text), place.host, place.text(), place.repository);
        };
        return {filled(known.cause), filled(known.hint), known.is_closed, known.is_absent};
    }
    return {"skopeo: " + printable(cause_in(message)), "", false, false};
}

std::string Registry::copy(const std::vector<std::string>& words) const {
    std::vector<std::string> line{"copy"};
    if (insecure_) line.insert(line.end(), {"--src-tls-verify=false", "--dest-tls-verify=false"});
    line.insert(line.end(), words.begin(), words.end());
    const OutsideResult result = skopeo(line);
    return result.status == 0 ? "" : result.err.empty() ? "it failed" : result.err;
}

Registry::Found Registry::look() const {
    std::string place = "docker://" + place_.host + "/" + place_.repository;
    place +=
        !place_.digest.empty() ? "@" + place_.digest : ":" + (place_.tag.empty() ? "latest" : place_.tag);
    std::vector<std::string> line{"inspect", "--raw", place};
    if (insecure_) line.emplace_back("--tls-verify=false");
    OutsideResult result = skopeo(line);
    if (result.status != 0) fail("pull", place_, registry_failure(place_, result.err));
    return {sha256_of(result.out), std::move(result.out)};
}

uint64_t Registry::Found::bytes() const {
    const auto json = nlohmann::json::parse(manifest, nullptr, false);
    if (!json.is_object() || !json.contains("layers") || !json["layers"].is_array()) return 0;
    uint64_t sum = 0;
    for (const auto& layer : json["layers"]) {
        if (layer.is_object() && layer.contains("size") && layer["size"].is_number_unsigned())
            sum += layer["size"].get<uint64_t>();
    }
    return sum;
}

void Registry::expect_open() const {
    std::vector<std::string> line{"list-tags", "docker://" + place_.host + "/" + place_.repository};
    if (insecure_) line.emplace_back("--tls-verify=false");
    const OutsideResult result = skopeo(line);
    if (result.status == 0) return;
    const RegistryFailure failure = registry_failure(place_, result.err);
    // Who is logged in may be able to push where there is nothing yet, and to push where not to list.
    if (failure.is_absent) return;
    if (failure.is_closed && skopeo({"login", "--get-login", place_.host}).status == 0) return;
    fail("push", place_, failure);
}

void Registry::fetch(const Sha256& digest, const std::string& archive, const std::string& name) const {
    const std::string from =
        fmt::format("docker://{}/{}@sha256:{}", place_.host, place_.repository, digest.hex());
    const std::string problem = copy({from, fmt::format("oci-archive:{}:{}:latest", archive, name)});
    if (!problem.empty()) fail("pull", place_, registry_failure(place_, problem));
}

void Registry::send(const std::string& archive) const {
    const std::string problem =
        copy({"--preserve-digests", "oci-archive:" + archive, "docker://" + place_.text()});
    if (!problem.empty()) fail("push", place_, registry_failure(place_, problem));
}

}  // namespace pwstore::cli
