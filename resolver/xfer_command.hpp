// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <string>
#include <vector>

namespace pwstore {

/// XferCommand of pacman.conf(5): the program that downloads in libalpm's place. "%u" as a word is the URL,
/// "%o" the name of a ".part" file that is renamed when the program has ended well.
class XferCommand {
 public:
    /// @throws Error (usage) when `text` has no word or an open quote
    explicit XferCommand(const std::string& text);

    enum class Anew { no, yes };
    /// Download `url` into `directory`, which becomes the working directory of the program. With `anew`, what
    /// is there is removed first. False when that failed. Runs the program with the caller's environment and
    /// streams and waits for it. @throws Error when it cannot be started
    [[nodiscard]] bool fetch(const std::string& url, const std::string& directory, Anew anew) const;

 private:
    std::vector<std::string> words_;
};

/// `text` cut at blanks as a shell would: quotes and backslashes keep them. @throws Error (usage) for an open
/// quote
[[nodiscard]] std::vector<std::string> split_words(const std::string& text);

}  // namespace pwstore
