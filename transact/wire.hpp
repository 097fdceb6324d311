// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <memory>
#include <string>

#include "store/base/fd.hpp"
#include "transact/request.hpp"

namespace pwstore {

/// The conversation between the command line and the worker program `pwstore-transact`: JSON, one object per
/// line, over a socket pair. The worker gets the request, sends progress, questions, the plan and at last the
/// report or the error.

/// In the command line: start the worker at `program`, serve its questions with `dialogue`, return its
/// report. SIGINT and SIGTERM are passed to the worker. @throws the worker's Error, or one that says how it
/// died
TransactionReport run_in_worker(const std::string& program, const TransactionRequest& request,
                                Dialogue& dialogue);

/// In the worker: read the request from `socket`, run it, answer. Returns the exit code.
int serve_worker(Fd socket);

}  // namespace pwstore
