// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace pwstore {

/// Which of a container's generations are kept, besides the current one and those that something pins.
/// Times are seconds since the epoch; days, weeks, months and years are those of UTC.
struct RetentionPolicy {
    unsigned last = 0;     ///< the newest ones
    unsigned daily = 0;    ///< the newest one of each of so many days that have one
    unsigned weekly = 0;   ///< the same, of weeks (from Monday)
    unsigned monthly = 0;  ///< of months
    unsigned yearly = 0;   ///< of years
    int64_t within = 0;    ///< all that are younger, in seconds

    /// "last=3,daily=7,weekly=4,monthly=6,yearly=1,within=30d", any of them but not none.
    /// @throws Error (usage) naming what is wrong
    static RetentionPolicy parse(std::string_view text);
    bool operator==(const RetentionPolicy&) const = default;
};

/// A generation as the policy sees it.
struct Dated {
    uint64_t number = 0;
    int64_t time = 0;
};

/// The numbers that `policy` keeps, each with the rule that does ("daily"). Pure.
[[nodiscard]] std::map<uint64_t, std::string> kept_by(const RetentionPolicy& policy, std::vector<Dated> all,
                                                      int64_t now);

/// "14d", "36h", "90m", "2w", "45" or "45s": seconds. @throws Error (usage) naming `option`
[[nodiscard]] int64_t parse_duration(std::string_view text, std::string_view option);

}  // namespace pwstore
