// SPDX-License-Identifier: GPL-3.0-or-later
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <charconv>
#include <ostream>

#include "cli/cmd.hpp"
#include "cli/dialogue.hpp"
#include "cli/json.hpp"
#include "store/base/error.hpp"

namespace pwstore::cli {

namespace {

[[noreturn]] void reject(const std::string& cause) {
    throw Error("read the command line", "", cause).as(Fault::usage);
}

uint64_t number_of(const std::string& text, const char* what) {
    uint64_t number = 0;
    const auto [end, problem] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (problem != std::errc{} || end != text.data() + text.size() || number == 0) {
        reject(fmt::format("'{}' is not the number of a {}", printable(text), what));
    }
    return number;
}

std::string state_text(uint64_t generation) {
    return generation == 0 ? "absent" : fmt::format("generation {}", generation);
}

std::string when(int64_t time) {
    return time == 0 ? "-" : time_in_words(time);
}

// --- history
// -----------------------------------------------------------------------------------------------------

std::string changes_text(const GenerationStep& step) {
    if (!step.parent_kept) return "?";  // the one before it was dropped
    std::vector<std::string> parts;
    if (step.installed > 0) parts.push_back(fmt::format("+{}", step.installed));
    if (step.removed > 0) parts.push_back(fmt::format("-{}", step.removed));
    if (step.changed > 0) parts.push_back(fmt::format("~{}", step.changed));
    return parts.empty() ? "-" : fmt::format("{}", fmt::join(parts, " "));
}

void print_generations(const Context& context, const std::vector<GenerationStep>& steps) {
    Table table({{"", Align::left, 0, 0},
                 {"Generation", Align::right, 0, 0},
                 {"Time", Align::left, 0, 0},
                 {"Packages", Align::left, 0, 2},
                 {"Built on", Align::left, 8, 3},
                 {"Command", Align::left, 10, 1}});
    for (const GenerationStep& step : steps) {
        std::vector<std::string> below;
        for (const GenerationRef& one : step.upstream)
            below.push_back(fmt::format("{}@{}", one.container, one.generation));
        table.add({step.current ? "*" : "", std::to_string(step.number), when(step.time), changes_text(step),
                   fmt::format("{}", fmt::join(below, " ")), step.cause});
    }
    context.io.out << table.render(context.out_width(), context.out);
}

void print_transactions(const Context& context, const std::vector<TransactionStep>& steps) {
    Table table({{"Transaction", Align::right, 0, 0},
                 {"Time", Align::left, 0, 0},
                 {"Containers", Align::left, 12, 0},
                 {"Command", Align::left, 10, 1}});
    for (const TransactionStep& step : steps) {
        std::vector<std::string> containers;
        const auto number = [](uint64_t one) { return one == 0 ? "-" : std::to_string(one); };
        for (const ReadTxn::Switch& one : step.transaction.switches) {
            containers.push_back(fmt::format("{} {} → {}", one.container, number(one.from), number(one.to)));
        }
        table.add({std::to_string(step.number), when(step.transaction.time),
                   fmt::format("{}", fmt::join(containers, ", ")), step.transaction.cause});
    }
    context.io.out << table.render(context.out_width(), context.out);
}

int run_history(Context& context, const Arguments& arguments) {
    const std::vector<std::string> words = arguments.operands();
    if (words.empty()) {
        const std::vector<TransactionStep> steps = context.backend.transactions();
        if (arguments.has("json")) {
            context.io.out << transactions_json(steps);
        } else if (!steps.empty()) {
            print_transactions(context, steps);
        }
        return kDone;
    }
    const ContainerName name(words[0]);
    const std::vector<GenerationStep> steps = context.backend.history(name);
    if (arguments.has("json")) {
        context.io.out << history_json(name.str(), steps);
    } else if (context.quiet) {
        for (const GenerationStep& step : steps)
            context.io.out << step.number << '\n';
    } else if (!steps.empty()) {
        print_generations(context, steps);
    }
    return kDone;
}

Command history_command() {
    Command it{"history", {}, "Containers", "show the generations of a container, or all transactions"};
    it.description = {
        "Every change of a container makes a new generation of it; the old ones are kept. The current one is "
        "marked "
        "with a star. Packages: how many of its own came (+), went (-) and changed (~) since the generation "
        "that it was made from; '?' where that is no longer kept.",
        "Without NAME: the transactions, each with the containers that it switched. With --quiet NAME: the "
        "numbers of its "
        "generations, a line each."};
    it.operands = {{"NAME", Completes::container, true}};
    it.options = {json_option()};
    it.examples = {{"pwstore history editor", "what there is to go back to"},
                   {"pwstore history", "what was done, across all containers"}};
    it.run = run_history;
    return it;
}

// --- diff
// --------------------------------------------------------------------------------------------------------

std::string package_line(const Context& context, const PackageChange& change) {
    if (change.before.empty())
        return context.out.green(fmt::format("+ {} {}", change.name, shown(change.after)));
    if (change.after.empty())
        return context.out.red(fmt::format("- {} {}", change.name, shown(change.before)));
    if (change.before != change.after)
        return fmt::format("~ {} {} → {}", change.name, shown(change.before), shown(change.after));
    if (change.rebuilt) return fmt::format("~ {} {}, another archive", change.name, shown(change.after));
    return fmt::format("~ {} {}, now {}", change.name, shown(change.after),
                       change.reason == InstallReason::explicitly ? "explicitly installed" : "a dependency");
}

std::string file_line(const Context& context, const TreeChange& change) {
    const std::string path = "/" + printable(change.path);
    if (change.kind == TreeChange::Kind::added) return context.out.green("+ " + path);
    if (change.kind == TreeChange::Kind::removed) return context.out.red("- " + path);
    return fmt::format("~ {} ({})", path, fmt::join(change.what, ", "));
}

std::pair<GenerationName, GenerationName> generations_of(Context& context,
                                                         const std::vector<std::string>& words) {
    GenerationName before = generation_named(context, words[0]);
    if (words.size() == 2) return {before, generation_named(context, words[1])};
    const GenerationName now{before.container, 0};
    if (before.generation == 0) {
        before.generation = context.backend.details(before.container).parent;
        if (before.generation == 0) {
            throw Error("compare generations", before.container.str(), "there is none before the current one")
                .as(Fault::usage);
        }
    }
    return {before, now};
}

int run_diff(Context& context, const Arguments& arguments) {
    const auto [before, after] = generations_of(context, arguments.operands());
    const GenerationDiff diff = context.backend.diff(before, after);
    const bool differs = !diff.packages.empty() || !diff.files.empty();
    if (arguments.has("json")) {
        context.io.out << diff_json(before.container.str(), after.container.str(), diff);
    } else {
        const bool chosen = arguments.has("packages") || arguments.has("files");
        std::ostream& out = context.io.out;
        if (!chosen || arguments.has("packages")) {
            for (const PackageChange& change : diff.packages)
                out << package_line(context, change) << '\n';
        }
        if (!chosen && !diff.packages.empty() && !diff.files.empty()) out << '\n';
        if (!chosen || arguments.has("files")) {
            for (const TreeChange& change : diff.files)
                out << file_line(context, change) << '\n';
        }
    }
    return differs && arguments.has("exit-code") ? kFailed : kDone;
}

Command diff_command() {
    Command it{"diff", {}, "Containers", "compare two generations: packages and files"};
    it.description = {
        "NAME@N is generation N of a container, NAME its current one. With one operand, NAME@N is compared "
        "with the "
        "current generation, and NAME with the one before it. What a container is built on is part of it.",
        "+ came, - went, ~ changed, with what of a file is another: type, content, target, mode, owner, "
        "attributes. "
        "Times do not count, nor does the package database."};
    it.operands = {{"NAME[@N]", Completes::generation}, {"NAME[@N]", Completes::generation, true}};
    it.options = {{"packages", 0, "", "packages only"},
                  {"files", 0, "", "files only"},
                  {"exit-code", 0, "", "exit with 1 when there is a difference"},
                  json_option()};
    it.examples = {{"pwstore diff editor", "what the last change of it was"},
                   {"pwstore diff editor@7 editor@8", "between two of its generations"},
                   {"pwstore diff work home --packages", "between two containers"}};
    it.run = run_diff;
    return it;
}

// --- undo, rollback
// ----------------------------------------------------------------------------------------------

/// Show what would be switched, ask, do it, tell.
int run_switch(Context& context, const Arguments& arguments, RollbackRequest request,
               const std::string& question, const std::string& done) {
    const std::vector<ReadTxn::Switch> switches = context.backend.plan_rollback(request);
    if (switches.empty()) {
        if (!context.quiet) context.io.out << "nothing to do: everything is as it was then\n";
        return kDone;
    }
    const bool preview = arguments.has("preview");
    if (!preview) need_answers(context);
    for (const ReadTxn::Switch& one : switches) {
        (preview ? context.io.out : context.io.err) << fmt::format("{}: {} → {}\n", printable(one.container),
                                                                   state_text(one.from), state_text(one.to));
    }
    if (preview) return kDone;
    const auto named = [&](const std::string& text) {
        return fmt::format(fmt::runtime(text), request.transaction);
    };
    if (!ask_yes_no(context, named(question), true)) return kFailed;
    TerminalDialogue dialogue(context, false);
    request.command = context.command_line;
    const TransactionReport report = context.backend.roll_back(request, switches, dialogue);
    dialogue.clear();
    context.backend.log(fmt::format("{}: {}", context.command_line, named(done)));
    if (context.quiet) return kDone;
    context.io.out << named(done) << '\n';
    for (const TransactionReport::Changed& changed : report.containers) {
        context.io.out << fmt::format("{}: {}\n", context.out.bold(printable(changed.container)),
                                      state_text(changed.generation));
    }
    return kDone;
}

Option preview_option() {
    return {"preview", 'p', "", "show what would be switched, and stop"};
}

int run_undo(Context& context, const Arguments& arguments) {
    const std::vector<std::string> words = arguments.operands();
    RollbackRequest request;
    if (!words.empty()) request.transaction = number_of(words[0], "transaction");
    return run_switch(context, arguments, request, "Undo transaction {}?", "transaction {} is undone");
}

Command undo_command() {
    Command it{"undo", {}, "Containers", "take back the last transaction, or an earlier one"};
    it.description = {
        "Every container that the transaction changed is switched back to the generation before it, all "
        "together, provided that nothing has changed them since; 'pwstore rollback' goes further back. Needs "
        "no "
        "network."};
    it.operands = {{"TRANSACTION", Completes::nothing, true}};
    it.options = {noconfirm_option(), preview_option()};
    it.examples = {{"pwstore undo", "the last transaction"}};
    it.run = run_undo;
    return it;
}

int run_rollback(Context& context, const Arguments& arguments) {
    const std::vector<std::string> words = arguments.operands();
    const auto transaction = arguments.value("txn");
    if (transaction && !words.empty()) reject("give NAME or --txn, not both");
    if (!transaction && words.empty()) reject("'rollback' needs NAME or --txn");
    RollbackRequest request;
    request.with_below = arguments.has("with-dependencies");
    if (transaction) {
        request.kind = RollbackRequest::Kind::transaction;
        request.transaction = number_of(*transaction, "transaction");
        return run_switch(context, arguments, request, "Go back to before transaction {}?",
                          "everything that transaction {} changed is as before it");
    }
    request.kind = RollbackRequest::Kind::container;
    GenerationName wanted = generation_named(context, words[0]);
    if (words.size() > 1) {
        if (wanted.generation != 0) reject("the generation is given twice");
        wanted.generation = number_of(words[1], "generation");
    }
    request.container = wanted.container.str();
    request.generation = wanted.generation;
    return run_switch(context, arguments, request, "Go back?", "done");
}

Command rollback_command() {
    Command it{"rollback", {}, "Containers", "switch a container back to an earlier generation"};
    it.description = {
        "Without N: to the generation that the current one was made from. Everything that is built on the "
        "container goes "
        "along, each to its newest generation that was built on just this one; all are switched in one "
        "commit. Homes and "
        "permissions stay as they are. Generations are kept: 'pwstore undo' takes it back, and so does "
        "another rollback.",
        "With --txn: every container that transaction N changed, to what it was before it, whatever has come "
        "since."};
    it.operands = {{"NAME", Completes::generation, true}, {"N", Completes::nothing, true}};
    it.options = {{"txn", 0, "N", "everything that this transaction changed"},
                  {"with-dependencies", 0, "",
                   "also take back what NAME is built on, if it was built on another generation of it"},
                  noconfirm_option(),
                  preview_option()};
    it.examples = {{"pwstore rollback editor", "the one before"},
                   {"pwstore rollback base 7", "with all that is built on it"},
                   {"pwstore rollback --txn 12", "as if it and what followed had not been"}};
    it.run = run_rollback;
    return it;
}

}  // namespace

std::vector<Command> history_commands() {
    return {history_command(), diff_command(), undo_command(), rollback_command()};
}

}  // namespace pwstore::cli
