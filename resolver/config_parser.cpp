// SPDX-License-Identifier: GPL-3.0-or-later
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <map>
#include <utility>

#include "resolver/apt_sources.hpp"
#include "resolver/config_lines.hpp"
#include "resolver/repositories.hpp"
#include "resolver/server_url.hpp"
#include "resolver/signature_level.hpp"
#include "store/base/error.hpp"

namespace pwstore {

namespace {

constexpr int kIncludeDepth = 10;

/// Directives of [options] that are fine in a pacman.conf and mean nothing here.
constexpr std::array kIgnoredOptions = {"UseSyslog", "ILoveCandy", "TotalDownload", "UseDelta"};
constexpr std::array kCleanMethods = {"KeepInstalled", "KeepCurrent"};
constexpr std::array kUsages = {"Sync", "Search", "Install", "Upgrade", "All"};

template <typename List>
bool is_one_of(const List& list, std::string_view word) {
    return std::any_of(list.begin(), list.end(), [&](std::string_view known) { return known == word; });
}

std::string replaced(std::string text, std::string_view variable, std::string_view by) {
    for (size_t at = text.find(variable); at != std::string::npos; at = text.find(variable, at + by.size())) {
        text.replace(at, variable.size(), by);
    }
    return text;
}

constexpr std::array kDebDirectives = {"Type", "Suite", "Components", "SignedBy", "Source"};

/// What a section says that makes it one of Debian packages.
struct DebSection {
    std::string name;
    std::string file;  ///< and line of the first of these directives
    size_t line = 0;
    bool is_deb = false;
    bool is_only_type = true;
    std::vector<std::string> suites = {}, components = {}, keyrings = {};
    std::vector<std::pair<size_t, std::string>> sources = {};  ///< by line
};

/// Reads one file with all that it includes. The section stays the current one across the end of an include,
/// as in pacman.
class Parser {
 public:
    Parser(std::string apt_directory, ConfigUser user)
        : apt_directory_(std::move(apt_directory)), user_(user) {}
    PacmanConfig parse(const std::string& path);

 private:
    struct Place {
        const std::string& file;
        size_t line;
    };
    void read(const std::string& file, int depth);
    void open_section(const Place& place, const std::string& name);
    void include(const Place& place, const ConfigLine& line, int depth);
    void option(const Place& place, const ConfigLine& line);
    bool flag_option(const ConfigLine& line);
    bool sandbox_flag(const std::string& key);
    bool list_option(const Place& place, const ConfigLine& line);
    bool place_option(const Place& place, const ConfigLine& line);
    void repository_directive(const Place& place, const ConfigLine& line);
    bool deb_directive(const Place& place, const ConfigLine& line);
    void finish_deb(DebSection& section);
    void finish();

    [[noreturn]] static void fail(const Place& place, const std::string& cause) {
        throw Error("read configuration", place.file, fmt::format("line {}: {}", place.line, cause))
            .as(Fault::usage);
    }
    static const std::string& needed_value(const Place& place, const ConfigLine& line) {
        if (!line.value || line.value->empty()) fail(place, fmt::format("'{}' needs a value", line.key));
        return *line.value;
    }
    static std::vector<std::string> signature_tokens(const Place& place, const ConfigLine& line);
    void warn(const Place& place, const std::string& text) {
        config_.warnings.push_back(fmt::format("{}:{}: {}", place.file, place.line, printable(text)));
    }

