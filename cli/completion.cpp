// SPDX-License-Identifier: GPL-3.0-or-later
// Completion scripts, made from the table of commands. Names of containers and packages are asked of pwstore
// itself.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "cli/help.hpp"
#include "store/base/error.hpp"

namespace pwstore::cli {

namespace {

/// Whether the option's value is names with commas between them.
bool takes_list(const Option& option) {
    return option.value.find(',') != std::string::npos;
}

std::vector<std::string> all_names() {
    std::vector<std::string> names;
    for (const Command& command : commands()) {
        names.push_back(command.name);
        names.insert(names.end(), command.aliases.begin(), command.aliases.end());
    }
    return names;
}

std::vector<Option> options_of(const Command& command) {
    std::vector<Option> all = command.options;
    for (const Option& common : common_options()) {
        const auto same = [&](const Option& own) { return own.name == common.name; };
        if (std::none_of(all.begin(), all.end(), same)) all.push_back(common);
    }
    return all;
}

std::string word_list(const Option& option) {
    return fmt::format("{}", fmt::join(option.choices, " "));
}

/// `text` inside single quotes of a shell.
std::string quoted(std::string_view text) {
    std::string out;
    for (const char c : text)
        out += c == '\'' ? std::string("'\\''") : std::string(1, c);
    return out;
}

const char* kind_name(Completes kind) {
    switch (kind) {
        case Completes::nothing:
            return "none";
        case Completes::container:
            return "container";
        case Completes::generation:
            return "generation";
        case Completes::snapshot:
            return "snapshot";
        case Completes::place:
            return "place";
        case Completes::package:
            return "package";
        case Completes::installed:
            return "installed";
        case Completes::file:
            return "file";
        case Completes::command:
            return "command";
        case Completes::directory:
            return "directory";
    }
    return "none";
}

/// Of an operand that is one of a few words; otherwise empty.
std::string choices_of(const Operand& operand) {
    std::string words = operand.name.find('|') == std::string::npos ? "" : operand.name;
    std::replace(words.begin(), words.end(), '|', ' ');
    return words;
}

/// Without spaces within one.
std::string kinds_of_operands(const Command& command) {
    std::string kinds;
    for (const Operand& operand : command.operands) {
        std::string kind = kind_name(operand.completes);
        if (operand.name.find('|') != std::string::npos) kind = "=" + operand.name;
        kinds += (kinds.empty() ? "" : " ") + kind + (operand.repeated ? "+" : "");
    }
    return kinds;
}

// --- bash
// -----------------------------------------------------------------------------------------------------------

std::string bash_case(const Command& command) {
    std::vector<std::string> names = command.aliases;
    names.insert(names.begin(), command.name);
    std::string options;
    std::string values;
    for (const Option& option : options_of(command)) {
        options += (options.empty() ? "--" : " --") + option.name + (option.value.empty() ? "" : "=");
        if (option.value.empty()) continue;
        const std::string words =
            option.choices.empty() ? kind_name(option.completes) : "=" + word_list(option);
        values += fmt::format("                --{}{}) value='{}' ;;\n", option.name,
                              option.letter != 0 ? fmt::format("|-{}", option.letter) : "", words);
    }
    return fmt::format(
        "        {})\n            options='{}'\n            operands='{}'\n            tail={}\n"
        "            case $before in\n{}            esac ;;\n",
        fmt::join(names, "|"), options, kinds_of_operands(command),
        command.tail == Tail::after_operand ? 1 : 0, values);
}

/// All words of a kind.
constexpr const char* kBashWords = R"SH(# bash completion for pwstore, made by 'pwstore completion bash'
_pwstore_words() {
    local kind=${1%+} container=$2 name=${cur%%@*} word
    case $kind in
        =*) kind=${kind#=}; printf '%s\n' ${kind//|/ } ;;
        container) pwstore ls --quiet 2>/dev/null ;;
        generation)
            if [[ $cur == *@* ]]; then
                for word in $(pwstore history --quiet "$name" 2>/dev/null; pwstore snapshot ls --quiet "$name" 2>/dev/null); do
                    printf '%s\n' "$name@$word"
                done
            else
                pwstore ls --quiet 2>/dev/null
            fi ;;
        snapshot)
            case ${words[2]} in
                create) _pwstore_words generation '' ;;
                ls) _pwstore_words container '' ;;
                *) pwstore snapshot ls --quiet 2>/dev/null ;;
            esac ;;
        place)
            printf '%s\n' oci://
            sed -n 's/^[[:space:]]*[Hh]ost[[:space:]]\{1,\}//p' ~/.ssh/config 2>/dev/null | tr -s ' \t' '\n\n' | sed -n '/[*?!]/!s|^|ssh://|p' ;;
        installed) [[ $container ]] && pwstore query --quiet "$container" 2>/dev/null ;;
        package) [[ $cur && $cur != *[!a-zA-Z0-9@._+-]* ]] && pwstore search --quiet "^${cur//[.+]/.}" 2>/dev/null ;;
    esac
}
)SH";

