// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "store/ingest.hpp"
#include "store/tree.hpp"
#include "transact/act_log.hpp"

namespace pwstore {

/// What `root` is at the logged paths that `layers` is not. Content goes into the store through `ingestor`.
/// Roots carry reduced metadata: where a path is still what it was in `start`, its true ones are taken from
/// there.
/// @param start the tree that the root was assembled from
/// @param before the delta that the root was assembled with: its paths are looked at too, and an entry that
/// the engine only
///        kept keeps its cause
/// @param latest no entry gets a later time (SOURCE_DATE_EPOCH), or no limit
[[nodiscard]] Delta build_delta(const ReadTxn& txn, Ingestor& ingestor, int root, const Tree& layers,
                                const Tree& start, const Delta& before, const ActLog& log,
                                std::optional<int64_t> latest);

/// "+ /etc/foo", "~ /etc/bar", "- /etc/baz": what `after` says that `before` does not, for people.
[[nodiscard]] std::vector<std::string> describe_changes(const Tree& before, const Tree& after,
                                                        const ActLog& log);

}  // namespace pwstore
