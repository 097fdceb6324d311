// SPDX-License-Identifier: GPL-3.0-or-later
#include "store/debian/release.hpp"

#include <fcntl.h>
#include <fmt/chrono.h>
#include <fmt/format.h>
#include <openssl/evp.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <chrono>
#include <cstdlib>
#include <sstream>

#include "store/base/error.hpp"
#include "store/base/gnupg.hpp"
#include "store/base/names.hpp"
#include "store/base/path_at.hpp"

namespace pwstore {

namespace {

/// Clocks of archives and hosts differ by so much.
constexpr int64_t kFuture = 24 * 3600;
constexpr std::string_view kSignedMessage = "-----BEGIN PGP SIGNED MESSAGE-----";
constexpr std::string_view kArmouredKeys = "-----BEGIN PGP PUBLIC KEY BLOCK-----";
/// Digests of RFC 4880 that can be forged: MD5, SHA-1, RIPE-MD/160.
constexpr int kLastWeakDigest = 3;

[[noreturn]] void bad(std::string_view path, const std::string& cause) {
    throw Error("read Release", path, cause).as(Fault::corrupt);
}

std::vector<std::string> words_of(std::string_view text) {
    std::istringstream stream{std::string(text)};
    std::vector<std::string> words;
    for (std::string word; stream >> word;)
        words.push_back(std::move(word));
    return words;
}

/// Fields and their values, continuation lines joined by newlines.
std::map<std::string, std::string> fields_of(std::string_view text) {
    std::map<std::string, std::string> fields;
    std::string* open = nullptr;
    while (!text.empty()) {
        const size_t end = std::min(text.find('\n'), text.size());
        std::string_view line = text.substr(0, end);
        text.remove_prefix(std::min(end + 1, text.size()));
        while (!line.empty() && (line.back() == '\r' || line.back() == ' '))
            line.remove_suffix(1);
        if (line.empty()) continue;
        if (line.front() == ' ' || line.front() == '\t') {
            if (open != nullptr) open->append("\n").append(line.substr(1));
        } else if (const size_t colon = line.find(':'); colon != std::string_view::npos) {
            open = &fields[std::string(line.substr(0, colon))];
            line.remove_prefix(colon + 1);
            *open = line.substr(std::min(line.find_first_not_of(' '), line.size()));
        }
    }
    return fields;
}

// --- Signatures
// ------------------------------------------------------------------------------------------------

/// The bytes of every block of keys in an armoured keyring (RFC 4880, 6.2).
std::string without_armour(std::string_view text, const std::string& keyring) {
    const auto damaged = [&] {
        return Error("use keyring", keyring, "its armour is damaged").as(Fault::corrupt);
    };
    std::string bytes;
    for (size_t begin = text.find(kArmouredKeys); begin != std::string_view::npos;
         begin = text.find(kArmouredKeys, begin + 1)) {
        std::istringstream lines{std::string(text.substr(begin))};
        std::string base64;
        bool is_body = false;
        std::string line;
        while (std::getline(lines, line)) {
            while (!line.empty() && (line.back() == '\r' || line.back() == ' '))
                line.pop_back();
            if (is_body && (line.starts_with('=') || line.starts_with("-----"))) break;
            if (is_body) base64 += line;
            if (line.empty()) is_body = true;
        }
        std::vector<unsigned char> decoded(base64.size() + 1);
        const int length =
            EVP_DecodeBlock(decoded.data(), reinterpret_cast<const unsigned char*>(base64.data()),
                            static_cast<int>(base64.size()));
        if (length <= 0) throw damaged();
        const auto padding = std::count(base64.end() - 2, base64.end(), '=');
        bytes.append(reinterpret_cast<const char*>(decoded.data()), static_cast<size_t>(length - padding));
    }
    if (bytes.empty()) throw damaged();
    return bytes;
}

void write_new(const std::string& path, std::string_view bytes) {
    write_all(open_at(AT_FDCWD, path, O_WRONLY | O_CREAT | O_TRUNC, 0600).get(), bytes, path);
}

/// A keyring as gpgv takes it: an armoured one becomes a file of `work`.
std::string plain_keyring(const std::string& keyring, const std::string& work, size_t number) {
    const auto content = try_read_file(AT_FDCWD, keyring);
    if (!content) {
        throw Error("use keyring", keyring, "there is no such file")
            .as(Fault::usage)
            .with_hint(
                "install the archive's keyring (Debian's is in the package debian-archive-keyring), or "
                "name another file with SignedBy");
    }
    if (content->find(kArmouredKeys) == std::string::npos) return keyring;
    std::string name = fmt::format("{}/keyring-{}.gpg", work, number);
    write_new(name, without_armour(*content, keyring));
    return name;
}

/// What gpgv's status lines (doc/DETAILS of GnuPG) say of the signatures.
struct Verdict {
    size_t good = 0;
    std::vector<std::string> complaints;
    bool has_bad = false;
};

Verdict read_status(const std::string& output) {
    Verdict verdict;
    bool is_good = false;
    std::istringstream lines(output);
    for (std::string line; std::getline(lines, line);) {
        constexpr std::string_view kPrefix = "[GNUPG:] ";
        if (!line.starts_with(kPrefix)) continue;
        const std::vector<std::string> words = words_of(std::string_view(line).substr(kPrefix.size()));
        if (words.empty()) continue;
        const std::string key = words.size() > 1 ? words[1] : "";
        if (words[0] == "NEWSIG") {
            is_good = false;
        } else if (words[0] == "GOODSIG") {
            is_good = true;
        } else if (words[0] == "VALIDSIG" && is_good && words.size() > 8) {
            if (std::atoi(words[8].c_str()) > kLastWeakDigest) {
                ++verdict.good;
            } else {
                verdict.complaints.push_back("a signature with a digest that can be forged");
            }
        } else if (words[0] == "BADSIG") {
            verdict.has_bad = true;
            verdict.complaints.push_back(fmt::format("the signature of key {} is wrong", key));
        } else if (words[0] == "EXPKEYSIG" || words[0] == "REVKEYSIG" || words[0] == "EXPSIG") {
            verdict.complaints.push_back(
                fmt::format("key or signature of {} has expired or was revoked", key));
        } else if (words[0] == "NO_PUBKEY") {
            verdict.complaints.push_back(fmt::format("key {} is in no keyring", key));
        }
    }
    return verdict;
}

void run_gpgv(std::vector<std::string> files, const std::vector<std::string>& keyrings,
              const std::string& work, std::string_view path, const std::string& output = "") {
    if (keyrings.empty()) {
        throw Error("verify signature", path, "no keyring is named for it")
            .as(Fault::usage)
            .with_hint("name one with SignedBy");
    }
    std::vector<std::string> arguments = {"--status-fd", "1"};
    for (size_t i = 0; i < keyrings.size(); ++i) {
        arguments.emplace_back("--keyring");
        arguments.push_back(plain_keyring(keyrings[i], work, i));
    }
    if (!output.empty()) {
        arguments.emplace_back("--output");
        arguments.push_back(output);
    }
    arguments.insert(arguments.end(), files.begin(), files.end());
    const ProgramResult result = run_gnupg("gpgv", std::move(arguments));
    if (result.status == 127) {
        throw Error("verify signature", path, "the program gpgv (GnuPG) cannot be started")
            .as(Fault::unsupported)
            .with_hint("install it (Debian: apt install gpgv)");
    }
    Verdict verdict = read_status(result.output);
    if (verdict.good > 0 && !verdict.has_bad) return;
    std::string hint;
    for (const std::string& complaint : verdict.complaints)
        hint += (hint.empty() ? "" : "\n") + printable(complaint);
    throw Error("verify signature", path, "no key that is trusted has signed it")
        .as(Fault::corrupt)
        .with_hint(hint.empty() ? printable(result.output) : hint);
}

}  // namespace

std::optional<int64_t> parse_deb_date(std::string_view text) {
    static constexpr std::array<std::string_view, 12> kMonths{"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                                              "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
    const std::vector<std::string> words = words_of(text);
    if (words.size() != 6 || (words[5] != "UTC" && words[5] != "GMT" && words[5] != "+0000"))
        return std::nullopt;
    const auto number = [](std::string_view digits) -> int {
        int value = -1;
        const auto [end, problem] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
        return problem == std::errc() && end == digits.data() + digits.size() ? value : -1;
    };
    const auto* const month = std::find(kMonths.begin(), kMonths.end(), words[2]);
    const std::string& clock = words[4];
    if (month == kMonths.end() || clock.size() < 7 || clock.size() > 8) return std::nullopt;
    const std::string padded = clock.size() == 7 ? "0" + clock : clock;
    if (padded[2] != ':' || padded[5] != ':') return std::nullopt;
    const int hour = number(padded.substr(0, 2));
    const int minute = number(padded.substr(3, 2));
    const int second = number(padded.substr(6, 2));
    const std::chrono::year_month_day day{
        std::chrono::year(number(words[3])),
        std::chrono::month(static_cast<unsigned>(month - kMonths.begin()) + 1),
        std::chrono::day(static_cast<unsigned>(std::max(number(words[1]), 0)))};
    if (!day.ok() || hour < 0 || hour > 23 || minute < 0 || minute > 59 || second < 0 || second > 60)
        return std::nullopt;
    return int64_t{std::chrono::sys_days(day).time_since_epoch().count()} * 86400 + hour * 3600 +
           minute * 60 + second;
}

DebRelease parse_deb_release(std::string_view text, std::string_view path) {
    const auto fields = fields_of(text);
    const auto field = [&](const char* name) {
        const auto found = fields.find(name);
        return found == fields.end() ? std::string() : found->second;
    };
    DebRelease release;
    release.suite = field("Suite");
    release.codename = field("Codename");
    release.components = words_of(field("Components"));
    release.has_by_hash = field("Acquire-By-Hash") == "yes";
    const std::vector<std::string> architectures = words_of(field("Architectures"));
    const std::vector<std::string> unsupported = words_of(field("No-Support-for-Architecture-all"));
    release.has_packages_of_all =
        std::find(architectures.begin(), architectures.end(), "all") != architectures.end() &&
        std::find(unsupported.begin(), unsupported.end(), "Packages") == unsupported.end();
    for (const auto& [name, into] :
         {std::pair{"Date", &release.date}, {"Valid-Until", &release.valid_until}}) {
        if (field(name).empty()) continue;
        const std::optional<int64_t> time = parse_deb_date(field(name));
        if (!time) bad(path, fmt::format("'{}' is no date", printable(field(name))));
        *into = *time;
    }
    std::istringstream lines(field("SHA256"));
    for (std::string line; std::getline(lines, line);) {
        const std::vector<std::string> words = words_of(line);
        if (words.empty()) continue;
        DebRelease::File file;
        const char* const end = words.size() == 3 ? words[1].data() + words[1].size() : nullptr;
        if (end == nullptr || std::from_chars(words[1].data(), end, file.size).ptr != end)
            bad(path, fmt::format("'{}' is no line of SHA256", printable(line)));
        file.sha256 = Sha256::from_hex(words[0]);
        release.files.emplace(root_path_of(words[2]), file);
    }
    if (release.files.empty()) bad(path, "it has no list of SHA-256 digests");
    return release;
}

void check_deb_release(const DebRelease& release, const std::string& suite, int64_t now,
                       std::string_view path) {
    const bool says_nothing = release.suite.empty() && release.codename.empty();
    if (!suite.empty() && !says_nothing && suite != release.suite && suite != release.codename) {
        bad(path, fmt::format("it is the Release of '{}' ('{}'), not of '{}'", printable(release.suite),
                              printable(release.codename), suite));
    }
    const auto shown = [](int64_t time) {
        return fmt::format("{:%Y-%m-%d %H:%M} UTC", fmt::gmtime(static_cast<std::time_t>(time)));
    };
    if (release.valid_until != 0 && release.valid_until < now) {
        throw Error("read Release", path, "it has expired at " + shown(release.valid_until))
            .as(Fault::corrupt)
            .with_hint("the server is out of date (try another one), or this machine's clock is wrong");
    }
    if (release.date > now + kFuture) {
        throw Error("read Release", path, "it is of the future: " + shown(release.date))
            .as(Fault::corrupt)
            .with_hint("this machine's clock is wrong, it says " + shown(now));
    }
}

std::string verified_inrelease(const std::string& message, const std::vector<std::string>& keyrings,
                               const std::string& work, std::string_view path) {
    // One signed message and nothing in front of it: what is verified is what is read.
    if (!message.starts_with(kSignedMessage) || message.find(kSignedMessage, 1) != std::string::npos)
        throw Error("verify signature", path, "it is no signed message").as(Fault::corrupt);
    const std::string file = work + "/InRelease";
    const std::string text = work + "/InRelease.text";
    write_new(file, message);
    remove_file(AT_FDCWD, text);
    run_gpgv({file}, keyrings, work, path, text);
    return read_file(AT_FDCWD, text);
}

std::string verified_release(const std::string& text, const std::string& signature,
                             const std::vector<std::string>& keyrings, const std::string& work,
                             std::string_view path) {
    const std::string file = work + "/Release";
    write_new(file, text);
    write_new(file + ".gpg", signature);
    run_gpgv({file + ".gpg", file}, keyrings, work, path);
    return text;
}

}  // namespace pwstore
