// SPDX-License-Identifier: GPL-3.0-or-later
#include "resolver/xfer_command.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cctype>
#include <cerrno>

#include "store/base/error.hpp"
#include "store/base/path_at.hpp"

namespace pwstore {

namespace {

/// The program's exit status as waitpid(2) says it.
int run_in(const std::string& directory, const std::vector<std::string>& words) {
    std::vector<char*> argv;
    for (const std::string& word : words)
        argv.push_back(const_cast<char*>(word.c_str()));
    argv.push_back(nullptr);
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addchdir_np(&actions, directory.c_str());
    pid_t child = 0;
    const int cause = ::posix_spawnp(&child, argv[0], &actions, nullptr, argv.data(), environ);
    posix_spawn_file_actions_destroy(&actions);
    if (cause != 0) throw Error::from_errno("start XferCommand", words.front(), cause);
    int status = 0;
    while (::waitpid(child, &status, 0) < 0) {
        if (errno != EINTR) throw Error::from_errno("wait for XferCommand", words.front());
    }
    return status;
}

}  // namespace

std::vector<std::string> split_words(const std::string& text) {
    std::vector<std::string> words;
    bool in_word = false;
    char quote = 0;
    for (size_t at = 0; at < text.size(); ++at) {
        const char c = text[at];
        const bool blank = std::isspace(static_cast<unsigned char>(c)) != 0;
        if (quote == 0 && blank) {
            in_word = false;
            continue;
        }
        if (!in_word) words.emplace_back();
        in_word = true;
        if (quote == c) {
            quote = 0;
        } else if (quote == 0 && (c == '\'' || c == '"')) {
            quote = c;
        } else if (c == '\\' && quote != '\'' && at + 1 < text.size()) {
            words.back() += text[++at];
        } else {
            words.back() += c;
        }
    }
    if (quote != 0) throw Error("read command", text, "a quote is not closed").as(Fault::usage);
    return words;
}

XferCommand::XferCommand(const std::string& text) : words_(split_words(text)) {
    if (words_.empty()) throw Error("read XferCommand", text, "it names no program").as(Fault::usage);
}

bool XferCommand::fetch(const std::string& url, const std::string& directory, Anew anew) const {
    const std::string name = url.substr(url.rfind('/') + 1);
    if (name.empty() || name == "." || name == "..") return false;
    const std::string part = name + ".part";
    const Fd dir = open_at(AT_FDCWD, directory, O_RDONLY | O_DIRECTORY);
    if (anew == Anew::yes) {
        (void)remove_file(dir.get(), part);
        (void)remove_file(dir.get(), name);
    }
    std::vector<std::string> words = words_;
    bool uses_part = false;
    for (std::string& word : words) {
        if (word == "%u") {
            word = url;
        } else if (word == "%o") {
            word = fmt::format("{}{}{}", directory, directory.ends_with('/') ? "" : "/", part);
            uses_part = true;
        }
    }
    if (run_in(directory, words) != 0) return false;
    if (uses_part && ::renameat(dir.get(), part.c_str(), dir.get(), name.c_str()) != 0)
        throw Error::from_errno("keep what XferCommand downloaded", directory + "/" + name);
    return true;
}

}  // namespace pwstore
