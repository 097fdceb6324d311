// SPDX-License-Identifier: GPL-3.0-or-later
#include "store/deb_control.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <map>
#include <utility>

#include "store/base/error.hpp"

namespace pwstore {

namespace {

constexpr std::string_view kBlanks = " \t\r";

std::string_view trimmed(std::string_view text) {
    const size_t first = text.find_first_not_of(" \t\r\n");
    if (first == std::string_view::npos) return {};
    return text.substr(first, text.find_last_not_of(" \t\r\n") - first + 1);
}

std::vector<std::string_view> split(std::string_view text, char separator) {
    std::vector<std::string_view> parts;
    for (;;) {
        const size_t end = text.find(separator);
        parts.push_back(text.substr(0, end));
        if (end == std::string_view::npos) return parts;
        text.remove_prefix(end + 1);
    }
}

std::string lower(std::string_view text) {
    std::string result(text);
    for (char& c : result) {
        if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
    }
    return result;
}

using Paragraph = std::map<std::string, std::string>;

/// Paragraphs of "Field: value" lines; field names in lower case, continuation lines joined by newlines.
std::vector<Paragraph> paragraphs_of(std::string_view text) {
    std::vector<Paragraph> result(1);
    std::string* open = nullptr;
    for (const std::string_view line : split(text, '\n')) {
        if (trimmed(line).empty()) {
            if (!result.back().empty()) result.emplace_back();
            open = nullptr;
        } else if (kBlanks.find(line.front()) != std::string_view::npos) {
            if (open != nullptr) *open += "\n" + std::string(trimmed(line));
        } else if (const size_t colon = line.find(':');
                   colon != std::string_view::npos && line.front() != '#') {
            open = &result.back()[lower(line.substr(0, colon))];
            *open = trimmed(line.substr(colon + 1));
        }
    }
    if (result.back().empty()) result.pop_back();
    return result;
}

bool is_lower_or_digit(char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

bool is_package_name(std::string_view name) {
    return name.size() >= 2 && name.size() <= 200 && is_lower_or_digit(name.front()) &&
           std::all_of(name.begin(), name.end(),
                       [](char c) { return is_lower_or_digit(c) || c == '+' || c == '-' || c == '.'; });
}

bool is_version(std::string_view version) {
    return !version.empty() && version.size() <= 200 && version.front() >= '0' && version.front() <= '9' &&
           std::all_of(version.begin(), version.end(), [](char c) {
               return is_lower_or_digit(c) || (c >= 'A' && c <= 'Z') ||
                      std::string_view(".+-~:").find(c) != std::string_view::npos;
           });
}

/// "libfoo:any (>= 1.2) [amd64]" → "libfoo"; empty when it is no package name.
std::string relation_name(std::string_view relation) {
    relation = trimmed(relation);
    const std::string_view name = relation.substr(0, relation.find_first_of(" \t\n(:[<"));
    return is_package_name(name) ? std::string(name) : std::string();
}

}  // namespace

DebControl parse_deb_control(std::string_view text, std::string_view path_for_errors) {
    const auto paragraphs = paragraphs_of(text);
    const auto fail = [&](const std::string& cause) -> Error {
        return Error("read control file", path_for_errors, cause).as(Fault::corrupt);
    };
    if (paragraphs.empty()) throw fail("it is empty");
    const auto field = [&](const char* name) {
        const auto found = paragraphs.front().find(name);
        return found == paragraphs.front().end() ? std::string() : found->second;
    };
    DebControl control;
    control.name = field("package");
    control.version = field("version");
    control.architecture = field("architecture");
    if (!is_package_name(control.name)) throw fail("'" + printable(control.name) + "' is no package name");
    if (!is_version(control.version)) throw fail("'" + printable(control.version) + "' is no version");
    if (!is_package_name(control.architecture)) throw fail("it names no architecture");

    control.source = relation_name(field("source"));
    if (control.source.empty()) control.source = control.name;
    const std::string description = field("description");
    control.summary = description.substr(0, description.find('\n'));
    control.maintainer = field("maintainer");
    control.homepage = field("homepage");
    control.essential = lower(field("essential")) == "yes";
    for (const char* name : {"pre-depends", "depends"}) {
        for (auto& group : parse_deb_relations(field(name)))
            control.depends.push_back(std::move(group));
    }
    for (auto& group : parse_deb_relations(field("provides"))) {
        control.provides.insert(control.provides.end(), group.begin(), group.end());
    }
    return control;
}

std::vector<std::string> parse_deb_conffiles(std::string_view text) {
    std::vector<std::string> files;
    for (const std::string_view line : split(text, '\n')) {
        const std::string_view name = trimmed(line);
        if (!name.empty() && name.front() == '/') files.emplace_back(name);
    }
    return files;
}

std::vector<std::vector<std::string>> parse_deb_relations(std::string_view field) {
    std::vector<std::vector<std::string>> groups;
    for (const std::string_view part : split(field, ',')) {
        std::vector<std::string> alternatives;
        for (const std::string_view relation : split(part, '|')) {
            if (std::string name = relation_name(relation); !name.empty())
                alternatives.push_back(std::move(name));
        }
        if (!alternatives.empty()) groups.push_back(std::move(alternatives));
    }
    return groups;
}

std::string alpm_version(std::string_view deb_version) {
    std::string epoch;
    if (const size_t colon = deb_version.find(':'); colon != std::string_view::npos) {
        if (deb_version.substr(0, colon) != "0") epoch = std::string(deb_version.substr(0, colon + 1));
        deb_version.remove_prefix(colon + 1);
    }
    const size_t hyphen = deb_version.rfind('-');
    const std::string_view revision = hyphen == std::string_view::npos ? "0" : deb_version.substr(hyphen + 1);
    std::string upstream;
    for (const char c : deb_version.substr(0, hyphen)) {
        if (c == '-') {
            upstream += '_';
        } else if (c == ':') {
            upstream += "__";
        } else {
            upstream += c;
        }
    }
    return fmt::format("{}{}-{}", epoch, upstream, revision);
}

std::string alpm_architecture(std::string_view deb_architecture) {
    static constexpr std::array<std::pair<std::string_view, std::string_view>, 9> kNames{{
        {"all", "any"},
        {"amd64", "x86_64"},
        {"arm64", "aarch64"},
        {"armhf", "armv7h"},
        {"armel", "arm"},
        {"i386", "i686"},
        {"ppc64el", "powerpc64le"},
        {"riscv64", "riscv64"},
        {"s390x", "s390x"},
    }};
    const auto* found = std::find_if(kNames.begin(), kNames.end(),
                                     [&](const auto& pair) { return pair.first == deb_architecture; });
    if (found == kNames.end()) {
        throw Error("convert", deb_architecture, "no alpm name is known for this architecture")
            .as(Fault::unsupported);
    }
    return std::string(found->second);
}

std::vector<std::string> licenses_of_copyright(std::string_view text) {
    std::vector<std::string> unknown{"custom"};
    const auto paragraphs = paragraphs_of(text);
    if (paragraphs.empty() || paragraphs.front().count("format") == 0) return unknown;
    for (const Paragraph& paragraph : paragraphs) {
        const auto files = paragraph.find("files");
        const auto license = paragraph.find("license");
        if (files == paragraph.end() || license == paragraph.end() || files->second != "*") continue;
        const std::string name(trimmed(license->second.substr(0, license->second.find('\n'))));
        if (!name.empty()) return {name};
    }
    return unknown;
}

void DebNames::add(const std::string& package, const std::vector<std::string>& provides) {
    packages_.insert(package);
    provided_.insert(provides.begin(), provides.end());
}

std::vector<std::string> chosen_depends(const DebControl& control, const DebNames& names,
                                        std::vector<std::string>& unsatisfied) {
    std::vector<std::string> depends;
    const auto is_own = [&](const std::string& name) {
        return name == control.name ||
               std::count(control.provides.begin(), control.provides.end(), name) != 0;
    };
    for (const auto& group : control.depends) {
        if (std::any_of(group.begin(), group.end(), is_own)) continue;
        const auto found =
            std::find_if(group.begin(), group.end(), [&](const auto& name) { return names.has(name); });
        if (found == group.end()) unsatisfied.push_back(control.name + ": " + group.front());
        const std::string& name = found == group.end() ? group.front() : *found;
        if (std::find(depends.begin(), depends.end(), name) == depends.end()) depends.push_back(name);
    }
    return depends;
}

}  // namespace pwstore
