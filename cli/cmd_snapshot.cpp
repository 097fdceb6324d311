// SPDX-License-Identifier: GPL-3.0-or-later
#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <ostream>

#include "cli/cmd.hpp"
#include "cli/json.hpp"
#include "cli/progress.hpp"
#include "store/base/error.hpp"
#include "store/base/similar.hpp"

namespace pwstore::cli {

namespace {

Error wrong(const std::string& cause) {
    Error error("read the command line", "", cause);
    return error.as(Fault::usage);
}

std::string label_of(const ReadTxn::Snapshot& snapshot) {
    return fmt::format("{}@{}", snapshot.container, snapshot.generation);
}

/// The same rule as for containers: it stands in command lines, after an '@'.
const std::string& checked_name(const std::string& name) {
    if (!is_container_name(name))
        throw wrong(fmt::format("'{}' cannot be the name of a snapshot", printable(name)))
            .with_hint("use letters, digits, '.', '_' and '-', at most 64");
    if (std::all_of(name.begin(), name.end(), [](char c) { return c >= '0' && c <= '9'; }))
        throw wrong(fmt::format("'{}' would be taken for the number of a generation", name));
    return name;
}

ReadTxn::Snapshot find_snapshot(Context& context, const std::string& name) {
    for (const auto& [label, snapshot] : context.backend.snapshots()) {
        if (label == name) return snapshot;
    }
    throw Error("look up snapshot", printable(name), "there is none of this name").as(Fault::usage);
}

int create_snapshot(Context& context, const Arguments& arguments, const std::vector<std::string>& words) {
    if (words.size() != 3) throw wrong("'snapshot create' needs NAME[@N] and the name of the snapshot");
    const GenerationName generation = generation_named(context, words[1]);
    context.backend.add_snapshot(checked_name(words[2]), generation, arguments.value("note").value_or(""));
    const ReadTxn::Snapshot made = find_snapshot(context, words[2]);
    context.backend.log(fmt::format("{}: snapshot {} of {}", context.command_line, words[2], label_of(made)));
    if (!context.quiet) context.io.out << fmt::format("{}: {}\n", context.out.bold(words[2]), label_of(made));
    return kDone;
}

int list_snapshots(Context& context, const Arguments& arguments, const std::vector<std::string>& words) {
    if (words.size() > 2) throw wrong("'snapshot ls' takes one NAME");
    auto all = context.backend.snapshots();
    if (words.size() > 1)
        (void)context.backend.details(ContainerName(words[1]));  // or there is none of that name
    if (words.size() > 1)
        std::erase_if(all, [&](const auto& one) { return one.second.container != words[1]; });
    if (arguments.has("json")) {
        context.io.out << snapshots_json(all);
        return kDone;
    }
    if (context.quiet) {
        for (const auto& [label, snapshot] : all)
            context.io.out << label << '\n';
        return kDone;
    }
    if (all.empty()) return kDone;
    Table table({{"Snapshot", Align::left, 0, 0},
                 {"Generation", Align::left, 0, 0},
                 {"Time", Align::left, 0, 2},
                 {"Note", Align::left, 10, 1}});
    for (const auto& [label, snapshot] : all)
        table.add({label, label_of(snapshot), time_in_words(snapshot.time), snapshot.note});
    context.io.out << table.render(context.out_width(), context.out);
    return kDone;
}

int show_snapshot(Context& context, const Arguments& arguments, const std::vector<std::string>& words) {
    if (words.size() != 2) throw wrong("'snapshot show' needs the name of a snapshot");
    const ReadTxn::Snapshot snapshot = find_snapshot(context, words[1]);
    if (arguments.has("json")) {
        context.io.out << snapshots_json({{words[1], snapshot}});
        return kDone;
    }
    std::ostream& out = context.io.out;
    out << fmt::format("snapshot   {}\ngeneration {}\ntime       {}\n", context.out.bold(words[1]),
                       label_of(snapshot), time_in_words(snapshot.time));
    if (!snapshot.note.empty()) out << fmt::format("note       {}\n", shown(snapshot.note));
    for (const GenerationStep& step : context.backend.history(ContainerName(snapshot.container))) {
        if (step.number != snapshot.generation) continue;
        out << fmt::format("made by    {}\nat         {}\n", shown(step.cause), time_in_words(step.time));
        if (step.current) out << "it is the current generation\n";
    }
    return kDone;
}

int remove_snapshots(Context& context, const std::vector<std::string>& words) {
    if (words.size() < 2) throw wrong("'snapshot rm' needs the name of a snapshot");
    for (auto word = words.begin() + 1; word != words.end(); ++word)
        (void)find_snapshot(context, *word);
    for (auto word = words.begin() + 1; word != words.end(); ++word) {
        context.backend.remove_snapshot(*word);
        context.backend.log(fmt::format("{}: snapshot {} removed", context.command_line, *word));
        if (!context.quiet) context.io.out << fmt::format("removed: {}\n", *word);
    }
    return kDone;
}

int run_snapshot(Context& context, const Arguments& arguments) {
    const std::vector<std::string> words = arguments.operands();
    const std::string& verb = words.at(0);
    if (verb == "create") return create_snapshot(context, arguments, words);
    if (verb == "ls" || verb == "list") return list_snapshots(context, arguments, words);
    if (verb == "show") return show_snapshot(context, arguments, words);
    if (verb == "rm" || verb == "remove") return remove_snapshots(context, words);
    throw wrong(fmt::format("'snapshot' does not know '{}'", printable(verb)))
        .with_hint("it knows create, ls, show and rm");
}

Command snapshot_command() {
    Command it{"snapshot", {}, "Containers", "give a generation a name, by which it is kept"};
    it.description = {
        "create NAME[@N] SNAPSHOT names a generation (the current one, without @N); ls [NAME], show SNAPSHOT "
        "and "
        "rm SNAPSHOT… do what they say (ls --quiet: names only). 'pwstore gc' never drops a generation that "
        "has a name. Nothing is "
        "copied.",
        "Wherever a command takes NAME@N, it takes NAME@SNAPSHOT as well: rollback, diff, export, clone."};
    it.operands = {{"create|ls|show|rm", Completes::nothing}, {"NAME", Completes::snapshot, true, true}};
    it.options = {{"note", 0, "TEXT", "what it is for"}, json_option()};
    it.examples = {{"pwstore snapshot create editor before-plugins", "keep the current generation"},
                   {"pwstore rollback editor@before-plugins", "go back to it"},
                   {"pwstore snapshot rm before-plugins", "let it go"}};
    it.run = run_snapshot;
    return it;
}

int run_clone(Context& context, const Arguments& arguments) {
    const std::vector<std::string> words = arguments.operands();
    const GenerationName source = generation_named(context, words.at(0));
    const ContainerName name(words.at(1));
    ProgressScreen screen(context);
    const TransactionReport report = context.backend.clone(source, name, context.command_line, screen);
    screen.clear();
    context.backend.log(fmt::format("{}: transaction {}", context.command_line, report.transaction));
    if (!context.quiet)
        context.io.out << fmt::format("{}: a copy of {}\n", context.out.bold(name.str()), words[0]);
    return kDone;
}

Command clone_command() {
    Command it{"clone", {}, "Containers", "make another container of a generation"};
    it.description = {
        "The new container has the same packages, changes and permissions, is built on the same, and has an "
        "empty "
        "home. Their files are shared; each goes its own way from there."};
    it.operands = {{"NAME[@N]", Completes::generation}, {"NEW", Completes::nothing}};
    it.examples = {{"pwstore clone editor editor-test", "try something without risk"},
                   {"pwstore clone editor@7 old-editor", "an earlier state, beside the current one"}};
    it.run = run_clone;
    return it;
}

}  // namespace

GenerationName generation_named(Context& context, const std::string& text) {
    const size_t at = text.find('@');
    if (at == std::string::npos) return {ContainerName(text), 0};
    const ContainerName container(text.substr(0, at));
    const std::string label = text.substr(at + 1);
    uint64_t number = 0;
    const auto [end, problem] = std::from_chars(label.data(), label.data() + label.size(), number);
    if (problem == std::errc{} && end == label.data() + label.size() && number != 0)
        return {container, number};
    for (const auto& [name, snapshot] : context.backend.snapshots()) {
        if (name == label && snapshot.container == container.str()) return {container, snapshot.generation};
    }
    throw wrong(fmt::format("'{}' is neither the number of a generation nor a snapshot of '{}'",
                            printable(label), container.str()));
}

std::vector<Command> snapshot_commands() {
    return {snapshot_command(), clone_command()};
}

}  // namespace pwstore::cli
