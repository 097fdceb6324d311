// SPDX-License-Identifier: GPL-3.0-or-later
#include "cli/pacman/options.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <initializer_list>
#include <string_view>
#include <utility>
#include <variant>

#include "store/base/error.hpp"

namespace pwstore::cli::pacman {

namespace {

constexpr const char* kProgram = "pwstore pacman";

/// Operations as bits, so that an option can name those that take it.
constexpr unsigned bit(Operation operation) {
    return 1U << static_cast<unsigned>(operation);
}
constexpr unsigned kD = bit(Operation::database), kF = bit(Operation::files), kQ = bit(Operation::query),
                   kR = bit(Operation::remove), kS = bit(Operation::sync), kU = bit(Operation::upgrade),
                   kChanges = kS | kU | kR, kAdds = kS | kU, kAll = ~0U;

struct Splits {
    std::vector<std::string> Options::*list;  ///< each value is cut at commas
};
struct Calls {
    void (*act)(Options&, const std::string& value);
};
/// What an option does: sets, counts, keeps its value, adds its value, adds the parts of its value, more.
using Effect = std::variant<bool Options::*, unsigned Options::*, std::optional<std::string> Options::*,
                            std::vector<std::string> Options::*, Splits, Calls>;
enum class Value { none, needed, optional };

struct Rule {
    std::string_view name;
    char letter;
    unsigned operations;
    Effect effect;
    Value value = Value::none;
};

[[noreturn]] void reject(const std::string& text) {
    throw Usage(text);
}

void take_operation(Options& options, Operation operation, bool& several) {
    several = several || options.operation != Operation::none;
    options.operation = operation;
}

void set_color(Options& options, const std::string& value) {
    if (value != "never" && value != "auto" && value != "always") {
        reject(fmt::format("error: invalid argument '{}' for --color\nerror: invalid option '--color'",
                           printable(value)));
    }
    options.color = value;
}

void set_debug(Options& options, const std::string& value) {
    if (!value.empty() && std::atoi(value.c_str()) != 1 && std::atoi(value.c_str()) != 2) {
        reject(fmt::format("error: '{}' is not a valid debug level\nerror: invalid option '--debug'",
                           printable(value)));
    }
    options.debug = true;
}

void set_db_only(Options& options, const std::string& /*value*/) {
    options.db_only = options.no_scriptlet = true;
}

void set_print_format(Options& options, const std::string& value) {
    options.print = true;
    options.print_format = value;
}

/// --ask makes pacman ask nobody.
void set_ask(Options& options, const std::string& value) {
    options.ask = static_cast<unsigned>(std::strtoul(value.c_str(), nullptr, 10));
    options.no_confirm = true;
}

void set_confirm(Options& options, const std::string& /*value*/) {
    options.no_confirm = false;
}

const std::vector<Rule>& rules() {
    using O = Options;
    constexpr Value needed = Value::needed;
    static const std::vector<Rule> all{
        {"cascade", 'c', kR, &O::cascade},
        {"changelog", 'c', kQ, &O::changelog},
        {"clean", 'c', kS, &O::clean},
        {"nodeps", 'd', kChanges, &O::no_deps},
        {"deps", 'd', kQ, &O::deps},
        {"explicit", 'e', kQ, &O::explicitly},
        {"groups", 'g', kQ | kS, &O::groups},
        {"info", 'i', kQ | kS, &O::info},
        {"check", 'k', kQ | kD, &O::check},
        {"list", 'l', kQ | kS | kF, &O::list},
        {"foreign", 'm', kQ, &O::foreign},
        {"native", 'n', kQ, &O::native},
        {"nosave", 'n', kR, &O::no_save},
        {"owns", 'o', kQ, &O::owns},
        {"file", 'p', kQ, &O::file},
        {"print", 'p', kChanges, &O::print},
        {"quiet", 'q', kQ | kS | kD | kF, &O::quiet},
        {"recursive", 's', kR, &O::recursive},
        {"search", 's', kQ | kS, &O::search},
        {"unrequired", 't', kQ, &O::unrequired},
        {"upgrades", 'u', kQ, &O::upgrades},
        {"sysupgrade", 'u', kS, &O::upgrade},
        {"unneeded", 'u', kR, &O::unneeded},
        {"downloadonly", 'w', kAdds, &O::download_only},
        {"regex", 'x', kF, &O::regex},
        {"refresh", 'y', kS | kF, &O::refresh},
        {"machinereadable", 0, kF, &O::machine_readable},
        {"asdeps", 0, kAdds | kD, &O::as_deps},
        {"asexplicit", 0, kAdds | kD, &O::as_explicit},
        {"needed", 0, kAdds, &O::needed},
        {"dbonly", 0, kChanges, Calls{set_db_only}},
        {"noscriptlet", 0, kChanges, &O::no_scriptlet},
        {"noprogressbar", 0, kChanges, &O::no_progress_bar},
        {"print-format", 0, kChanges, Calls{set_print_format}, needed},
        {"assume-installed", 0, kChanges, Splits{&O::assume_installed}, needed},
        {"overwrite", 0, kAdds, Splits{&O::overwrite}, needed},
        {"ignore", 0, kAdds, Splits{&O::ignore}, needed},
        {"ignoregroup", 0, kAdds, Splits{&O::ignore_groups}, needed},
        {"dbpath", 'b', kAll, &O::database, needed},
        {"root", 'r', kAll, &O::root, needed},
        {"verbose", 'v', kAll, &O::verbose},
        {"sysroot", 0, kAll, &O::sysroot, needed},
        {"arch", 0, kAll, &O::architectures, needed},
        {"ask", 0, kAll, Calls{set_ask}, needed},
        {"cachedir", 0, kAll, &O::cache_dirs, needed},
        {"hookdir", 0, kAll, &O::hook_dirs, needed},
        {"color", 0, kAll, Calls{set_color}, needed},
        {"config", 0, kAll, &O::config, needed},
        {"debug", 0, kAll, Calls{set_debug}, Value::optional},
        {"gpgdir", 0, kAll, &O::gnupg_dir, needed},
        {"logfile", 0, kAll, &O::log_file, needed},
        {"noconfirm", 0, kAll, &O::no_confirm},
        {"confirm", 0, kAll, Calls{set_confirm}},
        {"disable-download-timeout", 0, kAll, &O::disable_download_timeout},
        {"disable-sandbox", 0, kAll, &O::disable_sandbox},
        {"disable-sandbox-filesystem", 0, kAll, &O::disable_sandbox_files},
        {"disable-sandbox-syscalls", 0, kAll, &O::disable_sandbox_calls},
        {"in-place", 0, kAll, &O::in_place},
        {"container", 0, kAll, &O::container, needed}};
    return all;
}

struct OperationName {
    std::string_view name;
    char letter;
    Operation operation;  ///< none for -V and -h
};
constexpr std::array kOperations{
    OperationName{"database", 'D', Operation::database}, OperationName{"files", 'F', Operation::files},
    OperationName{"query", 'Q', Operation::query},       OperationName{"remove", 'R', Operation::remove},
    OperationName{"sync", 'S', Operation::sync},         OperationName{"deptest", 'T', Operation::deptest},
    OperationName{"upgrade", 'U', Operation::upgrade},   OperationName{"version", 'V', Operation::none},
    OperationName{"help", 'h', Operation::none}};

/// One option as it stands in the line, not yet looked up for the operation.
struct Given {
    std::string name;  ///< "--clean" in full, or "-c"
    std::string value;
};

/// The words cut into options and operands, operations taken out.
class Line {
 public:
    explicit Line(const std::vector<std::string>& words);
    Options options;
    std::vector<Given> given;
    bool several_operations = false;

