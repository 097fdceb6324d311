// SPDX-License-Identifier: GPL-3.0-or-later
#include "store/keyed_file.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <map>
#include <optional>
#include <set>

#include "store/base/error.hpp"

namespace pwstore {

namespace {

constexpr std::string_view kAlternatives = "var/lib/dpkg/alternatives/";

enum class Format { none, fields, lines, overrides, diversions, paragraphs, alternatives };

struct KnownFile {
    std::string_view path;
    Format format;
};
constexpr std::array<KnownFile, 14> kKnown{{
    {"etc/passwd", Format::fields},
    {"etc/group", Format::fields},
    {"etc/shadow", Format::fields},
    {"etc/gshadow", Format::fields},
    {"etc/subuid", Format::fields},
    {"etc/subgid", Format::fields},
    {"etc/shells", Format::lines},
    {"etc/ca-certificates.conf", Format::lines},
    {"var/lib/shells.state", Format::lines},
    {"var/lib/dpkg/diversions", Format::diversions},
    {"var/lib/dpkg/statoverride", Format::overrides},
    {"var/cache/debconf/config.dat", Format::paragraphs},
    {"var/cache/debconf/passwords.dat", Format::paragraphs},
    {"var/cache/debconf/templates.dat", Format::paragraphs},
}};

Format format_of(std::string_view path) {
    for (const KnownFile& known : kKnown) {
        if (known.path == path) return known.format;
    }
    const bool alternative =
        path.starts_with(kAlternatives) && path.find('/', kAlternatives.size()) == path.npos;
    return alternative ? Format::alternatives : Format::none;
}

std::vector<std::string> lines_of(std::string_view text) {
    std::vector<std::string> lines;
    while (!text.empty()) {
        const size_t end = std::min(text.find('\n'), text.size());
        lines.emplace_back(text.substr(0, end));
        text.remove_prefix(std::min(end + 1, text.size()));
    }
    return lines;
}

std::vector<std::string> fields_of(std::string_view line, char separator) {
    std::vector<std::string> fields;
    for (;;) {
        const size_t end = line.find(separator);
        fields.emplace_back(line.substr(0, end));
        if (end == std::string_view::npos) return fields;
        line.remove_prefix(end + 1);
    }
}

/// Records by key, in the order of the file; each with all of its lines.
class Records {
 public:
    Records() = default;
    Records(Format format, std::string_view text) {
        const std::vector<std::string> lines = lines_of(text);
        size_t at = 0;
        while (at < lines.size()) {
            const std::string& first = lines[at];
            size_t count = 1;
            if (format == Format::diversions) count = std::min<size_t>(3, lines.size() - at);
            if (format == Format::paragraphs) {
                while (at + count < lines.size() && !lines[at + count - 1].empty())
                    ++count;
            }
            std::string record;
            for (size_t line = at; line < at + count; ++line)
                record += lines[line] + "\n";
            std::string key = first;
            if (format == Format::fields) key = first.substr(0, first.find(':'));
            if (format == Format::overrides) key = first.substr(first.rfind(' ') + 1);
            put(key, record);
            at += count;
        }
    }
    void put(const std::string& key, std::string record) {
        const auto [at, is_new] = by_key_.insert_or_assign(key, std::move(record));
        if (is_new) order_.push_back(key);
    }
    [[nodiscard]] const std::string* find(const std::string& key) const {
        const auto found = by_key_.find(key);
        return found == by_key_.end() ? nullptr : &found->second;
    }
    [[nodiscard]] const std::vector<std::string>& keys() const noexcept { return order_; }
    [[nodiscard]] std::string text() const {
        std::string text;
        for (const std::string& key : order_)
            text += by_key_.at(key);
        return text;
    }