std::string bash_script() {
    std::string out = kBashWords;
    out += R"SH(_pwstore() {
    local cur before verb options='' operands='' value='' tail=0 i word kind container='' count=0 last
    local line=${COMP_LINE:0:COMP_POINT}
    local -a kinds words
    COMPREPLY=()
    # By spaces: bash would take words apart at '=', '@' and ':' as well.
    read -ra words <<<"$line"
    [[ $line == *[[:space:]] ]] && words+=('')
    last=$((${#words[@]} - 1))
    cur=${words[last]}
    before=${words[last-1]}
    if [[ $cur == --*=* ]]; then
        before=${cur%%=*}
        cur=${cur#*=}
    fi
    if ((last == 1)); then
)SH";
    out += fmt::format(
        "        COMPREPLY=($(compgen -W '{}' -- \"$cur\"))\n        return\n    fi\n    "
        "verb=${{words[1]}}\n    case $verb in\n",
        fmt::join(all_names(), " "));
    out +=
        "        -E*) verb=run ;;\n        -Q*) verb=query ;;\n        -Rm*) verb=delete ;;\n        -R*) "
        "verb=remove ;;\n"
        "        -S*) verb=sync ;;\n        -L*) verb=ls ;;\n        -h*) verb=help ;;\n    esac\n    case "
        "$verb in\n";
    for (const Command& command : commands())
        out += bash_case(command);
    out += R"SH(        *) return ;;
    esac
    if [[ $value ]]; then
        if [[ $value == file || $value == directory ]]; then
            compopt -o filenames 2>/dev/null
            if [[ $value == file ]]; then COMPREPLY=($(compgen -f -- "$cur")); else COMPREPLY=($(compgen -d -- "$cur")); fi
            return
        fi
        word=${cur##*,}
        COMPREPLY=($(compgen -P "${cur%"$word"}" -W "$(_pwstore_words "$value" '')" -- "$word"))
        return
    fi
    for ((i = 2; i < last; i++)); do
        word=${words[i]}
        if [[ $word != -* ]]; then
            [[ $container ]] || container=$word
            ((++count))
        fi
    done
    if ((tail && count > 0)); then
        COMPREPLY=($(compgen -c -f -- "$cur"))
        return
    fi
    if [[ $cur == -* ]]; then
        COMPREPLY=($(compgen -W "$options" -- "$cur"))
        [[ ${COMPREPLY[0]} == *= ]] && compopt -o nospace 2>/dev/null
        return
    fi
    read -ra kinds <<<"$operands"
    kind=${kinds[count]}
    if [[ ! $kind && ${#kinds[@]} -gt 0 && ${kinds[-1]} == *+ ]]; then kind=${kinds[-1]}; fi
    [[ $verb == help ]] && kind="=)SH";
    out += fmt::format("{}", fmt::join(all_names(), " "));
    for (const Topic& topic : topics())
        out += " " + topic.name;
    out += R"SH("
    [[ $verb == completion ]] && kind="=bash zsh fish"
    [[ $kind == package* ]] && COMPREPLY=($(compgen -f -X '!*.pkg.tar*' -- "$cur"))
    [[ $kind == file* || $kind == directory* ]] && compopt -o filenames 2>/dev/null
    [[ $kind == file* ]] && COMPREPLY=($(compgen -f -- "$cur"))
    [[ $kind == directory* ]] && COMPREPLY=($(compgen -d -- "$cur"))
    [[ $kind ]] && COMPREPLY+=($(compgen -W "$(_pwstore_words "$kind" "$container")" -- "$cur"))
    # What bash takes for words of their own stays in front.
    word=${cur##*[@:]}
    word=${cur%"$word"}
    [[ $word && $COMP_WORDBREAKS == *"${word: -1}"* ]] && COMPREPLY=("${COMPREPLY[@]#"$word"}")
}
complete -F _pwstore pwstore
)SH";
    return out;
}

// --- zsh
// ------------------------------------------------------------------------------------------------------------

/// The action of _arguments for a kind of value.
std::string zsh_action(Completes kind) {
    switch (kind) {
        case Completes::container:
            return "_pwstore_containers";
        case Completes::generation:
            return "_pwstore_generations";
        case Completes::snapshot:
            return "_pwstore_snapshots";
        case Completes::place:
            return "_pwstore_places";
        case Completes::package:
            return "_pwstore_packages";
        case Completes::installed:
            return "_pwstore_installed";
        case Completes::file:
            return "_files";
        case Completes::command:
            return "_command_names -e";
        case Completes::directory:
            return "_directories";
        case Completes::nothing:
            return "";
    }
    return {};
}

/// `text` inside a description of _arguments: no brackets, no colons of its own.
std::string zsh_text(std::string_view text) {
    std::string out;
    for (const char c : text) {
        if (c == '[' || c == ']' || c == ':' || c == '\\') out += '\\';
        out += c;
    }
    return quoted(out);
}

std::string zsh_value(const Option& option) {
    if (!option.choices.empty()) return "(" + word_list(option) + ")";
    const std::string action = zsh_action(option.completes);
    return takes_list(option) ? "_sequence " + action : action;
}

std::string zsh_option(const Option& option) {
    const std::string action = zsh_value(option);
    const std::string value =
        option.value.empty() ? "" : fmt::format(":{}:{}", zsh_text(option.value), action);
    const std::string equals = option.value.empty() ? "" : "=";
    std::string out =
        fmt::format("                '*--{}{}[{}]{}'", option.name, equals, zsh_text(option.help), value);
    if (option.letter != 0) {
        out += fmt::format(" \\\n                '*-{}{}[{}]{}'", option.letter,
                           option.value.empty() ? "" : "+", zsh_text(option.help), value);
    }
    return out;
}

std::string zsh_case(const Command& command) {
    std::vector<std::string> names = command.aliases;
    names.insert(names.begin(), command.name);
    std::string out = fmt::format("        ({})\n            _arguments -s -S", fmt::join(names, "|"));
    for (const Option& option : options_of(command))
        out += " \\\n" + zsh_option(option);
    for (const Operand& operand : command.operands) {
        std::string action = zsh_action(operand.completes);
        if (const std::string words = choices_of(operand); !words.empty()) action = "(" + words + ")";
        if (command.name == "completion") action = "(bash zsh fish)";
        if (command.name == "help") action = "_pwstore_topics";
        out += fmt::format(" \\\n                '{}:{}:{}'",
                           operand.repeated   ? "*"
                           : operand.optional ? ":"
                                              : "",
                           operand.name, action);
    }
    if (command.tail != Tail::none) out += " \\\n                '*::command:_normal'";
    return out + "\n            ;;\n";
}

std::string zsh_script() {
    std::string out = R"SH(#compdef pwstore
# zsh completion for pwstore, made by 'pwstore completion zsh'
_pwstore_containers() {
    local -a names
    names=(${(f)"$(pwstore ls --quiet 2>/dev/null)"})
    compadd -a names
}
_pwstore_generations() {
    local -a names
    if [[ $PREFIX == *@* ]]; then
        local name=${PREFIX%%@*}
        names=(${(f)"$(pwstore history --quiet $name 2>/dev/null; pwstore snapshot ls --quiet $name 2>/dev/null)"})
        compset -P '*@'
        compadd -a names
    else
        names=(${(f)"$(pwstore ls --quiet 2>/dev/null)"})
        compadd -a names
    fi
}
_pwstore_snapshots() {
    local -a names
    case ${words[2]} in
        (create) _pwstore_generations ;;
        (ls) _pwstore_containers ;;
        (*) names=(${(f)"$(pwstore snapshot ls --quiet 2>/dev/null)"})
            compadd -a names ;;
    esac
}
_pwstore_places() {
    local -a names
    names=(oci:// ${(f)"$(sed -n 's/^[[:space:]]*[Hh]ost[[:space:]]\{1,\}//p' ~/.ssh/config 2>/dev/null | tr -s ' \t' '\n\n' | sed -n '/[*?!]/!s|^|ssh://|p')"})
    compadd -a names
}
_pwstore_installed() {
    local -a names
    names=(${(f)"$(pwstore query --quiet ${words[2]} 2>/dev/null)"})
    compadd -a names
}
_pwstore_packages() {
    local -a names
    [[ -n $PREFIX && $PREFIX != *[^a-zA-Z0-9@._+-]* ]] && names=(${(f)"$(pwstore search --quiet "^${PREFIX//[.+]/.}" 2>/dev/null)"})
    compadd -a names
    _files -g '*.pkg.tar*'
}
_pwstore_topics() {
    compadd )SH";
    out += fmt::format("{}", fmt::join(all_names(), " "));
    for (const Topic& topic : topics())
        out += " " + topic.name;
    out += "\n}\n_pwstore() {\n    local -a verbs\n    verbs=(\n";
    for (const Command& command : commands()) {
        out += fmt::format("        '{}:{}'\n", command.name, zsh_text(command.summary));
    }
    out += R"SH(    )
    if (( CURRENT == 2 )); then
        _describe -t verbs verb verbs
        return
    fi
    shift words
    (( CURRENT-- ))
    case ${words[1]} in
        (-E*) words[1]=run ;;
        (-Q*) words[1]=query ;;
        (-Rm*) words[1]=delete ;;
        (-R*) words[1]=remove ;;
        (-S*) words[1]=sync ;;
        (-L*) words[1]=ls ;;
        (-h*) words[1]=help ;;
    esac
    case ${words[1]} in
)SH";
    for (const Command& command : commands())
        out += zsh_case(command);
    return out + "    esac\n}\n_pwstore \"$@\"\n";
}

// --- fish
// -----------------------------------------------------------------------------------------------------------

std::string fish_words(Completes kind) {
    switch (kind) {
        case Completes::container:
            return "(pwstore ls --quiet 2>/dev/null)";
        case Completes::generation:
            return "(__pwstore_generations)";
        case Completes::snapshot:
            return "(__pwstore_snapshots)";
        case Completes::place:
            return "oci:// (printf ssh://%s\\n (__fish_print_hostnames))";
        case Completes::package:
            return "(__pwstore_packages)";
        case Completes::installed:
            return "(__pwstore_installed)";
        case Completes::file:
        case Completes::command:
        case Completes::directory:
        case Completes::nothing:
            return "";
    }
    return {};
}

bool takes_files(Completes kind) {
    return kind == Completes::file || kind == Completes::directory;
}

/// `text` inside single quotes of fish, where only \ and ' are special.
std::string fish_quoted(std::string_view text) {
    std::string out;
    for (const char c : text) {
        if (c == '\'' || c == '\\') out += '\\';
        out += c;
    }
    return out;
}

std::string fish_command(const Command& command) {
    std::vector<std::string> names = command.aliases;
    names.insert(names.begin(), command.name);
    const std::string seen = fmt::format("__fish_seen_subcommand_from {}", fmt::join(names, " "));
    std::string out;
    for (const std::string& name : names) {
        out += fmt::format("complete -c pwstore -f -n __fish_use_subcommand -a {} -d '{}'\n", name,
                           fish_quoted(command.summary));
    }
    for (const Option& option : options_of(command)) {
        out += fmt::format("complete -c pwstore {} -n '{}' -l {}",
                           takes_files(option.completes) ? "-F" : "-f", seen, option.name);
        if (option.letter != 0) out += fmt::format(" -s {}", option.letter);
        if (!option.value.empty()) out += " -r";
        std::string words = option.choices.empty() ? fish_words(option.completes) : word_list(option);
        if (takes_list(option)) words = fmt::format("(__fish_append , {})", words);
        if (!words.empty()) out += fmt::format(" -a '{}'", fish_quoted(words));
        out += fmt::format(" -d '{}'\n", fish_quoted(option.help));
    }
    std::vector<std::string> done;
    for (const Operand& operand : command.operands) {
        if (takes_files(operand.completes)) out += fmt::format("complete -c pwstore -F -n '{}'\n", seen);
        const std::string choices = choices_of(operand);
        const std::string words = choices.empty() ? fish_words(operand.completes) : choices;
        if (words.empty() || std::find(done.begin(), done.end(), words) != done.end()) continue;
        done.push_back(words);
        out += fmt::format("complete -c pwstore -f -n '{}' -a '{}'\n", seen, fish_quoted(words));
    }
    return out;
}

std::string fish_script() {
    std::string out = R"SH(# fish completion for pwstore, made by 'pwstore completion fish'
function __pwstore_packages
    set -l word (commandline -ct)
    string match -qr '^[a-zA-Z0-9@._+-]+$' -- $word; and pwstore search --quiet "^"(string escape --style=regex -- $word) 2>/dev/null
end
function __pwstore_generations
    set -l word (commandline -ct)
    if string match -q '*@*' -- $word
        set -l name (string split -m1 @ -- $word)[1]
        for one in (pwstore history --quiet $name 2>/dev/null) (pwstore snapshot ls --quiet $name 2>/dev/null)
            echo $name@$one
        end
    else
        pwstore ls --quiet 2>/dev/null
    end
end
function __pwstore_snapshots
    set -l words (commandline -opc)
    if test (count $words) -lt 3
        return
    else if test $words[3] = create
        __pwstore_generations
    else if test $words[3] = ls
        pwstore ls --quiet 2>/dev/null
    else
        pwstore snapshot ls --quiet 2>/dev/null
    end
end
function __pwstore_installed
    set -l words (commandline -opc)
    test (count $words) -ge 3; and pwstore query --quiet $words[3] 2>/dev/null
end
)SH";
    for (const Command& command : commands())
        out += fish_command(command);
    out += fmt::format("complete -c pwstore -f -n '__fish_seen_subcommand_from help' -a '{}",
                       fmt::join(all_names(), " "));
    for (const Topic& topic : topics())
        out += " " + topic.name;
    return out + "'\ncomplete -c pwstore -f -n '__fish_seen_subcommand_from completion' -a 'bash zsh fish'\n";
}

}  // namespace

std::string completion_script(const std::string& shell) {
    if (shell == "bash") return bash_script();
    if (shell == "zsh") return zsh_script();
    if (shell == "fish") return fish_script();
    throw Error("read the command line", "",
                fmt::format("there is no completion for '{}', but for bash, zsh and fish", printable(shell)))
        .as(Fault::usage);
}

}  // namespace pwstore::cli
