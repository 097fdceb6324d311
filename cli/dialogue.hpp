// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <string>
#include <vector>

#include "cli/progress.hpp"
#include "transact/request.hpp"

namespace pwstore::cli {

/// What the user sees and is asked during a transaction.
class TerminalDialogue final : public Dialogue {
 public:
    /// With `preview` the plan is the result: it goes to standard output and nothing is asked.
    TerminalDialogue(const Context& context, bool preview)
        : context_(&context), screen_(context), preview_(preview) {}

    void progress(const std::string& step, const std::string& label, uint64_t done, uint64_t total) override {
        screen_.progress(step, label, done, total);
    }
    void message(Severity severity, const std::string& text) override { screen_.message(severity, text); }
    void script_output(const std::string& agent, const std::string& line) override {
        screen_.output(agent, line);
    }
    bool confirm(const std::vector<ContainerPlan>& plans) override;
    int ask(const Question& question) override;
    void clear() { screen_.clear(); }
    [[nodiscard]] bool showed_a_plan() const noexcept { return showed_a_plan_; }

 private:
    bool show_and_ask(const std::vector<ContainerPlan>& plans);
    [[nodiscard]] int answer_to(const Question& question) const;

    const Context* context_;
    ProgressScreen screen_;
    bool preview_;
    bool showed_a_plan_ = false;
};

/// The summary of what is going to be done. `width` as for Table::render.
[[nodiscard]] std::string render_plans(const std::vector<ContainerPlan>& plans, std::optional<size_t> width,
                                       const Painter& painter);
/// What was done: a line per container, then files and disk, then what failed without stopping it.
[[nodiscard]] std::string render_report(const TransactionReport& report, const Painter& painter);
/// "base", "slice", "aggregate", "symbolic".
[[nodiscard]] std::string type_word(ContainerType type);

}  // namespace pwstore::cli
