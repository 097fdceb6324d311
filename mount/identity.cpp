// SPDX-License-Identifier: GPL-3.0-or-later
#include "mount/identity.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>
#include <optional>
#include <string_view>
#include <utility>

#include "store/base/error.hpp"
#include "store/base/names.hpp"
#include "store/base/path_at.hpp"

namespace pwstore {

namespace {

/// nullopt when it is not a plain file, reached without a symlink.
std::optional<std::string> file_of(const std::string& root, const std::string& path) {
    const Fd top = open_at(AT_FDCWD, root, O_PATH | O_DIRECTORY);
    try {
        const auto file = try_open_beneath(top.get(), path, O_RDONLY | O_NONBLOCK);
        if (!file || !S_ISREG(stat_fd(file->get(), path).st_mode)) return std::nullopt;
        return read_all(file->get(), path);
    } catch (const Error& error) {
        if (error.error_number() == ELOOP) return std::nullopt;
        throw;
    }
}

std::string_view field(std::string_view line, unsigned index) {
    for (; index > 0; --index) {
        const size_t colon = line.find(':');
        if (colon == std::string_view::npos) return "";
        line.remove_prefix(colon + 1);
    }
    return line.substr(0, line.find(':'));
}

/// True when a line names `name` and gives it another number.
bool is_taken(std::string_view text, std::string_view name, uint32_t number) {
    while (!text.empty()) {
        const size_t end = std::min(text.find('\n'), text.size());
        const std::string_view line = text.substr(0, end);
        text.remove_prefix(std::min(end + 1, text.size()));
        if (field(line, 0) == name && field(line, 2) != std::to_string(number)) return true;
    }
    return false;
}

/// Whether a line of /etc/hosts has that name.
bool names_host(std::string_view text, std::string_view name) {
    constexpr std::string_view kBlank = " \t";
    while (!text.empty()) {
        std::string_view line = text.substr(0, text.find('\n'));
        text.remove_prefix(std::min(line.size() + 1, text.size()));
        line = line.substr(0, line.find('#'));
        bool is_address = true;
        for (;;) {
            line.remove_prefix(std::min(line.find_first_not_of(kBlank), line.size()));
            if (line.empty()) break;
            const std::string_view word = line.substr(0, line.find_first_of(kBlank));
            line.remove_prefix(word.size());
            if (!std::exchange(is_address, false) && word == name) return true;
        }
    }
    return false;
}

std::string free_name(const std::optional<std::string>& text, const std::string& wanted, uint32_t number) {
    return text && is_taken(*text, wanted, number) ? wanted + "-user" : wanted;
}

}  // namespace

std::vector<GeneratedFile> identity_files(const std::string& root, const std::string& container, uint32_t uid,
                                          uint32_t gid) {
    std::vector<GeneratedFile> files;
    const auto passwd = file_of(root, "etc/passwd");
    const auto group = file_of(root, "etc/group");
    if (passwd && uid != 0) {
        files.push_back(
            {"/etc/passwd", fmt::format("{}:x:{}:{}::/home/{}:{}\n{}", free_name(passwd, container, uid), uid,
                                        gid, container, shell_in(root), *passwd)});
    }
    if (group && gid != 0) {
        files.push_back(
            {"/etc/group", fmt::format("{}:x:{}:\n{}", free_name(group, container, gid), gid, *group)});
    }
    return files;
}

std::vector<GeneratedFile> name_files(const std::string& root, const std::string& container) {
    std::vector<GeneratedFile> files;
    if (auto hosts = file_of(root, names::kHosts)) {
        if (!hosts->empty() && !hosts->ends_with('\n')) *hosts += '\n';
        if (!names_host(*hosts, "localhost"))
            *hosts += "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n";
        if (!names_host(*hosts, container)) *hosts += fmt::format("127.0.1.1\t{}\n", container);
        files.push_back({std::string("/") + names::kHosts, std::move(*hosts)});
    }
    if (file_of(root, names::kHostName))
        files.push_back({std::string("/") + names::kHostName, container + "\n"});
    return files;
}

bool is_empty_file(const std::string& root, const std::string& path) {
    const auto content = file_of(root, path);
    return content && content->empty();
}

std::string user_name_in(const std::string& root, const std::string& container, uint32_t uid) {
    return uid == 0 ? "root" : free_name(file_of(root, "etc/passwd"), container, uid);
}

std::string shell_in(const std::string& root) {
    for (const char* place : {"/usr/bin/bash", "/bin/bash"}) {
        if (exists_at(AT_FDCWD, root + place)) return "/bin/bash";
    }
    return "/bin/sh";
}

}  // namespace pwstore
