// SPDX-License-Identifier: GPL-3.0-or-later
#include "store/debian/control.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdlib>
#include <map>
#include <optional>
#include <utility>

#include "store/base/error.hpp"
#include "store/base/names.hpp"
#include "store/debian/version.hpp"

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

bool is_letter_or_digit(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

/// What dpkg takes, which is more than what policy allows.
bool is_package_name(std::string_view name) {
    return !name.empty() && name.size() <= 200 && is_letter_or_digit(name.front()) &&
           std::all_of(name.begin(), name.end(), [](char c) {
               return is_letter_or_digit(c) || std::string_view("+-._").find(c) != std::string_view::npos;
           });
}

bool is_version(std::string_view version) {
    return !version.empty() && version.size() <= 200 && version.front() >= '0' && version.front() <= '9' &&
           std::all_of(version.begin(), version.end(), [](char c) {
               return is_letter_or_digit(c) || std::string_view(".+-~:").find(c) != std::string_view::npos;
           });
}

constexpr std::array<std::pair<std::string_view, std::string_view>, 7> kRelations{{
    {"<<", "<<"},
    {"<=", "<="},
    {">>", ">>"},
    {">=", ">="},
    {"=", "="},
    {"<", "<="},  // deb-control(5): obsolete, and meant so
    {">", ">="},
}};

/// "(>= 1.2)" into relation and version; false when it is something else.
bool read_constraint(std::string_view text, DebRelation& into) {
    if (text.size() < 3 || text.front() != '(' || text.find(')') == std::string_view::npos) return false;
    text = trimmed(text.substr(1, text.find(')') - 1));
    for (const auto& [written, meant] : kRelations) {
        if (text.substr(0, written.size()) != written) continue;
        into.relation = meant;
        into.version = trimmed(text.substr(written.size()));
        return is_version(into.version);
    }
    return false;
}

/// "libfoo:any (>= 1.2) [amd64] <!nocheck>"; nullopt when it cannot be read or means another architecture.
std::optional<DebRelation> read_relation(std::string_view text) {
    text = trimmed(text);
    DebRelation result;
    const std::string_view name = text.substr(0, text.find_first_of(" \t\n(:[<"));
    if (!is_package_name(name)) return std::nullopt;
    result.name = name;
    text.remove_prefix(name.size());
    if (!text.empty() && text.front() == ':') {
        const std::string_view architecture = text.substr(1, text.find_first_of(" \t\n(") - 1);
        if (architecture != "any" && architecture != "native" && architecture != native_deb_architecture())
            return std::nullopt;
        text.remove_prefix(1 + architecture.size());
    }
    text = trimmed(text);
    if (!text.empty() && text.front() == '(' && !read_constraint(text, result)) return std::nullopt;
    return result;
}

/// How relations are written in names, where alpm reads "<", ">" and "=" as its own.
constexpr std::array<std::pair<std::string_view, std::string_view>, 5> kRelationWords{
    {{"<<", "lt"}, {"<=", "le"}, {"=", "eq"}, {">=", "ge"}, {">>", "gt"}}};

std::vector<DebRelation> flattened(const std::vector<DebAlternatives>& groups) {
    std::vector<DebRelation> result;
    for (const DebAlternatives& group : groups)
        result.insert(result.end(), group.begin(), group.end());
    return result;
}

}  // namespace

namespace {

std::string field_of(const Paragraph& paragraph, const char* name) {
    const auto found = paragraph.find(name);
    return found == paragraph.end() ? std::string() : found->second;
}

Paragraph first_paragraph(std::string_view text, std::string_view path_for_errors) {
    auto paragraphs = paragraphs_of(text);
    if (paragraphs.empty())
        throw Error("read control file", path_for_errors, "it is empty").as(Fault::corrupt);
    return std::move(paragraphs.front());
}

DebControl control_of(const Paragraph& paragraph, std::string_view path_for_errors) {
    const auto fail = [&](const std::string& cause) -> Error {
        return Error("read control file", path_for_errors, cause).as(Fault::corrupt);
    };
    const auto field = [&](const char* name) { return field_of(paragraph, name); };
    DebControl control;
    control.name = field("package");
    control.version = field("version");
    control.architecture = field("architecture");
    if (!is_package_name(control.name)) throw fail("'" + printable(control.name) + "' is no package name");
    if (!is_version(control.version)) throw fail("'" + printable(control.version) + "' is no version");
    if (!is_package_name(control.architecture)) throw fail("it names no architecture");

    const std::string source = field("source");
    control.source = source.substr(0, source.find_first_of(" ("));
    if (!is_package_name(control.source)) control.source = control.name;
    const std::string description = field("description");
    control.summary = description.substr(0, description.find('\n'));
    control.maintainer = field("maintainer");
    control.homepage = field("homepage");
    control.essential = lower(field("essential")) == "yes";
    control.multi_arch_same = lower(field("multi-arch")) == "same";
    control.section = field("section");
    control.priority = field("priority");
    control.installed_size = std::strtoull(field("installed-size").c_str(), nullptr, 10) * 1024;
    for (const char* name : {"pre-depends", "depends"}) {
        for (auto& group : parse_deb_relations(field(name)))
            control.depends.push_back(std::move(group));
    }
    control.provides = flattened(parse_deb_relations(field("provides")));
    control.conflicts = flattened(parse_deb_relations(field("conflicts") + "," + field("breaks")));
    control.replaces = flattened(parse_deb_relations(field("replaces")));
    return control;
}

}  // namespace

