// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <string>
#include <vector>

#include "cli/command.hpp"
#include "transact/request.hpp"

namespace pwstore::cli {

/// The line that starts with a verb and means the same: {"-Esr", "base"} → {"exec", "-sr", "base"}, {"-Rm",
/// "x"} →
/// {"delete", "x"}. A line that starts with a verb stays as it is. @throws Error (usage)
[[nodiscard]] std::vector<std::string> verb_line(const std::vector<std::string>& words);

/// What a line of `sync` (-S) or `init` asks for, besides the options that every transaction has.
struct SyncRequest {
    TransactionRequest transaction;
    std::vector<std::string> notices;  ///< options that are accepted and have no effect
};

/// In `init` every target is created, and -y -u are implied.
enum class SyncMode { sync, init };

/// Options in their order: what follows -c describes the next target; packages and --dep belong to the last
/// one.
/// @throws Error (usage) naming the rule that is broken
[[nodiscard]] SyncRequest read_sync(const Arguments& arguments, SyncMode mode);

/// `remove` (-R): the same for `NAME PKG…` and `-t NAME PKG… -t NAME PKG…`.
[[nodiscard]] TransactionRequest read_remove(const Arguments& arguments);

/// Put one target where it belongs: a package archive that is there goes to archive_files, anything else to
/// install.
void add_target(ResolveRequest& request, const std::string& word);

}  // namespace pwstore::cli
