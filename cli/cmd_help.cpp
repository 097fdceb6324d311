// SPDX-License-Identifier: GPL-3.0-or-later
#include <fmt/format.h>

#include <algorithm>
#include <ostream>

#include "cli/build_config.hpp"
#include "cli/cmd.hpp"
#include "cli/grammar.hpp"
#include "cli/help.hpp"
#include "cli/json.hpp"
#include "store/base/error.hpp"

namespace pwstore::cli {

namespace {

[[noreturn]] void reject(const std::string& cause) {
    throw Error("read the command line", "", cause).as(Fault::usage);
}

/// "install", "-S", "S" and "exec" all name a verb.
const Command* command_of(const std::string& word) {
    if (const Command* command = find_command(word)) return command;
    const std::string operation = word[0] == '-' ? word : "-" + word;
    for (const Command& command : commands()) {
        if (command.short_form == operation) return &command;
    }
    return nullptr;
}

const Topic* topic_of(const std::string& word) {
    const auto found = std::find_if(topics().begin(), topics().end(),
                                    [&](const Topic& topic) { return topic.name == word; });
    return found == topics().end() ? nullptr : &*found;
}

std::string text_page(const Context& context, const std::string& word) {
    const size_t width = std::min<size_t>(context.out_width().value_or(100), 120);
    if (word.empty()) return overview_text(width, context.out);
    if (const Command* command = command_of(word)) return command_text(*command, width, context.out);
    if (const Topic* topic = topic_of(word)) return topic_text(*topic, width, context.out);
    reject(fmt::format("there is no help on '{}'", printable(word)));
}

std::string man_page(const std::string& word) {
    if (word.empty()) return overview_man();
    if (const Command* command = command_of(word)) return command_man(*command);
    reject(fmt::format("there is no manual page on '{}'", printable(word)));
}

int run_help(Context& context, const Arguments& arguments) {
    const std::vector<std::string> words = arguments.operands();
    const std::string format = arguments.value("format").value_or("text");
    const bool all = arguments.has("all") || (words.size() == 1 && words[0] == "all");
    if (format == "markdown") {
        context.io.out << commands_markdown();
    } else if (format == "man") {
        context.io.out << man_page(words.empty() ? "" : words[0]);
    } else if (all) {
        context.io.out << text_page(context, "");
        for (const Command& command : commands())
            context.io.out << '\n' << text_page(context, command.name);
        for (const Topic& topic : topics())
            context.io.out << '\n' << text_page(context, topic.name);
    } else {
        context.io.out << text_page(context, words.empty() ? "" : words[0]);
    }
    return kDone;
}

Command help_command() {
    Command it{"help", {}, "Help", "explain pwstore, a verb or a topic"};
    it.short_form = "-h";
    it.operands = {{"TOPIC", Completes::nothing, true}};
    it.options = {
        {"format", 'f', "FORMAT", "how it is written", Completes::nothing, {"text", "man", "markdown"}},
        {"all", 'a', "", "every page"}};
    it.examples = {{"pwstore help install", "one verb"}, {"pwstore help exit-codes", "a topic"}};
    it.run = run_help;
    return it;
}

int run_version(Context& context, const Arguments& arguments) {
    if (arguments.has("json")) {
        context.io.out << version_json();
        return kDone;
    }
    context.io.out << "pwstore " << kVersion << '\n';
    if (!context.quiet) {
        context.io.out << "License: GPL-3.0-or-later. There is no warranty, as far as the law permits.\n";
    }
    return kDone;
}

Command version_command() {
    Command it{"version", {}, "Help", "show the version"};
    it.short_form = "-V";
    it.operands = {{"min", Completes::nothing, true}};
    it.options = {json_option()};
    it.run = run_version;
    return it;
}

int run_completion(Context& context, const Arguments& arguments) {
    context.io.out << completion_script(arguments.operands()[0]);
    return kDone;
}

Command completion_command() {
    Command it{"completion", {}, "Help", "print the completion script of a shell"};
    it.operands = {{"SHELL"}};
    it.examples = {
        {"pwstore completion bash > ~/.local/share/bash-completion/completions/pwstore", "for bash"},
        {"pwstore completion zsh > ~/.zfunc/_pwstore", "for zsh"},
        {"pwstore completion fish > ~/.config/fish/completions/pwstore.fish", "for fish"}};
    it.run = run_completion;
    return it;
}

}  // namespace

std::vector<Command> help_commands() {
    return {help_command(), version_command(), completion_command()};
}

const std::vector<Command>& commands() {
    static const std::vector<Command> all = [] {
        std::vector<Command> joined;
        for (auto* make : {container_commands, history_commands, package_commands, pacman_commands,
                           run_commands, store_commands, inspect_commands, gc_commands, snapshot_commands,
                           policy_commands, transfer_commands, repo_commands, help_commands}) {
            std::vector<Command> some = make();
            std::move(some.begin(), some.end(), std::back_inserter(joined));
        }
        return joined;
    }();
    return all;
}

const Command* find_command(const std::string& name) {
    for (const Command& command : commands()) {
        const auto& aliases = command.aliases;
        if (command.name == name || std::find(aliases.begin(), aliases.end(), name) != aliases.end())
            return &command;
    }
    return nullptr;
}

const std::vector<Option>& common_options() {
    static const std::vector<Option> all{
        {"help", 'h', "", "show how to use this verb"},
        {"quiet", 'q', "", "say nothing but errors and what was asked for"},
        {"debug", 0, "", "say more"},
        {"color", 0, "WHEN", "colours", Completes::nothing, {"auto", "always", "never"}},
    };
    return all;
}

}  // namespace pwstore::cli
