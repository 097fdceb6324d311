// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <chrono>
#include <cstdarg>
#include <cstdint>
#include <exception>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "resolver/alpm_compat.hpp"
#include "resolver/session.hpp"

namespace pwstore {

/// The upstream packages of a view, as messages need them.
class Upstream {
 public:
    Upstream(const std::vector<std::string>& names, std::map<std::string, std::string> containers)
        : names_(names.begin(), names.end()), containers_(std::move(containers)) {}
    [[nodiscard]] bool has(const std::string& name) const { return names_.count(name) != 0; }
    [[nodiscard]] bool empty() const noexcept { return names_.empty(); }
    [[nodiscard]] const std::set<std::string>& names() const noexcept { return names_; }
    /// "the container 'base'", or words that say as much when it is not known.
    [[nodiscard]] std::string container_of(const std::string& name) const;

 private:
    std::set<std::string> names_;
    std::map<std::string, std::string> containers_;
};

/// Everything that libalpm says and asks while it works, turned into values. C++ exceptions never pass
/// through libalpm's frames: what a sink or an asker throws is kept, every later question gets the answer
/// that ends the work soonest, and rethrow() throws it when libalpm has returned.
class Conversation {
 public:
    Conversation(const SessionSpec& spec, ProgressSink& sink, Asker asker);
    Conversation(const Conversation&) = delete;
    Conversation& operator=(const Conversation&) = delete;

    /// Register the callbacks. `handle` may not call them after the end of this object.
    void attach(alpm_handle_t* handle);

    /// Where libalpm's warnings go.
    enum class Warnings { to_sink, to_notes };
    /// Forget what was heard, not what was answered.
    void begin(Warnings warnings);
    /// Ask again what was asked before.
    void forget_answers() { asker_ = remembering(original_asker_); }
    /// @throws what a callback threw
    void rethrow();
    /// Errors that libalpm logged although the call succeeded (a mirror that failed before another did not).
    void errors_as_warnings();
    /// Notes, when there will be no plan to carry them.
    void notes_as_warnings();

    /// Ask, with the rules for --noconfirm.
    int ask(const Question& question);
    /// Shall `replacement` of `database` take the place of the installed `old`? Never for upstream packages.
    [[nodiscard]] bool agrees_to_replace(alpm_pkg_t* old, alpm_pkg_t* replacement, alpm_db_t* database);
    /// Asked before anyone else when `coming` is in conflict with what is installed: shall that go?
    using ConflictRule = std::function<bool(const std::string& coming, const std::string& installed,
                                            const alpm_depend_t& reason)>;
    void agree_to_conflicts(ConflictRule rule) { conflict_rule_ = std::move(rule); }
    /// Interrupt the next commit before it touches anything; then `was_interrupted()`.
    void interrupt_commit();
    [[nodiscard]] bool was_interrupted() const noexcept { return interrupted_; }

    /// From now on, where libalpm says `heard` it is passed on as `said`; empty: nothing is.
    void respell(std::string heard, std::string said) { respelled_ = {std::move(heard), std::move(said)}; }
    void note(const std::string& text);
    /// As if libalpm had logged it.
    void error(const std::string& text);
    /// A callback failed with what is being handled; @see rethrow
    void keep_exception() noexcept {
        if (!thrown_) thrown_ = std::current_exception();
    }
    [[nodiscard]] bool has_exception() const noexcept { return thrown_ != nullptr; }
    void download_progresses(const std::string& file, uint64_t done, uint64_t total);
    void download_ended(const std::string& file, uint64_t total);
    /// The file that was last said to be downloaded since begin(); empty when none was.
    [[nodiscard]] const std::string& last_download() const noexcept { return last_download_; }
    [[nodiscard]] const std::vector<std::string>& errors() const noexcept { return errors_; }
    [[nodiscard]] const std::vector<std::string>& notes() const noexcept { return notes_; }
    /// (new, old): replacements and removals of conflicting packages that were agreed to.
    [[nodiscard]] const std::vector<std::pair<std::string, std::string>>& replaced() const noexcept {
        return replaced_;
    }
    /// Names of sync databases that have no file; a refresh begins anew.
    void forget_missing_databases() { missing_.clear(); }
    [[nodiscard]] const std::set<std::string>& missing_databases() const noexcept { return missing_; }
    /// Upstream packages that libalpm would have taken from a repository since the last call.
    [[nodiscard]] std::set<std::string> take_kept_upstream() { return std::exchange(kept_upstream_, {}); }
    [[nodiscard]] bool has_keyring() const;
    /// Archives that are not what they should be: "FILE: CAUSE".
    [[nodiscard]] const std::vector<std::string>& damaged() const noexcept { return damaged_; }
    /// Keys that were asked about since the beginning: GnuPG may have started a program to look for them.
    [[nodiscard]] const std::set<std::string>& missed_keys() const noexcept { return missed_keys_; }
    /// Messages, questions and problems are in pacman's words (pacman_words_internal.hpp).
    [[nodiscard]] bool speaks_as_pacman() const noexcept { return as_pacman_; }
    [[nodiscard]] const Upstream& upstream() const noexcept { return upstream_; }
    [[nodiscard]] ProgressSink& sink() noexcept { return sink_; }

 private:
    template <typename Act>
    void guarded(Act&& act) noexcept;
    void heard(alpm_loglevel_t level, const char* format, va_list arguments);
    void warned(const std::string& text);
    void happened(const alpm_event_t& event);
    void began(alpm_event_type_t step);
    void asked(alpm_question_t& question);
    int asked_corrupted(const alpm_question_corrupted_t& question);
    int asked_key(const alpm_question_import_key_t& question);
    int asked_ignored(const alpm_question_install_ignorepkg_t& question);
    int asked_conflict(const alpm_question_conflict_t& question);
    int asked_provider(const alpm_question_select_provider_t& question);
    int asked_removal(const alpm_question_remove_pkgs_t& question);
    void downloads(const std::string& file, alpm_download_event_type_t type, const void* data);
    void progresses(alpm_progress_t step, int percent);
    [[nodiscard]] bool is_about_upstream(const std::string& text) const;

    struct Download {
        std::chrono::steady_clock::time_point shown;
        uint64_t total = 0;
    };

    ProgressSink& sink_;
    Asker original_asker_, asker_;
    Upstream upstream_;
    std::set<std::string> deb_repositories_;
    std::function<bool(const std::string&)> is_deb_version_;
    std::string gnupg_dir_;
    bool no_confirm_;
    bool debug_;
    bool as_pacman_;
    ConflictRule conflict_rule_;
    alpm_handle_t* handle_ = nullptr;
    Warnings warnings_ = Warnings::to_sink;
    bool interrupt_commit_ = false;
    bool interrupted_ = false;
    std::exception_ptr thrown_;
    std::vector<std::string> errors_, notes_, damaged_;
    std::vector<std::pair<std::string, std::string>> replaced_;
    std::set<std::string> missing_, kept_upstream_, missed_keys_;
    std::pair<std::string, std::string> respelled_;
    std::map<std::string, Download> downloads_;
    std::string last_download_;
    std::pair<alpm_progress_t, int> shown_progress_ = {ALPM_PROGRESS_ADD_START, -1};
};

}  // namespace pwstore
