// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <string>
#include <vector>

#include "cli/command.hpp"
#include "cli/render.hpp"

namespace pwstore::cli {

/// A page of help that is about no single command: "environment", "exit-codes", "short".
struct Topic {
    std::string name;
    std::string title;
    std::vector<std::string> paragraphs;
    std::vector<std::pair<std::string, std::string>> items;
};
[[nodiscard]] const std::vector<Topic>& topics();

// All pages come from the table of commands.
[[nodiscard]] std::string overview_text(size_t width, const Painter& painter);
[[nodiscard]] std::string command_text(const Command& command, size_t width, const Painter& painter);
[[nodiscard]] std::string topic_text(const Topic& topic, size_t width, const Painter& painter);
/// roff for man(1): pwstore.1, and pwstore-VERB.1.
[[nodiscard]] std::string overview_man();
[[nodiscard]] std::string command_man(const Command& command);
/// docs/commands.md.
[[nodiscard]] std::string commands_markdown();

/// Completion script for "bash", "zsh" or "fish". @throws Error (usage) for another shell
[[nodiscard]] std::string completion_script(const std::string& shell);

/// "pwstore install [OPTION…] NAME PKG…"
[[nodiscard]] std::string usage_line(const Command& command);

}  // namespace pwstore::cli