 private:
    void take_long(const std::string& word, const std::vector<std::string>& words, size_t& at);
    void take_letters(const std::string& word, const std::vector<std::string>& words, size_t& at);
    bool take_operation(std::string_view name, char letter);
    static std::string full_name(const std::string& name);
};

Line::Line(const std::vector<std::string>& words) {
    for (size_t at = 0; at < words.size(); ++at) {
        const std::string& word = words[at];
        if (word == "--") {
            options.targets.insert(options.targets.end(), words.begin() + static_cast<std::ptrdiff_t>(at) + 1,
                                   words.end());
            return;
        }
        if (word.size() < 2 || word[0] != '-') {
            options.targets.push_back(word);
        } else if (word[1] == '-') {
            take_long(word, words, at);
        } else {
            take_letters(word, words, at);
        }
    }
}

bool Line::take_operation(std::string_view name, char letter) {
    for (const OperationName& known : kOperations) {
        if (name != known.name && letter != known.letter) continue;
        if (known.letter == 'V') {
            options.version = true;
        } else if (known.letter == 'h') {
            options.help = true;
        } else {
            pacman::take_operation(options, known.operation, several_operations);
        }
        return true;
    }
    return false;
}

/// The name that `name` is, or is the only beginning of.
std::string Line::full_name(const std::string& name) {
    std::vector<std::string> found;
    const auto look_at = [&](std::string_view known) {
        if (known == name || (known.substr(0, name.size()) == name &&
                              std::find(found.begin(), found.end(), known) == found.end()))
            found.emplace_back(known);
    };
    for (const Rule& rule : rules())
        look_at(rule.name);
    for (const OperationName& operation : kOperations)
        look_at(operation.name);
    const bool exact = std::find(found.begin(), found.end(), name) != found.end();
    if (exact) return name;
    if (found.empty()) reject(fmt::format("{}: unrecognized option '--{}'", kProgram, printable(name)));
    if (found.size() > 1) {
        for (std::string& one : found)
            one = fmt::format("'--{}'", one);
        reject(fmt::format("{}: option '--{}' is ambiguous; possibilities: {}", kProgram, printable(name),
                           fmt::join(found, " ")));
    }
    return found.front();
}

void Line::take_long(const std::string& word, const std::vector<std::string>& words, size_t& at) {
    const size_t equals = std::min(word.find('='), word.size());
    const std::string name = full_name(word.substr(2, equals - 2));
    const bool has_value = equals < word.size();
    const auto rule =
        std::find_if(rules().begin(), rules().end(), [&](const Rule& one) { return one.name == name; });
    const Value value = rule == rules().end() ? Value::none : rule->value;
    if (value == Value::none && has_value) {
        reject(fmt::format("{}: option '--{}' doesn't allow an argument", kProgram, name));
    }
    if (rule == rules().end()) {
        take_operation(name, 0);
        return;
    }
    Given one{"--" + name, has_value ? word.substr(equals + 1) : ""};
    if (value == Value::needed && !has_value) {
        if (at + 1 >= words.size())
            reject(fmt::format("{}: option '--{}' requires an argument", kProgram, name));
        one.value = words[++at];
    }
    given.push_back(std::move(one));
}

void Line::take_letters(const std::string& word, const std::vector<std::string>& words, size_t& at) {
    for (size_t i = 1; i < word.size(); ++i) {
        const char letter = word[i];
        if (take_operation("", letter)) continue;
        const auto rule = std::find_if(rules().begin(), rules().end(),
                                       [&](const Rule& one) { return one.letter == letter; });
        if (rule == rules().end())
            reject(
                fmt::format("{}: invalid option -- '{}'", kProgram, printable(std::string_view(&letter, 1))));
        Given one{std::string("-") + letter, ""};
        if (rule->value == Value::needed) {
            if (i + 1 == word.size() && at + 1 >= words.size())
                reject(fmt::format("{}: option requires an argument -- '{}'", kProgram, letter));
            one.value = i + 1 < word.size() ? word.substr(i + 1) : words[++at];
            i = word.size();
        }
        given.push_back(std::move(one));
    }
}

const Rule& rule_of(const Given& given, Operation operation) {
    for (const Rule& rule : rules()) {
        const bool same =
            given.name[1] == '-' ? given.name.substr(2) == rule.name : given.name[1] == rule.letter;
        if (same && (rule.operations & bit(operation)) != 0) return rule;
    }
    reject(fmt::format("error: invalid option '{}'", given.name));
}

void add_parts(std::vector<std::string>& list, const std::string& value) {
    for (size_t from = 0; from <= value.size();) {
        const size_t comma = std::min(value.find(',', from), value.size());
        if (comma > from) list.push_back(value.substr(from, comma - from));
        from = comma + 1;
    }
}

void apply(Options& options, const Effect& effect, const std::string& value) {
    struct Visitor {
        Options& options;
        const std::string& value;
        void operator()(bool Options::*flag) const { options.*flag = true; }
        void operator()(unsigned Options::*counter) const { ++(options.*counter); }
        void operator()(std::optional<std::string> Options::*member) const { options.*member = value; }
        void operator()(std::vector<std::string> Options::*list) const { (options.*list).push_back(value); }
        void operator()(Splits splits) const { add_parts(options.*splits.list, value); }
        void operator()(Calls calls) const { calls.act(options, value); }
    };
    std::visit(Visitor{options, value}, effect);
}

// --- What does not go together
// ------------------------------------------------------------------------------------

struct Other {
    bool used;
    const char* name;
};

void check_apart(const char* name, std::initializer_list<Other> others) {
    for (const Other& other : others) {
        if (!other.used) continue;
        reject(
            fmt::format("error: invalid option: '{}' and '{}' may not be used together", name, other.name));
    }
}

void check_changes(const Options& o) {
    if (o.print) check_apart("--print", {{o.db_only, "--dbonly"}, {o.no_scriptlet, "--noscriptlet"}});
    if (o.as_deps) check_apart("--asdeps", {{o.as_explicit, "--asexplicit"}});
    if (o.no_save) check_apart("--nosave", {{o.print, "--print"}, {o.db_only, "--dbonly"}});
}

void check_sync(const Options& o) {
    const Other groups{o.groups > 0, "--groups"}, list{o.list, "--list"}, search{o.search, "--search"},
        upgrade{o.upgrade > 0, "--sysupgrade"}, download{o.download_only, "--downloadonly"};
    if (o.clean > 0) {
        check_apart(
            "--clean",
            {groups, {o.info > 0, "--info"}, list, {o.refresh > 0, "--refresh"}, search, upgrade, download});
    } else if (o.info > 0) {
        check_apart("--info", {groups, list, search, upgrade, download});
    } else if (o.search) {
        check_apart("--search", {groups, list, upgrade, download});
    } else if (o.list) {
        check_apart("--list", {groups, upgrade, download});
    } else if (o.groups > 0) {
        check_apart("--groups", {upgrade, download});
    }
}

void check_query(const Options& o) {
    const Other groups{o.groups > 0, "--groups"}, owns{o.owns, "--owns"};
    const auto check_display = [&](const char* name) {
        check_apart(name, {{o.changelog, "--changelog"},
                           {o.check > 0, "--check"},
                           {o.info > 0, "--info"},
                           {o.list, "--list"}});
    };
    const auto check_filter = [&](const char* name) {
        check_apart(name, {{o.deps, "--deps"},
                           {o.explicitly, "--explicit"},
                           {o.upgrades, "--upgrade"},
                           {o.unrequired > 0, "--unrequired"},
                           {o.native, "--native"},
                           {o.foreign, "--foreign"}});
    };
    if (o.file) {
        check_apart("--file", {groups, {o.search, "--search"}, owns});
    } else if (o.search) {
        check_apart("--search", {groups, owns});
        check_display("--search");
        check_filter("--search");
    } else if (o.owns) {
        check_apart("--owns", {groups});
        check_display("--owns");
        check_filter("--owns");
    } else if (o.groups > 0) {
        check_display("--groups");
    }
    if (o.deps) check_apart("--deps", {{o.explicitly, "--explicit"}});
    if (o.native) check_apart("--native", {{o.foreign, "--foreign"}});
}

void check(const Options& o) {
    if (o.container)
        check_apart("--container", {{o.in_place, "--in-place"},
                                    {o.root.has_value(), "--root"},
                                    {o.sysroot.has_value(), "--sysroot"},
                                    {o.database.has_value(), "--dbpath"},
                                    {!o.cache_dirs.empty(), "--cachedir"},
                                    {!o.hook_dirs.empty(), "--hookdir"},
                                    {o.gnupg_dir.has_value(), "--gpgdir"},
                                    {o.log_file.has_value(), "--logfile"}});
    switch (o.operation) {
        case Operation::database:
            if (o.as_deps)
                check_apart("--asdeps", {{o.as_explicit, "--asexplicit"}, {o.check > 0, "--check"}});
            if (o.as_explicit) check_apart("--asexplicit", {{o.check > 0, "--check"}});
            break;
        case Operation::query:
            check_query(o);
            break;
        case Operation::sync:
            check_changes(o);
            check_sync(o);
            break;
        case Operation::remove:
        case Operation::upgrade:
            check_changes(o);
            break;
        case Operation::none:
        case Operation::files:
        case Operation::deptest:
            break;
    }
}

}  // namespace

Options read_options(const std::vector<std::string>& words) {
    Line line(words);
    if (line.several_operations) reject("error: only one operation may be used at a time");
    Options options = std::move(line.options);
    if (options.help || options.version) return options;
    for (const Given& given : line.given)
        apply(options, rule_of(given, options.operation).effect, given.value);
    check(options);
    return options;
}

}  // namespace pwstore::cli::pacman
