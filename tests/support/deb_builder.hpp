// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "tests/support/package_builder.hpp"

namespace pwstore::test {

/// A .deb made by hand: members of an `ar` archive, in order, whatever they hold.
struct DebSpec {
    std::string control = "Package: tool\nVersion: 1.0-1\nArchitecture: all\nDescription: a tool\n";
    std::string conffiles = {};
    std::vector<std::pair<std::string, std::string>> members = {};  ///< more files of the control archive
    RawTar data = {};
    std::string compression = "xz";  ///< of both tar archives
    std::string format = "2.0\n";    ///< text of debian-binary
};

/// The bytes of an `ar` archive.
[[nodiscard]] std::string ar_archive(const std::vector<std::pair<std::string, std::string>>& members);
[[nodiscard]] std::string deb_bytes(const DebSpec& spec);

/// What a command printed (both streams) and its exit code.
struct CommandResult {
    int status = -1;
    std::string output;
};
[[nodiscard]] CommandResult run_shell(const std::string& command);

}  // namespace pwstore::test
