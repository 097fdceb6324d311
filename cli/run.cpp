// SPDX-License-Identifier: GPL-3.0-or-later
#include "cli/run.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <new>
#include <ostream>
#include <string_view>
#include <utility>

#include "cli/command.hpp"
#include "cli/context.hpp"
#include "cli/grammar.hpp"
#include "cli/help.hpp"
#include "mount/launch.hpp"
#include "store/base/defect.hpp"
#include "store/base/error.hpp"
#include "store/base/similar.hpp"

namespace pwstore::cli {

namespace {

[[noreturn]] void reject_verb(const std::string& word) {
    std::vector<std::string> names;
    for (const Command& command : commands()) {
        names.push_back(command.name);
        names.insert(names.end(), command.aliases.begin(), command.aliases.end());
    }
    throw Error("read the command line", "", fmt::format("there is no verb '{}'", printable(word)))
        .as(Fault::usage)
        .with_hint(did_you_mean(word, names));
}

/// A word as a shell would read it back, for history and log.
std::string quoted(const std::string& word) {
    const bool plain = !word.empty() && word.find_first_not_of(
                                            "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
                                            "-_./=,:@%+") == std::string::npos;
    if (plain) return word;
    std::string out = "'";
    for (const char c : word)
        out += c == '\'' ? std::string("'\\''") : std::string(1, c);
    return printable(out + "'");
}

int code_of(Fault fault) {
    switch (fault) {
        case Fault::usage:
            return kUsage;
        case Fault::busy:
            return kBusy;
        case Fault::corrupt:
            return kCorrupt;
        case Fault::interrupted:
            return kInterrupted;
        case Fault::failure:
        case Fault::refused:
        case Fault::unsupported:
            return kFailed;
    }
    return kFailed;
}

/// For "fault of pwstore while …".
std::string doing(const Context& context, const std::vector<std::string>& words) {
    static const std::map<std::string, std::string> kToOne{
        {"create", "creating"},  {"delete", "deleting"},    {"explain", "explaining"},
        {"export", "exporting"}, {"import", "importing"},   {"pull", "pulling from"},
        {"push", "pushing"},     {"rebuild", "rebuilding"}, {"run", "running"},
        {"upgrade", "upgrading"}};
    const auto verb = words.empty() ? kToOne.end() : kToOne.find(words[0]);
    if (verb != kToOne.end() && words.size() > 1 && !words[1].starts_with('-'))
        return fmt::format("{} '{}'", verb->second, printable(words[1]));
    return fmt::format("carrying out '{}'", context.command_line);
}

bool wants_color(const Io& io, const std::optional<std::string>& when, bool tty) {
    if (when == "always") return true;
    if (when == "never") return false;
    if (!io.environment("NO_COLOR").value_or("").empty()) return false;
    const auto terminal = io.environment("TERM");
    return tty && terminal && !terminal->empty() && *terminal != "dumb";
}

int dispatch(Context& context, const std::vector<std::string>& words, int& failure_code) {
    std::vector<std::string> line = verb_line(words);
    const Command* command = find_command(line[0]);
    if (command == nullptr) reject_verb(line[0]);
    failure_code = command->failure_code;
    line.erase(line.begin());
    const Arguments arguments = read_arguments(*command, line);
    context.quiet = arguments.has("quiet");
    context.debug = arguments.has("debug");
    context.no_confirm = arguments.has("noconfirm");
    context.out = Painter(wants_color(context.io, arguments.value("color"), context.io.out_tty));
    context.err = Painter(wants_color(context.io, arguments.value("color"), context.io.err_tty));
    if (arguments.has("help")) {
        context.io.out << command_text(*command, std::min<size_t>(context.out_width().value_or(100), 120),
                                       context.out);
        return kDone;
    }
    const int code = command->run(context, arguments);
    context.io.out << std::flush;
    if (!context.io.out) throw Error("print the result", "", "standard output does not take it");
    return code;
}

}  // namespace

int run(const std::vector<std::string>& words, Io& io, Backend& backend) {
    Context context{io, backend, "pwstore"};
    for (const std::string& word : words)
        context.command_line += ' ' + quoted(word);
    context.err = Painter(wants_color(io, std::nullopt, io.err_tty));
    int failure_code = 0;
    const auto fail = [&](const Error& error) {
        print_error(context, error);
        if (failure_code == 0 || error.fault() == Fault::interrupted) return code_of(error.fault());
        return failure_code == kExitOwnFailure ? launch_exit_code(error) : failure_code;
    };
    try {
        return dispatch(context, words, failure_code);
    } catch (const Error& error) {
        return fail(error);
    } catch (const std::bad_alloc&) {
        return fail(out_of_memory(doing(context, words)));
    } catch (const std::exception& problem) {
        const Defect defect = Defect::of(problem, doing(context, words));
        io.err << context.err.red("pwstore: error:") << ' ' << defect.what() << '\n'
               << context.err.bold("hint:") << ' ' << Defect::hint() << '\n';
        return failure_code != 0 ? failure_code : kDefect;
    }
}

}  // namespace pwstore::cli
