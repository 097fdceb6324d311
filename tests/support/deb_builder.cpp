// SPDX-License-Identifier: GPL-3.0-or-later
#include "tests/support/deb_builder.hpp"

#include <fmt/format.h>
#include <sys/wait.h>

#include <array>
#include <cstdio>

namespace pwstore::test {

std::string ar_archive(const std::vector<std::pair<std::string, std::string>>& members) {
    std::string bytes = "!<arch>\n";
    for (const auto& [name, content] : members) {
        bytes += fmt::format("{:<16}{:<12}{:<6}{:<6}{:<8}{:<10}`\n", name, kBuildDate, 0, 0, "100644",
                             content.size());
        bytes += content;
        if (content.size() % 2 != 0) bytes += '\n';
    }
    return bytes;
}

std::string deb_bytes(const DebSpec& spec) {
    RawTar control;
    control.directory("./").file("./control", spec.control);
    if (!spec.conffiles.empty()) control.file("./conffiles", spec.conffiles);
    for (const auto& [name, text] : spec.members)
        control.file("./" + name, text);
    const std::string suffix = spec.compression.empty() ? "" : "." + spec.compression;
    return ar_archive({{"debian-binary", spec.format},
                       {"control.tar" + suffix, compressed(control.bytes(), spec.compression)},
                       {"data.tar" + suffix, compressed(spec.data.bytes(), spec.compression)}});
}

CommandResult run_shell(const std::string& command) {
    CommandResult result;
    FILE* stream = ::popen((command + " 2>&1 </dev/null").c_str(), "r");  // NOLINT(cert-env33-c)
    if (stream == nullptr) return result;
    std::array<char, 4096> buffer{};
    for (size_t got = 0; (got = std::fread(buffer.data(), 1, buffer.size(), stream)) > 0;)
        result.output.append(buffer.data(), got);
    const int status = ::pclose(stream);
    result.status = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    return result;
}

}  // namespace pwstore::test