DebControl parse_deb_control(std::string_view text, std::string_view path_for_errors) {
    return control_of(first_paragraph(text, path_for_errors), path_for_errors);
}

DebIndexEntry parse_deb_index_entry(std::string_view text, std::string_view path_for_errors) {
    const Paragraph paragraph = first_paragraph(text, path_for_errors);
    DebIndexEntry entry;
    entry.control = control_of(paragraph, path_for_errors);
    entry.path = root_path_of(field_of(paragraph, "filename"));
    const std::string size = field_of(paragraph, "size");
    const auto [end, problem] = std::from_chars(size.data(), size.data() + size.size(), entry.size);
    const std::string sha256 = field_of(paragraph, "sha256");
    const bool is_plain =
        std::none_of(entry.path.begin(), entry.path.end(), [](unsigned char c) { return c < ' '; });
    if (problem != std::errc() || end != size.data() + size.size() || sha256.size() != 64 || !is_plain ||
        !is_root_path(entry.path)) {
        throw Error("read package index", path_for_errors,
                    "'" + entry.control.name + "' has no file name, size and SHA-256 digest that can be used")
            .as(Fault::corrupt);
    }
    entry.sha256 = Sha256::from_hex(sha256);
    return entry;
}

std::vector<std::string> parse_deb_conffiles(std::string_view text) {
    std::vector<std::string> files;
    for (const std::string_view line : split(text, '\n')) {
        const std::string_view name = trimmed(line);
        if (!name.empty() && name.front() == '/') files.emplace_back(name);
    }
    return files;
}

std::vector<DebAlternatives> parse_deb_relations(std::string_view field) {
    std::vector<DebAlternatives> groups;
    for (const std::string_view part : split(field, ',')) {
        DebAlternatives alternatives;
        for (const std::string_view text : split(part, '|')) {
            if (auto relation = read_relation(text)) alternatives.push_back(std::move(*relation));
        }
        if (!alternatives.empty()) groups.push_back(std::move(alternatives));
    }
    return groups;
}

std::string alpm_relation(const DebRelation& relation) {
    if (relation.relation.empty()) return relation.name;
    const std::string_view sign = relation.relation == "<<"   ? "<"
                                  : relation.relation == ">>" ? ">"
                                                              : std::string_view(relation.relation);
    return fmt::format("{}{}{}", relation.name, sign, alpm_version(relation.version));
}

std::string alternatives_name(const DebAlternatives& alternatives) {
    std::string name;
    for (const DebRelation& one : alternatives) {
        if (!name.empty()) name += '|';
        name += one.name;
        for (const auto& [relation, word] : kRelationWords) {
            if (one.relation == relation) name.append("(").append(word).append(one.version).append(")");
        }
    }
    return name;
}

DebAlternatives alternatives_of_name(std::string_view name) {
    DebAlternatives alternatives;
    for (const std::string_view text : split(name, '|')) {
        DebRelation one;
        const size_t open = text.find('(');
        one.name = text.substr(0, open);
        if (open != std::string_view::npos && text.back() == ')' && text.size() > open + 3) {
            for (const auto& [relation, word] : kRelationWords) {
                if (text.substr(open + 1, 2) == word) one.relation = relation;
            }
            one.version = text.substr(open + 3, text.size() - open - 4);
        }
        alternatives.push_back(std::move(one));
    }
    return alternatives.size() > 1 ? alternatives : DebAlternatives();
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

}  // namespace pwstore