 private:
    std::map<std::string, std::string> by_key_;
    std::vector<std::string> order_;
};

/// Names of the last field of both, those of `a` first.
std::string united(const std::string& a, const std::string& b) {
    std::vector<std::string> names = fields_of(a, ',');
    for (const std::string& name : fields_of(b, ',')) {
        if (std::find(names.begin(), names.end(), name) == names.end()) names.push_back(name);
    }
    std::string text;
    for (const std::string& name : names) {
        if (!name.empty()) text += (text.empty() ? "" : ",") + name;
    }
    return text;
}

/// One kind of file, merged.
class Merge {
 public:
    Merge(std::string_view path, Format format, const KeyedVersions& versions)
        : path_(path), versions_(versions) {
        if (path == "etc/passwd" || path == "etc/group") id_field_ = 2;
        if (path == "etc/group" || path == "etc/gshadow") members_field_ = 3;
        ancestor_ = Records(format, versions.ancestor);
        below_ = Records(format, versions.below);
        above_ = Records(format, versions.above);
    }
    Merge(std::string_view path, Records ancestor, Records below, Records above,
          const KeyedVersions& versions)
        : path_(path),
          versions_(versions),
          ancestor_(std::move(ancestor)),
          below_(std::move(below)),
          above_(std::move(above)) {}

    [[nodiscard]] Records result() const {
        Records merged;
        for (const std::string& key : below_.keys()) {
            if (const auto record = decided(key)) merged.put(key, *record);
        }
        for (const std::string& key : above_.keys()) {
            if (below_.find(key) != nullptr) continue;
            if (const auto record = decided(key)) merged.put(key, *record);
        }
        if (id_field_) check_ids(merged);
        return merged;
    }

 private:
    static bool same(const std::string* a, const std::string* b) {
        return a == nullptr || b == nullptr ? a == b : *a == *b;
    }
    [[nodiscard]] std::optional<std::string> decided(const std::string& key) const {
        const std::string* before = ancestor_.find(key);
        const std::string* below = below_.find(key);
        const std::string* above = above_.find(key);
        const std::string* winner = same(above, before) ? below : above;
        if (winner == nullptr) return std::nullopt;
        const bool both_changed = below != nullptr && above != nullptr && !same(below, before) &&
                                  !same(above, before) && !same(below, above);
        return both_changed ? combined(key, *below, *above) : *winner;
    }
    [[nodiscard]] std::string combined(const std::string& key, const std::string& below,
                                       const std::string& above) const {
        std::vector<std::string> mine = fields_of(above.substr(0, above.size() - 1), ':');
        const std::vector<std::string> other = fields_of(below.substr(0, below.size() - 1), ':');
        if (id_field_ && mine.size() > *id_field_ && other.size() > *id_field_ &&
            mine[*id_field_] != other[*id_field_]) {
            refuse(fmt::format("'{}' has the id {} in '{}' and {} in '{}'", key, other[*id_field_],
                               versions_.below_owner, mine[*id_field_], versions_.above_owner));
        }
        if (!members_field_ || mine.size() <= *members_field_ || other.size() <= *members_field_)
            return above;
        mine[*members_field_] = united(other[*members_field_], mine[*members_field_]);
        std::string text;
        for (const std::string& field : mine)
            text += (text.empty() ? "" : ":") + field;
        return text + "\n";
    }
    /// Two that are new to each other must not have one id.
    void check_ids(const Records& merged) const {
        std::map<std::string, std::string> names;
        for (const std::string& key : merged.keys()) {
            const std::vector<std::string> fields = fields_of(*merged.find(key), ':');
            if (fields.size() <= *id_field_) continue;
            const auto [other, is_new] = names.emplace(fields[*id_field_], key);
            if (is_new) continue;
            const std::string& first = other->second;
            const bool together = (below_.find(first) != nullptr && below_.find(key) != nullptr) ||
                                  (above_.find(first) != nullptr && above_.find(key) != nullptr);
            if (together) continue;
            refuse(fmt::format("'{}' of '{}' and '{}' of '{}' have the same id {}", first,
                               versions_.below_owner, key, versions_.above_owner, fields[*id_field_]));
        }
    }
    [[noreturn]] void refuse(const std::string& cause) const {
        throw Error("merge", fmt::format("/{}", path_), cause)
            .as(Fault::refused)
            .with_hint("install the packages that make them in one container, one after the other");
    }

