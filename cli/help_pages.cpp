// SPDX-License-Identifier: GPL-3.0-or-later
// Help in the two formats that are kept as files: manual pages and Markdown.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include "cli/build_config.hpp"
#include "cli/help.hpp"

namespace pwstore::cli {

namespace {

/// Text for roff: a backslash, a dash that is a dash, and a line that does not begin with a control
/// character.
std::string roff(std::string_view text) {
    std::string out;
    for (const char c : text) {
        if (c == '\\') {
            out += "\\e";
        } else if (c == '-') {
            out += "\\-";
        } else {
            out += c;
        }
    }
    if (!out.empty() && (out[0] == '.' || out[0] == '\'')) out.insert(0, "\\&");
    return out;
}

std::string upper(std::string text) {
    for (char& c : text) {
        if (c >= 'a' && c <= 'z') c = static_cast<char>(c - 'a' + 'A');
    }
    return text;
}

std::string man_head(const std::string& name, const std::string& summary) {
    return fmt::format(
        ".\\\" SPDX-License-Identifier: GPL-3.0-or-later\n.\\\" Made by 'pwstore help --format=man'; do not "
        "edit.\n"
        ".TH {} 1 \"\" \"pwstore {}\" \"pwstore manual\"\n.SH NAME\n{} \\- {}\n",
        roff(upper(name)), kVersion, roff(name), roff(summary));
}

std::string man_options(const std::vector<Option>& options) {
    std::string out;
    for (const Option& option : options) {
        out += ".TP\n";
        if (option.letter != 0) out += fmt::format("\\fB\\-{}\\fR, ", option.letter);
        out += fmt::format("\\fB\\-\\-{}\\fR", roff(option.name));
        if (!option.value.empty()) out += fmt::format("=\\fI{}\\fR", roff(option.value));
        out += "\n" + roff(option.help);
        if (!option.choices.empty()) out += roff(fmt::format(": {}", fmt::join(option.choices, ", ")));
        out += "\n";
    }
    return out;
}

std::string markdown_cell(std::string_view text) {
    std::string out;
    for (const char c : text) {
        if (c == '|') out += '\\';
        out += c;
    }
    return out;
}

std::string markdown_options(const std::vector<Option>& options) {
    std::string out = "| option | meaning |\n|---|---|\n";
    for (const Option& option : options) {
        std::string name = option.letter != 0 ? fmt::format("`-{}`, ", option.letter) : "";
        name += option.value.empty() ? fmt::format("`--{}`", option.name)
                                     : fmt::format("`--{}={}`", option.name, option.value);
        const std::string choices =
            option.choices.empty() ? "" : fmt::format(": {}", fmt::join(option.choices, ", "));
        out += fmt::format("| {} | {} |\n", name, markdown_cell(option.help + choices));
    }
    return out;
}

}  // namespace

std::string overview_man() {
    std::string out =
        man_head("pwstore", "unprivileged containers made of distribution packages, every file stored once");
    out += ".SH SYNOPSIS\n.B pwstore\n\\fIVERB\\fR [\\fIOPTION\\fR...] [\\fIOPERAND\\fR...]\n.SH VERBS\n";
    for (const Command& command : commands()) {
        out += fmt::format(".TP\n\\fB{}\\fR", roff(command.name));
        for (const std::string& alias : command.aliases)
            out += fmt::format(", \\fB{}\\fR", roff(alias));
        out += fmt::format("\n{}; see\n.BR pwstore\\-{} (1)\n", roff(command.summary), roff(command.name));
    }
    out += ".SH OPTIONS\nEvery verb takes:\n" + man_options(common_options());
    for (const Topic& topic : topics()) {
        out += ".SH " + roff(upper(topic.title)) + "\n";
        for (const std::string& paragraph : topic.paragraphs)
            out += roff(paragraph) + "\n.PP\n";
        for (const auto& [name, help] : topic.items)
            out += fmt::format(".TP\n\\fB{}\\fR\n{}\n", roff(name), roff(help));
    }
    return out;
}

std::string command_man(const Command& command) {
    std::string out = man_head("pwstore-" + command.name, command.summary);
    out += ".SH SYNOPSIS\n" + roff(usage_line(command)) + "\n";
    if (!command.short_form.empty()) out += ".PP\npwstore " + roff(command.short_form) + "...\n";
    if (!command.description.empty() || !command.aliases.empty()) out += ".SH DESCRIPTION\n";
    for (const std::string& paragraph : command.description)
        out += roff(paragraph) + "\n.PP\n";
    if (!command.aliases.empty())
        out += roff(fmt::format("Also called: {}", fmt::join(command.aliases, ", "))) + "\n";
    out += ".SH OPTIONS\n" + man_options(command.options) + man_options(common_options());
    if (!command.examples.empty()) out += ".SH EXAMPLES\n";
    for (const Example& example : command.examples) {
        out += fmt::format(".TP\n\\fB{}\\fR\n{}\n", roff(example.line), roff(example.explanation));
    }
    return out + ".SH SEE ALSO\n.BR pwstore (1)\n";
}

std::string commands_markdown() {
    std::string out =
        "# Commands\n\nMade by `pwstore help --format=markdown`; do not edit. What a shell is told with "
        "`--json` is in "
        "[json.md](json.md).\n\n| verb | what it does |\n|---|---|\n";
    for (const Command& command : commands()) {
        out += fmt::format("| [`{0}`](#{0}) | {1} |\n", command.name, markdown_cell(command.summary));
    }
    out += "\nEvery verb takes:\n\n" + markdown_options(common_options());
    for (const Topic& topic : topics()) {
        out += fmt::format("\n## {}\n", topic.title);
        for (const std::string& paragraph : topic.paragraphs) {
            out +=
                paragraph.rfind("pwstore ", 0) == 0 ? "\n    " + paragraph + "\n" : "\n" + paragraph + "\n";
        }
        if (!topic.items.empty()) out += "\n| | |\n|---|---|\n";
        for (const auto& [name, help] : topic.items)
            out += fmt::format("| `{}` | {} |\n", name, markdown_cell(help));
    }
    for (const Command& command : commands()) {
        out += fmt::format("\n## {}\n\n    {}\n\n{}.", command.name, usage_line(command), command.summary);
        if (!command.short_form.empty()) out += fmt::format(" Short form: `{}`.", command.short_form);
        if (!command.aliases.empty())
            out += fmt::format(" Also called: {}.", fmt::join(command.aliases, ", "));
        out += "\n";
        for (const std::string& paragraph : command.description)
            out += "\n" + paragraph + "\n";
        if (!command.options.empty()) out += "\n" + markdown_options(command.options);
        if (!command.examples.empty()) out += "\n| example | |\n|---|---|\n";
        for (const Example& example : command.examples) {
            out += fmt::format("| `{}` | {} |\n", markdown_cell(example.line),
                               markdown_cell(example.explanation));
        }
    }
    return out;
}

}  // namespace pwstore::cli
