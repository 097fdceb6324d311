// SPDX-License-Identifier: GPL-3.0-or-later
#include "cli/context.hpp"

#include <algorithm>
#include <ostream>
#include <string_view>

#include "store/base/error.hpp"

namespace pwstore::cli {

namespace {

constexpr std::string_view kReadStep = "read the command line: ";
constexpr const char* kTry = "Try 'pwstore -h' for more information on valid operational parameters.";

}  // namespace

void print_error(const Context& context, const Error& error) {
    std::string_view text = error.what();
    const bool own = text.substr(0, kReadStep.size()) == kReadStep;
    if (own) text.remove_prefix(kReadStep.size());
    context.io.out << std::flush;
    std::ostream& err = context.io.err;
    err << context.err.red("pwstore: error:") << ' ' << shown(text) << '\n';
    const std::string& hint = error.hint();
    if (hint.find('\n') == std::string::npos) {
        if (!hint.empty()) err << context.err.bold("hint:") << ' ' << shown(hint) << '\n';
    } else {  // a list of problems
        for (size_t from = 0; from < hint.size();) {
            const size_t end = std::min(hint.find('\n', from), hint.size());
            err << "    " << shown(hint.substr(from, end - from)) << '\n';
            from = end + 1;
        }
    }
    if (own) err << kTry << '\n';
    err << std::flush;
}

void need_answers(const Context& context) {
    if (context.no_confirm || context.interactive()) return;
    throw Error("ask for a confirmation", "", "there is no terminal to ask on; nothing was changed")
        .as(Fault::usage)
        .with_hint("--noconfirm takes the standard answers, --preview only shows what would be done");
}

bool ask_yes_no(const Context& context, const std::string& question, bool default_answer) {
    if (context.no_confirm) return true;
    for (;;) {
        context.io.err << context.err.bold(":: ") << question << (default_answer ? " [Y/n] " : " [y/N] ")
                       << std::flush;
        const auto line = context.io.read_line();
        if (!line) {
            context.io.err << '\n';
            throw Error("ask for a confirmation", "", "interrupted; nothing was changed")
                .as(Fault::interrupted);
        }
        if (line->empty()) return default_answer;
        if (*line == "y" || *line == "Y" || *line == "yes") return true;
        if (*line == "n" || *line == "N" || *line == "no") return false;
        context.io.err << "please answer 'y' or 'n'\n";
    }
}

}  // namespace pwstore::cli
