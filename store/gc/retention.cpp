// SPDX-License-Identifier: GPL-3.0-or-later
#include "store/gc/retention.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <chrono>
#include <optional>
#include <set>

#include "store/base/error.hpp"

namespace pwstore {

namespace {

constexpr int64_t kMinute = 60;
constexpr int64_t kHour = 60 * kMinute;
constexpr int64_t kDay = 24 * kHour;

Error wrong(std::string_view option, std::string_view cause) {
    Error error("read the command line", "", fmt::format("option '{}' {}", option, cause));
    return error.as(Fault::usage);
}

template <typename Number>
std::optional<Number> number_of(std::string_view text) {
    Number number{};
    const auto [end, fault] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (text.empty() || fault != std::errc{} || end != text.data() + text.size()) return std::nullopt;
    return number;
}

enum class Span { day, week, month, year };

/// A number per calendar span that is the same for all times within it.
int64_t span_of(int64_t time, Span span) {
    using namespace std::chrono;
    const auto day = floor<days>(sys_seconds(seconds(time)));
    const year_month_day date(day);
    switch (span) {
        case Span::day:
            return day.time_since_epoch().count();
        case Span::week:
            return (day - days(weekday(day).iso_encoding() - 1)).time_since_epoch().count();
        case Span::month:
            return int64_t{static_cast<int>(date.year())} * 12 + static_cast<unsigned>(date.month());
        case Span::year:
            return static_cast<int>(date.year());
    }
    return 0;
}

/// `newest_first`: of each of the last `count` spans that have one, the newest.
void keep_spans(std::map<uint64_t, std::string>& kept, const std::vector<Dated>& newest_first, unsigned count,
                Span span, const char* rule) {
    std::set<int64_t> seen;
    for (const Dated& one : newest_first) {
        if (seen.size() == count) return;
        if (seen.insert(span_of(one.time, span)).second) kept.try_emplace(one.number, rule);
    }
}

}  // namespace

int64_t parse_duration(std::string_view text, std::string_view option) {
    const std::string_view whole = text;
    int64_t unit = 1;
    if (!text.empty() && (text.back() < '0' || text.back() > '9')) {
        switch (text.back()) {
            case 's':
                unit = 1;
                break;
            case 'm':
                unit = kMinute;
                break;
            case 'h':
                unit = kHour;
                break;
            case 'd':
                unit = kDay;
                break;
            case 'w':
                unit = 7 * kDay;
                break;
            default:
                unit = 0;
        }
        text.remove_suffix(1);
    }
    const auto number = number_of<uint32_t>(text);
    if (!number || unit == 0)
        throw wrong(option, fmt::format("needs a time like 14d, 36h or 90m, not '{}'", printable(whole)));
    return *number * unit;
}

RetentionPolicy RetentionPolicy::parse(std::string_view text) {
    constexpr std::string_view kOption = "--keep";
    RetentionPolicy policy;
    do {  // no rule at all would let go of everything: that is said with last=0
        const std::string_view item = text.substr(0, text.find(','));
        text.remove_prefix(std::min(item.size() + 1, text.size()));
        const size_t equals = item.find('=');
        const std::string_view rule = item.substr(0, equals);
        const std::string_view value = equals == std::string_view::npos ? "" : item.substr(equals + 1);
        if (rule == "within") {
            policy.within = parse_duration(value, kOption);
            continue;
        }
        const std::map<std::string_view, unsigned*> counts{{"last", &policy.last},
                                                           {"daily", &policy.daily},
                                                           {"weekly", &policy.weekly},
                                                           {"monthly", &policy.monthly},
                                                           {"yearly", &policy.yearly}};
        const auto count = counts.find(rule);
        const auto number = number_of<unsigned>(value);
        if (count == counts.end() || !number) {
            throw wrong(kOption, fmt::format("does not know '{}'", printable(item)))
                .with_hint("rules are last=N, daily=N, weekly=N, monthly=N, yearly=N and within=TIME");
        }
        *count->second = *number;
    } while (!text.empty());
    return policy;
}

std::map<uint64_t, std::string> kept_by(const RetentionPolicy& policy, std::vector<Dated> all, int64_t now) {
    std::sort(all.begin(), all.end(), [](const Dated& a, const Dated& b) { return a.number > b.number; });
    std::map<uint64_t, std::string> kept;
    for (size_t at = 0; at < std::min<size_t>(policy.last, all.size()); ++at)
        kept.try_emplace(all[at].number, "last");
    for (const Dated& one : all) {
        if (policy.within != 0 && one.time > now - policy.within) kept.try_emplace(one.number, "within");
    }
    keep_spans(kept, all, policy.daily, Span::day, "daily");
    keep_spans(kept, all, policy.weekly, Span::week, "weekly");
    keep_spans(kept, all, policy.monthly, Span::month, "monthly");
    keep_spans(kept, all, policy.yearly, Span::year, "yearly");
    return kept;
}

}  // namespace pwstore
