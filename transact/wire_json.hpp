// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "store/base/error.hpp"
#include "transact/request.hpp"

namespace pwstore::wire {

/// What one line of the conversation holds (see wire.hpp); exactly one member is set.
struct Progress {
    std::string step, label;
    uint64_t done = 0, total = 0;
};
struct Message {
    Severity severity = Severity::info;
    std::string text;
};
struct ScriptLine {
    std::string agent, line;
};
struct Failure {
    Fault fault = Fault::failure;
    std::string text, hint;
};
struct Line {
    std::optional<TransactionRequest> request;
    std::optional<int> answer;
    std::optional<Progress> progress;
    std::optional<Message> message;
    std::optional<ScriptLine> script;
    std::optional<std::vector<ContainerPlan>> confirm;
    std::optional<Question> ask;
    std::optional<TransactionReport> report;
    std::optional<Failure> error;
    std::optional<std::string> defect;
};

/// One line without its newline; it never contains one.
[[nodiscard]] std::string encode(const Line& line);
/// @throws Error (corrupt) for anything that encode() would not have written
[[nodiscard]] Line decode(const std::string& text);

[[nodiscard]] Failure failure_of(const Error& error);
/// An Error with the same text, hint and fault.
[[nodiscard]] Error error_of(const Failure& failure);

}  // namespace pwstore::wire
