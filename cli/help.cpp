// SPDX-License-Identifier: GPL-3.0-or-later
#include "cli/help.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

namespace pwstore::cli {

namespace {

constexpr size_t kItemWidth = 26;

/// "-t, --target=NAME"
std::string option_words(const Option& option) {
    std::string words = option.letter != 0 ? fmt::format("-{}, ", option.letter) : "    ";
    words += "--" + option.name;
    if (!option.value.empty()) words += "=" + option.value;
    return words;
}

std::string option_help(const Option& option) {
    return option.choices.empty() ? option.help
                                  : fmt::format("{}: {}", option.help, fmt::join(option.choices, ", "));
}

std::string item_text(const std::string& name, const std::string& help, size_t width) {
    std::string out = "  " + name;
    if (display_width(out) >= kItemWidth) {
        out += '\n' + std::string(kItemWidth, ' ');
    } else {
        out += std::string(kItemWidth - display_width(out), ' ');
    }
    const std::string wrapped = wrap_text(help, std::max<size_t>(width, kItemWidth + 20), kItemWidth);
    return out + (wrapped.size() > kItemWidth ? wrapped.substr(kItemWidth) : "") + '\n';
}

std::vector<std::string> groups() {
    std::vector<std::string> names;
    for (const Command& command : commands()) {
        if (std::find(names.begin(), names.end(), command.group) == names.end())
            names.push_back(command.group);
    }
    return names;
}

std::string names_of(const Command& command) {
    return command.aliases.empty() ? command.name
                                   : fmt::format("{}, {}", command.name, fmt::join(command.aliases, ", "));
}

}  // namespace

const std::vector<Topic>& topics() {
    static const std::vector<Topic> all{
        {"short",
         "The short grammar",
         {"The first word may be an operation in place of a verb. Its letters can be bundled with those of "
          "the verb's options, and options "
          "that take a value take it from the next word.",
          "pwstore -Syucst common gtk3 --dep=base -cat app ripgrep --dep=base,common"},
         {{"-S", "sync: refresh, upgrade, create, install"},
          {"-R", "remove; with -m: delete containers"},
          {"-E", "run; with -s: a shell, with -r: as root of the container"},
          {"-Q", "query"},
          {"-L, -Ul", "ls"},
          {"-Ur", "delete"},
          {"-V, --version", "version"},
          {"-h, --help", "help; -h VERB for one verb"}}},
        {"questions",
         "Questions",
         {"Before anything is changed, the plan is shown and you are asked. --preview shows it and stops. "
          "--noconfirm asks "
          "nothing: the plan is carried out, and every other question gets its standard answer, as in "
          "pacman.",
          "Where there is no terminal to ask on, nothing is changed without --noconfirm, and the exit code "
          "is 2. A timer or "
          "cron job says 'pwstore upgrade --noconfirm --quiet': it prints errors and warnings only."},
         {}},
        {"environment",
         "Environment",
         {"Directories are absolute. Nothing has to be set, not even HOME. No privileges are needed; as "
          "root, pwstore works "
          "like for any other user."},
         {{"PWSTORE_DATA_DIR",
           "store, roots and homes; else $XDG_DATA_HOME/pwstore, else ~/.local/share/pwstore"},
          {"PWSTORE_CONFIG_DIR", "configuration; else $XDG_CONFIG_HOME/pwstore, else ~/.config/pwstore"},
          {"PWSTORE_CACHE_DIR", "package archives; else $XDG_CACHE_HOME/pwstore, else ~/.cache/pwstore"},
          {"PWSTORE_THREADS", "how many threads work at once; else one per processor"},
          {"PWSTORE_NO_OVERLAY", "1: never mount an overlay, give scripts a private copy of the root"},
          {"NO_COLOR", "set and not empty: no colours, unless --color=always"}}},
        {"exit-codes",
         "Exit codes",
         {},
         {{"0", "done, or nothing to do"},
          {"1", "it could not be done, or you said no"},
          {"2", "the command line makes no sense, or a question could not be asked"},
          {"3", "something it needs is in use"},
          {"4", "corruption was found"},
          {"70", "fault of pwstore: a mistake in it, not in what you did; please report it"},
          {"125", "run, shell, try: pwstore failed"},
          {"126", "run, shell, try: the program could not be executed"},
          {"127", "run, shell, try: there is no such program"},
          {"130", "interrupted"},
          {"other", "run, shell, try: the program's own; 128 + N when signal N ended it"}}}};
    return all;
}

std::string usage_line(const Command& command) {
    std::string line = "pwstore " + command.name + " [OPTION…]";
    for (const Operand& operand : command.operands) {
        const std::string name = operand.name + (operand.repeated ? "…" : "");
        line += operand.optional ? " [" + name + "]" : " " + name;
    }
    if (command.tail == Tail::after_operand) line += " CMD [ARG…]";
    if (command.tail == Tail::after_dashes) line += " [-- CMD [ARG…]]";
    return line;
}

std::string overview_text(size_t width, const Painter& painter) {
    std::string out = wrap_text(
        "pwstore: unprivileged containers made of distribution packages; every file is stored once.", width,
        0);
    out += "\n\n" + painter.bold("Usage:") + " pwstore VERB [OPTION…] [OPERAND…]\n";
    for (const std::string& group : groups()) {
        out += "\n" + painter.bold(group) + "\n";
        for (const Command& command : commands()) {
            if (command.group == group) out += item_text(names_of(command), command.summary, width);
        }
    }
    out += "\n" + painter.bold("Every verb takes") + "\n";
    for (const Option& option : common_options())
        out += item_text(option_words(option), option_help(option), width);
    out += "\n";
    std::string pages;
    for (const Topic& topic : topics())
        pages += (pages.empty() ? "" : ", ") + topic.name;
    out += wrap_text("'pwstore help VERB' explains a verb, with examples. Other pages: " + pages + ".", width,
                     0) +
           "\n";
    return out;
}

std::string command_text(const Command& command, size_t width, const Painter& painter) {
    std::string out = painter.bold("pwstore " + command.name) + ": " + command.summary + "\n\n";
    out += painter.bold("Usage:") + " " + usage_line(command) + "\n";
    if (!command.short_form.empty()) out += "       pwstore " + command.short_form + "…\n";
    if (!command.aliases.empty()) out += fmt::format("Also called: {}\n", fmt::join(command.aliases, ", "));
    for (const std::string& paragraph : command.description)
        out += "\n" + wrap_text(paragraph, width, 0) + "\n";
    if (!command.options.empty()) out += "\n" + painter.bold("Options") + "\n";
    for (const Option& option : command.options)
        out += item_text(option_words(option), option_help(option), width);
    out += "\n" + painter.bold("Every verb takes") + "\n";
    for (const Option& option : common_options())
        out += item_text(option_words(option), option_help(option), width);
    if (!command.examples.empty()) out += "\n" + painter.bold("Examples") + "\n";
    for (const Example& example : command.examples) {
        out += "  " + example.line + "\n" + wrap_text(example.explanation, width, 6) + "\n";
    }
    return out;
}

std::string topic_text(const Topic& topic, size_t width, const Painter& painter) {
    std::string out = painter.bold(topic.title) + "\n";
    for (const std::string& paragraph : topic.paragraphs)
        out += "\n" + wrap_text(paragraph, width, 0) + "\n";
    if (!topic.items.empty()) out += "\n";
    for (const auto& [name, help] : topic.items)
        out += item_text(name, help, width);
    return out;
}

}  // namespace pwstore::cli
