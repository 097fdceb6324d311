// SPDX-License-Identifier: GPL-3.0-or-later
#include <fcntl.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>

#include "resolver/conversation_internal.hpp"
#include "resolver/pacman_words_internal.hpp"
#include "resolver/plan_internal.hpp"
#include "resolver/provider_choice.hpp"
#include "store/base/error.hpp"
#include "store/base/path_at.hpp"

namespace pwstore {

using alpm::name_of;

namespace {

constexpr size_t kMostChoices = 9;
constexpr auto kDownloadInterval = std::chrono::milliseconds(100);

std::string formatted(const char* format, va_list arguments) {
    char* made = nullptr;
    const int length = ::vasprintf(&made, format, arguments);
    if (length < 0) return format;
    const std::unique_ptr<char, void (*)(char*)> owner(made, alpm::free_string);
    std::string text(made, static_cast<size_t>(length));
    while (!text.empty() && text.back() == '\n')
        text.pop_back();
    return printable(text);
}

std::string versioned(alpm_pkg_t* package) {
    return fmt::format("{} {}", name_of(package), alpm::text(alpm_pkg_get_version(package)));
}

const char* progress_words(alpm_progress_t step) {
    switch (step) {
        case ALPM_PROGRESS_CONFLICTS_START:
            return "check file conflicts";
        case ALPM_PROGRESS_INTEGRITY_START:
            return "check integrity";
        case ALPM_PROGRESS_LOAD_START:
            return "load packages";
        case ALPM_PROGRESS_KEYRING_START:
            return "check keys";
        case ALPM_PROGRESS_DISKSPACE_START:
            return "check disk space";
        case ALPM_PROGRESS_ADD_START:
        case ALPM_PROGRESS_UPGRADE_START:
        case ALPM_PROGRESS_DOWNGRADE_START:
        case ALPM_PROGRESS_REINSTALL_START:
        case ALPM_PROGRESS_REMOVE_START:
            return nullptr;  // a dry commit does none of these
    }
    return nullptr;
}

}  // namespace

std::string Upstream::container_of(const std::string& name) const {
    const auto known = containers_.find(name);
    return known == containers_.end() ? "a container that this one is built on"
                                      : fmt::format("the container '{}'", known->second);
}

Asker remembering(Asker asker) {
    if (!asker) return {};
    using Answers = std::map<std::pair<Question::Kind, std::string>, int>;
    return [asker = std::move(asker), answers = std::make_shared<Answers>()](const Question& question) {
        if (question.kind == Question::Kind::corrupted || question.kind == Question::Kind::import_key) {
            return asker(question);
        }
        const auto key = std::make_pair(question.kind, question.text);
        if (const auto known = answers->find(key); known != answers->end()) return known->second;
        return (*answers)[key] = asker(question);
    };
}

Conversation::Conversation(const SessionSpec& spec, ProgressSink& sink, Asker asker)
    : sink_(sink),
      original_asker_(std::move(asker)),
      asker_(remembering(original_asker_)),
      upstream_(spec.foreign, spec.upstream_of),
      is_deb_version_(spec.is_deb_version),
      gnupg_dir_(spec.gnupg_dir),
      no_confirm_(spec.no_confirm),
      debug_(spec.debug),
      as_pacman_(spec.speaks_as_pacman) {
    for (const Repository& repository : spec.config.repositories) {
        if (repository.is_deb()) deb_repositories_.insert(repository.name);
    }
}

void Conversation::attach(alpm_handle_t* handle) {
    handle_ = handle;
    alpm_option_set_logcb(
        handle,
        [](void* context, alpm_loglevel_t level, const char* format, va_list arguments) {
            static_cast<Conversation*>(context)->heard(level, format, arguments);
        },
        this);
    alpm_option_set_eventcb(
        handle,
        [](void* context, alpm_event_t* event) { static_cast<Conversation*>(context)->happened(*event); },
        this);
    alpm_option_set_questioncb(
        handle,
        [](void* context, alpm_question_t* question) {
            static_cast<Conversation*>(context)->asked(*question);
        },
        this);
    alpm_option_set_progresscb(
        handle,
        [](void* context, alpm_progress_t step, const char*, int percent, size_t, size_t) {
            static_cast<Conversation*>(context)->progresses(step, percent);
        },
        this);
    alpm_option_set_dlcb(
        handle,
        [](void* context, const char* file, alpm_download_event_type_t type, void* data) {
            static_cast<Conversation*>(context)->downloads(alpm::text(file), type, data);
        },
        this);
}

template <typename Act>
void Conversation::guarded(Act&& act) noexcept {
    if (thrown_) return;
    try {
        act();
    } catch (...) {
        thrown_ = std::current_exception();
    }
}

void Conversation::begin(Warnings warnings) {
    thrown_ = nullptr;
    warnings_ = warnings;
    interrupt_commit_ = false;
    interrupted_ = false;
    errors_.clear();
    notes_.clear();
    damaged_.clear();
    replaced_.clear();
    kept_upstream_.clear();
    downloads_.clear();
    last_download_.clear();
}

void Conversation::rethrow() {
    if (thrown_) std::rethrow_exception(std::exchange(thrown_, nullptr));
}

void Conversation::errors_as_warnings() {
    for (const std::string& text : std::exchange(errors_, {}))
        sink_.message(Severity::warning, text);
}

void Conversation::notes_as_warnings() {
    for (const std::string& text : std::exchange(notes_, {}))
        sink_.message(Severity::warning, text);
}

void Conversation::note(const std::string& text) {
    if (std::find(notes_.begin(), notes_.end(), text) == notes_.end()) notes_.push_back(text);
}

// --- Messages ----------------------------------------------------------------------------------------------

void Conversation::heard(alpm_loglevel_t level, const char* format, va_list arguments) {
    const bool talk = level == ALPM_LOG_ERROR || level == ALPM_LOG_WARNING;
    if (!talk && !debug_) return;
    guarded([&] {
        std::string text = formatted(format, arguments);
        const auto& [heard, said] = respelled_;
        if (const size_t at = heard.empty() ? std::string::npos : text.find(heard); at != std::string::npos)
            text.replace(at, heard.size(), said);
        if (level == ALPM_LOG_ERROR) {
            error(text);
        } else if (level == ALPM_LOG_WARNING) {
            warned(text);
        } else {
            sink_.message(Severity::debug, text);
        }
    });
}

void Conversation::error(const std::string& text) {
    if (as_pacman_) {
        sink_.message(Severity::error, text);
    } else {
        errors_.push_back(text);
    }
}

void Conversation::warned(const std::string& text) {
    // libalpm looks for the file names of GnuPG 1 and speaks of a program that is not ours.
    if (text.find("pacman-key") != std::string::npos) {
        if (!has_keyring()) {
            sink_.message(
                Severity::warning,
                fmt::format("there is no keyring in '{}', so no signature can be checked", gnupg_dir_));
        }
        return;
    }
    if (is_about_upstream(text)) {
        if (debug_) sink_.message(Severity::debug, text);
        return;
    }
    if (warnings_ == Warnings::to_notes) {
        note(text);
    } else {
        sink_.message(Severity::warning, text);
    }
}

/// "liba: ignoring package upgrade (1 => 2)", "ignoring package liba-2", "… (liba-1 => newx-1)": upstream
/// packages are ignored by our own wish, nobody has to be told. The shapes are the same in every language.
bool Conversation::is_about_upstream(const std::string& text) const {
    if (warnings_ != Warnings::to_notes) return false;
    const auto& names = upstream_.names();
    return std::any_of(names.begin(), names.end(), [&](const std::string& name) {
        if (text.compare(0, name.size() + 2, name + ": ") == 0) return true;
        for (const char before : {' ', '('}) {
            const size_t at = text.find(before + name + "-");
            const size_t digit = at + name.size() + 2;
            if (at != std::string::npos && digit < text.size() && text[digit] >= '0' && text[digit] <= '9')
                return true;
        }
        return false;
    });
}

bool Conversation::has_keyring() const {
    return exists_at(AT_FDCWD, gnupg_dir_ + "/pubring.kbx") ||
           exists_at(AT_FDCWD, gnupg_dir_ + "/pubring.gpg");
}

// --- Events ------------------------------------------------------------------------------------------------

void Conversation::interrupt_commit() {
    interrupt_commit_ = true;
}

void Conversation::happened(const alpm_event_t& event) {
    if (event.type == ALPM_EVENT_TRANSACTION_START && interrupt_commit_) {
        // Past this event libalpm changes files. That must not happen, whatever else is wrong.
        if (alpm_trans_interrupt(handle_) != 0) std::abort();
        interrupted_ = true;
    } else if (event.type == ALPM_EVENT_OPTDEP_REMOVAL) {
        guarded([&] {
            note(fmt::format("{}{} optionally requires {}", as_pacman_ ? ":: " : "",
                             name_of(event.optdep_removal.pkg),
                             alpm::dependency_text(event.optdep_removal.optdep)));
        });
    } else if (event.type == ALPM_EVENT_DATABASE_MISSING) {
        guarded([&] {
            const std::string name = alpm::text(event.database_missing.dbname);
            missing_.insert(name);
            if (as_pacman_) sink_.message(Severity::warning, pacman_words::missing_database(name));
        });
    } else if (as_pacman_) {
        began(event.type);
    }
}

/// What libalpm begins that has no progress of its own.
void Conversation::began(alpm_event_type_t step) {
    const char* words = step == ALPM_EVENT_CHECKDEPS_START        ? "check dependencies"
                        : step == ALPM_EVENT_RESOLVEDEPS_START    ? "resolve dependencies"
                        : step == ALPM_EVENT_INTERCONFLICTS_START ? "look for conflicts"
                        : step == ALPM_EVENT_PKG_RETRIEVE_START   ? "retrieve packages"
                                                                  : nullptr;
    if (words != nullptr) guarded([&] { sink_.progress(words, "", 0, 0); });
}

// --- Questions ---------------------------------------------------------------------------------------------

int Conversation::ask(const Question& question) {
    if (no_confirm_ || !asker_) return question.default_answer;
    const int limit =
        question.kind == Question::Kind::select_provider ? static_cast<int>(question.choices.size()) : 2;
    const int answer = asker_(question);
    return answer < 0 || answer >= limit ? question.default_answer : answer;
}

int Conversation::asked_conflict(const alpm_question_conflict_t& question) {
    const std::string added = alpm::first_of(*question.conflict);
    const std::string installed = alpm::second_of(*question.conflict);
    if (upstream_.has(installed)) return 0;
    if (conflict_rule_ && conflict_rule_(added, installed, *question.conflict->reason)) {
        replaced_.emplace_back(added, installed);
        return 1;
    }
    const std::string reason = alpm::dependency_text(question.conflict->reason);
    const std::string because = reason == added || reason == installed ? "" : fmt::format(" ({})", reason);
    const int answer = ask({.kind = Question::Kind::conflict,
                            .text = as_pacman_ ? pacman_words::remove_conflicting(*question.conflict)
                                               : fmt::format("{} and {} are in conflict{}. Remove {}?", added,
                                                             installed, because, installed),
                            .default_answer = 0});
    if (answer == 1) replaced_.emplace_back(added, installed);
    return answer;
}

bool Conversation::agrees_to_replace(alpm_pkg_t* old, alpm_pkg_t* replacement, alpm_db_t* database) {
    if (upstream_.has(name_of(old)) || upstream_.has(name_of(replacement))) return false;
    const int answer = ask({.kind = Question::Kind::replace_package,
                            .text = fmt::format("Replace {} with {}/{}?", name_of(old),
                                                alpm::text(alpm_db_get_name(database)), name_of(replacement)),
                            .default_answer = 1});
    if (answer == 1) replaced_.emplace_back(name_of(replacement), name_of(old));
    return answer == 1;
}

int Conversation::asked_provider(const alpm_question_select_provider_t& question) {
    const std::string dependency = alpm::dependency_text(question.depend);
    std::vector<Provider> providers;
    std::vector<std::string> names;
    for (alpm_pkg_t* package : alpm::each<alpm_pkg_t>(question.providers)) {
        alpm_db_t* database = alpm_pkg_get_db(package);
        const PackageInfo info = package_info(package);
        const bool is_deb = database != nullptr && (deb_repositories_.contains(info.repository) ||
                                                    (is_deb_version_ && is_deb_version_(info.version)));
        providers.push_back({info.name, info.provides, info.groups, is_deb});
        names.push_back(database == nullptr ? versioned(package)
                                            : fmt::format("{}/{}", alpm::text(alpm_db_get_name(database)),
                                                          versioned(package)));
    }
    if (providers.empty()) return 0;
    const std::vector<size_t> open = providers_to_choose_from(dependency, providers);
    if (as_pacman_) {
        return ask({.kind = Question::Kind::select_provider,
                    .text = pacman_words::providers(dependency, names.size()),
                    .choices = names,
                    .default_answer = static_cast<int>(open.front())});
    }
    if (open.size() == 1) return static_cast<int>(open.front());
    Question asked{.kind = Question::Kind::select_provider,
                   .text = fmt::format("Which package shall provide {}?", alternatives_text(dependency)),
                   .default_answer = 0};
    for (size_t i = 0; i < std::min(open.size(), kMostChoices); ++i)
        asked.choices.push_back(names[open[i]]);
    if (open.size() > kMostChoices) {
        asked.text +=
            fmt::format(" ({} of {}; another one can be named in the command)", kMostChoices, open.size());
    }
    return static_cast<int>(open[static_cast<size_t>(ask(asked))]);
}

int Conversation::asked_removal(const alpm_question_remove_pkgs_t& question) {
    std::vector<std::string> names;
    for (alpm_pkg_t* package : alpm::each<alpm_pkg_t>(question.packages))
        names.push_back(name_of(package));
    if (as_pacman_) {
        return ask({.kind = Question::Kind::remove_packages,
                    .text = pacman_words::skip_unresolvable(names.size()),
                    .choices = names,
                    .default_answer = 0});
    }
    return ask({.kind = Question::Kind::remove_packages,
                .text = fmt::format("The dependencies of {} cannot be satisfied. Leave {} out?",
                                    fmt::join(names, ", "), names.size() == 1 ? "it" : "them"),
                .default_answer = 0});
}

int Conversation::asked_ignored(const alpm_question_install_ignorepkg_t& question) {
    const std::string name = name_of(question.pkg);
    if (upstream_.has(name)) {
        kept_upstream_.insert(name);
        return 0;
    }
    return ask({.kind = Question::Kind::install_ignored,
                .text = as_pacman_
                            ? pacman_words::install_ignored(name)
                            : fmt::format("{} is to be ignored (IgnorePkg, IgnoreGroup). Install it?", name),
                .default_answer = 1});
}

int Conversation::asked_corrupted(const alpm_question_corrupted_t& question) {
    const std::string file = alpm::text(question.filepath);
    const std::string cause = alpm::text(alpm_strerror(question.reason));
    damaged_.push_back(fmt::format("{}: {}", printable(split_path(file).second), cause));
    return ask({.kind = Question::Kind::corrupted,
                .text = as_pacman_
                            ? pacman_words::delete_corrupted(file, cause)
                            : fmt::format("The file {} is damaged ({}). Delete it?", printable(file), cause),
                .default_answer = 1});
}

int Conversation::asked_key(const alpm_question_import_key_t& question) {
    const alpm::KeyToImport key = alpm::key_of(question);
    missed_keys_.insert(key.fingerprint);
    if (!has_keyring()) return 0;
    const std::string user = key.user.empty() ? "" : fmt::format(" of {}", printable(key.user));
    return ask({.kind = Question::Kind::import_key,
                .text = as_pacman_ ? pacman_words::import_key(key)
                                   : fmt::format("Import the PGP key {}{}?", key.fingerprint, user),
                .default_answer = 1});
}

void Conversation::asked(alpm_question_t& question) {
    if (thrown_) {
        question.any.answer = 0;
        return;
    }
    guarded([&] {
        switch (question.type) {
            case ALPM_QUESTION_INSTALL_IGNOREPKG:
                question.install_ignorepkg.install = asked_ignored(question.install_ignorepkg);
                break;
            case ALPM_QUESTION_REPLACE_PKG: {
                const alpm_question_replace_t& replace = question.replace;
                question.replace.replace =
                    agrees_to_replace(replace.oldpkg, replace.newpkg, replace.newdb) ? 1 : 0;
                break;
            }
            case ALPM_QUESTION_CONFLICT_PKG:
                question.conflict.remove = asked_conflict(question.conflict);
                break;
            case ALPM_QUESTION_CORRUPTED_PKG:
                question.corrupted.remove = asked_corrupted(question.corrupted);
                break;
            case ALPM_QUESTION_REMOVE_PKGS:
                question.remove_pkgs.skip = asked_removal(question.remove_pkgs);
                break;
            case ALPM_QUESTION_SELECT_PROVIDER:
                question.select_provider.use_index = asked_provider(question.select_provider);
                break;
            case ALPM_QUESTION_IMPORT_KEY:
                question.import_key.import = asked_key(question.import_key);
                break;
        }
    });
}

// --- Progress ----------------------------------------------------------------------------------------------

void Conversation::progresses(alpm_progress_t step, int percent) {
    const char* words = progress_words(step);
    if (words == nullptr || shown_progress_ == std::make_pair(step, percent)) return;
    shown_progress_ = {step, percent};
    guarded([&] { sink_.progress(words, "", static_cast<uint64_t>(std::max(percent, 0)), 100); });
}

void Conversation::downloads(const std::string& file, alpm_download_event_type_t type, const void* data) {
    if (file.ends_with(".sig")) return;
    guarded([&] {
        last_download_ = file;
        switch (type) {
            case ALPM_DOWNLOAD_INIT:
                sink_.progress("download", file, 0, 0);
                break;
            case ALPM_DOWNLOAD_RETRY:
                sink_.message(Severity::info, fmt::format("{}: trying the next server", file));
                break;
            case ALPM_DOWNLOAD_PROGRESS: {
                const auto& state = *static_cast<const alpm_download_event_progress_t*>(data);
                download_progresses(file, static_cast<uint64_t>(state.downloaded),
                                    static_cast<uint64_t>(state.total));
                break;
            }
            case ALPM_DOWNLOAD_COMPLETED: {
                const auto& state = *static_cast<const alpm_download_event_completed_t*>(data);
                if (state.result >= 0) download_ended(file, static_cast<uint64_t>(state.total));
                break;
            }
        }
    });
}

void Conversation::download_progresses(const std::string& file, uint64_t done, uint64_t total) {
    Download& download = downloads_[file];
    const auto now = std::chrono::steady_clock::now();
    if (now - download.shown < kDownloadInterval) return;
    download = {.shown = now, .total = total};
    sink_.progress("download", file, done, total);
}

void Conversation::download_ended(const std::string& file, uint64_t total) {
    const uint64_t all = std::max(downloads_[file].total, total);
    sink_.progress("download", file, all, all);
}

}  // namespace pwstore
