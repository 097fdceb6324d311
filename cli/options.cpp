// SPDX-License-Identifier: GPL-3.0-or-later
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <boost/program_options.hpp>

#include "cli/command.hpp"
#include "store/base/error.hpp"
#include "store/base/similar.hpp"

namespace pwstore::cli {

namespace po = boost::program_options;

namespace {

std::vector<Option> all_options(const Command& command) {
    std::vector<Option> all = command.options;
    for (const Option& common : common_options()) {
        const bool taken =
            std::any_of(all.begin(), all.end(), [&](const Option& own) { return own.name == common.name; });
        if (taken) continue;
        all.push_back(common);
        const bool letter_taken = std::any_of(command.options.begin(), command.options.end(),
                                              [&](const Option& own) { return own.letter == common.letter; });
        if (letter_taken) all.back().letter = 0;
    }
    return all;
}

const Option* find_option(const std::vector<Option>& options, const std::string& name) {
    const auto found =
        std::find_if(options.begin(), options.end(), [&](const Option& o) { return o.name == name; });
    return found == options.end() ? nullptr : &*found;
}

bool letter_takes_value(const std::vector<Option>& options, char letter) {
    return std::any_of(options.begin(), options.end(),
                       [&](const Option& o) { return o.letter == letter && !o.value.empty(); });
}

/// How many of `words` are options and their values, before the first operand.
size_t leading_options(const std::vector<Option>& options, const std::vector<std::string>& words) {
    size_t at = 0;
    while (at < words.size()) {
        const std::string& word = words[at];
        if (word.size() < 2 || word[0] != '-' || word == "--") break;
        ++at;
        if (word[1] == '-') {
            const Option* option = find_option(options, word.substr(2));
            if (option != nullptr && !option->value.empty()) ++at;
            continue;
        }
        for (size_t i = 1; i < word.size(); ++i) {
            if (!letter_takes_value(options, word[i])) continue;
            if (i + 1 == word.size()) ++at;
            break;
        }
    }
    return std::min(at, words.size());
}

/// Cut off what belongs to another program.
std::vector<std::string> take_tail(const Command& command, const std::vector<Option>& options,
                                   std::vector<std::string>& words) {
    size_t from = words.size();
    if (command.tail == Tail::after_operand) {
        from = leading_options(options, words);
        if (from < words.size() && words[from] == "--") ++from;
        from = std::min(from + 1, words.size());
    } else if (command.tail == Tail::after_dashes) {
        from = static_cast<size_t>(std::find(words.begin(), words.end(), "--") - words.begin());
    }
    std::vector<std::string> tail(words.begin() + static_cast<std::ptrdiff_t>(from), words.end());
    words.resize(from);
    if (!tail.empty() && tail.front() == "--") tail.erase(tail.begin());
    return tail;
}

[[noreturn]] void reject(const std::string& cause, const std::string& hint = {}) {
    throw Error("read the command line", "", cause).as(Fault::usage).with_hint(hint);
}

/// The name with its dashes, from whatever the parser calls it.
std::string dashed(std::string name) {
    name.erase(0, name.find_first_not_of('-'));
    name = name.substr(0, name.find('='));
    return (name.size() == 1 ? "-" : "--") + printable(name);
}

po::parsed_options parse(const std::vector<Option>& options, const std::vector<std::string>& words) {
    po::options_description description;
    for (const Option& option : options) {
        const std::string names =
            option.letter == 0 ? option.name : fmt::format("{},{}", option.name, option.letter);
        if (option.value.empty()) {
            description.add_options()(names.c_str(), "");
        } else {
            description.add_options()(names.c_str(), po::value<std::vector<std::string>>(), "");
        }
    }
    namespace style = po::command_line_style;
    const int rules = style::allow_long | style::long_allow_next | style::long_allow_adjacent |
                      style::allow_short | style::allow_dash_for_short | style::short_allow_next |
                      style::short_allow_adjacent | style::allow_sticky;
    try {
        return po::command_line_parser(words).options(description).style(rules).run();
    } catch (const po::unknown_option& problem) {
        const std::string name = dashed(problem.get_option_name());
        std::vector<std::string> known;
        for (const Option& option : options)
            known.push_back("--" + option.name);
        reject(fmt::format("unknown option '{}'", name), name.size() > 2 ? did_you_mean(name, known) : "");
    } catch (const po::invalid_command_line_syntax& problem) {
        const std::string name = dashed(problem.get_option_name());
        switch (problem.kind()) {
            case po::invalid_syntax::extra_parameter:
                reject(fmt::format("option '{}' takes no value", name));
            case po::invalid_syntax::missing_parameter:
            case po::invalid_syntax::empty_adjacent_parameter:
                reject(fmt::format("option '{}' needs a value", name));
            case po::invalid_syntax::long_not_allowed:
            case po::invalid_syntax::long_adjacent_not_allowed:
            case po::invalid_syntax::short_adjacent_not_allowed:
            case po::invalid_syntax::unrecognized_line:
                break;
        }
        reject(printable(problem.what()));
    } catch (const po::error& problem) {
        reject(printable(problem.what()));
    }
}

void check_choice(const Option& option, const std::string& value) {
    if (option.choices.empty()) return;
    if (std::find(option.choices.begin(), option.choices.end(), value) != option.choices.end()) return;
    reject(fmt::format("option '--{}' knows {}, not '{}'", option.name, fmt::join(option.choices, ", "),
                       printable(value)));
}

/// Words that start with one dash and one letter of no option: said with the letter, not with the whole
/// bundle.
void check_bundles(const std::vector<Option>& options, const std::vector<std::string>& words) {
    size_t at = 0;
    const auto take_value = [&](const std::string& name) {
        const bool there = at + 1 < words.size() && (words[at + 1].size() < 2 || words[at + 1][0] != '-');
        if (!there) reject(fmt::format("option '{}' needs a value", name));
        ++at;
    };
    for (; at < words.size(); ++at) {
        const std::string& word = words[at];
        if (word == "--") return;
        if (word.size() < 2 || word[0] != '-') continue;
        if (word[1] == '-') {
            const Option* option = find_option(options, word.substr(2));
            if (option != nullptr && !option->value.empty()) take_value(word);
            continue;
        }
        for (size_t i = 1; i < word.size(); ++i) {
            const char letter = word[i];
            const bool known = std::any_of(options.begin(), options.end(),
                                           [&](const Option& o) { return o.letter == letter; });
            if (!known) reject(fmt::format("unknown option '-{}'", printable(std::string(1, letter))));
            if (!letter_takes_value(options, letter)) continue;
            if (i + 1 == word.size()) take_value(fmt::format("-{}", letter));
            break;
        }
    }
}

}  // namespace

unsigned Arguments::count(const std::string& option) const {
    return static_cast<unsigned>(
        std::count_if(items.begin(), items.end(), [&](const Item& item) { return item.option == option; }));
}

std::optional<std::string> Arguments::value(const std::string& option) const {
    const auto found =
        std::find_if(items.rbegin(), items.rend(), [&](const Item& i) { return i.option == option; });
    return found == items.rend() ? std::nullopt : std::optional(found->value);
}

std::vector<std::string> Arguments::list(const std::string& option) const {
    std::vector<std::string> all;
    for (const Item& item : items) {
        if (item.option != option) continue;
        for (size_t from = 0; from <= item.value.size();) {
            const size_t comma = std::min(item.value.find(',', from), item.value.size());
            if (comma > from) all.push_back(item.value.substr(from, comma - from));
            from = comma + 1;
        }
    }
    return all;
}

std::vector<std::string> Arguments::operands() const {
    std::vector<std::string> all;
    for (const Item& item : items) {
        if (item.option.empty()) all.push_back(item.value);
    }
    return all;
}

Arguments read_arguments(const Command& command, const std::vector<std::string>& words) {
    const std::vector<Option> options = all_options(command);
    std::vector<std::string> own = words;
    Arguments arguments;
    if (command.tail == Tail::everything) {
        arguments.tail = std::move(own);
        return arguments;
    }
    arguments.tail = take_tail(command, options, own);
    check_bundles(options, own);
    for (const auto& parsed : parse(options, own).options) {
        const Option* option = find_option(options, parsed.string_key);
        if (option == nullptr) {
            for (const std::string& value : parsed.value)
                arguments.items.push_back({"", value});
            continue;
        }
        const std::string value = parsed.value.empty() ? "" : parsed.value.front();
        check_choice(*option, value);
        arguments.items.push_back({option->name, value});
    }
    if (arguments.has("help")) return arguments;
    const std::vector<std::string> operands = arguments.operands();
    size_t least = 0;
    for (const Operand& operand : command.operands)
        least += operand.optional ? 0 : 1;
    if (operands.size() < least) {
        reject(fmt::format("'{}' needs {}", command.name, command.operands[operands.size()].name));
    }
    const bool open = !command.operands.empty() && command.operands.back().repeated;
    if (!open && operands.size() > command.operands.size()) {
        reject(fmt::format("'{}' does not take '{}'", command.name,
                           printable(operands[command.operands.size()])));
    }
    return arguments;
}

}  // namespace pwstore::cli
