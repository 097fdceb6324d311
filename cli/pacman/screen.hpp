// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "cli/context.hpp"

namespace pwstore::cli::pacman {

/// Colours of pacman's words; empty strings without colour.
struct Palette {
    explicit Palette(bool enabled);
    const char *colon, *title, *repo, *version, *groups, *meta, *warning, *error, *faint, *reset;
};

/// Prints in the shapes of pacman: results and what is done on standard output, errors and warnings on
/// standard error. Text of others is made safe for a terminal.
class Screen {
 public:
    Screen(const Context& context, bool no_confirm) : context_(&context), no_confirm_(no_confirm) {}

    void use_color(bool enabled) { palette_ = Palette(enabled); }
    void ask_nobody() { no_confirm_ = true; }
    [[nodiscard]] const Palette& palette() const noexcept { return palette_; }

    /// Bytes of somebody else for standard output: safe on a terminal, as they are for a program that reads
    /// them.
    [[nodiscard]] std::string shown(std::string_view bytes) const;
    /// As it is, on standard output.
    void print(std::string_view text) const;
    /// Text of somebody else, each line made safe for a terminal.
    void print_lines(std::string_view text) const;
    /// ":: TEXT"
    void colon(const std::string& text) const;
    void warning(const std::string& text) const;
    void error(const std::string& text) const;
    void plain_error(const std::string& text) const;

    /// ":: QUESTION [Y/n]". Without anybody to ask, the default.
    [[nodiscard]] bool yes_or_no(const std::string& question, bool default_answer) const;
    /// The index of the choice; 0 without anybody to ask.
    [[nodiscard]] size_t number(size_t count) const;

    /// Columns of standard output; 0 when it is no terminal: nothing is wrapped then.
    [[nodiscard]] size_t columns() const;
    /// `text` in lines that begin at column `indent`, the first without it.
    [[nodiscard]] std::string wrapped(const std::string& text, size_t indent) const;
    /// "TITLE a  b  c", wrapped; "None" for nothing.
    [[nodiscard]] std::string listed(const std::string& title, const std::vector<std::string>& values) const;

 private:
    const Context* context_;
    bool no_confirm_;
    Palette palette_{false};
};

/// Size as pacman writes it: in `unit` ('B', 'K', 'M' …), or the first unit that makes it small for 0.
[[nodiscard]] std::string size_text(int64_t bytes, char unit);
[[nodiscard]] char size_unit(int64_t bytes);

}  // namespace pwstore::cli::pacman
