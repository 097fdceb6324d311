// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace pwstore::cli {

/// Escape sequences for one stream, or nothing at all.
class Painter {
 public:
    explicit Painter(bool enabled) : enabled_(enabled) {}
    [[nodiscard]] bool enabled() const noexcept { return enabled_; }
    [[nodiscard]] std::string bold(std::string_view text) const { return wrap("1", text); }
    [[nodiscard]] std::string red(std::string_view text) const { return wrap("1;31", text); }
    [[nodiscard]] std::string yellow(std::string_view text) const { return wrap("1;33", text); }
    [[nodiscard]] std::string green(std::string_view text) const { return wrap("32", text); }
    [[nodiscard]] std::string dim(std::string_view text) const { return wrap("2", text); }

 private:
    [[nodiscard]] std::string wrap(std::string_view code, std::string_view text) const;
    bool enabled_;
};

/// `text` as people see it: safe for a terminal, and versions of Debian packages as Debian writes them.
[[nodiscard]] std::string shown(std::string_view text);

/// "512 B", "9.4 MB", "312 MB": powers of 1000.
[[nodiscard]] std::string human_size(uint64_t bytes);
/// With a sign: "+9.4 MB", "-1.0 kB", "0 B".
[[nodiscard]] std::string human_change(int64_t bytes);

/// "2026-03-01 12:30:05", local time.
[[nodiscard]] std::string time_in_words(int64_t seconds);

/// Columns that `text` takes on a terminal. Expects what printable() or shown() returned.
[[nodiscard]] size_t display_width(std::string_view text);
/// `text` cut to at most `width` columns, with "…" at its end when something was cut.
[[nodiscard]] std::string cut_to_width(std::string_view text, size_t width);
/// Words of `text` in lines of at most `width` columns, each after `indent` spaces; longer words stay whole.
[[nodiscard]] std::string wrap_text(std::string_view text, size_t width, size_t indent);

enum class Align { left, right };

struct Column {
    std::string title;
    Align align = Align::left;
    size_t minimum = 0;  ///< it may be cut down to this; 0 = never cut
    unsigned rank =
        0;  ///< columns with the highest rank above 0 are left out first when the table is too wide
};

/// A table for people; every cell goes through shown().
class Table {
 public:
    explicit Table(std::vector<Column> columns) : columns_(std::move(columns)) {}
    void add(std::vector<std::string> cells);
    [[nodiscard]] bool empty() const noexcept { return rows_.empty(); }
    /// With header, a newline after each row. `width` nullopt = as wide as it is.
    [[nodiscard]] std::string render(std::optional<size_t> width, const Painter& painter) const;

 private:
    std::vector<Column> columns_;
    std::vector<std::vector<std::string>> rows_;
};

}  // namespace pwstore::cli
