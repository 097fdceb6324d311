// SPDX-License-Identifier: GPL-3.0-or-later
#include "cli/context.hpp"

#include <ostream>

#include "store/base/error.hpp"

namespace pwstore::cli {

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
            throw Error("ask for a confirmation", "", "interrupted").as(Fault::interrupted);
        }
        if (line->empty()) return default_answer;
        if (*line == "y" || *line == "Y" || *line == "yes") return true;
        if (*line == "n" || *line == "N" || *line == "no") return false;
        context.io.err << "please answer 'y' or 'n'\n";
    }
}

}  // namespace pwstore::cli
