// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>

#include "cli/outside.hpp"
#include "cli/transfer.hpp"

namespace pwstore::cli {

/// [USER@]HOST[:PORT]; an IPv6 address stands in brackets when a port follows.
struct SshPlace {
    std::string login;  ///< [USER@]HOST, as ssh takes it
    std::string port;   ///< empty = ssh's own choice

    /// @throws Error (usage)
    static SshPlace parse(const std::string& text);
};

/// The pwstore of another host, behind ssh.
class Remote {
 public:
    /// Connect and wait for the greeting. What the other side's shell prints before it is skipped.
    /// @param host as typed
    /// @throws Error that says what came instead
    Remote(const std::string& host, const std::string& program);
    ~Remote();
    Remote(const Remote&) = delete;
    Remote& operator=(const Remote&) = delete;

    [[nodiscard]] FrameReader& in() { return in_; }
    [[nodiscard]] FrameWriter& out() { return out_; }
    void ask(const nlohmann::json& request);
    /// @throws Error with what the other side says is wrong
    [[nodiscard]] nlohmann::json answer();
    /// That is all.
    void finish();

 private:
    void greet(const std::string& program);

    std::string host_;
    OutsidePeer peer_;
    BrokenPipesAreErrors broken_pipes_are_errors_;
    FrameReader in_;
    FrameWriter out_;
};

}  // namespace pwstore::cli
