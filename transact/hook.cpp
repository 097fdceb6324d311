// SPDX-License-Identifier: GPL-3.0-or-later
#include "transact/hook.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <fnmatch.h>

#include <algorithm>
#include <array>

#include "store/base/error.hpp"
#include "store/base/path_at.hpp"

namespace pwstore {

namespace {

constexpr std::array<const char*, 2> kHookDirectories{"usr/share/libalpm/hooks", "etc/pacman.d/hooks"};
constexpr std::string_view kSuffix = ".hook";

std::string_view trimmed(std::string_view text) {
    const size_t first = text.find_first_not_of(" \t\r");
    if (first == std::string_view::npos) return {};
    return text.substr(first, text.find_last_not_of(" \t\r") - first + 1);
}

/// Split like libalpm: blanks separate, single and double quotes group, a backslash escapes.
std::vector<std::string> split_words(std::string_view text) {
    std::vector<std::string> words;
    std::string word;
    bool inside = false;
    char quote = '\0';
    for (size_t i = 0; i < text.size(); ++i) {
        const char c = text[i];
        if (quote == '\0' && (c == ' ' || c == '\t')) {
            if (inside) words.push_back(std::exchange(word, {}));
            inside = false;
            continue;
        }
        inside = true;
        if (c == '\\' && quote != '\'' && i + 1 < text.size()) {
            word += text[++i];
        } else if (quote == '\0' && (c == '\'' || c == '"')) {
            quote = c;
        } else if (c == quote) {
            quote = '\0';
        } else {
            word += c;
        }
    }
    if (inside) words.push_back(word);
    return words;
}

class HookParser {
 public:
    HookParser(const std::string& file_name, std::vector<std::string>* warnings)
        : file_(file_name), warnings_(warnings) {
        hook_.name = file_.substr(0, file_.size() - (file_.ends_with(kSuffix) ? kSuffix.size() : 0));
    }

    Hook parse(std::string_view text) {
        while (!text.empty()) {
            const size_t end = text.find('\n');
            line(trimmed(text.substr(0, end)));
            text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
        }
        validate();
        return std::move(hook_);
    }

 private:
    [[noreturn]] void fail(std::string_view cause) const {
        throw Error("read hook", file_,
                    number_ == 0 ? std::string(cause) : fmt::format("line {}: {}", number_, cause));
    }

    /// What `key` said before no longer counts.
    void overwrite(bool is_set, const std::string& key) {
        if (!is_set || warnings_ == nullptr) return;
        warnings_->push_back(
            fmt::format("hook {} line {}: overwriting previous definition of {}", file_, number_, key));
    }

    void line(std::string_view text) {
        ++number_;
        if (text.empty() || text.front() == '#') return;
        if (text.front() == '[' && text.back() == ']') {
            section_ = text.substr(1, text.size() - 2);
            if (section_ == "Trigger") {
                hook_.triggers.emplace_back();
            } else if (section_ != "Action") {
                fail(fmt::format("unknown section [{}]", section_));
            }
            return;
        }
        const size_t equals = text.find('=');
        const std::string key(trimmed(text.substr(0, equals)));
        const std::string value(equals == std::string_view::npos ? "" : trimmed(text.substr(equals + 1)));
        if (section_ == "Trigger") {
            trigger_option(key, value);
        } else if (section_ == "Action") {
            action_option(key, value);
        } else {
            fail("option outside a section");
        }
    }

    void trigger_option(const std::string& key, const std::string& value) {
        HookTrigger& trigger = hook_.triggers.back();
        if (key == "Operation") {
            if (value == "Install") {
                trigger.install = true;
            } else if (value == "Upgrade") {
                trigger.upgrade = true;
            } else if (value == "Remove") {
                trigger.remove = true;
            } else {
                fail(fmt::format("unknown Operation '{}'", value));
            }
        } else if (key == "Type") {
            overwrite(typed_ == hook_.triggers.size(), key);
            if (value == "Package") {
                trigger.type = HookTrigger::Type::package;
            } else if (value != "Path" && value != "File") {
                fail(fmt::format("unknown Type '{}'", value));
            }
            typed_ = hook_.triggers.size();
        } else if (key == "Target") {
            if (value.empty()) fail("empty Target");
            trigger.targets.push_back(value);
        } else {
            fail(fmt::format("unknown option '{}' in [Trigger]", key));
        }
    }

    void action_option(const std::string& key, const std::string& value) {
        if (key == "When") {
            overwrite(when_, key);
            if (value == "PreTransaction") {
                hook_.when = Hook::When::pre_transaction;
            } else if (value != "PostTransaction") {
                fail(fmt::format("unknown When '{}'", value));
            }
            when_ = true;
        } else if (key == "Description") {
            overwrite(!hook_.description.empty(), key);
            hook_.description = value;
        } else if (key == "Depends") {
            hook_.depends.push_back(value);
        } else if (key == "AbortOnFail") {
            hook_.abort_on_fail = true;
        } else if (key == "NeedsTargets") {
            hook_.needs_targets = true;
        } else if (key == "Exec") {
            overwrite(!hook_.exec.empty(), key);
            hook_.exec = split_words(value);
            if (hook_.exec.empty()) fail("empty Exec");
        } else {
            fail(fmt::format("unknown option '{}' in [Action]", key));
        }
    }

