// SPDX-License-Identifier: GPL-3.0-or-later
#include "cli/render.hpp"

#include <fmt/chrono.h>
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <ctime>
#include <numeric>

#include "store/base/error.hpp"
#include "store/debian/version.hpp"

namespace pwstore::cli {

namespace {

constexpr size_t kGap = 2;

struct Range {
    char32_t first, last;
};
/// Characters without a width of their own (combining marks, joiners, variation selectors).
constexpr std::array kZeroWidth{Range{0x300, 0x36F},   Range{0x483, 0x489},   Range{0x591, 0x5BD},
                                Range{0x610, 0x61A},   Range{0x64B, 0x65F},   Range{0x1AB0, 0x1AFF},
                                Range{0x1DC0, 0x1DFF}, Range{0x200B, 0x200F}, Range{0x20D0, 0x20FF},
                                Range{0xFE00, 0xFE0F}, Range{0xFE20, 0xFE2F}, Range{0xFEFF, 0xFEFF}};
/// Characters two columns wide (East Asian wide and full-width forms, emoji).
constexpr std::array kDoubleWidth{Range{0x1100, 0x115F},   Range{0x2E80, 0x303E},   Range{0x3041, 0xA4CF},
                                  Range{0xA960, 0xA97F},   Range{0xAC00, 0xD7A3},   Range{0xF900, 0xFAFF},
                                  Range{0xFE30, 0xFE6F},   Range{0xFF00, 0xFF60},   Range{0xFFE0, 0xFFE6},
                                  Range{0x1F300, 0x1F64F}, Range{0x1F680, 0x1F6FF}, Range{0x1F900, 0x1FAFF},
                                  Range{0x20000, 0x3FFFD}};

template <size_t N>
bool is_in(const std::array<Range, N>& ranges, char32_t code) {
    return std::any_of(ranges.begin(), ranges.end(),
                       [code](const Range& r) { return code >= r.first && code <= r.last; });
}

/// Take one character off `text` (not empty): its bytes and its columns.
struct Character {
    std::string_view bytes;
    size_t width;
};
Character take_character(std::string_view& text) {
    const auto first = static_cast<unsigned char>(text[0]);
    size_t length = first < 0x80 ? 1 : first < 0xE0 ? 2 : first < 0xF0 ? 3 : 4;
    length = std::min(length, text.size());
    char32_t code = length == 1 ? first : first & (0x7FU >> length);
    for (size_t i = 1; i < length; ++i)
        code = (code << 6U) | (static_cast<unsigned char>(text[i]) & 0x3FU);
    const Character character{text.substr(0, length), is_in(kZeroWidth, code)     ? 0U
                                                      : is_in(kDoubleWidth, code) ? 2U
                                                                                  : 1U};
    text.remove_prefix(length);
    return character;
}

}  // namespace

std::string Painter::wrap(std::string_view code, std::string_view text) const {
    return enabled_ ? fmt::format("\x1b[{}m{}\x1b[0m", code, text) : std::string(text);
}

std::string shown(std::string_view text) {
    return with_deb_versions(printable(text));
}

std::string time_in_words(int64_t seconds) {
    const auto time = static_cast<std::time_t>(seconds);
    std::tm parts{};
    if (::localtime_r(&time, &parts) == nullptr) return std::to_string(seconds);
    return fmt::format("{:%Y-%m-%d %H:%M:%S}", parts);
}

std::string human_size(uint64_t bytes) {
    if (bytes < 1000) return fmt::format("{} B", bytes);
    auto value = static_cast<double>(bytes);
    static constexpr std::array kUnits{"kB", "MB", "GB", "TB", "PB", "EB"};
    size_t unit = 0;
    for (value /= 1000; value >= 999.5 && unit + 1 < kUnits.size(); ++unit)
        value /= 1000;
    return value < 9.95 ? fmt::format("{:.1f} {}", value, kUnits[unit])
                        : fmt::format("{:.0f} {}", value, kUnits[unit]);
}

std::string human_change(int64_t bytes) {
    if (bytes == 0) return "0 B";
    const uint64_t size = bytes < 0 ? ~static_cast<uint64_t>(bytes) + 1 : static_cast<uint64_t>(bytes);
    return (bytes < 0 ? "-" : "+") + human_size(size);
}

size_t display_width(std::string_view text) {
    size_t width = 0;
    while (!text.empty())
        width += take_character(text).width;
    return width;
}

std::string cut_to_width(std::string_view text, size_t width) {
    if (display_width(text) <= width) return std::string(text);
    if (width == 0) return {};
    std::string out;
    size_t used = 0;
    while (!text.empty()) {
        const Character character = take_character(text);
        if (used + character.width > width - 1) break;
        out += character.bytes;
        used += character.width;
    }
    return out + "…";
}

std::string wrap_text(std::string_view text, size_t width, size_t indent) {
    const std::string margin(indent, ' ');
    std::string out;
    size_t used = 0;
    while (!text.empty()) {
        const size_t space = text.find(' ');
        const std::string_view word = text.substr(0, space);
        text.remove_prefix(space == std::string_view::npos ? text.size() : space + 1);
        if (word.empty()) continue;
        const size_t length = display_width(word);
        if (used != 0 && indent + used + 1 + length > width) {
            out += '\n';
            used = 0;
        }
        out += used == 0 ? margin : " ";
        used += (used == 0 ? 0 : 1) + length;
        out += word;
    }
    return out;
}

void Table::add(std::vector<std::string> cells) {
    for (std::string& cell : cells)
        cell = shown(cell);
    cells.resize(columns_.size());
    rows_.push_back(std::move(cells));
}

namespace {

struct Plan {
    std::vector<size_t> shown;   ///< indexes of columns
    std::vector<size_t> widths;  ///< of all columns
    [[nodiscard]] size_t total() const {
        size_t sum = shown.empty() ? 0 : kGap * (shown.size() - 1);
        for (const size_t column : shown)
            sum += widths[column];
        return sum;
    }
};

/// Leave out columns, highest rank first, until the others fit when cut to their minimum; then cut the
/// widest.
void fit(Plan& plan, const std::vector<Column>& columns, size_t width) {
    const auto least = [&] {
        size_t sum = plan.shown.empty() ? 0 : kGap * (plan.shown.size() - 1);
        for (const size_t i : plan.shown) {
            sum += columns[i].minimum == 0 ? plan.widths[i] : std::min(plan.widths[i], columns[i].minimum);
        }
        return sum;
    };
    while (least() > width) {
        const auto highest = std::max_element(plan.shown.begin(), plan.shown.end(), [&](size_t a, size_t b) {
            return columns[a].rank < columns[b].rank;
        });
        if (highest == plan.shown.end() || columns[*highest].rank == 0) break;
        plan.shown.erase(highest);
    }
    for (size_t total = plan.total(); total > width; total = plan.total()) {
        size_t widest = columns.size();
        for (const size_t i : plan.shown) {
            if (columns[i].minimum == 0 || plan.widths[i] <= columns[i].minimum) continue;
            if (widest == columns.size() || plan.widths[i] > plan.widths[widest]) widest = i;
        }
        if (widest == columns.size()) break;
        --plan.widths[widest];
    }
}

}  // namespace

std::string Table::render(std::optional<size_t> width, const Painter& painter) const {
    Plan plan;
    plan.shown.resize(columns_.size());
    std::iota(plan.shown.begin(), plan.shown.end(), size_t{0});
    for (size_t i = 0; i < columns_.size(); ++i) {
        size_t widest = display_width(columns_[i].title);
        for (const auto& row : rows_)
            widest = std::max(widest, display_width(row[i]));
        plan.widths.push_back(widest);
    }
    if (width) fit(plan, columns_, *width);

    std::string out;
    const auto line = [&](const auto& cell_of, bool heading) {
        std::string text;
        for (size_t n = 0; n < plan.shown.size(); ++n) {
            const size_t i = plan.shown[n];
            const std::string cell = cut_to_width(cell_of(i), plan.widths[i]);
            const std::string pad(plan.widths[i] - display_width(cell), ' ');
            const std::string shown = heading ? painter.bold(cell) : cell;
            text += columns_[i].align == Align::right ? pad + shown : shown + pad;
            if (n + 1 < plan.shown.size()) text += std::string(kGap, ' ');
        }
        text.erase(text.find_last_not_of(' ') + 1);
        out += text + '\n';
    };
    line([&](size_t i) -> const std::string& { return columns_[i].title; }, true);
    for (const auto& row : rows_)
        line([&](size_t i) -> const std::string& { return row[i]; }, false);
    return out;
}

}  // namespace pwstore::cli
