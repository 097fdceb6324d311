// SPDX-License-Identifier: GPL-3.0-or-later
#include <fcntl.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <charconv>
#include <chrono>
#include <cmath>
#include <map>
#include <numeric>
#include <ostream>

#include "cli/cmd.hpp"
#include "cli/gc_schedule.hpp"
#include "cli/json.hpp"
#include "cli/progress.hpp"
#include "store/base/error.hpp"
#include "store/base/path_at.hpp"
#include "store/base/staged_file.hpp"

namespace pwstore::cli {

namespace {

/// Of `gc` alone; the others are those of every command.
constexpr int kOverBudget = 2;

Error wrong_option(const std::string& cause) {
    Error error("read the command line", "", cause);
    return error.as(Fault::usage);
}

/// "20G", "500M", "1.5T", "123456": powers of 1024, as df(1) counts.
uint64_t size_of(const std::string& text) {
    double number = 0;
    const auto [end, fault] = std::from_chars(text.data(), text.data() + text.size(), number);
    std::string_view unit(end, static_cast<size_t>(text.data() + text.size() - end));
    for (const std::string_view suffix : {"iB", "B"}) {
        if (unit.ends_with(suffix)) unit.remove_suffix(suffix.size());
    }
    const size_t power = unit.empty() ? 0 : std::string_view("KMGTP").find(unit) + 1;
    const bool is_unit = unit.empty() || (unit.size() == 1 && power != 0);
    const double bytes = is_unit ? std::ldexp(number, static_cast<int>(10 * power)) : -1;
    if (fault != std::errc{} || !(bytes >= 0 && bytes < 1e18)) {
        throw wrong_option(
            fmt::format("option '--budget' needs a size like 20G or 500M, not '{}'", printable(text)));
    }
    return static_cast<uint64_t>(bytes);
}

int64_t now() {
    return std::chrono::duration_cast<std::chrono::seconds>(
               std::chrono::system_clock::now().time_since_epoch())
        .count();
}

CollectRequest request_of(const Arguments& arguments) {
    CollectRequest request;
    request.now = now();
    if (const auto keep = arguments.value("keep")) request.keep = RetentionPolicy::parse(*keep);
    if (const auto text = arguments.value("min-dead")) request.min_dead = parse_duration(*text, "--min-dead");
    if (const auto text = arguments.value("budget")) request.budget = size_of(*text);
    request.package_cache = !arguments.has("no-cache");
    return request;
}

std::chrono::milliseconds patience_of(const Arguments& arguments) {
    const auto text = arguments.value("lock-wait");
    return std::chrono::seconds(text ? parse_duration(*text, "--lock-wait") : 10);
}

// --- What it says
// --------------------------------------------------------------------------------------------

/// "3 generations", "1 root"
std::string counted(uint64_t count, const char* what) {
    return fmt::format("{} {}{}", count, what, count == 1 ? "" : "s");
}

/// Every single thing, for those who want to know.
void print_items(const Context& context, const CollectPlan& plan) {
    std::ostream& out = context.io.out;
    for (const CollectPlan::Drop& one : plan.generations) {
        const GenerationRef& which = one.generation.generation;
        out << fmt::format("generation {}@{}: {}, {}\n", context.out.bold(which.container), which.generation,
                           human_size(one.bytes), one.reason);
    }
    for (const GenerationRef& root : plan.roots)
        out << fmt::format("root {}@{}: not in use, can be rebuilt\n", root.container, root.generation);
    for (const CachedFile& file : plan.cache)
        out << fmt::format("archive {}: {}\n", shown(file.name), human_size(file.size));
}

/// What goes of one container.
struct Share {
    std::vector<uint64_t> generations;
    uint64_t bytes = 0, roots = 0;
};

void print_shares(const Context& context, const CollectPlan& plan) {
    std::map<std::string, Share> shares;
    for (const CollectPlan::Drop& one : plan.generations) {
        Share& share = shares[one.generation.generation.container];
        share.generations.push_back(one.generation.generation.generation);
        share.bytes += one.bytes;
    }
    for (const GenerationRef& root : plan.roots)
        ++shares[root.container].roots;
    for (const auto& [name, share] : shares) {
        std::vector<std::string> parts;
        if (!share.generations.empty()) {
            parts.push_back(fmt::format("generation{} {} ({})", share.generations.size() == 1 ? "" : "s",
                                        fmt::join(share.generations, ", "), human_size(share.bytes)));
        }
        if (share.roots != 0) parts.push_back(counted(share.roots, "unused root"));
        context.io.out << fmt::format("{}: {}\n", context.out.bold(printable(name)), fmt::join(parts, ", "));
    }
}

void print_plan(const Context& context, const CollectPlan& plan) {
    std::ostream& out = context.io.out;
    if (context.debug) {
        print_items(context, plan);
    } else {
        print_shares(context, plan);
    }
    if (!plan.cache.empty()) {
        const uint64_t bytes =
            std::accumulate(plan.cache.begin(), plan.cache.end(), uint64_t{0},
                            [](uint64_t sum, const CachedFile& file) { return sum + file.size; });
        out << fmt::format("package cache: {} ({})\n", counted(plan.cache.size(), "archive"),
                           human_size(bytes));
    }
    const Garbage& garbage = plan.garbage;
    if (!garbage.objects.empty() || !garbage.manifests.empty()) {
        out << fmt::format("{}, {} and {} that nothing uses\n", counted(garbage.objects.size(), "object"),
                           counted(garbage.manifests.size(), "package"),
                           counted(garbage.deltas.size(), "delta"));
    }
    if (!garbage.strays.empty())
        out << fmt::format("{} without a record\n", counted(garbage.strays.size(), "file"));
    if (plan.held_inodes != 0) {
        out << fmt::format("{} ({}) stay on the disk: something outside the store links to them\n",
                           counted(plan.held_inodes, "file"), human_size(plan.held_bytes));
    }
}

/// What went, which may be less than the plan says.
void print_report(const Context& context, const CollectPlan& plan, const CollectReport& report) {
    std::ostream& out = context.io.out;
    if (context.debug) print_items(context, plan);
    std::vector<std::string> parts;
    for (const auto& [count, what] :
         std::initializer_list<std::pair<uint64_t, const char*>>{{report.generations, "generation"},
                                                                 {report.roots, "root"},
                                                                 {report.cached, "archive"},
                                                                 {report.swept.manifests, "package"},
                                                                 {report.swept.objects, "object"}}) {
        if (count != 0) parts.push_back(counted(count, what));
    }
    if (!parts.empty()) out << fmt::format("removed: {}\n", fmt::join(parts, ", "));
    if (report.gone != 0)
        out << fmt::format("{} of the plan had gone before\n", counted(report.gone, "item"));
    for (const std::string& text : report.skipped)
        out << context.out.yellow("skipped: ") << shown(text) << '\n';
}

/// "1 834 229 760 bytes (1.8 GB), 21 204 files"
std::string freed_text(uint64_t bytes, uint64_t inodes) {
    return fmt::format("{} bytes ({}), {} files", bytes, human_size(bytes), inodes);
}

void warn_over_budget(const Context& context, const CollectPlan& plan) {
    context.io.err << fmt::format(
        "pwstore: warning: the budget is out of reach, so no generation is dropped: {} stay that are in use "
        "or "
        "kept by a rule\n",
        human_size(plan.stored));
    context.io.err << "hint: give a larger budget, or keep fewer generations: --keep last=1\n";
}

// --- Plan and act
// --------------------------------------------------------------------------------------------

void write_plan(const std::string& path, const CollectPlan& plan) {
    const auto [directory, name] = split_path(path);
    const Fd dir =
        open_at(AT_FDCWD, directory.empty() ? (path.front() == '/' ? "/" : ".") : std::string(directory),
                O_RDONLY | O_DIRECTORY);
    write_file_atomically(dir.get(), std::string(name), plan.encode());
}

int exit_code_for(const Arguments& arguments, const CollectPlan& plan) {
    if (plan.is_over_budget) return kOverBudget;
    return plan.is_empty() && arguments.has("exit-code") ? kFailed : kDone;
}

int only_show(Context& context, const Arguments& arguments, const CollectPlan& plan) {
    if (const auto path = arguments.value("plan")) write_plan(*path, plan);
    if (arguments.has("json")) {
        context.io.out << plan.encode();
    } else if (!context.quiet) {
        print_plan(context, plan);
        context.io.out << (plan.is_empty() ? "nothing to do\n"
                                           : "would free " + freed_text(plan.bytes, plan.inodes) + "\n");
    }
    if (plan.is_over_budget) warn_over_budget(context, plan);
    return exit_code_for(arguments, plan);
}

int carry_out(Context& context, const Arguments& arguments, const CollectPlan& plan) {
    CollectReport report;
    if (!plan.is_empty()) {
        ProgressScreen screen(context);
        report = context.backend.collect(plan, patience_of(arguments), screen);
        screen.clear();
        context.backend.log(
            fmt::format("{}: freed {}", context.command_line, freed_text(report.bytes, report.inodes)));
    }
    if (arguments.has("json")) {
        context.io.out << gc_report_json(plan, report);
    } else if (!context.quiet) {
        print_report(context, plan, report);
        context.io.out << (plan.is_empty() ? "nothing to do\n"
                                           : "freed " + freed_text(report.bytes, report.inodes) + "\n");
    }
    if (plan.is_over_budget) warn_over_budget(context, plan);
    if (report.is_busy) {
        if (context.quiet) {
            for (const std::string& text : report.skipped)
                context.io.err << "pwstore: warning: skipped: " << shown(text) << '\n';
        }
        return kBusy;
    }
    return exit_code_for(arguments, plan);
}

// --- Schedules
// -----------------------------------------------------------------------------------------------

/// What a job passes on: the options that say what is to go.
std::vector<std::string> job_arguments(const Arguments& arguments) {
    std::vector<std::string> words{"--quiet"};
    for (const char* flag : {"if-needed", "no-cache"}) {
        if (arguments.has(flag)) words.push_back(fmt::format("--{}", flag));
    }
    for (const char* option : {"keep", "budget", "min-dead"}) {
        if (const auto value = arguments.value(option))
            words.push_back(fmt::format("--{}={}", option, *value));
    }
    words.push_back("--lock-wait=" + arguments.value("lock-wait").value_or("10m"));
    (void)request_of(arguments);  // a mistake is better found now than at night
    return words;
}

int install_timer(Context& context, const Arguments& arguments) {
    const std::string directory = unit_directory();
    make_directories(AT_FDCWD, directory);
    const Fd dir = open_at(AT_FDCWD, directory, O_RDONLY | O_DIRECTORY);
    write_file_atomically(dir.get(), kServiceName, service_unit(gc_job(job_arguments(arguments))));
    write_file_atomically(dir.get(), kTimerName, timer_unit());
    const bool is_active = run_systemctl({"daemon-reload"}) && run_systemctl({"enable", "--now", kTimerName});
    if (context.quiet && is_active) return kDone;
    std::ostream& out = context.io.out;
    out << fmt::format("written: {0}/{1}\nwritten: {0}/{2}\n", directory, kServiceName, kTimerName);
    if (is_active) {
        out << "the timer runs once a day while you are logged in; to have it run always: loginctl "
               "enable-linger\n";
        return kDone;
    }
    out << fmt::format(
        "systemd's user manager does not answer here; to start the timer: systemctl --user daemon-reload && "
        "systemctl --user enable --now {}\n",
        kTimerName);
    out << "to have it run also while you are not logged in: loginctl enable-linger\n";
    return kDone;
}

int remove_timer(Context& context) {
    (void)run_systemctl({"disable", "--now", kTimerName});
    const std::string directory = unit_directory();
    bool any = false;
    for (const char* name : {kTimerName, kServiceName})
        any = remove_file(AT_FDCWD, directory + "/" + name) || any;
    (void)run_systemctl({"daemon-reload"});
    if (!context.quiet) context.io.out << (any ? "the timer is removed\n" : "there is no timer\n");
    return kDone;
}

void refuse_beside(const Arguments& arguments, const char* action, const char* reason,
                   std::initializer_list<const char*> others) {
    if (!arguments.has(action)) return;
    for (const char* other : others) {
        if (arguments.has(other))
            throw wrong_option(fmt::format("'--{}' {}: '--{}' does not go with it", action, reason, other));
    }
}

void refuse_contradictions(const Arguments& arguments) {
    (void)patience_of(arguments);
    refuse_beside(arguments, "apply", "does what the plan says",
                  {"keep", "budget", "min-dead", "plan", "dry-run", "if-needed", "no-cache"});
    for (const char* action : {"print-cron", "install-timer", "remove-timer"})
        refuse_beside(arguments, action, "collects nothing",
                      {"apply", "plan", "dry-run", "exit-code", "json"});
    refuse_beside(arguments, "print-cron", "only prints", {"install-timer", "remove-timer"});
    refuse_beside(arguments, "install-timer", "makes a timer", {"remove-timer"});
}

int run_gc(Context& context, const Arguments& arguments) {
    refuse_contradictions(arguments);
    if (arguments.has("print-cron")) {
        context.io.out << cron_line(gc_job(job_arguments(arguments)));
        return kDone;
    }
    if (arguments.has("install-timer")) return install_timer(context, arguments);
    if (arguments.has("remove-timer")) return remove_timer(context);
    if (const auto path = arguments.value("apply"))
        return carry_out(context, arguments, CollectPlan::decode(read_file(AT_FDCWD, *path)));
    ProgressScreen screen(context);
    CollectPlan plan = context.backend.plan_collection(request_of(arguments), screen);
    screen.clear();
    if (arguments.has("dry-run") || arguments.has("plan")) return only_show(context, arguments, plan);
    if (arguments.has("if-needed") && !context.backend.is_collection_needed(plan)) {
        if (arguments.has("json")) {
            context.io.out << gc_report_json({}, {});
        } else if (!context.quiet) {
            context.io.out << fmt::format("not needed yet: {} could be freed\n", human_size(plan.bytes));
        }
        return kDone;
    }
    return carry_out(context, arguments, plan);
}

Command gc_command() {
    Command it{"gc", {}, "Store", "remove what no container needs any more, and say exactly what that frees"};
    it.description = {
        "Generations that no rule of --keep names are dropped, with every package, file and root that only "
        "they "
        "needed, and archives in the package cache that no kept package came from. Never touched: current "
        "generations, snapshots, what a program runs on, what lies below one of these, homes. Installs, "
        "imports "
        "and running programs go on meanwhile.",
        "--dry-run needs to read the store only; with --debug it names every single thing. --plan writes "
        "down what would go; --apply FILE removes just "
        "that, except what has come into use since. A file counts as freed when its last link goes.",
        "With --budget, generations are dropped only until the files of the store fit into it, those first "
        "that free most; what the rules of --keep name is never among them, nor what frees nothing. Where "
        "all "
        "the others together would not be enough, none goes.",
        "Nothing is asked. Exit code 0: done, or nothing to do (--exit-code: then 1); 2: the budget cannot "
        "be met; "
        "3: a lock was not free in time; 4: the index is damaged, see 'pwstore verify'."};
    it.options = {{"dry-run", 'n', "", "show what would go, and stop"},
                  {"plan", 0, "FILE", "write down what would go, and stop", Completes::file},
                  {"apply", 0, "FILE", "do what such a file says, and nothing else", Completes::file},
                  {"keep", 0, "RULES",
                   "which generations of each container stay: last=N, daily=N, weekly=N, monthly=N, "
                   "yearly=N, within=TIME "
                   "(last=3,daily=7,weekly=4 unless given)"},
                  {"min-dead", 0, "TIME", "only what has been unused for so long: 14d, 36h"},
                  {"budget", 0, "SIZE", "drop generations only until the files of the store fit: 20G, 500M"},
                  {"no-cache", 0, "", "leave the package cache alone"},
                  {"lock-wait", 0, "TIME", "wait so long for other commands (10s; in a job 10m)"},
                  {"if-needed", 0, "",
                   "only when 1 GiB or a tenth of the store would be freed, or the disk is 90 % full"},
                  {"exit-code", 0, "", "exit with 1 when there is nothing to do"},
                  {"install-timer", 0, "", "have systemd do this once a day, with the options given"},
                  {"remove-timer", 0, "", "and no more"},
                  {"print-cron", 0, "", "print the line of a crontab that does this, with the options given"},
                  json_option()};
    it.examples = {{"pwstore gc --dry-run", "what it would free"},
                   {"pwstore gc --plan p.json && less p.json && pwstore gc --apply p.json",
                    "look first, then just that"},
                   {"pwstore gc --keep last=3,daily=7,weekly=4 --min-dead 14d --quiet",
                    "in a timer: prints errors only"},
                   {"(crontab -l; pwstore gc --print-cron --if-needed) | crontab -", "every night"}};
    it.run = run_gc;
    return it;
}

}  // namespace

std::vector<Command> gc_commands() {
    return {gc_command()};
}

}  // namespace pwstore::cli
