// SPDX-License-Identifier: GPL-3.0-or-later
#include "resolver/config_lines.hpp"

#include <fcntl.h>
#include <glob.h>
#include <sys/utsname.h>

#include "store/base/error.hpp"
#include "store/base/path_at.hpp"

namespace pwstore {

namespace {

constexpr std::string_view kBlank = " \t\r\n\v\f";

std::string_view trimmed(std::string_view text) {
    const size_t from = text.find_first_not_of(kBlank);
    if (from == std::string_view::npos) return {};
    return text.substr(from, text.find_last_not_of(kBlank) - from + 1);
}

ConfigLine parse_line(size_t number, std::string_view text) {
    ConfigLine line;
    line.number = number;
    if (text.front() == '[' && text.back() == ']') {
        line.opens = std::string(trimmed(text.substr(1, text.size() - 2)));
        return line;
    }
    const size_t equals = text.find('=');
    line.key = std::string(trimmed(text.substr(0, equals)));
    if (equals != std::string_view::npos) line.value = std::string(trimmed(text.substr(equals + 1)));
    return line;
}

}  // namespace

std::vector<ConfigLine> read_config_lines(const std::string& file) {
    std::string content;
    try {
        content = read_all(open_at(AT_FDCWD, file, O_RDONLY).get(), file);
    } catch (Error& error) {
        throw error.within("read configuration").as(Fault::usage);
    }
    if (content.find('\0') != std::string::npos) {
        throw Error("read configuration", file, "it holds a NUL byte, so it is not a text file")
            .as(Fault::usage);
    }
    std::vector<ConfigLine> lines;
    std::string_view rest = content;
    for (size_t number = 1; !rest.empty(); ++number) {
        const size_t end = rest.find('\n');
        const std::string_view text = trimmed(rest.substr(0, end));
        rest.remove_prefix(end == std::string_view::npos ? rest.size() : end + 1);
        if (!text.empty() && text.front() != '#') lines.push_back(parse_line(number, text));
    }
    return lines;
}

std::vector<std::string> included_files(const std::string& file, const std::string& pattern) {
    const auto [directory, name] = split_path(file);
    std::string full = pattern;
    if (!pattern.empty() && pattern.front() != '/' && !directory.empty()) {
        full = std::string(directory) + "/" + pattern;
    }
    if (full.find_first_of("*?[") == std::string::npos) return {full};
    std::vector<std::string> files;
    glob_t found{};
    if (::glob(full.c_str(), 0, nullptr, &found) == 0) {
        files.assign(found.gl_pathv, found.gl_pathv + found.gl_pathc);
    }
    ::globfree(&found);
    return files;
}

std::vector<std::string> words(std::string_view text) {
    std::vector<std::string> found;
    while (true) {
        const size_t from = text.find_first_not_of(kBlank);
        if (from == std::string_view::npos) return found;
        text.remove_prefix(from);
        const size_t length = text.find_first_of(kBlank);
        found.emplace_back(text.substr(0, length));
        text.remove_prefix(length == std::string_view::npos ? text.size() : length);
    }
}

std::string machine_name() {
    utsname names{};
    if (::uname(&names) != 0) throw Error::from_errno("ask for the architecture", "");
    return names.machine;
}

}  // namespace pwstore
