// SPDX-License-Identifier: GPL-3.0-or-later
#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <ostream>

#include "cli/cmd.hpp"
#include "cli/json.hpp"
#include "cli/progress.hpp"
#include "store/base/error.hpp"
#include "store/base/names.hpp"

namespace pwstore::cli {

namespace {

Error wrong(const std::string& cause) {
    Error error("read the command line", "", cause);
    return error.as(Fault::usage);
}

/// "/usr/bin/vi" as roots have it.
std::string root_path(std::string text) {
    text.erase(0, text.find_first_not_of('/'));
    while (!text.empty() && text.back() == '/')
        text.pop_back();
    if (!is_root_path(text)) throw wrong(fmt::format("'{}' is no path in a container", printable(text)));
    return text;
}

std::string claim_text(const LayerClaim& claim) {
    const std::string where = fmt::format("{}@{}", claim.container, claim.generation);
    if (!claim.change) return fmt::format("{} {} in {}", claim.package, shown(claim.version), where);
    const bool removed = claim.entry.kind == EntryKind::whiteout;
    return fmt::format("{} by {}{} in {}", removed ? "removed" : "changed", cause_word(claim.change->cause),
                       claim.change->agent.empty() ? "" : fmt::format(" ({})", shown(claim.change->agent)),
                       where);
}

void print_story(const Context& context, const PathStory& story) {
    std::ostream& out = context.io.out;
    out << fmt::format("path    {}\n", context.out.bold("/" + printable(story.path)));
    if (story.entry.kind == EntryKind::symlink)
        out << fmt::format("target  {}\n", printable(story.entry.target));
    out << fmt::format("mode    {:04o}, owner {}:{}\n", story.entry.mode, story.entry.uid, story.entry.gid);
    if (story.sha256) {
        out << fmt::format("content {}, sha256:{}\n", human_size(story.entry.size), story.sha256->hex());
        out << fmt::format("object  {}\n", story.object);
    }
    if (story.claims.empty()) out << "from    pwstore itself\n";
    for (size_t at = 0; at < story.claims.size(); ++at)
        out << (at == 0 ? "from    " : "hides   ") << claim_text(story.claims[at]) << '\n';
    if (story.is_older) {
        out << fmt::format("since   generation {} or earlier: what was before it is no longer kept\n",
                           story.since_generation);
        return;
    }
    out << fmt::format("since   generation {}, {}", story.since_generation, time_in_words(story.since));
    if (story.since_transaction != 0) out << fmt::format(", transaction {}", story.since_transaction);
    out << fmt::format(": {}\n", shown(story.cause));
}

int run_why(Context& context, const Arguments& arguments) {
    const std::string text = arguments.operands().at(0);
    const size_t colon = text.find(':');
    if (colon == std::string::npos)
        throw wrong("'why' needs NAME:PATH").with_hint("pwstore why editor:/usr/bin/vim");
    const GenerationName generation = generation_named(context, text.substr(0, colon));
    const std::string path = root_path(text.substr(colon + 1));
    const auto story = context.backend.story(generation, path);
    if (!story) {
        throw Error("look for", "/" + path, fmt::format("'{}' has nothing there", text.substr(0, colon)))
            .as(Fault::usage);
    }
    if (arguments.has("json")) {
        context.io.out << story_json(*story);
    } else {
        print_story(context, *story);
    }
    return kDone;
}

Command why_command() {
    Command it{"why", {}, "Store", "tell where a file of a container comes from"};
    it.description = {
        "The package or change that it is from, what that hides, its content, and the transaction that "
        "brought it."};
    it.operands = {{"NAME[@N]:PATH", Completes::generation}};
    it.options = {json_option()};
    it.examples = {{"pwstore why editor:/usr/bin/vim", "its whole story"},
                   {"pwstore why base@3:/etc/passwd", "in an earlier generation"}};
    it.run = run_why;
    return it;
}

int run_where(Context& context, const Arguments& arguments) {
    std::string text = arguments.operands().at(0);
    if (text.starts_with("sha256:")) text.erase(0, 7);
    if (text.size() < 4) throw wrong("at least four digits of a content are needed");
    std::transform(text.begin(), text.end(), text.begin(), [](unsigned char c) { return std::tolower(c); });
    auto places = context.backend.places(text);
    if (!arguments.has("all")) std::erase_if(places, [](const ContentPlace& one) { return !one.is_current; });
    if (arguments.has("json")) {
        context.io.out << places_json(places);
    } else {
        for (const ContentPlace& one : places) {
            context.io.out << fmt::format(
                "{}@{}: /{} ({})\n", context.out.bold(one.container), one.generation, printable(one.path),
                one.package.empty() ? "changed there"
                                    : fmt::format("{} {}", one.package, shown(one.version)));
        }
    }
    return places.empty() ? kFailed : kDone;
}

Command where_command() {
    Command it{"where", {}, "Store", "find every place where a content is used"};
    it.description = {
        "OBJECT is the SHA-256 of a file or the beginning of it, or an object's path as 'pwstore why' and "
        "'pwstore "
        "verify' print it. Exit code 1: nowhere."};
    it.operands = {{"OBJECT", Completes::nothing}};
    it.options = {{"all", 'a', "", "in every generation, not in the current ones only"}, json_option()};
    it.examples = {{"pwstore where $(sha256sum < /usr/bin/env | cut -c1-64)", "a file of this host"},
                   {"pwstore where --all e3b0c442", "by the beginning of its SHA-256"}};
    it.run = run_where;
    return it;
}

int run_owns(Context& context, const Arguments& arguments) {
    const std::string path = root_path(arguments.operands().at(0));
    const auto owners = context.backend.owners(path);
    if (arguments.has("json")) {
        context.io.out << owners_json(path, owners);
    } else {
        for (const PathOwner& one : owners) {
            context.io.out << fmt::format("{}: {} {}\n", context.out.bold(one.container), one.package,
                                          shown(one.version));
        }
    }
    return owners.empty() ? kFailed : kDone;
}

Command owns_command() {
    Command it{"owns", {}, "Store", "name the packages that have a path, in every container"};
    it.description = {"Exit code 1: none has it."};
    it.operands = {{"PATH", Completes::nothing}};
    it.options = {json_option()};
    it.examples = {{"pwstore owns /usr/bin/vi", "which package is it from"}};
    it.run = run_owns;
    return it;
}

int run_stats(Context& context, const Arguments& arguments) {
    ProgressScreen screen(context);
    const StoreStatistics numbers = context.backend.statistics(screen);
    screen.clear();
    if (arguments.has("json")) {
        context.io.out << statistics_json(numbers);
        return kDone;
    }
    std::ostream& out = context.io.out;
    out << fmt::format("{} containers, {} generations, {} packages\n", numbers.containers,
                       numbers.generations, numbers.packages);
    out << fmt::format("{} objects in {} files, with {} links: {} of contents, {} on disk\n", numbers.objects,
                       numbers.objects + numbers.copies, numbers.links, human_size(numbers.stored),
                       human_size(numbers.on_disk));
    if (numbers.distinct > 0) {
        out << fmt::format(
            "the containers use {} of it; without sharing they would take {}: {:.1f} times as much\n",
            human_size(numbers.distinct), human_size(numbers.apparent),
            static_cast<double>(numbers.apparent) / static_cast<double>(numbers.distinct));
    }
    out << fmt::format("unused: {} objects of packages in no generation ({}), {} of nothing at all ({})\n",
                       numbers.unused_objects, human_size(numbers.unused), numbers.dead_objects,
                       human_size(numbers.dead));
    out << fmt::format("held outside: {} objects ({}) have links that are in no root\n", numbers.held_outside,
                       human_size(numbers.held_outside_bytes));
    for (const auto& [name, bytes] : numbers.left_homes)
        out << fmt::format("home of the deleted container {}: {}\n", name, human_size(bytes));
    return kDone;
}

Command stats_command() {
    Command it{"stats", {}, "Store", "show the store in numbers"};
    it.description = {
        "'pwstore du' says what each container takes, 'pwstore gc --dry-run' what could be freed."};
    it.options = {json_option()};
    it.examples = {{"pwstore stats", "objects, links, what sharing saves"}};
    it.run = run_stats;
    return it;
}

}  // namespace

std::vector<Command> inspect_commands() {
    return {why_command(), where_command(), owns_command(), stats_command()};
}

}  // namespace pwstore::cli
