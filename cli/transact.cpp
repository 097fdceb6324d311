// SPDX-License-Identifier: GPL-3.0-or-later
#include <fmt/format.h>

#include <charconv>
#include <ostream>

#include "cli/cmd.hpp"
#include "cli/dialogue.hpp"
#include "store/base/error.hpp"

namespace pwstore::cli {

namespace {

int seconds_of(const std::string& text) {
    int seconds = 0;
    const auto [end, problem] = std::from_chars(text.data(), text.data() + text.size(), seconds);
    if (problem != std::errc{} || end != text.data() + text.size() || seconds < 0) {
        throw Error("read the command line", "",
                    fmt::format("option '--wait' needs a number of seconds, not '{}'", printable(text)))
            .as(Fault::usage);
    }
    return seconds;
}

}  // namespace

std::string result_in_words(const TransactionReport& report) {
    if (report.declined) return "declined";
    if (!report.changed) return "nothing to do";
    std::string words = fmt::format("transaction {}:", report.transaction);
    for (const auto& changed : report.containers)
        words += fmt::format(" {}@{}", changed.container, changed.generation);
    if (!report.notes.empty()) words += fmt::format(", {} scripts failed", report.notes.size());
    return words;
}

Option noconfirm_option() {
    return {"noconfirm", 0, "", "ask nothing; take the standard answers"};
}
Option json_option() {
    return {"json", 0, "", "print JSON (docs/json.md) instead of a table"};
}

std::vector<Option> with_transaction_options(std::vector<Option> own) {
    own.push_back(noconfirm_option());
    own.push_back({"preview", 'p', "", "show what would be done, and stop"});
    own.push_back({"wait", 0, "SECONDS", "how long to wait for a container that is in use (10)"});
    own.push_back(
        {"disable-sandbox", 0, "", "accepted and without effect: downloads have no sandbox of their own"});
    return own;
}

int transact(Context& context, const Arguments& arguments, TransactionRequest request) {
    request.command = context.command_line;
    request.no_confirm = context.no_confirm;
    request.preview = arguments.has("preview");
    if (const auto wait = arguments.value("wait")) request.lock_patience_seconds = seconds_of(*wait);
    const bool changes = !request.containers.empty() || request.upgrade_all || request.force_rebuild;
    if (changes && !request.preview) need_answers(context);
    TerminalDialogue dialogue(context, request.preview);
    TransactionReport report;
    try {
        report = context.backend.transact(request, dialogue);
    } catch (const std::exception& error) {
        context.backend.log(fmt::format("{}: failed: {}", context.command_line, error.what()));
        throw;
    }
    dialogue.clear();
    if (request.preview) {
        if (!dialogue.showed_a_plan()) context.io.out << "nothing to do\n";
        return kDone;
    }
    context.backend.log(fmt::format("{}: {}", context.command_line, result_in_words(report)));
    if (report.declined) return kFailed;
    if (!context.quiet) {
        const char* nothing = request.refresh > 0 ? "the package lists are up to date; nothing else to do\n"
                                                  : "nothing to do\n";
        context.io.out << (report.changed ? render_report(report, context.out) : nothing) << std::flush;
    }
    return kDone;
}

}  // namespace pwstore::cli
