// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "transact/work.hpp"

namespace pwstore {

/// When every package that `work` brings is one whose archive this store has read before, and there is
/// nothing that only libalpm can decide about them: fill Work::known with them, held by the transaction's
/// lease. Otherwise false, and nothing is done. Then they need neither be downloaded nor read again.
///
/// A package that is installed over itself is not taken so where a stored file of it is damaged: its archive
/// is read, and the file replaced.
/// What is to be decided: a signature (the SHA-256 of the database tells an archive right from wrong only
/// where none is checked), or a file that two packages have or that is there already. So what libalpm says of
/// conflicts it says itself.
/// Lock: the ingest lock for a moment. A crash leaves rows that the lease names.
[[nodiscard]] bool take_known_packages(TransactionState& state, Work& work);

}  // namespace pwstore