    PacmanConfig config_;
    std::string section_;
    Repository* repository_ = nullptr;        ///< of the current section; null in [options]
    Repository second_;                       ///< takes the lines of a section that is there twice
    std::map<std::string, DebSection> debs_;  ///< by name of the repository
    std::string apt_directory_;
    ConfigUser user_;
};

PacmanConfig Parser::parse(const std::string& path) {
    config_.check_space = false;
    read(path, 0);
    finish();
    return std::move(config_);
}

void Parser::read(const std::string& file, int depth) {
    for (const ConfigLine& line : read_config_lines(file)) {
        const Place place{file, line.number};
        if (line.opens) {
            open_section(place, *line.opens);
        } else if (line.key.starts_with('[')) {
            fail(place, fmt::format("'{}' begins a section and has no ']' at its end", printable(line.key)));
        } else if (line.key == "Include") {
            include(place, line, depth);
        } else if (section_.empty()) {
            fail(place, fmt::format("'{}' stands before the first section", printable(line.key)));
        } else if (section_ == "options") {
            option(place, line);
        } else {
            repository_directive(place, line);
        }
    }
}

void Parser::open_section(const Place& place, const std::string& name) {
    section_ = name;
    repository_ = nullptr;
    if (name == "options") return;
    if (name.empty() || name == "local" || name.front() == '.' || name.front() == '-' ||
        name.find_first_of("/ \t") != std::string::npos) {
        fail(place, fmt::format("'{}' cannot be the name of a repository", printable(name)));
    }
    const auto known = std::find_if(config_.repositories.begin(), config_.repositories.end(),
                                    [&](const Repository& repository) { return repository.name == name; });
    if (known != config_.repositories.end()) {
        warn(place, fmt::format("the repository [{}] is there twice, the second is ignored", name));
        second_ = {};
        repository_ = &second_;
        return;
    }
    config_.repositories.emplace_back().name = name;
    repository_ = &config_.repositories.back();
}

void Parser::include(const Place& place, const ConfigLine& line, int depth) {
    const std::string& pattern = needed_value(place, line);
    if (depth >= kIncludeDepth)
        fail(place, fmt::format("includes are nested more than {} deep", kIncludeDepth));
    for (const std::string& file : included_files(place.file, pattern)) {
        in_step(fmt::format("{}:{}: include", printable(place.file), place.line),
                [&] { read(file, depth + 1); });
    }
}

bool Parser::flag_option(const ConfigLine& line) {
    if (line.key == "CheckSpace") {
        config_.check_space = true;
    } else if (line.key == "DisableDownloadTimeout") {
        config_.disable_download_timeout = true;
    } else if (line.key == "Color") {
        config_.places.color = true;
    } else if (line.key == "NoProgressBar") {
        config_.places.no_progress_bar = true;
    } else if (line.key == "VerbosePkgLists") {
        config_.places.verbose_package_lists = true;
    } else {
        return sandbox_flag(line.key);
    }
    return true;
}

bool Parser::sandbox_flag(const std::string& key) {
    const bool all = key == "DisableSandbox", files = key == "DisableSandboxFilesystem",
               calls = key == "DisableSandboxSyscalls";
    config_.places.disable_sandbox_files |= all || files;
    config_.places.disable_sandbox_calls |= all || calls;
    return all || files || calls;
}

std::vector<std::string> Parser::signature_tokens(const Place& place, const ConfigLine& line) {
    std::vector<std::string> tokens = words(needed_value(place, line));
    for (const std::string& token : tokens) {
        if (!is_signature_token(token)) {
            fail(place, fmt::format("'{}' is not a word of {}", printable(token), line.key));
        }
    }
    return tokens;
}

bool Parser::list_option(const Place& place, const ConfigLine& line) {
    const std::map<std::string_view, std::vector<std::string>*> lists = {
        {"NoUpgrade", &config_.no_upgrade},      {"NoExtract", &config_.no_extract},
        {"IgnorePkg", &config_.ignore_packages}, {"IgnoreGroup", &config_.ignore_groups},
        {"HoldPkg", &config_.hold_packages},     {"Architecture", &config_.architectures}};
    const std::map<std::string_view, std::vector<std::string>*> levels = {
        {"SigLevel", &config_.sig_level},
        {"LocalFileSigLevel", &config_.local_file_sig_level},
        {"RemoteFileSigLevel", &config_.remote_file_sig_level}};
    if (const auto list = lists.find(line.key); list != lists.end()) {
        const std::vector<std::string> values = words(line.value.value_or(""));
        list->second->insert(list->second->end(), values.begin(), values.end());
        return true;
    }
    if (const auto level = levels.find(line.key); level != levels.end()) {
        const std::vector<std::string> tokens = signature_tokens(place, line);
        level->second->insert(level->second->end(), tokens.begin(), tokens.end());
        return true;
    }
    return false;
}

/// Of a place that is there once, the first counts, as in pacman.
bool Parser::place_option(const Place& place, const ConfigLine& line) {
    PacmanPlaces& places = config_.places;
    const std::map<std::string_view, std::string*> once = {{"RootDir", &places.root},
                                                           {"DBPath", &places.database},
                                                           {"LogFile", &places.log_file},
                                                           {"GPGDir", &places.gnupg_dir}};
    const std::map<std::string_view, std::vector<std::string>*> several = {
        {"CacheDir", &places.cache_dirs},
        {"HookDir", &places.hook_dirs},
        {"CleanMethod", &places.clean_methods}};
    if (const auto one = once.find(line.key); one != once.end()) {
        if (one->second->empty()) *one->second = line.value.value_or("");
        return true;
    }
    if (const auto list = several.find(line.key); list != several.end()) {
        for (std::string& value : words(line.value.value_or(""))) {
            if (line.key == "CleanMethod" && !is_one_of(kCleanMethods, value))
                fail(place, fmt::format("'{}' is not a word of CleanMethod", printable(value)));
            list->second->push_back(std::move(value));
        }
        return true;
    }
    if (line.key == "DownloadUser") {
        std::string& user = places.download_user;
        if (user_ == ConfigUser::pacman && user.empty()) user = line.value.value_or("");
        return true;
    }
    if (line.key != "XferCommand") return false;
    if (user_ == ConfigUser::pacman) {
        places.xfer_command = line.value.value_or("");
    } else {
        warn(place, "XferCommand is not used, libalpm downloads by itself");
    }
    return true;
}

void Parser::option(const Place& place, const ConfigLine& line) {
    if (flag_option(line) || list_option(place, line) || place_option(place, line) ||
        is_one_of(kIgnoredOptions, line.key))
        return;
    if (line.key == "ParallelDownloads") {
        const std::string& text = needed_value(place, line);
        unsigned number = 0;
        const auto [end, problem] = std::from_chars(text.data(), text.data() + text.size(), number);
        if (problem != std::errc{} || end != text.data() + text.size() || number == 0 || number > 1000) {
            fail(place,
                 fmt::format("ParallelDownloads needs a number from 1 to 1000, not '{}'", printable(text)));
        }
        config_.parallel_downloads = number;
    } else {
        warn(place, fmt::format("the directive '{}' of section [options] is not known", line.key));
    }
}

/// The directives of a Debian repository; finish_deb() looks whether it is one.
bool Parser::deb_directive(const Place& place, const ConfigLine& line) {
    if (repository_ == &second_ || !is_one_of(kDebDirectives, line.key)) return false;
    const std::string& value = needed_value(place, line);
    DebSection& section = debs_[section_];
    if (section.file.empty()) {
        section.file = place.file;
        section.line = place.line;
    }
    if (line.key == "Type") {
        if (value != "deb" && value != "alpm")
            fail(place, fmt::format("Type is deb or alpm, not '{}'", printable(value)));
        section.is_deb = value == "deb";
        return true;
    }
    section.is_only_type = false;
    if (line.key == "Source") {
        section.sources.emplace_back(place.line, value);
    } else {
        std::vector<std::string>& list = line.key == "Suite"        ? section.suites
                                         : line.key == "Components" ? section.components
                                                                    : section.keyrings;
        const std::vector<std::string> values = words(value);
        list.insert(list.end(), values.begin(), values.end());
    }
    return true;
}

/// What the directives of one section of "Type = deb" amount to.
void Parser::finish_deb(DebSection& section) {
    Repository& repository = *std::find_if(config_.repositories.begin(), config_.repositories.end(),
                                           [&](const Repository& one) { return one.name == section.name; });
    const Place place{section.file, section.line};
    if (!section.is_deb) fail(place, fmt::format("[{}] needs 'Type = deb' for this", section.name));
    if (!repository.sig_level.empty()) {
        warn(place,
             fmt::format("SigLevel means nothing in [{}]: a Debian suite is always signed", section.name));
    }
    for (const std::string& keyring : section.keyrings) {
        if (keyring.front() != '/') fail(place, "SignedBy needs absolute paths of keyrings");
    }
    if (section.keyrings.empty()) section.keyrings = distribution_keyrings();
    const auto add = [&](const Place& there, std::vector<std::string> servers, const std::string& suite,
                         std::vector<std::string> components) {
        DebSource source{std::move(servers), suite, std::move(components), section.keyrings};
        if (!source.is_flat() && source.components.empty())
            fail(there, fmt::format("'{}' needs a suite and its components", printable(suite)));
        if (source.is_flat() && !source.components.empty())
            fail(there, fmt::format("'{}' is a flat archive, which has no components", printable(suite)));
        repository.deb_sources.push_back(std::move(source));
    };
    for (const auto& [line, value] : section.sources) {
        if (value == "host") {
            std::vector<DebSource> host = read_apt_sources(apt_directory_, section.keyrings);
            if (host.empty()) {
                fail({section.file, line}, fmt::format("{} names no suite that {} signs", apt_directory_,
                                                       fmt::join(section.keyrings, " or ")));
            }
            for (DebSource& source : host)
                repository.deb_sources.push_back(std::move(source));
            continue;
        }
        const std::vector<std::string> parts = words(value);
        if (parts.size() < 2 || parts[0].find("://") == std::string::npos)
            fail({section.file, line}, "Source is 'host', 'URL SUITE COMPONENT…' or 'URL DIRECTORY/'");
        add({section.file, line}, {parts[0]}, parts[1], {parts.begin() + 2, parts.end()});
    }
    if (!section.suites.empty() && repository.servers.empty())
        fail(place, fmt::format("[{}] names suites and no Server", section.name));
    const bool has_components = !section.components.empty();
    if (!has_components) section.components = {"main"};
    for (const std::string& suite : section.suites) {
        const bool needs_none = suite.ends_with('/') && (!has_components || section.suites.size() > 1);
        add(place, repository.servers, suite, needs_none ? std::vector<std::string>() : section.components);
    }
    if (repository.deb_sources.empty())
        fail(place, fmt::format("[{}] needs Server and Suite, or Source", section.name));
    for (DebSource& source : repository.deb_sources) {
        for (std::string& server : source.servers)
            server = normal_url(server);
    }
    repository.servers = repository.deb_sources.front().servers;
}

void Parser::repository_directive(const Place& place, const ConfigLine& line) {
    if (deb_directive(place, line)) return;
    if (line.key == "Server") {
        repository_->servers.push_back(needed_value(place, line));
    } else if (line.key == "CacheServer") {
        repository_->cache_servers.push_back(needed_value(place, line));
    } else if (line.key == "SigLevel") {
        const std::vector<std::string> tokens = signature_tokens(place, line);
        repository_->sig_level.insert(repository_->sig_level.end(), tokens.begin(), tokens.end());
    } else if (line.key == "Usage") {
        for (std::string& usage : words(needed_value(place, line))) {
            if (!is_one_of(kUsages, usage))
                fail(place, fmt::format("'{}' is not a word of Usage", printable(usage)));
            repository_->usage.push_back(std::move(usage));
        }
    } else {
        warn(place, fmt::format("the directive '{}' of section [{}] is not known", line.key, section_));
    }
}

void Parser::finish() {
    std::replace(config_.architectures.begin(), config_.architectures.end(), std::string("auto"),
                 machine_name());
    const std::string architecture =
        config_.architectures.empty() ? machine_name() : config_.architectures.front();
    for (auto& [name, section] : debs_) {
        section.name = name;
        if (section.is_deb || !section.is_only_type) finish_deb(section);
    }
    for (Repository& repository : config_.repositories) {
        for (std::vector<std::string>* urls : {&repository.servers, &repository.cache_servers}) {
            for (std::string& url : *urls) {
                url = replaced(replaced(std::move(url), "$arch", architecture), "$repo", repository.name);
            }
        }
    }
}

}  // namespace

PacmanConfig parse_pacman_config(const std::string& path, const std::string& apt_directory, ConfigUser user) {
    return Parser(apt_directory, user).parse(path);
}

}  // namespace pwstore
