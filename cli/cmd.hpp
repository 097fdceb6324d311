// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <vector>

#include "cli/command.hpp"
#include "cli/context.hpp"
#include "transact/request.hpp"

namespace pwstore::cli {

// The verbs, one noun per file.
[[nodiscard]] std::vector<Command> container_commands();  ///< create, ls, info, du, delete, explain
[[nodiscard]] std::vector<Command> history_commands();    ///< history, diff, rollback, undo
[[nodiscard]] std::vector<Command>
package_commands();  ///< install, remove, upgrade, sync, rebuild, query, search
[[nodiscard]] std::vector<Command> pacman_commands();    ///< pacman
[[nodiscard]] std::vector<Command> run_commands();       ///< run, shell, try
[[nodiscard]] std::vector<Command> store_commands();     ///< verify, doctor
[[nodiscard]] std::vector<Command> gc_commands();        ///< gc
[[nodiscard]] std::vector<Command> inspect_commands();   ///< why, where, owns, stats
[[nodiscard]] std::vector<Command> snapshot_commands();  ///< snapshot, clone
[[nodiscard]] std::vector<Command> policy_commands();    ///< policy
[[nodiscard]] std::vector<Command> transfer_commands();  ///< export, import, have, push, pull, serve
[[nodiscard]] std::vector<Command> repo_commands();      ///< repo
[[nodiscard]] std::vector<Command> help_commands();      ///< help, version, completion

// --- Shared by them
// --------------------------------------------------------------------------------------------------

[[nodiscard]] Option noconfirm_option();
[[nodiscard]] Option json_option();
/// `own` and the options of every transaction.
[[nodiscard]] std::vector<Option> with_transaction_options(std::vector<Option> own);
/// "NAME@N", "NAME@SNAPSHOT", or "NAME" for its current generation.
[[nodiscard]] GenerationName generation_named(Context& context, const std::string& text);
/// Take --wait, --preview and the like from `arguments`, ask, do it, tell, log. Returns the exit code.
int transact(Context& context, const Arguments& arguments, TransactionRequest request);
/// For the log.
[[nodiscard]] std::string result_in_words(const TransactionReport& report);

}  // namespace pwstore::cli
