// SPDX-License-Identifier: GPL-3.0-or-later
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <sstream>

#include "cli/render.hpp"

namespace pwstore::cli {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

std::vector<std::string> lines_of(const std::string& text) {
    std::istringstream in(text);
    std::vector<std::string> all;
    for (std::string line; std::getline(in, line);)
        all.push_back(line);
    return all;
}

TEST(Render, Sizes) {
    EXPECT_EQ(human_size(0), "0 B");
    EXPECT_EQ(human_size(999), "999 B");
    EXPECT_EQ(human_size(1000), "1.0 kB");
    EXPECT_EQ(human_size(9949), "9.9 kB");
    EXPECT_EQ(human_size(9951), "10 kB");
    EXPECT_EQ(human_size(312'400'000), "312 MB");
    EXPECT_EQ(human_size(999'499'999), "999 MB");
    EXPECT_EQ(human_size(999'500'000), "1.0 GB");
    EXPECT_EQ(human_size(UINT64_MAX), "18 EB");
    EXPECT_EQ(human_change(0), "0 B");
    EXPECT_EQ(human_change(1500), "+1.5 kB");
    EXPECT_EQ(human_change(-1500), "-1.5 kB");
    EXPECT_EQ(human_change(INT64_MIN), "-9.2 EB");
}

TEST(Render, Widths) {
    EXPECT_EQ(display_width(""), 0U);
    EXPECT_EQ(display_width("abc"), 3U);
    EXPECT_EQ(display_width("caf\xc3\xa9"), 4U);
    EXPECT_EQ(display_width("e\xcc\x81"), 1U) << "a combining accent";
    EXPECT_EQ(display_width("\xe6\xbc\xa2\xe5\xad\x97"), 4U) << "two wide characters";
    EXPECT_EQ(display_width("\xf0\x9f\x8e\x89"), 2U);
    EXPECT_EQ(cut_to_width("abcdef", 6), "abcdef");
    EXPECT_EQ(cut_to_width("abcdef", 5), "abcd…");
    EXPECT_EQ(cut_to_width("abcdef", 1), "…");
    EXPECT_EQ(cut_to_width("abcdef", 0), "");
    EXPECT_EQ(cut_to_width("\xe6\xbc\xa2\xe5\xad\x97x", 4), "\xe6\xbc\xa2…");
}

TEST(Render, Wrap) {
    EXPECT_EQ(wrap_text("one two three", 7, 0), "one two\nthree");
    EXPECT_EQ(wrap_text("one two three", 9, 2), "  one two\n  three");
    EXPECT_EQ(wrap_text("averyveryverylongword x", 8, 0), "averyveryverylongword\nx");
    EXPECT_EQ(wrap_text("  many   spaces ", 80, 1), " many spaces");
    EXPECT_EQ(wrap_text("", 80, 4), "");
}

Table sample_table() {
    Table table({{"Name", Align::left, 8, 0},
                 {"Old", Align::left, 8, 2},
                 {"Net Change", Align::right, 0, 3},
                 {"Download", Align::right, 0, 4}});
    table.add({"bash", "5.2-1", "+9.4 MB", "1.8 MB"});
    table.add({"a-package-with-a-name-that-does-not-end", "1.2.3.4.5.6-1", "-1.0 kB", ""});
    return table;
}

TEST(Render, TableAtItsOwnWidth) {
    EXPECT_EQ(sample_table().render(std::nullopt, Painter(false)),
              "Name                                     Old            Net Change  Download\n"
              "bash                                     5.2-1             +9.4 MB    1.8 MB\n"
              "a-package-with-a-name-that-does-not-end  1.2.3.4.5.6-1     -1.0 kB\n");
    EXPECT_EQ(sample_table().render(200, Painter(false)),
              sample_table().render(std::nullopt, Painter(false)));
}

TEST(Render, TableFitsEveryWidth) {
    for (const size_t width : {200U, 80U, 60U, 40U, 33U, 20U, 12U}) {
        for (const std::string& line : lines_of(sample_table().render(width, Painter(false))))
            EXPECT_LE(display_width(line), width) << line;
    }
}

TEST(Render, TableAtForty) {
    EXPECT_EQ(sample_table().render(40, Painter(false)),
              "Name      Old       Net Change  Download\n"
              "bash      5.2-1        +9.4 MB    1.8 MB\n"
              "a-packa…  1.2.3.4…     -1.0 kB\n");
}

TEST(Render, NarrowTableKeepsWhatMattersMost) {
    const std::string text = sample_table().render(20, Painter(false));
    EXPECT_THAT(text, HasSubstr("Name"));
    EXPECT_THAT(text, Not(HasSubstr("Download")));
    EXPECT_THAT(text, Not(HasSubstr("Net Change")));
}

TEST(Render, CellsAreHarmless) {
    Table table({{"Name"}});
    table.add({"evil\x1b[2Jname\n"});
    EXPECT_EQ(table.render(std::nullopt, Painter(false)), "Name\nevil\\x1b[2Jname\\x0a\n");
}

TEST(Render, ColoursDoNotChangeTheLayout) {
    const std::string text = sample_table().render(40, Painter(true));
    EXPECT_THAT(text, HasSubstr("\x1b[1mName\x1b[0m"));
    EXPECT_THAT(text, HasSubstr("\nbash      5.2-1        +9.4 MB"));
    EXPECT_EQ(Painter(false).red("x"), "x");
    EXPECT_EQ(Painter(true).red("x"), "\x1b[1;31mx\x1b[0m");
}

}  // namespace
}  // namespace pwstore::cli
