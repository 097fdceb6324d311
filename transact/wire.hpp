// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <functional>
#include <string>

#include "store/base/fd.hpp"
#include "transact/request.hpp"

namespace pwstore {

/// The conversation between the command line and the worker program `pwstore-transact`: JSON, one object with
/// one member per line, over a socket pair (docs/architecture.md, "The worker").
///
///     to the worker     {"request": …}  {"answer": N}
///     from the worker   {"progress": …} {"message": …} {"script": …}   no answer
///                       {"confirm": [plans]} {"ask": question}         answered
///                       {"report": …}, {"error": …} or {"defect": …}   the last line
///
/// Lines are ASCII. Strings are bytes: each byte from 0x80 up travels as the code point of the same number.

/// In the command line: start the worker at `program`, serve its questions with `dialogue`, return its
/// report. The worker reads no terminal and dies with the calling thread. SIGINT and SIGTERM reach it as
/// SIGTERM; the third one ends this process too. When `dialogue` throws, the worker is ended and the
/// exception goes on to the caller.
/// @throws the worker's Error or Defect, or an Error that says how it died
TransactionReport run_in_worker(const std::string& program, const TransactionRequest& request,
                                Dialogue& dialogue);

/// Whether SIGINT or SIGTERM came during the run_in_worker() that is under way: nobody shall be asked any
/// more.
[[nodiscard]] bool transaction_interrupted() noexcept;

/// What the worker does with a request: run_transaction() on its directories, or run_in_place().
using TransactionRunner = std::function<TransactionReport(const TransactionRequest&, Dialogue&)>;

/// In the worker: read the request from `socket`, run it with `runner`, answer. Returns the exit code.
int serve_worker(Fd socket, const TransactionRunner& runner);

}  // namespace pwstore
