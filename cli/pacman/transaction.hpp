// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <map>
#include <set>
#include <string>
#include <vector>

#include "cli/pacman/options.hpp"
#include "cli/pacman/places.hpp"
#include "cli/pacman/screen.hpp"
#include "transact/request.hpp"

namespace pwstore::cli::pacman {

/// A transaction that looks like pacman's: what it prints, what it asks, and what it answers when nobody is
/// there to ask (--noconfirm, --ask=N).
class PacmanDialogue final : public Dialogue {
 public:
    PacmanDialogue(const Screen& screen, const Options& options, bool verbose_lists)
        : screen_(&screen), options_(&options), verbose_lists_(verbose_lists) {}

    void progress(const std::string& step, const std::string& label, uint64_t done, uint64_t total) override;
    void message(Severity severity, const std::string& text) override;
    void script_output(const std::string& agent, const std::string& line) override;
    bool confirm(const std::vector<ContainerPlan>& plans) override;
    int ask(const Question& question) override;

    [[nodiscard]] bool showed_a_plan() const noexcept { return showed_a_plan_; }
    /// Somebody, or nobody, wanted to keep a package: pacman ends without another word.
    [[nodiscard]] bool kept_held_package() const noexcept { return kept_held_package_; }
    /// What there is to say about the package that was worked on last, once it is done.
    void end_package();

 private:
    void begin_resolving();
    void begin_changes();
    [[nodiscard]] int ask_for_provider(const Question& question);
    [[nodiscard]] int standard_answer(const Question& question) const;

    const Screen* screen_;
    const Options* options_;
    bool verbose_lists_;
    bool resolving_ = false;
    bool changing_ = false;
    std::map<std::string, PlanStep> steps_;  ///< by the package's name
    const PlanStep* working_on_ = nullptr;
    bool showed_a_plan_ = false, kept_held_package_ = false;
    std::set<std::pair<std::string, std::string>> said_;  ///< step and label: each is printed once
};

/// -S, -U and -R as far as they change something or print what they would. Returns pacman's exit code.
int run_transaction(Context& context, const Screen& screen, const Options& options, const Places& places);

/// -D on a container: a transaction of its own. `names` are installed. Returns pacman's exit code.
int change_reasons(Context& context, const Screen& screen, const Options& options, const Places& places,
                   const std::vector<std::string>& names);

/// The database is locked, or cannot be.
void print_lock_failure(const Screen& screen, const std::string& database, const Error& error);
/// Print an Error. A hint that begins with "error: " is a transcript: pacman's own lines, errors and warnings
/// for standard error, the rest for standard output. Any other hint follows the error.
void print_failure(const Screen& screen, const Error& error);

}  // namespace pwstore::cli::pacman
