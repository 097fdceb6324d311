// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace pwstore::cli {

struct Context;

/// What a shell may complete a value to. An operand named "a|b" is one of these words.
enum class Completes {
    nothing,
    container,
    generation,  ///< NAME, NAME@N or NAME@SNAPSHOT
    snapshot,    ///< of `pwstore snapshot`: what its first operand asks for
    place,       ///< ssh://HOST or oci://…
    package,
    installed,
    file,
    command,
    directory
};

struct Option {
    std::string name{};   ///< long name, without dashes
    char letter = 0;      ///< short name, 0 = none
    std::string value{};  ///< name of its value; empty = a flag
    std::string help{};
    Completes completes = Completes::nothing;
    std::vector<std::string> choices{};  ///< when the value must be one of these
};

struct Operand {
    std::string name{};  ///< "NAME", "PKG"
    Completes completes = Completes::nothing;
    bool optional = false;
    bool repeated = false;  ///< only of the last one
};

struct Example {
    std::string line{};
    std::string explanation{};
};

/// What a command does with what follows its first operands.
enum class Tail {
    none,
    after_operand,  ///< everything after the first operand belongs to another program, untouched
    after_dashes,   ///< everything after "--" does
    everything,     ///< the command reads its line by itself; its options are there for help and completion
};

/// The command line of one command, read: options in their order, operands between them.
class Arguments {
 public:
    struct Item {
        std::string option;  ///< long name; empty for an operand
        std::string value;
    };
    std::vector<Item> items;
    std::vector<std::string> tail;

    [[nodiscard]] unsigned count(const std::string& option) const;
    [[nodiscard]] bool has(const std::string& option) const { return count(option) != 0; }
    /// Of the last occurrence.
    [[nodiscard]] std::optional<std::string> value(const std::string& option) const;
    /// Of every occurrence, each split at commas.
    [[nodiscard]] std::vector<std::string> list(const std::string& option) const;
    [[nodiscard]] std::vector<std::string> operands() const;
};

/// One verb. The table of them (commands()) is what help, manual pages and completions are made from.
struct Command {
    std::string name{};
    std::vector<std::string> aliases{};
    std::string group{};                     ///< heading in the overview
    std::string summary{};                   ///< one line, no full stop
    std::vector<std::string> description{};  ///< paragraphs
    std::string short_form{};                ///< "-S", "-R" …; may be empty
    std::vector<Operand> operands{};
    std::vector<Option> options{};
    std::vector<Example> examples{};
    Tail tail = Tail::none;
    /// Does it; returns the exit code.
    std::function<int(Context&, const Arguments&)> run{};
    /// Exit code of every failure that is pwstore's own; 0 = by the kind of failure.
    int failure_code = 0;
};

/// All verbs, in the order of the overview.
[[nodiscard]] const std::vector<Command>& commands();
/// By name or alias; null when there is none.
[[nodiscard]] const Command* find_command(const std::string& name);
/// Options that every command takes.
[[nodiscard]] const std::vector<Option>& common_options();

/// Read the arguments of `command`. @throws Error (usage)
[[nodiscard]] Arguments read_arguments(const Command& command, const std::vector<std::string>& words);

}  // namespace pwstore::cli