    void validate() {
        number_ = 0;
        if (hook_.triggers.empty()) return;  // nothing ever runs it: a mask
        for (const HookTrigger& trigger : hook_.triggers) {
            if (trigger.targets.empty()) fail("a [Trigger] has no Target");
            if (!trigger.install && !trigger.upgrade && !trigger.remove) fail("a [Trigger] has no Operation");
        }
        if (typed_ == 0) fail("a [Trigger] has no Type");
        if (hook_.exec.empty()) fail("[Action] has no Exec");
        if (!when_) fail("[Action] has no When");
        if (hook_.abort_on_fail && hook_.when == Hook::When::post_transaction) hook_.abort_on_fail = false;
    }

    std::string file_;
    std::vector<std::string>* warnings_;
    Hook hook_;
    std::string section_;
    unsigned number_ = 0;
    size_t typed_ = 0;
    bool when_ = false;
};

void match_paths(const HookTrigger& trigger, const HookEvents& events, std::set<std::string>& matches) {
    for (const std::string& path : events.added_paths) {
        const bool both = events.removed_paths.contains(path);
        if ((both ? trigger.upgrade : trigger.install) && match_patterns(trigger.targets, path) == 1)
            matches.insert(path);
    }
    if (!trigger.remove) return;
    for (const std::string& path : events.removed_paths) {
        if (!events.added_paths.contains(path) && match_patterns(trigger.targets, path) == 1)
            matches.insert(path);
    }
}

void match_packages(const HookTrigger& trigger, const HookEvents& events, std::set<std::string>& matches) {
    const auto take = [&](bool wanted, const std::set<std::string>& names) {
        if (!wanted) return;
        for (const std::string& name : names) {
            if (match_patterns(trigger.targets, name) == 1) matches.insert(name);
        }
    };
    take(trigger.install, events.installed_packages);
    take(trigger.upgrade, events.upgraded_packages);
    take(trigger.remove, events.removed_packages);
}

}  // namespace

bool HookEvents::empty() const {
    return installed_packages.empty() && upgraded_packages.empty() && removed_packages.empty();
}

Hook parse_hook(std::string_view text, const std::string& file_name, std::vector<std::string>* warnings) {
    return HookParser(file_name, warnings).parse(text);
}

HookFiles read_hooks(const std::vector<HookDirectory>& directories) {
    HookFiles files;
    std::map<std::string, Hook> by_name;
    for (const HookDirectory& place : directories) {
        const auto dir = try_open_in_root(place.root, place.path, O_RDONLY | O_DIRECTORY);
        if (!dir) continue;
        for (const DirectoryItem& item : list_directory(dir->get())) {
            if (!item.name.ends_with(kSuffix)) continue;
            const bool masked = item.type == DT_LNK && read_link_at(dir->get(), item.name) == "/dev/null";
            if (masked) {
                by_name[item.name] = Hook{};
                continue;
            }
            const auto file = try_open_in_root(place.root, fmt::format("{}/{}", place.path, item.name),
                                               O_RDONLY | O_NONBLOCK);
            if (!file || !S_ISREG(stat_fd(file->get(), item.name).st_mode)) continue;
            // What cannot be read may be a hook that has to run; only one that makes no sense is left out.
            const std::string text = read_all(file->get(), item.name);
            try {
                by_name[item.name] = parse_hook(text, item.name, &files.warnings);
            } catch (const Error& error) {
                files.errors.emplace_back(error.what());
            }
        }
    }
    for (auto& [file, hook] : by_name) {
        if (!hook.triggers.empty()) files.hooks.push_back(std::move(hook));
    }
    std::sort(files.hooks.begin(), files.hooks.end(),
              [](const Hook& a, const Hook& b) { return a.name < b.name; });
    return files;
}

std::vector<HookDirectory> hook_directories(int root) {
    std::vector<HookDirectory> directories;
    for (const char* directory : kHookDirectories)
        directories.push_back({root, directory});
    return directories;
}

std::vector<Hook> usable_hooks(HookFiles files, Hook::When when, ProgressSink& sink) {
    for (const std::string& text : files.warnings)
        sink.message(Severity::warning, text);
    for (const std::string& text : files.errors)
        sink.message(Severity::error, text);
    if (when == Hook::When::pre_transaction && !files.errors.empty()) {
        throw Error("prepare hooks", "", "failed to run transaction hooks")
            .as(Fault::refused)
            .with_hint(files.errors.front());
    }
    return std::move(files.hooks);
}

int match_patterns(const std::vector<std::string>& patterns, const std::string& text) {
    for (auto pattern = patterns.rbegin(); pattern != patterns.rend(); ++pattern) {
        const bool inverted = pattern->starts_with('!');
        const char* glob = pattern->c_str() + ((inverted || pattern->starts_with('\\')) ? 1 : 0);
        if (::fnmatch(glob, text.c_str(), 0) == 0) return inverted ? 0 : 1;
    }
    return -1;
}

HookMatch match_hook(const Hook& hook, const HookEvents& events) {
    std::set<std::string> matches;
    for (const HookTrigger& trigger : hook.triggers) {
        if (trigger.type == HookTrigger::Type::path) {
            match_paths(trigger, events, matches);
        } else {
            match_packages(trigger, events, matches);
        }
    }
    return {!matches.empty(), {matches.begin(), matches.end()}};
}

}  // namespace pwstore
