// SPDX-License-Identifier: GPL-3.0-or-later
#include "store/debian/version.hpp"

#include <algorithm>
#include <array>
#include <optional>
#include <utility>

namespace pwstore {

namespace {

bool is_digit(char c) {
    return c >= '0' && c <= '9';
}

bool is_letter(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

/// What stands in a run of letters as z and a code, in Debian's order.
constexpr std::array<std::pair<char, char>, 5> kEscapes{
    {{'z', 'a'}, {'+', 'b'}, {'-', 'c'}, {'.', 'd'}, {':', 'e'}}};

class Reader {
 public:
    explicit Reader(std::string_view text) : rest_(text) {}
    [[nodiscard]] bool done() const { return rest_.empty(); }
    [[nodiscard]] bool at_number() const { return !rest_.empty() && is_digit(rest_.front()); }
    [[nodiscard]] bool at(std::string_view what) const { return rest_.substr(0, what.size()) == what; }
    bool take(std::string_view what) {
        if (!at(what)) return false;
        rest_.remove_prefix(what.size());
        return true;
    }
    char take_any() {
        const char c = rest_.front();
        rest_.remove_prefix(1);
        return c;
    }
    std::string_view digits() {
        const size_t size = std::min(rest_.find_first_not_of("0123456789"), rest_.size());
        const std::string_view result = rest_.substr(0, size);
        rest_.remove_prefix(size);
        return result;
    }

 private:
    std::string_view rest_;
};

bool is_zeros(std::string_view digits) {
    return digits.size() >= 2 && digits.find_first_not_of('0') == std::string_view::npos;
}

/// What was read last decides what a character means.
enum class After { nothing, number, tilde, letters };

/// One of the two parts, upstream version and revision, which Debian compares one after the other.
class Encoder {
 public:
    explicit Encoder(std::string_view part) : in_(part) {}

    std::string run() {
        After after = After::nothing;
        while (!in_.done() || after != After::number)
            after = step(after);
        return out_ + "e";
    }

 private:
    After step(After after) {
        if (in_.done() || in_.at_number()) {
            out_ += after == After::tilde ? "e" : after == After::letters ? "." : "";
            return number();
        }
        if (in_.take("~")) {
            out_ += after == After::letters ? ".a" : "a";
            return After::tilde;
        }
        if (after == After::number) return after_number();
        out_ += after == After::tilde ? "l" : after == After::nothing ? "." : "";
        return letter();
    }

    After number() {
        const std::string_view digits = in_.digits();
        out_ += digits.empty() ? "00" : digits;
        if (is_zeros(digits)) out_ += '0';
        return After::number;
    }

    After after_number() {
        if (in_.take(".")) {
            const bool run = !in_.done() && !in_.at_number() && !in_.at("~");
            out_ += run ? ".." : ".";
            return run ? letter() : in_.take("~") ? (out_ += 'a', After::tilde) : number();
        }
        if (in_.take("+")) {
            out_ += 'p';
        } else if (in_.take("-")) {
            out_ += 'r';
        } else if (in_.take(":")) {
            out_ += "...t";
        } else {
            out_ += 'l';
            return letter();
        }
        return After::letters;
    }

    After letter() {
        const char c = in_.take_any();
        const auto* escape =
            std::find_if(kEscapes.begin(), kEscapes.end(), [&](const auto& e) { return e.first == c; });
        out_ += escape == kEscapes.end() ? c : 'z';
        if (escape != kEscapes.end()) out_ += escape->second;
        return After::letters;
    }

    Reader in_;
    std::string out_;
};

class Decoder {
 public:
    explicit Decoder(std::string_view part) : in_(part) {}

    /// nullopt: no encoder writes that.
    std::optional<std::string> run() {
        std::optional<After> after = After::nothing;
        while (after && !(after == After::number && in_.take("e")))
            after = in_.done() ? std::nullopt : step(*after);
        if (!after || !in_.done()) return std::nullopt;
        return out_;
    }

 private:
    std::optional<After> step(After after) {
        switch (after) {
            case After::nothing:
                return in_.take(".") ? letter() : in_.take("a") ? tilde() : number();
            case After::number:
                return after_number();
            case After::tilde:
                return in_.take("a")   ? tilde()
                       : in_.take("e") ? number()
                       : in_.take("l") ? letter()
                                       : std::nullopt;
            case After::letters:
                return in_.take(".a") ? tilde() : in_.take(".") ? number() : letter();
        }
        return std::nullopt;
    }

    std::optional<After> after_number() {
        if (in_.take("...t")) return put(':', After::letters);
        if (in_.take("..")) return put('.', After::letters) ? letter() : std::nullopt;
        if (in_.take(".a")) return put('.', After::letters) ? tilde() : std::nullopt;
        if (in_.take(".")) return put('.', After::letters) ? number() : std::nullopt;
        if (in_.take("a")) return tilde();
        if (in_.take("p")) return put('+', After::letters);
        if (in_.take("r")) return put('-', After::letters);
        return in_.take("l") ? letter() : std::nullopt;
    }

    std::optional<After> put(char c, After after) {
        out_ += c;
        return after;
    }

    std::optional<After> tilde() { return put('~', After::tilde); }

    std::optional<After> number() {
        if (!in_.at_number()) return std::nullopt;
        std::string_view digits = in_.digits();
        if (is_zeros(digits)) digits.remove_suffix(digits.size() == 2 ? 2 : 1);
        out_ += digits;
        return After::number;
    }

    std::optional<After> letter() {
        if (in_.done()) return std::nullopt;
        const char c = in_.take_any();
        if (!is_letter(c)) return std::nullopt;
        if (c != 'z') return put(c, After::letters);
        for (const auto& [plain, code] : kEscapes) {
            if (in_.take({&code, 1})) return put(plain, After::letters);
        }
        return std::nullopt;
    }

    Reader in_;
    std::string out_;
};

// --- Debian's own order
// ---------------------------------------------------------------------------------------

int weight(char c) {
    if (c == '~') return -1;
    if (is_digit(c) || c == '\0') return 0;
    return is_letter(c) ? c : c + 256;
}

std::string_view take_digits(std::string_view& text) {
    const size_t size = std::min(text.find_first_not_of("0123456789"), text.size());
    std::string_view digits = text.substr(0, size);
    text.remove_prefix(size);
    digits.remove_prefix(std::min(digits.find_first_not_of('0'), digits.size()));
    return digits;
}

int compare_parts(std::string_view a, std::string_view b) {
    const auto next = [](std::string_view text) { return text.empty() ? '\0' : text.front(); };
    while (!a.empty() || !b.empty()) {
        while ((!a.empty() && !is_digit(next(a))) || (!b.empty() && !is_digit(next(b)))) {
            if (const int order = weight(next(a)) - weight(next(b)); order != 0) return order;
            a.remove_prefix(1);  // equal weights: neither is at its end or at a number
            b.remove_prefix(1);
        }
        const std::string_view left = take_digits(a);
        const std::string_view right = take_digits(b);
        if (left.size() != right.size()) return left.size() < right.size() ? -1 : 1;
        if (const int order = left.compare(right); order != 0) return order;
    }
    return 0;
}

/// Upstream version and revision.
std::pair<std::string_view, std::string_view> split_revision(std::string_view version) {
    const size_t hyphen = version.rfind('-');
    if (hyphen == std::string_view::npos) return {version, {}};
    return {version.substr(0, hyphen), version.substr(hyphen + 1)};
}

/// "epoch:" and the rest.
std::pair<std::string_view, std::string_view> split_epoch(std::string_view version) {
    const size_t colon = version.find(':');
    const size_t size = colon == std::string_view::npos ? 0 : colon + 1;
    return {version.substr(0, size), version.substr(size)};
}

}  // namespace

std::string alpm_version(std::string_view deb_version) {
    const auto [epoch, rest] = split_epoch(deb_version);
    const size_t hyphen = std::min(rest.rfind('-'), rest.size());
    const std::string_view revision = hyphen == rest.size() ? std::string_view() : rest.substr(hyphen + 1);
    return std::string(epoch) + Encoder(rest.substr(0, hyphen)).run() + "-" + Encoder(revision).run();
}

std::string deb_version(std::string_view alpm_version) {
    const auto [epoch, rest] = split_epoch(alpm_version);
    const size_t hyphen = rest.find('-');
    if (hyphen == std::string_view::npos) return std::string(alpm_version);
    const auto upstream = Decoder(rest.substr(0, hyphen)).run();
    const auto revision = Decoder(rest.substr(hyphen + 1)).run();
    if (!upstream || !revision) return std::string(alpm_version);
    return std::string(epoch) + *upstream + (revision->empty() ? "" : "-" + *revision);
}

bool is_deb_version(std::string_view alpm_version) {
    return deb_version(alpm_version) != alpm_version;
}

namespace {

/// "NAME-VERSION" or "NAME-VERSION-ARCH.pkg.tar…", as libalpm speaks of packages and archives.
std::string with_deb_version_within(std::string_view word) {
    const size_t file = word.find(".pkg.tar");
    const size_t end = file == std::string_view::npos ? word.size() : word.rfind('-', file);
    if (end == std::string_view::npos || word.find('/') != std::string_view::npos) return std::string(word);
    for (size_t dash = word.find('-'); dash < end; dash = word.find('-', dash + 1)) {
        const std::string_view version = word.substr(dash + 1, end - dash - 1);
        if (is_deb_version(version))
            return std::string(word.substr(0, dash + 1)) + deb_version(version) +
                   std::string(word.substr(end));
    }
    return std::string(word);
}

}  // namespace

std::string with_deb_versions(std::string_view text) {
    static constexpr std::string_view kOfVersions =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789.:-_/+~@";
    std::string out;
    while (!text.empty()) {
        const size_t begin = std::min(text.find_first_of(kOfVersions), text.size());
        out += text.substr(0, begin);
        text.remove_prefix(begin);
        const std::string_view word = text.substr(0, text.find_first_not_of(kOfVersions));
        text.remove_prefix(word.size());
        const std::string_view version = word.substr(0, word.find_last_not_of(".:") + 1);
        out += is_deb_version(version) ? deb_version(version) : with_deb_version_within(version);
        out += word.substr(version.size());
    }
    return out;
}

int compare_deb_versions(std::string_view a, std::string_view b) {
    auto [left_epoch, left] = split_epoch(a);
    auto [right_epoch, right] = split_epoch(b);
    const std::string_view left_number = take_digits(left_epoch);
    const std::string_view right_number = take_digits(right_epoch);
    if (left_number.size() != right_number.size()) return left_number.size() < right_number.size() ? -1 : 1;
    if (const int order = left_number.compare(right_number); order != 0) return order;
    const auto [left_upstream, left_revision] = split_revision(left);
    const auto [right_upstream, right_revision] = split_revision(right);
    const int order = compare_parts(left_upstream, right_upstream);
    return order != 0 ? order : compare_parts(left_revision, right_revision);
}

}  // namespace pwstore
