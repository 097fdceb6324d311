// SPDX-License-Identifier: GPL-3.0-or-later
#include "cli/dialogue.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <charconv>
#include <ostream>

#include "store/base/error.hpp"

namespace pwstore::cli {

namespace {

struct Totals {
    uint64_t installed = 0;  ///< bytes that arrive
    uint64_t removed = 0;    ///< bytes of removed packages
    uint64_t download = 0;
    int64_t net = 0;
    bool changes = false;  ///< packages or roots
    bool additions = false;
};

int64_t net_change(const PlanStep& step) {
    const auto now = static_cast<int64_t>(step.package.installed_size);
    if (step.kind == StepKind::remove) return -now;
    return now - static_cast<int64_t>(step.old_installed_size);
}

Totals totals_of(const std::vector<ContainerPlan>& plans) {
    Totals totals;
    for (const ContainerPlan& plan : plans) {
        totals.changes |= plan.created || plan.rebuilt_on_top || !plan.plan.empty();
        for (const PlanStep& step : plan.plan.steps) {
            totals.net += net_change(step);
            if (step.kind == StepKind::remove) {
                totals.removed += step.package.installed_size;
                continue;
            }
            totals.additions = true;
            totals.installed += step.package.installed_size;
            totals.download += step.to_download;
        }
        totals.additions |= plan.created;
    }
    return totals;
}

std::string old_version(const PlanStep& step) {
    return step.kind == StepKind::remove ? step.package.version : step.old_version;
}

std::string new_version(const PlanStep& step) {
    switch (step.kind) {
        case StepKind::remove:
            return "removed";
        case StepKind::downgrade:
            return step.package.version + " (older)";
        case StepKind::reinstall:
            return step.package.version + " (again)";
        case StepKind::install:
        case StepKind::upgrade:
            return step.package.version;
    }
    return {};
}

/// One container, or several for which the same is planned.
std::string heading(const std::vector<const ContainerPlan*>& group) {
    const ContainerPlan& first = *group.front();
    if (group.size() == 1) {
        return fmt::format("{}{} ({})", first.created ? "new container " : "", printable(first.container),
                           type_word(first.type));
    }
    std::vector<std::string> names;
    for (const ContainerPlan* plan : group)
        names.push_back(printable(plan->container));
    return fmt::format("{} {}containers: {}", group.size(), first.created ? "new " : "",
                       fmt::join(names, ", "));
}

std::vector<std::vector<std::string>> rows_of(const ContainerPlan& plan) {
    std::vector<std::vector<std::string>> rows;
    for (const PlanStep& step : plan.plan.steps) {
        rows.push_back({step.package.name, old_version(step), new_version(step),
                        human_change(net_change(step)),
                        step.to_download == 0 ? "" : human_size(step.to_download)});
        for (const std::string& name : step.replaces)
            rows.push_back({"  replaces " + name, "", "", "", ""});
    }
    return rows;
}

std::string render_group(const std::vector<const ContainerPlan*>& group, std::optional<size_t> width,
                         const Painter& painter) {
    Table table({{"Package", Align::left, 12, 0},
                 {"Old", Align::left, 8, 2},
                 {"New", Align::left, 8, 0},
                 {"Net Change", Align::right, 0, 3},
                 {"Download", Align::right, 0, 4}});
    for (std::vector<std::string>& row : rows_of(*group.front()))
        table.add(std::move(row));
    return painter.bold(heading(group)) + "\n" + (table.empty() ? "" : table.render(width, painter)) + "\n";
}

}  // namespace

std::string type_word(ContainerType type) {
    switch (type) {
        case ContainerType::base:
            return "base";
        case ContainerType::slice:
            return "slice";
        case ContainerType::aggregate:
            return "aggregate";
        case ContainerType::symbolic:
            return "symbolic";
    }
    return "unknown";
}

std::string render_plans(const std::vector<ContainerPlan>& plans, std::optional<size_t> width,
                         const Painter& painter) {
    std::string out;
    std::vector<std::string> rebuilt;
    std::vector<std::vector<const ContainerPlan*>> groups;
    for (const ContainerPlan& plan : plans) {
        for (const std::string& note : plan.plan.notes)
            out += painter.yellow("note:") + " " + shown(note) + "\n";
        if (plan.plan.empty() && !plan.created) {
            if (plan.rebuilt_on_top) rebuilt.push_back(printable(plan.container));
            continue;
        }
        const auto same = std::find_if(groups.begin(), groups.end(), [&](const auto& group) {
            return group.front()->created == plan.created && rows_of(*group.front()) == rows_of(plan);
        });
        if (same == groups.end()) {
            groups.push_back({&plan});
        } else {
            same->push_back(&plan);
        }
    }
    for (const auto& group : groups)
        out += render_group(group, width, painter);
    const Totals totals = totals_of(plans);
    if (!rebuilt.empty()) {
        const char* words = rebuilt.size() == plans.size() ? "Rebuilt" : "Rebuilt on top of it";
        out += fmt::format("{}: {}\n\n", words, fmt::join(rebuilt, ", "));
    }
    const auto total = [&out](const char* name, const std::string& value) {
        out += fmt::format("{:<18} {:>9}\n", name, value);
    };
    if (totals.download > 0) total("Total Download:", human_size(totals.download));
    if (totals.installed > 0) total("Total Installed:", human_size(totals.installed));
    if (totals.removed > 0) total("Total Removed:", human_size(totals.removed));
    if (totals.installed > 0 && totals.net != static_cast<int64_t>(totals.installed)) {
        total("Net Upgrade Size:", human_change(totals.net));
    }
    return out;
}

std::string render_report(const TransactionReport& report, const Painter& painter) {
    std::string out;
    for (const TransactionReport::Changed& changed : report.containers) {
        std::vector<std::string> parts;
        if (changed.installed > 0) parts.push_back(fmt::format("{} installed", changed.installed));
        if (changed.upgraded > 0) parts.push_back(fmt::format("{} upgraded", changed.upgraded));
        if (changed.removed > 0) parts.push_back(fmt::format("{} removed", changed.removed));
        if (parts.empty()) parts.emplace_back(changed.generation == 1 ? "created" : "rebuilt");
        const std::string words = fmt::format("{}", fmt::join(parts, ", "));
        out += changed.generation == 0
                   ? fmt::format("{}: removed\n", painter.bold(printable(changed.container)))
                   : fmt::format("{}: {}, generation {}\n", painter.bold(printable(changed.container)), words,
                                 changed.generation);
    }
    if (report.file_bytes > 0) {
        out += fmt::format("{} of files, {} new on disk\n", human_size(report.file_bytes),
                           human_size(report.new_disk_bytes));
    }
    for (const TransactionNote& note : report.notes) {
        out += fmt::format("{} {}: {}\n", painter.yellow("warning:"), shown(note.subject), shown(note.text));
    }
    return out;
}

bool TerminalDialogue::confirm(const std::vector<ContainerPlan>& plans) {
    const bool yes = show_and_ask(plans);
    screen_.begin_anew();
    return yes;
}

bool TerminalDialogue::show_and_ask(const std::vector<ContainerPlan>& plans) {
    screen_.clear();
    showed_a_plan_ = true;
    const Totals totals = totals_of(plans);
    if (preview_) {
        context_->io.out << render_plans(plans, context_->out_width(), context_->out) << std::flush;
        return false;
    }
    const std::optional<size_t> width =
        context_->io.err_tty ? std::optional<size_t>(context_->io.width()) : std::nullopt;
    if (!context_->quiet || context_->interactive()) {
        context_->io.err << render_plans(plans, width, context_->err) << std::flush;
    }
    if (!totals.changes) return true;
    need_answers(*context_);
    const std::string what = totals.additions ? "installation" : "removal";
    return ask_yes_no(
        *context_,
        fmt::format("Proceed with {}?", totals.additions || totals.removed > 0 ? what : "rebuilding"), true);
}

int TerminalDialogue::ask(const Question& question) {
    if (!context_->interactive()) return question.default_answer;
    screen_.clear();
    const int answer = answer_to(question);
    screen_.begin_anew();
    return answer;
}

int TerminalDialogue::answer_to(const Question& question) const {
    if (question.kind != Question::Kind::select_provider) {
        return ask_yes_no(*context_, shown(question.text), question.default_answer != 0) ? 1 : 0;
    }
    std::ostream& err = context_->io.err;
    err << shown(question.text) << '\n';
    for (size_t i = 0; i < question.choices.size(); ++i)
        err << fmt::format("  {}) {}\n", i + 1, shown(question.choices[i]));
    for (;;) {
        err << context_->err.bold(":: ") << fmt::format("Enter a number [{}]: ", question.default_answer + 1)
            << std::flush;
        const auto line = context_->io.read_line();
        if (!line)
            throw Error("ask for a choice", "", "interrupted; nothing was changed").as(Fault::interrupted);
        if (line->empty()) return question.default_answer;
        size_t number = 0;
        const auto [end, problem] = std::from_chars(line->data(), line->data() + line->size(), number);
        if (problem == std::errc{} && end == line->data() + line->size() && number >= 1 &&
            number <= question.choices.size()) {
            return static_cast<int>(number - 1);
        }
        err << fmt::format("please enter a number from 1 to {}\n", question.choices.size());
    }
}

}  // namespace pwstore::cli
