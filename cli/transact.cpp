// SPDX-License-Identifier: GPL-3.0-or-later
#include <fmt/format.h>

#include <algorithm>
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

bool upgrades(const TransactionRequest& request) {
    return request.upgrade_all ||
           std::any_of(request.containers.begin(), request.containers.end(),
                       [](const ContainerRequest& one) { return one.packages.upgrade; });
}

std::string nothing_in_words(const TransactionRequest& request, const TransactionReport& report) {
    if (upgrades(request)) {
        if (report.unchanged == 0) return "there are no containers";
        return report.unchanged == 1 ? std::string("1 container is up to date")
                                     : fmt::format("{} containers are up to date", report.unchanged);
    }
    if (request.refresh == 0 || !request.containers.empty()) return "nothing to do";
    return report.refreshed ? "the package lists are new" : "the package lists were up to date";
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
        context.io.out << (report.changed ? render_report(report, context.out)
                                          : nothing_in_words(request, report) + "\n")
                       << std::flush;
    }
    return kDone;
}

}  // namespace pwstore::cli
