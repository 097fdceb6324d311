// SPDX-License-Identifier: GPL-3.0-or-later
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <map>
#include <ostream>

#include "cli/cmd.hpp"
#include "cli/dialogue.hpp"
#include "cli/grammar.hpp"
#include "cli/json.hpp"
#include "store/base/error.hpp"
#include "store/base/similar.hpp"

namespace pwstore::cli {

namespace {

[[noreturn]] void reject(const std::string& cause) {
    throw Error("read the command line", "", cause).as(Fault::usage);
}

// --- create
// ---------------------------------------------------------------------------------------------------------

/// Without --target the first operand is the name, wherever the type and the dependencies stand.
Arguments with_name_last(Arguments arguments) {
    if (arguments.has("target")) return arguments;
    std::stable_partition(arguments.items.begin(), arguments.items.end(),
                          [](const Arguments::Item& item) { return !item.option.empty(); });
    return arguments;
}

int run_create(Context& context, const Arguments& arguments) {
    SyncRequest sync = read_sync(with_name_last(arguments), SyncMode::init);
    return transact(context, arguments, std::move(sync.transaction));
}

Command create_command() {
    Command it{"create", {"init"}, "Containers", "create a container"};
    it.description = {
        "A base is a whole system. A slice holds packages to be shared. An aggregate is an application on "
        "top of a base and "
        "slices: of everything that it has in common with them, there is one copy on disk.",
        "Package lists are brought up to date first, and all containers are upgraded, so that the new one "
        "fits; "
        "--target-only leaves the others as they are. A base without PKG gets the package 'base', unless "
        "it is to be --empty; with PKG it gets these, and of Debian's packages always the essential ones. "
        "PKG may be the path of a package archive.",
        "Several containers can be created at once with --target, as in 'pwstore sync'."};
    it.operands = {{"NAME", Completes::nothing, true}, {"PKG", Completes::package, true, true}};
    it.options = with_transaction_options(
        {{"base", 'b', "", "a whole system, without dependencies"},
         {"empty", 0, "", "a base without any package, for packages of one's own"},
         {"slice", 's', "", "packages to be shared by others"},
         {"aggregate", 'a', "", "an application on top of others"},
         {"dep", 'd', "A,B", "what it is built on, in order", Completes::container},
         {"target", 't', "NAME", "another way to give the name"},
         {"target-only", 'o', "", "leave all other containers as they are"},
         {"refresh", 'y', "", "fetch the package lists even if they seem to be up to date"},
         {"upgrade", 'u', "", "accepted: creating implies it"},
         {"create", 'c', "", "accepted: creating implies it"},
         {"filesystem", 'f', "", "build all roots anew, even if nothing changed"},
         {"lazy-load", 'l', "", "accepted and without effect: package lists of dependencies need no copying"},
         {"force-foreign", 0, "",
          "accepted and without effect: packages of dependencies stay in their own container"}});
    it.examples = {{"pwstore create base --base", "a base system"},
                   {"pwstore create own --base ./hello-1-1-any.pkg.tar.zst", "a base of one's own package"},
                   {"pwstore create --base --empty bare", "a base to which packages are added later"},
                   {"pwstore create editor --aggregate --dep=base neovim", "an application on it"},
                   {"pwstore create gtk --slice --dep=base gtk3", "a shared layer"}};
    it.run = run_create;
    return it;
}

// --- ls, du, info
// ---------------------------------------------------------------------------------------------------

const ContainerUsage* usage_of_container(const StoreUsage& usage, const std::string& name) {
    const auto found = std::find_if(usage.containers.begin(), usage.containers.end(),
                                    [&](const ContainerUsage& one) { return one.container == name; });
    return found == usage.containers.end() ? nullptr : &*found;
}

std::vector<std::string> names_of(const std::vector<ContainerUsage>& containers) {
    std::vector<std::string> names;
    for (const ContainerUsage& one : containers)
        names.push_back(one.container);
    return names;
}

std::string size_text(uint64_t bytes, bool exact) {
    return exact ? std::to_string(bytes) : human_size(bytes);
}

int run_ls(Context& context, const Arguments& arguments) {
    std::vector<ContainerState> containers = context.backend.containers();
    std::stable_sort(containers.begin(), containers.end(),
                     [](const auto& a, const auto& b) { return a.type < b.type; });
    if (context.quiet && !arguments.has("json")) {
        for (const ContainerState& state : containers)
            context.io.out << printable(state.name) << '\n';
        return kDone;
    }
    const StoreUsage usage = context.backend.usage();
    if (arguments.has("json")) {
        context.io.out << list_json(containers, usage);
        return kDone;
    }
    const bool exact = arguments.has("bytes");
    const bool chosen = arguments.has("total") || arguments.has("on-disk");
    const bool size = !chosen || arguments.has("total");
    const bool exclusive = !chosen || arguments.has("on-disk");
    std::vector<Column> columns{{"Name", Align::left, 8, 0},
                                {"Type", Align::left, 0, 0},
                                {"Packages", Align::right, 0, 2},
                                {"Generation", Align::right, 0, 3}};
    if (size) columns.push_back({"Size", Align::right, 0, 1});
    if (exclusive) columns.push_back({"Exclusive", Align::right, 0, 4});
    Table table(columns);
    uint64_t exclusive_sum = 0;
    const auto add = [&](std::vector<std::string> cells, uint64_t total, std::optional<uint64_t> own) {
        if (size) cells.push_back(size_text(total, exact));
        if (exclusive) cells.push_back(own ? size_text(*own, exact) : "");
        table.add(std::move(cells));
    };
    for (const ContainerState& state : containers) {
        const ContainerUsage* one = usage_of_container(usage, state.name);
        exclusive_sum += one != nullptr ? one->exclusive : 0;
        add({state.name, type_word(state.type), std::to_string(state.packages),
             state.generation == 0 ? "-" : std::to_string(state.generation)},
            one != nullptr ? one->apparent : 0, one != nullptr ? one->exclusive : 0);
    }
    if (containers.empty()) {
        context.io.err << "no containers yet; 'pwstore -Syucb --target=base' makes the first\n";
        return kDone;
    }
    if (arguments.has("summary")) {
        add({"all", "", "", ""}, usage.apparent, exclusive_sum);
        // Of all of them together: nothing that one alone has.
        add({"on disk", "", "", ""}, usage.referenced, std::nullopt);
        add({"saved", "", "", ""}, usage.apparent - std::min(usage.apparent, usage.referenced), std::nullopt);
    }
    context.io.out << table.render(context.out_width(), context.out);
    return kDone;
}

Command ls_command() {
    Command it{"ls", {"list"}, "Containers", "list the containers"};
    it.short_form = "-L";
    it.description = {
        "Size is what the files would take if the container stood alone; Exclusive is what no other "
        "container shares: the "
        "most that its removal could free. Generation counts the states of a container."};
    it.options = {{"total", 't', "", "of the sizes, show Size"},
                  {"on-disk", 'o', "", "of the sizes, show Exclusive"},
                  {"summary", 's', "", "add up, and say what sharing saves"},
                  {"bytes", 'b', "", "sizes in bytes"},
                  {"quiet", 'q', "", "names only"},
                  json_option()};
    it.examples = {{"pwstore ls", "all containers"}, {"pwstore -Ltos", "sizes and their sums"}};
    it.run = run_ls;
    return it;
}

int run_marginal(Context& context, const Arguments& arguments, const std::vector<std::string>& words) {
    if (words.empty()) {
        throw Error("read the command line", "", "'--marginal' needs the names of containers")
            .as(Fault::usage);
    }
    std::vector<ContainerName> names;
    for (const std::string& word : words)
        names.emplace_back(word);
    const MarginalUsage usage = context.backend.marginal(names);
    if (arguments.has("json")) {
        context.io.out << marginal_json(usage);
        return kDone;
    }
    const bool exact = arguments.has("bytes");
    Table table({{"Name", Align::left, 8, 0},
                 {"Exclusive", Align::right, 0, 0},
                 {"Among them", Align::right, 0, 0},
                 {"With others", Align::right, 0, 0}});
    for (const MarginalUsage::Share& one : usage.containers) {
        table.add({one.container, size_text(one.exclusive, exact), size_text(one.among_them, exact),
                   size_text(one.with_others, exact)});
    }
    context.io.out << table.render(context.out_width(), context.out);
    context.io.out << fmt::format("\n{} would go if {} went, in {} objects\n", size_text(usage.freed, exact),
                                  words.size() == 1 ? "it" : "all of them", usage.freed_objects);
    return kDone;
}

int run_du(Context& context, const Arguments& arguments) {
    const std::vector<std::string> names = arguments.operands();
    if (arguments.has("marginal")) return run_marginal(context, arguments, names);
    const StoreUsage usage = context.backend.usage();
    StoreUsage shown = usage;
    if (!names.empty()) {
        shown.containers.clear();
        for (const std::string& name : names) {
            const ContainerUsage* one = usage_of_container(usage, ContainerName(name).str());
            if (one == nullptr) {
                throw Error("show the usage of", name, "there is no such container")
                    .as(Fault::usage)
                    .with_hint(did_you_mean(name, names_of(usage.containers)));
            }
            shown.containers.push_back(*one);
        }
    }
    if (arguments.has("json")) {
        context.io.out << usage_json(shown);
        return kDone;
    }
    const bool exact = arguments.has("bytes");
    Table table({{"Name", Align::left, 8, 0},
                 {"Files", Align::right, 0, 3},
                 {"Apparent", Align::right, 0, 1},
                 {"Shared", Align::right, 0, 2},
                 {"Exclusive", Align::right, 0, 0}});
    for (const ContainerUsage& one : shown.containers) {
        table.add({one.container, std::to_string(one.files), size_text(one.apparent, exact),
                   size_text(one.shared, exact), size_text(one.exclusive, exact)});
    }
    if (!table.empty()) context.io.out << table.render(context.out_width(), context.out) << '\n';
    context.io.out << fmt::format("{} objects, {} on disk; the containers add up to {}\n", usage.objects,
                                  size_text(usage.stored, exact), size_text(usage.apparent, exact));
    if (usage.stored > usage.referenced) {
        context.io.out << fmt::format("{} of it belong to no current state of a container\n",
                                      size_text(usage.stored - usage.referenced, exact));
    }
    return kDone;
}

Command du_command() {
    Command it{"du", {}, "Containers", "show what containers take on disk"};
    it.description = {
        "Apparent: every file of the container, its dependencies included, as if stored for itself. Shared: "
        "contents that "
        "another container uses too. Exclusive: contents that only this one uses. Each content counts once "
        "in Shared and Exclusive."};
    it.operands = {{"NAME", Completes::container, true, true}};
    it.description.emplace_back(
        "--marginal: what would go if the named containers went, with all their generations. Among them: "
        "contents "
        "that others of the named ones use too, and nobody else.");
    it.options = {
        {"bytes", 'b', "", "sizes in bytes"}, {"marginal", 'm', "", "what goes if these go"}, json_option()};
    it.examples = {{"pwstore du", "all containers"},
                   {"pwstore du editor --json", "one, for a program"},
                   {"pwstore du --marginal gimp blender", "what deleting both would free"}};
    it.run = run_du;
    return it;
}

void print_details(const Context& context, const ContainerDetails& details, bool with_packages) {
    std::ostream& out = context.io.out;
    const auto line = [&](const char* name, const std::string& value) {
        if (!value.empty())
            out << context.out.bold(fmt::format("{:<15}", name)) << ' ' << shown(value) << '\n';
    };
    const ContainerState& state = details.state;
    line("Name", state.name);
    line("Type", type_word(state.type));
    line("Dependencies", fmt::format("{}", fmt::join(state.dependencies, ", ")));
    if (state.generation != 0) {
        line("Generation",
             fmt::format("{} of {}, by \"{}\"", state.generation, time_in_words(state.time), details.cause));
        std::vector<std::string> below;
        for (const GenerationRef& one : details.upstream)
            below.push_back(fmt::format("{}@{}", one.container, one.generation));
        line("Origin", details.origin);
        line("Built on", fmt::format("{}", fmt::join(below, ", ")));
        line("Kept", fmt::format("{}", fmt::join(details.generations, ", ")));
        const auto wanted =
            std::count_if(details.packages.begin(), details.packages.end(),
                          [](const InstalledPackage& p) { return p.reason == InstallReason::explicitly; });
        line("Packages", details.packages.empty() ? "none of its own"
                                                  : fmt::format("{}, {} of them wanted for themselves",
                                                                details.packages.size(), wanted));
    } else {
        line("Generation", "none: nothing is installed");
    }
    line("Root", details.root);
    line("Home", details.home);
    line("Configuration", details.configuration);
    line("Policy digest", details.policy_digest);
    line("Tree digest", details.tree_digest);
    line("Digest", details.generation_digest);
    for (const TransactionNote& note : details.notes)
        line("Note", note.subject + ": " + note.text);
    if (!with_packages || details.packages.empty()) return;
    Table table(
        {{"Package", Align::left, 12, 0}, {"Version", Align::left, 8, 0}, {"Reason", Align::left, 0, 1}});
    for (const InstalledPackage& package : details.packages) {
        table.add({package.name, package.version,
                   package.reason == InstallReason::explicitly ? "explicit" : "dependency"});
    }
    out << '\n' << table.render(context.out_width(), context.out);
}

int run_info(Context& context, const Arguments& arguments) {
    const ContainerDetails details = context.backend.details(ContainerName(arguments.operands()[0]));
    if (arguments.has("json")) {
        context.io.out << details_json(details);
    } else {
        print_details(context, details, arguments.has("packages"));
    }
    return kDone;
}

Command info_command() {
    Command it{"info", {}, "Containers", "show one container"};
    it.operands = {{"NAME", Completes::container}};
    it.options = {{"packages", 0, "", "with its packages"}, json_option()};
    it.examples = {{"pwstore info editor --packages", "everything about it"}};
    it.run = run_info;
    return it;
}

// --- delete, explain
// ------------------------------------------------------------------------------------------

int run_delete(Context& context, const Arguments& arguments) {
    std::vector<std::string> words = arguments.operands();
    for (const std::string& name : arguments.list("target"))
        words.push_back(name);
    std::vector<ContainerName> names;
    names.reserve(words.size());
    for (const std::string& word : words)
        names.emplace_back(word);
    if (names.empty()) reject("'delete' needs the NAME of a container");
    need_answers(context);
    context.io.err << (names.size() == 1 ? "Container: " : "Containers: ")
                   << fmt::format("{}\n", fmt::join(words, ", "));
    if (arguments.has("home")) context.io.err << "with everything in their homes\n";
    if (!ask_yes_no(context, names.size() == 1 ? "Delete container?" : "Delete containers?", false))
        return kFailed;
    ProgressScreen screen(context);
    context.backend.remove_containers(names, arguments.has("home"), arguments.has("config"),
                                      arguments.has("force"), screen);
    screen.clear();
    context.backend.log(fmt::format("{}: done", context.command_line));
    if (!context.quiet) context.io.out << fmt::format("deleted: {}\n", fmt::join(words, ", "));
    return kDone;
}

Command delete_command() {
    Command it{"delete", {"rm"}, "Containers", "delete containers"};
    it.short_form = "-Rm";
    it.description = {
        "Roots and packages go; the home and the configuration stay unless told otherwise. A container that "
        "another one is "
        "built on cannot be deleted, nor one in which programs run."};
    it.operands = {{"NAME", Completes::container, true, true}};
    it.options = {{"target", 't', "NAME", "another way to give a name", Completes::container},
                  {"home", 0, "", "delete the home too, with everything in it"},
                  {"config", 0, "", "delete the configuration too"},
                  {"force", 0, "", "even if programs run in it"},
                  noconfirm_option()};
    it.examples = {{"pwstore rm editor", "keeps its home"},
                   {"pwstore -Rm editor --home --config", "leaves nothing"}};
    it.run = run_delete;
    return it;
}

int run_explain(Context& context, const Arguments& arguments) {
    const ContainerName name(arguments.operands()[0]);
    const std::vector<std::string> lines = context.backend.explain(name);
    if (arguments.has("json")) {
        context.io.out << explain_json(name.str(), lines);
        return kDone;
    }
    for (const std::string& line : lines)
        context.io.out << printable(line) << '\n';
    return kDone;
}

Command explain_command() {
    Command it{"explain", {}, "Containers", "show what a container can see, and who asked for it"};
    it.operands = {{"NAME", Completes::container}};
    it.options = {json_option()};
    it.examples = {{"pwstore explain editor", "one line per exposed thing"}};
    it.run = run_explain;
    return it;
}

}  // namespace

std::vector<Command> container_commands() {
    return {create_command(), ls_command(),     info_command(),
            du_command(),     delete_command(), explain_command()};
}

}  // namespace pwstore::cli