    std::string path_;
    const KeyedVersions& versions_;
    Records ancestor_, below_, above_;
    std::optional<size_t> id_field_;
    std::optional<size_t> members_field_;
};

/// update-alternatives(1), section FILES: mode, link, pairs of a slave's name and link, an empty line; of
/// each alternative its path, priority and the slaves' files; an empty line.
struct Alternatives {
    std::string mode;
    std::string link;
    Records slaves;  ///< name → link
    struct Choice {
        std::string priority;
        std::map<std::string, std::string> files;  ///< by slave
    };
    std::map<std::string, Choice> choices;

    explicit Alternatives(std::string_view text) {
        const std::vector<std::string> lines = lines_of(text);
        size_t at = 0;
        const auto next = [&] { return at < lines.size() ? lines[at++] : std::string(); };
        mode = next();
        link = next();
        for (std::string name = next(); !name.empty(); name = next())
            slaves.put(name, next());
        for (std::string path = next(); !path.empty(); path = next()) {
            Choice& choice = choices[path];
            choice.priority = next();
            for (const std::string& slave : slaves.keys())
                choice.files[slave] = next();
        }
    }
    /// As records that can be merged: each choice in one string.
    [[nodiscard]] Records records() const {
        Records records;
        for (const auto& [path, choice] : choices) {
            std::string text = choice.priority;
            for (const auto& [slave, file] : choice.files)
                if (!file.empty()) text.append("\n").append(slave).append("\n").append(file);
            records.put(path, text);
        }
        return records;
    }
    void take(const Records& records) {
        choices.clear();
        for (const std::string& path : records.keys()) {
            const std::vector<std::string> lines = lines_of(*records.find(path));
            Choice& choice = choices[path];
            choice.priority = lines.empty() ? "" : lines[0];
            for (size_t at = 1; at + 1 < lines.size(); at += 2)
                choice.files[lines[at]] = lines[at + 1];
        }
    }
    [[nodiscard]] std::string text() const {
        std::string text = mode + "\n" + link + "\n";
        for (const std::string& slave : slaves.keys())
            text += slave + "\n" + *slaves.find(slave) + "\n";
        text += "\n";
        for (const auto& [path, choice] : choices) {
            text += path + "\n" + choice.priority + "\n";
            for (const std::string& slave : slaves.keys()) {
                const auto file = choice.files.find(slave);
                text += (file == choice.files.end() ? "" : file->second) + "\n";
            }
        }
        return text + "\n";
    }
};

std::string merge_alternatives(std::string_view path, const KeyedVersions& versions) {
    const Alternatives ancestor(versions.ancestor);
    const Alternatives below(versions.below);
    Alternatives merged(versions.above);
    if (merged.mode == ancestor.mode) merged.mode = below.mode;
    if (merged.link.empty()) merged.link = below.link;
    for (const std::string& slave : below.slaves.keys()) {
        if (merged.slaves.find(slave) == nullptr) merged.slaves.put(slave, *below.slaves.find(slave));
    }
    merged.take(Merge(path, ancestor.records(), below.records(), merged.records(), versions).result());
    return merged.text();
}

}  // namespace

bool is_keyed_file(std::string_view path) {
    return format_of(path) != Format::none;
}

std::string merge_keyed_file(std::string_view path, const KeyedVersions& versions) {
    const Format format = format_of(path);
    if (format == Format::alternatives) return merge_alternatives(path, versions);
    return Merge(path, format, versions).result().text();
}

std::vector<std::pair<std::string, std::string>> alternative_links(std::string_view path,
                                                                   std::string_view text) {
    std::vector<std::pair<std::string, std::string>> links;
    if (format_of(path) != Format::alternatives) return links;
    const Alternatives all(text);
    if (all.mode != "auto" || all.choices.empty()) return links;
    const auto best =
        std::max_element(all.choices.begin(), all.choices.end(), [](const auto& a, const auto& b) {
            return std::atoi(a.second.priority.c_str()) < std::atoi(b.second.priority.c_str());
        });
    const auto link = [&](std::string_view name, const std::string& target) {
        links.emplace_back(fmt::format("etc/alternatives/{}", name), target);
    };
    link(path.substr(kAlternatives.size()), best->first);
    for (const auto& [slave, file] : best->second.files) {
        if (!file.empty()) link(slave, file);
    }
    return links;
}

}  // namespace pwstore
