// SPDX-License-Identifier: GPL-3.0-or-later
#include "resolver/apt_sources.hpp"

#include <fcntl.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <map>
#include <memory>
#include <sstream>

#include "resolver/config_lines.hpp"
#include "store/base/path_at.hpp"

namespace pwstore {

namespace {

constexpr std::array kDebianKeyrings{"/usr/share/keyrings/debian-archive-keyring.gpg",
                                     "/usr/share/keyrings/debian-archive-keyring.pgp"};
constexpr const char* kUbuntuKeyring = "/usr/share/keyrings/ubuntu-archive-keyring.gpg";

/// One entry as either form of the files says it.
struct Entry {
    std::vector<std::string> types, servers, suites, components, architectures, signed_by;
    bool enabled = true;
};

bool contains(const std::vector<std::string>& list, std::string_view word) {
    return std::find(list.begin(), list.end(), word) != list.end();
}

std::vector<std::string> comma_words(std::string text) {
    std::replace(text.begin(), text.end(), ',', ' ');
    return words(text);
}

std::string canonical(const std::string& path) {
    const std::unique_ptr<char, void (*)(void*)> real(::realpath(path.c_str(), nullptr), std::free);
    return real ? std::string(real.get()) : path;
}

bool is_all_of(const std::vector<std::string>& paths, const std::vector<std::string>& known) {
    return std::all_of(paths.begin(), paths.end(), [&](const std::string& path) {
        return std::any_of(known.begin(), known.end(),
                           [&](const std::string& one) { return canonical(one) == canonical(path); });
    });
}

/// "deb [arch=amd64 signed-by=/k.gpg] http://server suite component…"
std::vector<Entry> entries_of_list(const std::string& text) {
    std::vector<Entry> entries;
    std::istringstream lines(text);
    for (std::string line; std::getline(lines, line);) {
        line.resize(std::min(line.find('#'), line.size()));
        Entry entry;
        if (const size_t open = line.find('['); open != std::string::npos) {
            const size_t close = line.find(']', open);
            if (close == std::string::npos) continue;
            for (const std::string& option : words(line.substr(open + 1, close - open - 1))) {
                if (option.starts_with("arch=")) entry.architectures = comma_words(option.substr(5));
                if (option.starts_with("signed-by=")) entry.signed_by = comma_words(option.substr(10));
            }
            line.erase(open, close + 1 - open);
        }
        const std::vector<std::string> parts = words(line);
        if (parts.size() < 3) continue;
        entry.types = {parts[0]};
        entry.servers = {parts[1]};
        entry.suites = {parts[2]};
        entry.components.assign(parts.begin() + 3, parts.end());
        entries.push_back(std::move(entry));
    }
    return entries;
}

Entry entry_of_fields(const std::map<std::string, std::string>& fields) {
    const auto field = [&](const char* name) {
        const auto found = fields.find(name);
        return found == fields.end() ? std::string() : found->second;
    };
    Entry entry;
    entry.types = words(field("types"));
    entry.servers = words(field("uris"));
    entry.suites = words(field("suites"));
    entry.components = words(field("components"));
    entry.architectures = words(field("architectures"));
    entry.signed_by = comma_words(field("signed-by"));
    const std::vector<std::string> enabled = words(field("enabled"));
    entry.enabled = !contains(enabled, "no") && !contains(enabled, "false");
    return entry;
}

/// Paragraphs of "Field: value", values going on in lines that begin with a blank.
std::vector<Entry> entries_of_sources(const std::string& text) {
    std::vector<Entry> entries;
    std::map<std::string, std::string> fields;
    std::string* open = nullptr;
    std::istringstream lines(text + "\n\n");
    for (std::string line; std::getline(lines, line);) {
        if (line.starts_with('#')) continue;
        if (words(line).empty()) {
            if (!fields.empty()) entries.push_back(entry_of_fields(fields));
            fields.clear();
            open = nullptr;
        } else if (line.front() == ' ' || line.front() == '\t') {
            if (open != nullptr) *open += " " + line;
        } else if (const size_t colon = line.find(':'); colon != std::string::npos) {
            std::string key = line.substr(0, colon);
            std::transform(key.begin(), key.end(), key.begin(), [](char c) {
                return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
            });
            open = &fields[key];
            *open = line.substr(colon + 1);
        }
    }
    return entries;
}

bool is_usable_server(const std::string& url) {
    return url.starts_with("http://") || url.starts_with("https://") || url.starts_with("file:///");
}

/// Adds what `entry` names, when one of `keyrings` signs it.
void add_sources(const Entry& entry, bool is_distributions_own, const std::vector<std::string>& keyrings,
                 std::vector<DebSource>& sources) {
    const bool mine = entry.architectures.empty() || contains(entry.architectures, native_deb_architecture());
    if (!entry.enabled || !mine || !contains(entry.types, "deb") || entry.components.empty()) return;
    if (entry.signed_by.empty() ? !is_distributions_own : !is_all_of(entry.signed_by, keyrings)) return;
    for (const std::string& server : entry.servers) {
        if (!is_usable_server(server)) continue;
        for (const std::string& suite : entry.suites) {
            if (suite.ends_with('/')) continue;
            sources.push_back(
                {{server}, suite, entry.components, entry.signed_by.empty() ? keyrings : entry.signed_by});
        }
    }
}

}  // namespace

std::vector<std::string> distribution_keyrings() {
    std::vector<std::string> keyrings;
    for (const char* debian : kDebianKeyrings) {
        if (keyrings.empty() && exists_at(AT_FDCWD, debian)) keyrings.emplace_back(debian);
    }
    if (exists_at(AT_FDCWD, kUbuntuKeyring)) keyrings.emplace_back(kUbuntuKeyring);
    if (keyrings.empty()) keyrings.emplace_back(kDebianKeyrings.front());
    return keyrings;
}

std::vector<DebSource> read_apt_sources(const std::string& directory,
                                        const std::vector<std::string>& keyrings) {
    std::vector<std::string> files{directory + "/sources.list"};
    const std::string parts = directory + "/sources.list.d";
    if (const auto opened = try_open_at(AT_FDCWD, parts, O_RDONLY | O_DIRECTORY)) {
        for (const DirectoryItem& item : list_directory(opened->get())) {
            if (item.name.ends_with(".list") || item.name.ends_with(".sources"))
                files.push_back(parts + "/" + item.name);
        }
    }
    std::vector<DebSource> sources;
    for (const std::string& file : files) {
        const std::string name(split_path(file).second);
        const bool own = name == "sources.list" || name == "debian.sources" || name == "ubuntu.sources";
        const auto opened = try_open_at(AT_FDCWD, file, O_RDONLY);
        if (!opened) continue;
        const std::string text = read_all(opened->get(), file);
        for (const Entry& entry :
             name.ends_with(".sources") ? entries_of_sources(text) : entries_of_list(text))
            add_sources(entry, own, keyrings, sources);
    }
    return sources;
}

}  // namespace pwstore
