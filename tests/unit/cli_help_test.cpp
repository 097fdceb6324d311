// SPDX-License-Identifier: GPL-3.0-or-later
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <set>
#include <sstream>

#include "cli/help.hpp"
#include "store/base/error.hpp"
#include "store/base/path_at.hpp"
#include "tests/support/test_dir.hpp"

namespace pwstore::cli {
namespace {

using ::testing::HasSubstr;

std::string path_in_docs(const std::string& name) {
    return std::string(PWSTORE_SOURCE_DIR) + "/docs/" + name;
}

std::string file_in_docs(const std::string& name) {
    std::ifstream in(path_in_docs(name));
    std::stringstream text;
    text << in.rdbuf();
    return text.str();
}

/// The file holds `text`; with PWSTORE_UPDATE_DOCS set it is written instead.
void expect_up_to_date(const std::string& name, const std::string& text) {
    if (std::getenv("PWSTORE_UPDATE_DOCS") != nullptr) std::ofstream(path_in_docs(name)) << text;
    EXPECT_TRUE(file_in_docs(name) == text)
        << name << ": bring it up to date with: cmake --build BUILD --target docs";
}

TEST(Table, NamesAndLettersAreUnique) {
    std::set<std::string> names;
    for (const Command& command : commands()) {
        EXPECT_TRUE(names.insert(command.name).second) << command.name;
        for (const std::string& alias : command.aliases)
            EXPECT_TRUE(names.insert(alias).second) << alias;
        std::set<std::string> options;
        std::set<char> letters;
        for (const Option& option : command.options) {
            EXPECT_TRUE(options.insert(option.name).second) << command.name << " --" << option.name;
            const bool fresh = option.letter == 0 || letters.insert(option.letter).second;
            EXPECT_TRUE(fresh) << command.name << " -" << option.letter;
            EXPECT_FALSE(option.help.empty()) << command.name << " --" << option.name;
            EXPECT_NE(option.letter, 'h') << command.name << ": -h is help";
        }
    }
}

TEST(Table, EveryVerbIsExplained) {
    for (const Command& command : commands()) {
        EXPECT_FALSE(command.summary.empty()) << command.name;
        EXPECT_NE(command.summary.back(), '.') << command.name;
        EXPECT_TRUE(command.run) << command.name;
        EXPECT_EQ(find_command(command.name), &command);
        for (size_t i = 0; i < command.operands.size(); ++i) {
            const bool last = i + 1 == command.operands.size();
            EXPECT_TRUE(last || !command.operands[i].repeated) << command.name;
            EXPECT_TRUE(last || !command.operands[i].optional || command.operands[i + 1].optional)
                << command.name;
        }
        const std::string page = command_text(command, 80, Painter(false));
        EXPECT_THAT(page, HasSubstr("Usage: pwstore " + command.name));
        for (const Option& option : command.options)
            EXPECT_THAT(page, HasSubstr("--" + option.name)) << command.name;
        for (const Example& example : command.examples)
            EXPECT_THAT(page, HasSubstr(example.line));
    }
}

TEST(Help, LinesFitTheTerminal) {
    for (const size_t width : {80U, 100U, 120U}) {
        std::string all = overview_text(width, Painter(false));
        for (const Command& command : commands())
            all += command_text(command, width, Painter(false));
        for (const Topic& topic : topics())
            all += topic_text(topic, width, Painter(false));
        std::istringstream in(all);
        for (std::string line; std::getline(in, line);) {
            if (line.find("pwstore ") != std::string::npos) continue;  // examples stay on one line
            EXPECT_LE(display_width(line), width) << line;
        }
    }
}

TEST(Docs, CommandsPageIsUpToDate) {
    expect_up_to_date("commands.md", commands_markdown());
}

TEST(Docs, ManualPagesAreUpToDate) {
    expect_up_to_date("man/pwstore.1", overview_man());
    for (const Command& command : commands())
        expect_up_to_date("man/pwstore-" + command.name + ".1", command_man(command));
}

TEST(Docs, ManualPagesAreGoodRoff) {
    if (std::system("command -v groff >/dev/null 2>&1") != 0) PWSTORE_CANNOT_RUN("groff is not installed");
    const test::TestDir dir;
    const auto complaints = [&](const std::string& page) {
        dir.write("page.1", page);
        const std::string line =
            "groff -man -Tutf8 -K utf8 -ww -z '" + dir.path("page.1") + "' 2>'" + dir.path("said") + "'";
        EXPECT_EQ(std::system(line.c_str()), 0);
        return dir.read("said");
    };
    EXPECT_EQ(complaints(overview_man()), "");
    for (const Command& command : commands())
        EXPECT_EQ(complaints(command_man(command)), "") << command.name;
}

TEST(Docs, JsonPageNamesEverySchema) {
    const std::string page = file_in_docs("json.md");
    for (const Command& command : commands()) {
        for (const Option& option : command.options) {
            const bool described = page.find("## pwstore." + command.name + "/1") != std::string::npos;
            EXPECT_TRUE(option.name != "json" || described) << command.name;
        }
    }
}

// --- Completion
// -----------------------------------------------------------------------------------------------------

TEST(Completion, KnowsEveryVerbAndOption) {
    for (const char* shell : {"bash", "zsh", "fish"}) {
        const std::string script = completion_script(shell);
        for (const Command& command : commands()) {
            EXPECT_THAT(script, HasSubstr(command.name)) << shell;
            for (const Option& option : command.options)
                EXPECT_THAT(script, HasSubstr((shell == std::string("fish") ? "-l " : "--") + option.name))
                    << shell;
        }
    }
    EXPECT_THROW((void)completion_script("tcsh"), Error);
}

class CompletionOf : public ::testing::TestWithParam<const char*> {};

TEST_P(CompletionOf, ScriptParses) {
    const std::string shell = GetParam();
    if (std::system(("command -v " + shell + " >/dev/null 2>&1").c_str()) != 0)
        PWSTORE_CANNOT_RUN(shell + " is not installed");
    const test::TestDir dir;
    const std::string path = dir.write(shell, completion_script(shell));
    EXPECT_EQ(std::system((shell + " -n '" + path + "'").c_str()), 0);
}

INSTANTIATE_TEST_SUITE_P(Shells, CompletionOf, ::testing::Values("bash", "zsh", "fish"),
                         [](const auto& instance) { return std::string(instance.param); });

/// What bash offers for a line, with a pwstore that knows two containers and two packages.
/// `breaks` is what bash takes for words of their own, beside spaces.
std::string offered(const test::TestDir& dir, const std::string& line,
                    const std::string& breaks = "@><=;|&(:") {
    dir.write("pwstore.bash", completion_script("bash"));
    dir.write("driver", R"SH(
pwstore() {
    case "$*" in
        'ls --quiet') printf 'base\neditor\n' ;;
        'history --quiet base') printf '1\n' ;;
        'history --quiet editor') printf '2\n7\n' ;;
        'snapshot ls --quiet editor') printf 'before\n' ;;
        'snapshot ls --quiet') printf 'before\nold\n' ;;
        'query --quiet editor') printf 'neovim\nlibuv\n' ;;
        'search --quiet ^neo') printf 'neovim\nneofetch\n' ;;
    esac
}
. "$1/pwstore.bash"
COMP_LINE=$2 COMP_POINT=${#2}
broken=${2//=/ = }
broken=${broken//@/ @ }
read -ra COMP_WORDS <<<"${broken//:/ : }"
[[ $2 == *' ' ]] && COMP_WORDS+=('')
COMP_WORDBREAKS=$' \t\n"\''$3
HOME=$1
COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
_pwstore
printf '%s\n' "${COMPREPLY[@]}" | sort -u | tr '\n' ' '
)SH");
    const std::string call = "cd '" + dir.path() + "' && bash driver '" + dir.path() + "' '" + line + "' '" +
                             breaks + "' > said 2> errors";
    EXPECT_EQ(std::system(call.c_str()), 0);
    EXPECT_EQ(dir.read("errors"), "") << line;
    return dir.read("said");
}

TEST(Completion, BashOffersWhatFits) {
    const test::TestDir dir;
    EXPECT_EQ(offered(dir, "pwstore inst"), "install ");
    EXPECT_EQ(offered(dir, "pwstore install "), "base editor ");
    EXPECT_EQ(offered(dir, "pwstore install ed"), "editor ");
    EXPECT_EQ(offered(dir, "pwstore install editor neo"), "neofetch neovim ");
    EXPECT_EQ(offered(dir, "pwstore install --noc"), "--noconfirm ");
    EXPECT_EQ(offered(dir, "pwstore remove editor lib"), "libuv ");
    EXPECT_EQ(offered(dir, "pwstore remove editor libuv neo"), "neovim ");
    dir.write("own.pkg.tar.zst", "");
    EXPECT_EQ(offered(dir, "pwstore install editor own"), "own.pkg.tar.zst ");
    EXPECT_EQ(offered(dir, "pwstore run editor sh own.pkg"), "own.pkg.tar.zst ");
    make_directory(AT_FDCWD, dir.path("own-folder"));
    EXPECT_EQ(offered(dir, "pwstore repo ls --into own"), "own-folder ");
    EXPECT_EQ(offered(dir, "pwstore rm "), "base editor ");
    EXPECT_EQ(offered(dir, "pwstore -Es b"), "base ");
    EXPECT_EQ(offered(dir, "pwstore -Q e"), "editor ");
    EXPECT_EQ(offered(dir, "pwstore create x --dep=b"), "base ");
    EXPECT_EQ(offered(dir, "pwstore create x --dep b"), "base ");
    EXPECT_EQ(offered(dir, "pwstore create x --dep base,ed"), "base,editor ");
    EXPECT_EQ(offered(dir, "pwstore create x --dep=base,"), "base,base base,editor ");
    EXPECT_EQ(offered(dir, "pwstore ls --color="), "always auto never ");
    EXPECT_EQ(offered(dir, "pwstore completion "), "bash fish zsh ");
    EXPECT_EQ(offered(dir, "pwstore export ed"), "editor ");
    EXPECT_EQ(offered(dir, "pwstore export editor@"), "2 7 before ");
    EXPECT_EQ(offered(dir, "pwstore export editor@", "="), "editor@2 editor@7 editor@before ");
    EXPECT_EQ(offered(dir, "pwstore export base@"), "1 ");
    EXPECT_EQ(offered(dir, "pwstore diff editor@2 editor@b"), "before ");
    EXPECT_EQ(offered(dir, "pwstore rollback editor@7"), "7 ");
    EXPECT_EQ(offered(dir, "pwstore snapshot "), "create ls rm show ");
    EXPECT_EQ(offered(dir, "pwstore snapshot rm "), "before old ");
    EXPECT_EQ(offered(dir, "pwstore snapshot create editor@"), "2 7 before ");
    EXPECT_EQ(offered(dir, "pwstore snapshot ls "), "base editor ");
    EXPECT_EQ(offered(dir, "pwstore policy "), "accept diff reject show ");
    make_directory(AT_FDCWD, dir.path(".ssh"));
    dir.write(".ssh/config", "Host desk other *.example\n  HostName 10.0.0.1\n");
    EXPECT_EQ(offered(dir, "pwstore push editor "), "oci:// ssh://desk ssh://other ");
    EXPECT_EQ(offered(dir, "pwstore push editor ssh://d"), "//desk ");
    dir.write("image.tar", "");
    EXPECT_EQ(offered(dir, "pwstore import im"), "image.tar ");
    EXPECT_EQ(offered(dir, "pwstore export editor -o im"), "image.tar ");
    EXPECT_EQ(offered(dir, "pwstore export editor@7 --output=im"), "image.tar ");
    EXPECT_THAT(offered(dir, "pwstore help ex"), HasSubstr("exit-codes"));
}

}  // namespace
}  // namespace pwstore::cli
