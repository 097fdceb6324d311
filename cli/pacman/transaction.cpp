// SPDX-License-Identifier: GPL-3.0-or-later
#include "cli/pacman/transaction.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <utility>

#include "cli/cmd.hpp"
#include "cli/pacman/plan.hpp"
#include "store/base/error.hpp"

namespace pwstore::cli::pacman {

namespace {

/// Steps as the resolver and the engine name them, and what pacman prints at their beginning.
struct StepWords {
    std::string_view step, words;
};
constexpr std::array kSteps{StepWords{"check dependencies", "checking dependencies..."},
                            StepWords{"resolve dependencies", "resolving dependencies..."},
                            StepWords{"look for conflicts", "looking for conflicting packages..."},
                            StepWords{"check keys", "checking keyring..."},
                            StepWords{"check integrity", "checking package integrity..."},
                            StepWords{"load packages", "loading package files..."},
                            StepWords{"check file conflicts", "checking for file conflicts..."},
                            StepWords{"check disk space", "checking available disk space..."}};
std::string_view words_of(const std::string& step) {
    const auto found =
        std::find_if(kSteps.begin(), kSteps.end(), [&](const StepWords& one) { return one.step == step; });
    return found == kSteps.end() ? std::string_view() : found->words;
}

const char* verb_of(StepKind kind) {
    switch (kind) {
        case StepKind::install:
            return "installing";
        case StepKind::upgrade:
            return "upgrading";
        case StepKind::downgrade:
            return "downgrading";
        case StepKind::reinstall:
            return "reinstalling";
        case StepKind::remove:
            return "removing";
    }
    return "changing";
}

/// The name without what follows ".pkg", ".db" or ".files".
std::string clean_filename(std::string name) {
    for (const char* extension : {".pkg", ".db", ".files"}) {
        if (const size_t at = name.find(extension); at != std::string::npos) return name.substr(0, at);
    }
    return name;
}

/// Bit of libalpm's question type, as --ask counts them; 0 for what libalpm does not ask.
unsigned ask_bit(Question::Kind kind) {
    switch (kind) {
        case Question::Kind::install_ignored:
            return 1;
        case Question::Kind::replace_package:
            return 2;
        case Question::Kind::conflict:
            return 4;
        case Question::Kind::corrupted:
            return 8;
        case Question::Kind::remove_packages:
            return 16;
        case Question::Kind::select_provider:
            return 32;
        case Question::Kind::import_key:
            return 64;
        case Question::Kind::hold_package:
            return 0;
    }
    return 0;
}

std::vector<PlanStep> all_steps(const std::vector<ContainerPlan>& plans) {
    std::vector<PlanStep> steps;
    for (const ContainerPlan& plan : plans)
        steps.insert(steps.end(), plan.plan.steps.begin(), plan.plan.steps.end());
    return steps;
}

}  // namespace

// --- What happens
// -------------------------------------------------------------------------------------------------

/// Between the databases and the packages, pacman says that the upgrade begins.
void PacmanDialogue::begin_resolving() {
    if (resolving_) return;
    resolving_ = true;
    if (options_->upgrade > 0 && !options_->print) screen_->colon("Starting full system upgrade...");
}

void PacmanDialogue::progress(const std::string& step, const std::string& label, uint64_t done,
                              uint64_t total) {
    if (options_->print) return;
    if (step == "download") {
        const std::string name = printable(clean_filename(label));
        if (said_.emplace(step, name).second) screen_->print(fmt::format(" {} downloading...\n", name));
        return;
    }
    if (step == "retrieve packages") {
        if (said_.emplace(step, "").second) screen_->colon("Retrieving packages...");
        return;
    }
    begin_resolving();
    if (const std::string_view words = words_of(step); !words.empty()) {
        if (said_.emplace(step, "").second) screen_->print(fmt::format("{}\n", words));
    } else if (step == "hooks") {
        end_package();
        screen_->colon(fmt::format("Running {} hooks...", label));
    } else if (step == "hook") {
        const size_t digits = std::to_string(total).size();
        screen_->print(fmt::format("({:>{}}/{}) {}\n", done + 1, digits, total, screen_->shown(label)));
    } else if ((step == "install" || step == "remove") && steps_.contains(label)) {
        begin_changes();
        end_package();
        working_on_ = &steps_.at(label);
        if (said_.emplace(step, label).second)
            screen_->print(fmt::format("{} {}...\n", verb_of(working_on_->kind), screen_->shown(label)));
    }
}

void PacmanDialogue::end_package() {
    const PlanStep* step = std::exchange(working_on_, nullptr);
    if (step == nullptr || step->optional.empty()) return;
    const char* what = step->kind == StepKind::install ? "Optional" : "New optional";
    screen_->print(fmt::format("{} dependencies for {}\n", what, screen_->shown(step->package.name)));
    for (const std::string& line : step->optional)
        screen_->print("    " + screen_->wrapped(line, 4) + "\n");
}

void PacmanDialogue::begin_changes() {
    if (!changing_) screen_->colon("Processing package changes...");
    changing_ = true;
}

/// Decisions are made more than once; what there is to say about them is said once.
void PacmanDialogue::message(Severity severity, const std::string& text) {
    if (severity == Severity::warning && !said_.emplace("warning", text).second) return;
    if (text.starts_with(":: ")) {
        if (!options_->print) screen_->colon(text.substr(3));
        return;
    }
    // Those that are about to be downloaded.
    if (options_->refresh > 0 && text.starts_with("database file for ")) return;
    switch (severity) {
        case Severity::debug:
            if (options_->debug) screen_->plain_error("debug: " + printable(text));
            break;
        case Severity::info:
            if (!options_->print) screen_->print(printable(text) + "\n");
            break;
        case Severity::warning:
            if (!options_->print) screen_->warning(text);
            break;
        case Severity::error:
            screen_->error(text);
            break;
    }
}

void PacmanDialogue::script_output(const std::string& /*agent*/, const std::string& line) {
    screen_->print(printable(line) + "\n");
}

// --- The plan
// -----------------------------------------------------------------------------------------------------

bool PacmanDialogue::confirm(const std::vector<ContainerPlan>& plans) {
    begin_resolving();
    for (const ContainerPlan& plan : plans) {
        for (const std::string& note : plan.plan.notes)
            message(Severity::warning, note);
    }
    const std::vector<PlanStep> steps = all_steps(plans);
    if (steps.empty()) return true;
    showed_a_plan_ = true;
    for (const PlanStep& step : steps)
        steps_[step.package.name] = step;
    if (options_->print) {
        print_targets(*screen_, *options_, steps);
        return false;
    }
    show_plan(*screen_, *options_, steps, verbose_lists_);
    return screen_->yes_or_no(options_->operation == Operation::remove
                                  ? "Do you want to remove these packages?"
                              : options_->download_only ? "Proceed with download?"
                                                        : "Proceed with installation?",
                              true);
}

// --- Questions
// ----------------------------------------------------------------------------------------------------

/// pacman inverts what it would have answered for each bit of --ask.
int PacmanDialogue::standard_answer(const Question& question) const {
    const bool inverted = (options_->ask.value_or(0) & ask_bit(question.kind)) != 0;
    if (!inverted) return question.default_answer;
    return question.default_answer == 0 ? 1 : 0;
}

/// "1) vim  2) nano", under the repository that each is from.
int PacmanDialogue::ask_for_provider(const Question& question) {
    screen_->colon(question.text);
    std::vector<std::string> choices;
    std::string repository;
    const auto flush = [&] {
        if (choices.empty()) return;
        screen_->colon("Repository " + repository);
        screen_->print(screen_->listed("  ", choices));
        choices.clear();
    };
    for (size_t i = 0; i < question.choices.size(); ++i) {
        const std::string& choice = question.choices[i];
        const size_t slash = choice.find('/'), blank = choice.rfind(' ');
        const std::string from = slash == std::string::npos ? "" : choice.substr(0, slash);
        if (from != repository) flush();
        repository = from;
        const size_t begin = slash == std::string::npos ? 0 : slash + 1;
        choices.push_back(fmt::format("{}) {}", i + 1, choice.substr(begin, blank - begin)));
    }
    flush();
    const size_t answer = screen_->number(question.choices.size());
    return options_->no_confirm ? standard_answer(question) : static_cast<int>(answer);
}

int PacmanDialogue::ask(const Question& question) {
    if (options_->print) return standard_answer(question);
    if (question.kind == Question::Kind::install_ignored && options_->download_only) return 1;
    if (question.kind == Question::Kind::select_provider) return ask_for_provider(question);
    if (question.kind == Question::Kind::remove_packages) {
        screen_->colon(
            fmt::format("The following package{} cannot be upgraded due to unresolvable dependencies:",
                        question.choices.size() == 1 ? "" : "s"));
        screen_->print(screen_->listed("     ", question.choices) + "\n");
    }
    if (question.kind == Question::Kind::hold_package) {
        for (const std::string& name : question.choices)
            screen_->warning(name + " is designated as a HoldPkg.");
    }
    const bool agreed = screen_->yes_or_no(question.text, question.default_answer != 0);
    const int answer = options_->no_confirm ? standard_answer(question) : (agreed ? 1 : 0);
    if (question.kind == Question::Kind::hold_package) kept_held_package_ = answer == 0;
    return answer;
}

// --- Run
// ----------------------------------------------------------------------------------------------------------

namespace {

PacmanManner container_manner(const Options& options, const Places& places) {
    PacmanManner manner;
    if (options.config) manner.config = places.config;
    manner.db_only = options.db_only;
    manner.no_scriptlet = options.no_scriptlet;
    manner.download_only = options.download_only;
    manner.architectures = options.architectures;
    return manner;
}

TransactionRequest request_of(const Context& context, const Options& options, const Places& places) {
    TransactionRequest request;
    request.command = context.command_line;
    request.refresh = options.refresh;
    request.no_confirm = options.no_confirm;
    request.preview = options.print;
    ContainerRequest& target = request.containers.emplace_back();
    target.name = places.container;
    ResolveRequest& packages = target.packages;
    auto& words = options.operation == Operation::remove    ? packages.remove
                  : options.operation == Operation::upgrade ? packages.archive_files
                                                            : packages.install;
    words = options.targets;
    packages.upgrade = options.upgrade > 0;
    packages.downgrade = options.upgrade > 1;
    packages.needed = options.needed;
    packages.as_deps = options.as_deps;
    packages.as_explicit = options.as_explicit;
    packages.no_save = options.no_save;
    packages.recursive = options.recursive > 0;
    packages.recursive_all = options.recursive > 1;
    packages.cascade = options.cascade;
    packages.unneeded = options.unneeded;
    packages.no_dep_version = options.no_deps > 0;
    packages.no_deps = options.no_deps > 1;
    packages.no_conflicts = options.print || options.download_only;
    packages.overwrite = options.overwrite;
    packages.ignore = options.ignore;
    packages.ignore_groups = options.ignore_groups;
    packages.assume_installed = options.assume_installed;
    if (!places.container.empty()) {
        request.target_only = true;
        request.as_pacman = container_manner(options, places);
        return request;
    }
    InPlaceRequest& place = request.in_place.emplace();
    place.root = places.root;
    place.database = places.database;
    place.config = places.config;
    place.log_file = places.log_file;
    place.gnupg_dir = places.gnupg_dir;
    place.cache_dirs = places.cache_dirs;
    place.hook_dirs = places.hook_dirs;
    place.db_only = options.db_only;
    place.no_scriptlet = options.no_scriptlet;
    place.download_only = options.download_only;
    place.architectures = options.architectures;
    place.disable_sandbox_files = options.disable_sandbox || options.disable_sandbox_files;
    place.disable_sandbox_calls = options.disable_sandbox || options.disable_sandbox_calls;
    return request;
}

/// What is done to containers stands in the log of the data directory; a plain directory has its own.
TransactionReport transact_logged(Context& context, const TransactionRequest& request, Dialogue& dialogue) {
    if (request.in_place || request.preview) return context.backend.transact(request, dialogue);
    try {
        TransactionReport report = context.backend.transact(request, dialogue);
        context.backend.log(fmt::format("{}: {}", context.command_line, result_in_words(report)));
        return report;
    } catch (const Error& error) {
        context.backend.log(fmt::format("{}: failed: {}", context.command_line, error.what()));
        throw;
    }
}

bool nothing_wanted(const Options& options) {
    return options.targets.empty() && options.upgrade == 0 && options.refresh > 0;
}

}  // namespace

void print_failure(const Screen& screen, const Error& error) {
    const std::string& hint = error.hint();
    const bool is_transcript = hint.rfind("error: ", 0) == 0;
    if (!is_transcript) screen.error(error.what());
    for (size_t from = 0; from < hint.size();) {
        const size_t end = std::min(hint.find('\n', from), hint.size());
        const std::string line = hint.substr(from, end - from);
        from = end + 1;
        if (!is_transcript) {
            screen.plain_error("hint: " + printable(line));
        } else if (line.rfind("error: ", 0) == 0) {
            screen.error(line.substr(7));
        } else if (line.rfind("warning: ", 0) == 0) {
            screen.warning(line.substr(9));
        } else if (line.rfind(":: ", 0) == 0) {
            screen.colon(line.substr(3));
        } else if (line.rfind("  ", 0) == 0) {
            screen.plain_error(printable(line));
        } else {
            screen.print(printable(line) + "\n");
        }
    }
}

void print_lock_failure(const Screen& screen, const std::string& database, const Error& error) {
    const std::string text = error.what();
    screen.error(fmt::format("failed to init transaction ({})", text.substr(text.rfind(": ") + 2)));
    if (error.fault() != Fault::busy) return;
    screen.error("could not lock database: File exists");
    screen.plain_error(
        fmt::format("  if you're sure a package manager is not already\n  running, you can remove {}db.lck",
                    printable(database)));
}

int change_reasons(Context& context, const Screen& screen, const Options& options, const Places& places,
                   const std::vector<std::string>& names) {
    if (names.empty()) return kDone;
    TransactionRequest request;
    request.command = context.command_line;
    request.target_only = request.no_confirm = true;
    request.as_pacman = container_manner(options, places);
    ContainerRequest& target = request.containers.emplace_back();
    target.name = places.container;
    (options.as_explicit ? target.make_explicit : target.make_dependency) = names;
    PacmanDialogue dialogue(screen, options, false);
    try {
        (void)transact_logged(context, request, dialogue);
        return kDone;
    } catch (const Error& error) {
        print_failure(screen, error);
        return error.fault() == Fault::interrupted ? kInterrupted : kFailed;
    }
}

int run_transaction(Context& context, const Screen& screen, const Options& options, const Places& places) {
    const TransactionRequest request = request_of(context, options, places);
    if (options.refresh > 0) screen.colon("Synchronizing package databases...");
    if (options.operation == Operation::upgrade) screen.print("loading packages...\n");
    PacmanDialogue dialogue(screen, options, places.settings.places.verbose_package_lists);
    try {
        const TransactionReport report = transact_logged(context, request, dialogue);
        dialogue.end_package();
        if (report.declined && !options.print) return kFailed;
        if (!dialogue.showed_a_plan() && !options.print && !nothing_wanted(options))
            screen.print(" there is nothing to do\n");
        return kDone;
    } catch (const Error& error) {
        if (dialogue.kept_held_package()) return kFailed;
        print_failure(screen, error);
        return error.fault() == Fault::interrupted ? kInterrupted : kFailed;
    }
}

}  // namespace pwstore::cli::pacman
