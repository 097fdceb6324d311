// SPDX-License-Identifier: GPL-3.0-or-later
// What `pwstore pacman -h` and `-S -h` print.
#include <fmt/format.h>

#include <array>
#include <string_view>

#include "cli/pacman/options.hpp"

namespace pwstore::cli::pacman {

namespace {

struct OptionLine {
    std::string_view operations;  ///< letters of those that have it; "*" = all
    std::string_view option;
    std::string_view meaning;
};
constexpr std::array kLines{
    OptionLine{"R", "-c, --cascade", "remove packages and all packages that depend on them"},
    OptionLine{"Q", "-c, --changelog", "view the changelog of a package"},
    OptionLine{"S", "-c, --clean", "remove old packages from the cache (-cc for all)"},
    OptionLine{"SUR", "-d, --nodeps", "skip dependency version checks (-dd to skip all checks)"},
    OptionLine{"Q", "-d, --deps", "list packages installed as dependencies [filter]"},
    OptionLine{"Q", "-e, --explicit", "list packages explicitly installed [filter]"},
    OptionLine{"QS", "-g, --groups", "view all members of a package group"},
    OptionLine{"QS", "-i, --info", "view package information (-ii for more)"},
    OptionLine{"Q", "-k, --check", "check that package files exist (-kk for file properties)"},
    OptionLine{"D", "-k, --check", "test the local database (-kk for sync databases)"},
    OptionLine{"Q", "-l, --list", "list the files of a package"},
    OptionLine{"S", "-l, --list", "list the packages of a repository"},
    OptionLine{"Q", "-m, --foreign", "list packages that no sync database has [filter]"},
    OptionLine{"Q", "-n, --native", "list packages that a sync database has [filter]"},
    OptionLine{"R", "-n, --nosave", "remove configuration files"},
    OptionLine{"Q", "-o, --owns", "name the package that owns a file"},
    OptionLine{"Q", "-p, --file", "look at a package file instead of the database"},
    OptionLine{"SUR", "-p, --print", "print the targets instead of doing anything"},
    OptionLine{"QSD", "-q, --quiet", "show less"},
    OptionLine{"R", "-s, --recursive", "remove unneeded dependencies (-ss: explicit ones too)"},
    OptionLine{"QS", "-s, --search", "search for matching strings"},
    OptionLine{"Q", "-t, --unrequired", "list packages that nothing requires (-tt: or optionally) [filter]"},
    OptionLine{"Q", "-u, --upgrades", "list outdated packages [filter]"},
    OptionLine{"S", "-u, --sysupgrade", "upgrade installed packages (-uu enables downgrades)"},
    OptionLine{"R", "-u, --unneeded", "remove unneeded packages"},
    OptionLine{"SU", "-w, --downloadonly", "download packages, install nothing"},
    OptionLine{"S", "-y, --refresh", "download fresh package databases (-yy to force)"},
    OptionLine{"DSU", "    --asdeps", "mark packages as non-explicitly installed"},
    OptionLine{"DSU", "    --asexplicit", "mark packages as explicitly installed"},
    OptionLine{"SU", "    --needed", "do not reinstall up to date packages"},
    OptionLine{"SU", "    --ignore <pkg>", "ignore a package upgrade"},
    OptionLine{"SU", "    --ignoregroup <grp>", "ignore a group upgrade"},
    OptionLine{"SU", "    --overwrite <glob>", "overwrite conflicting files"},
    OptionLine{"SUR", "    --assume-installed <pkg=version>", "count a package as installed"},
    OptionLine{"SUR", "    --dbonly", "change database entries, not package files"},
    OptionLine{"SUR", "    --noscriptlet", "run no install scriptlets"},
    OptionLine{"SUR", "    --noprogressbar", "show no progress bar"},
    OptionLine{"SUR", "    --print-format <string>", "how targets are printed: %n %v %l %r %s"},
    OptionLine{"*", "-b, --dbpath <path>", "another database location"},
    OptionLine{"*", "-r, --root <path>", "the installation root"},
    OptionLine{"*", "-v, --verbose", "say more"},
    OptionLine{"*", "    --arch <arch>", "another architecture"},
    OptionLine{"*", "    --sysroot <path>", "every path is inside of this root"},
    OptionLine{"*", "    --cachedir <dir>", "another package cache"},
    OptionLine{"*", "    --hookdir <dir>", "another hook location"},
    OptionLine{"*", "    --color <when>", "colours: always, never, auto"},
    OptionLine{"*", "    --config <path>", "another configuration file"},
    OptionLine{"*", "    --container <name>", "not a directory but a container"},
    OptionLine{"*", "    --debug", "display debug messages"},
    OptionLine{"*", "    --disable-download-timeout", "relaxed time-outs for downloads"},
    OptionLine{"*", "    --disable-sandbox", "let the user that downloads do all that it may (root only)"},
    OptionLine{"*", "    --disable-sandbox-filesystem", "let that user write where it may"},
    OptionLine{"*", "    --disable-sandbox-syscalls", "let that user make all system calls"},
    OptionLine{"*", "    --gpgdir <path>", "another home directory for GnuPG"},
    OptionLine{"*", "    --in-place", "change the directory itself; the default of --root"},
    OptionLine{"*", "    --logfile <path>", "another log file"},
    OptionLine{"*", "    --noconfirm", "ask for no confirmation"},
    OptionLine{"*", "    --confirm", "always ask for confirmation"}};

struct OperationLine {
    Operation operation;
    char letter;
    std::string_view head;  ///< after the program's name
};
constexpr std::array kOperationLines{
    OperationLine{Operation::database, 'D', "{-D --database} <options> <package(s)>"},
    OperationLine{Operation::files, 'F', "{-F --files}    [options] [file(s)]"},
    OperationLine{Operation::query, 'Q', "{-Q --query}    [options] [package(s)]"},
    OperationLine{Operation::remove, 'R', "{-R --remove}   [options] <package(s)>"},
    OperationLine{Operation::sync, 'S', "{-S --sync}     [options] [package(s)]"},
    OperationLine{Operation::deptest, 'T', "{-T --deptest}  [options] [package(s)]"},
    OperationLine{Operation::upgrade, 'U', "{-U --upgrade}  [options] <file(s)>"}};

}  // namespace

std::string usage_text(Operation operation, const std::string& program) {
    if (operation == Operation::none) {
        std::string out = fmt::format("usage:  {} <operation> [...]\noperations:\n", program);
        for (const char* head : {"{-h --help}", "{-V --version}"})
            out += fmt::format("    {} {}\n", program, head);
        for (const OperationLine& line : kOperationLines)
            out += fmt::format("    {} {}\n", program, line.head);
        return out +
               fmt::format("\nuse '{} {{-h --help}}' with an operation for available options\n", program);
    }
    std::string out;
    for (const OperationLine& line : kOperationLines) {
        if (line.operation != operation) continue;
        out = fmt::format("usage:  {} {}\noptions:\n", program, line.head);
        for (const OptionLine& one : kLines) {
            if (one.operations != "*" && one.operations.find(line.letter) == std::string_view::npos) continue;
            out += fmt::format("  {:<21}{}{}\n", one.option,
                               one.option.size() >= 21 ? "\n" + std::string(23, ' ') : "", one.meaning);
        }
    }
    return out;
}

}  // namespace pwstore::cli::pacman
