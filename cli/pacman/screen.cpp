// SPDX-License-Identifier: GPL-3.0-or-later
#include "cli/pacman/screen.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <charconv>
#include <ostream>

#include "store/base/error.hpp"

namespace pwstore::cli::pacman {

namespace {

constexpr std::array kUnits{"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};

std::string trimmed(std::string text) {
    const auto blank = [](char c) { return std::isspace(static_cast<unsigned char>(c)) != 0; };
    while (!text.empty() && blank(text.back()))
        text.pop_back();
    while (!text.empty() && blank(text.front()))
        text.erase(0, 1);
    return text;
}

std::string lower(std::string text) {
    for (char& c : text)
        c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    return text;
}

/// Each line of `text` made safe for a terminal.
std::string safe(std::string_view text) {
    std::string out;
    for (size_t from = 0; from <= text.size();) {
        const size_t end = std::min(text.find('\n', from), text.size());
        out += printable(text.substr(from, end - from));
        if (end < text.size()) out += '\n';
        from = end + 1;
    }
    return out;
}

}  // namespace

Palette::Palette(bool enabled) {
    const auto pick = [&](const char* sequence) { return enabled ? sequence : ""; };
    colon = enabled ? "\x1b[1;34m::\x1b[0;1m " : ":: ";
    title = pick("\x1b[0;1m");
    repo = pick("\x1b[1;35m");
    version = pick("\x1b[1;32m");
    groups = pick("\x1b[1;34m");
    meta = pick("\x1b[1;36m");
    warning = pick("\x1b[1;33m");
    error = pick("\x1b[1;31m");
    faint = pick("\x1b[38;5;243m");
    reset = pick("\x1b[0m");
}

void Screen::print(std::string_view text) const {
    context_->io.out << text;
}

void Screen::print_lines(std::string_view text) const {
    context_->io.out << (context_->io.out_tty ? safe(text) : std::string(text));
}

std::string Screen::shown(std::string_view bytes) const {
    return context_->io.out_tty ? printable(bytes) : std::string(bytes);
}

void Screen::colon(const std::string& text) const {
    context_->io.out << palette_.colon << safe(text) << palette_.reset << '\n' << std::flush;
}

void Screen::warning(const std::string& text) const {
    plain_error(fmt::format("{}warning: {}{}", palette_.warning, palette_.reset, safe(text)));
}

void Screen::error(const std::string& text) const {
    plain_error(fmt::format("{}error: {}{}", palette_.error, palette_.reset, safe(text)));
}

void Screen::plain_error(const std::string& text) const {
    context_->io.out << std::flush;
    context_->io.err << text << '\n' << std::flush;
}

bool Screen::yes_or_no(const std::string& question, bool default_answer) const {
    std::ostream& stream = no_confirm_ ? context_->io.out : context_->io.err;
    context_->io.out << std::flush;
    stream << palette_.colon << safe(question) << (default_answer ? " [Y/n] " : " [y/N] ") << palette_.reset
           << std::flush;
    if (no_confirm_) {
        stream << '\n' << std::flush;
        return default_answer;
    }
    const auto line = context_->io.read_line();
    if (!line) return false;
    const std::string typed = trimmed(*line), answer = lower(typed);
    if (!context_->io.in_tty && !answer.empty()) stream << printable(typed) << '\n' << std::flush;
    if (answer.empty()) return default_answer;
    return answer == "y" || answer == "yes";
}

size_t Screen::number(size_t count) const {
    std::ostream& stream = no_confirm_ ? context_->io.out : context_->io.err;
    for (;;) {
        stream << "\nEnter a number (default=1): " << std::flush;
        if (no_confirm_) {
            stream << '\n' << std::flush;
            return 0;
        }
        const auto line = context_->io.read_line();
        const std::string answer = line ? trimmed(*line) : "";
        if (answer.empty()) return 0;
        size_t number = 0;
        const auto [end, problem] = std::from_chars(answer.data(), answer.data() + answer.size(), number);
        if (problem != std::errc{} || end != answer.data() + answer.size()) {
            error(fmt::format("invalid number: {}", answer));
        } else if (number < 1 || number > count) {
            error(fmt::format("invalid value: {} is not between 1 and {}", number, count));
        } else {
            return number - 1;
        }
    }
}

size_t Screen::columns() const {
    if (const auto given = context_->io.environment("COLUMNS"); given && !given->empty()) {
        size_t columns = 0;
        const auto [end, problem] = std::from_chars(given->data(), given->data() + given->size(), columns);
        if (problem == std::errc{} && end == given->data() + given->size()) return columns;
    }
    return context_->io.out_tty ? context_->io.width() : 0;
}

std::string Screen::wrapped(const std::string& text, size_t indent) const {
    const std::string whole = shown(text);
    const size_t width = columns();
    if (width == 0 || indent > width) return whole;
    std::string out;
    size_t column = indent;
    for (size_t from = 0; from <= whole.size();) {
        const size_t end = std::min(whole.find(' ', from), whole.size());
        const std::string word = whole.substr(from, end - from);
        from = end + 1;
        if (word.empty()) continue;
        const size_t length = display_width(word);
        if (!out.empty() && length + 1 > width - std::min(column, width)) {
            out += "\n" + std::string(indent, ' ');
            column = indent;
        } else if (!out.empty()) {
            out += ' ';
            ++column;
        }
        out += word;
        column += length;
    }
    return out;
}

std::string Screen::listed(const std::string& title, const std::vector<std::string>& values) const {
    const size_t begin = title.empty() ? 0 : display_width(title) + 1;
    std::string out = title.empty() ? "" : fmt::format("{}{}{} ", palette_.title, title, palette_.reset);
    if (values.empty()) return out + "None\n";
    const size_t width = columns();
    size_t column = begin;
    for (size_t i = 0; i < values.size(); ++i) {
        const std::string value = shown(values[i]);
        const size_t length = display_width(value);
        if (i > 0 && width > begin && column + length + 2 >= width) {
            out += "\n" + std::string(begin, ' ');
            column = begin;
        } else if (column != begin) {
            out += "  ";
            column += 2;
        }
        out += value;
        column += length;
    }
    return out + "\n";
}

char size_unit(int64_t bytes) {
    auto value = static_cast<double>(bytes);
    size_t unit = 0;
    for (; unit + 1 < kUnits.size() && (value > 2048.0 || value < -2048.0); ++unit)
        value /= 1024.0;
    return kUnits[unit][0];
}

std::string size_text(int64_t bytes, char unit) {
    auto value = static_cast<double>(bytes);
    size_t at = 0;
    for (; at + 1 < kUnits.size() && kUnits[at][0] != unit; ++at)
        value /= 1024.0;
    if (value < 0 && value > -0.005) value = 0;  // no "-0.00"
    return fmt::format("{:.2f} {}", value, kUnits[at]);
}

}  // namespace pwstore::cli::pacman
